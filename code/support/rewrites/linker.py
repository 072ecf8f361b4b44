"""Calls of compiled functions without a detour through Python."""

from support.rewrites.registry import NAMES

from pytensor.compile.mode import predefined_linkers
from pytensor.link.numba.cache import compile_numba_function_src
from pytensor.link.numba.dispatch.basic import numba_njit
from pytensor.link.numba.linker import NumbaLinker

NAME = "positional_arguments"


class PositionalNumbaLinker(NumbaLinker):
    """PyTensor's linker for Numba, but the compiled function takes its arguments one by one, not as `*args`.

    At each call Numba looks up the types of the arguments: of arrays in C, of anything else in Python. Of `*args` it
    looks up the tuple, and where that holds one generator of random numbers, the types of all the arrays beside it are
    found in Python, too, which at a batch of 1 takes longer than a pass over the weights.
    """

    def jit_compile(self, fn_and_cache):
        function, cache_key = fn_and_cache
        if cache_key is None:
            return super().jit_compile(fn_and_cache)
        arguments = ", ".join(f"i{index}" for index in range(len(self.fgraph.inputs)))
        positional = compile_numba_function_src(
            src=f"def positional({arguments}): return jitable_func({arguments})",
            function_name="positional",
            global_env=function.py_func.__globals__,
            cache_key=f"{cache_key}_positional",
        )
        return numba_njit(positional, final_function=True, cache=True)


NAMES.append(NAME)
predefined_linkers["numba"] = PositionalNumbaLinker()
