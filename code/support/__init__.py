"""The parts that no lesson should have to show: data sets, runs of training, pictures, the command line.

Every lesson imports this package. The import makes three choices, each only if the user has not made it:

- PyTensor's floatX is float32 (the user's choice: PYTENSOR_FLAGS or .pytensorrc).
- The source that PyTensor generates is kept beside its machine code, and old files are deleted there. In the temporary
  folder they would pile up (the user's choice: generated_src_dir in the same places; PyTensor 3.0 has no such setting).
- BLAS and the loops over weights in `support.rewrites` use one thread (the user's choice: OMP_NUM_THREADS).

If the home folder cannot be written, machine code is kept in a temporary folder. A line on standard error says so.

The modules of this package, from top to bottom. Each imports only from those below it:

    command                   a driver's signature and docstring become the options of its command
    pages                     the lessons as pages for the browser
    report                    published and reproduced figures, side by side
    pictures                  the pictures of a run
    runs                      a run of training: its folder, epochs, checkpoints, models and records
    data                      the data sets
    inputs                    the forms of numbers, data and generators that a lesson's classes take
    graphs                    the graph of a training step, shown; graphs run without compiling
    rewrites                  the graph of a training step, made faster
    settings                  the values that a driver's arguments may have
    files                     files that are written whole, and are not trusted when they are read
    console                   what is printed
    start                     threads, precision, folders, aligned arrays, errors
"""

from support import start  # noqa: F401  the import makes the choices
