"""What no lesson should have to show: the data, the run of a training, its pictures, the command line.

Importing this package, as every lesson does, makes three choices where the user has made none:

- PyTensor's floatX is float32 (the user's choice: PYTENSOR_FLAGS or .pytensorrc);
- the source that PyTensor generates is kept beside its machine code, where it is pruned, not in files without number in
  the temporary folder (the user's choice: generated_src_dir in the same places; PyTensor 3.0 has no choice);
- BLAS, and the passes over weights of `support.rewrites`, use one thread (the user's choice: OMP_NUM_THREADS).

Where the home folder cannot be written, machine code is kept in a temporary folder. A line on standard error says so.

The import also switches on the graph rewrites of `support.rewrites`, for all functions that the process compiles from
then on, a user's own models included. `support.rewrites.select(["none"])` switches them off again.

Its rooms, from the roof to the ground; each imports only from those below it:

    command                   a driver's signature and docstring become the options of its command
    pictures                  the pictures of a run
    runs                      a run of training: its folder, epochs, checkpoints, models and records
    data                      the data sets
    graphs                    the graph of a step, shown
    rewrites                  the graph of a step, made faster
    settings                  which values the arguments of a driver may have
    files                     files that are written whole, and read without being believed
    console, memory, errors, environment
"""

from support import environment, rewrites  # noqa: F401  chosen and switched on by the import
