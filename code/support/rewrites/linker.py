"""Calls of compiled functions without a detour through Python."""

from support.rewrites.registry import NAMES

from pytensor.link.numba.cache import compile_numba_function_src
from pytensor.link.numba.dispatch.basic import numba_njit
from pytensor.link.numba.linker import NumbaLinker

NAME = "positional_arguments"


class PositionalNumbaLinker(NumbaLinker):
    """PyTensor's linker for Numba, but what is called is the graph's own function, with its arguments one by one.

    PyTensor puts a function of `*args` around it. At each call Numba looks up the types of the arguments: of arrays in
    C, of anything else in Python. Of `*args` it looks up the tuple, and where that holds one generator of random
    numbers, the types of all the arrays beside it are found in Python, too, which at a batch of 1 takes longer than a
    pass over the weights. And LLVM optimises the whole graph once more for a function around it, which takes seconds.
    """

    def jit_compile(self, fn_and_cache):
        function, cache_key = fn_and_cache
        if cache_key is None:
            return super().jit_compile(fn_and_cache)
        graph = function.py_func.__globals__["jitable_func"].py_func
        positional = compile_numba_function_src(
            src=graph.__source__,
            function_name=graph.__name__,
            global_env=graph.__globals__,
            cache_key=f"{cache_key}_positional",
        )
        return numba_njit(positional, final_function=True, cache=True)


NAMES.append(NAME)
