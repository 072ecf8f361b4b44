"""Run `python <arguments>` in a process that is forked from one which has imported what takes long to import.

The server has imported PyTensor and matplotlib, but nothing of this project. A command that is forked from it runs as
`python` would run it, without the two seconds of these imports. Where nothing can be forked, Python itself runs.
"""

import importlib
import json
import os
import runpy
import select
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress

IMPORTED = "numpy", "numba", "pytensor", "pytensor.tensor", "matplotlib.figure", "matplotlib.backends.backend_agg"
SERVER = "FORKING_SERVER"  # the variable of the environment with the path of the server's socket


@contextmanager
def server(folder, environment):
    """The environment in which `run` asks a server, whose socket is in this folder; it ends with the block."""
    if not hasattr(os, "fork"):
        yield environment
        return
    threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}  # as the lessons choose, before these are imported
    path = os.path.join(folder, "server")
    command = [sys.executable, __file__, path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=threads | environment, **pipes) as process:
        process.stdout.readline()  # it listens
        yield {**environment, SERVER: path}
        process.terminate()


def run(arguments):
    """The exit status of `python <arguments>` with this process's folder, environment and streams."""
    if SERVER not in os.environ:
        return subprocess.run([sys.executable, *arguments]).returncode
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[SERVER])
        socket.send_fds(connection, [b"\n"], [0, 1, 2])
        connection.sendall(json.dumps(request).encode() + b"\n")
        return int(connection.makefile().readline())


def serve(path):
    """Fork for one request after the other; return in the forked process, with the request."""
    for name in IMPORTED:
        with suppress(ImportError):
            importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)
        while True:
            if sys.stdin in select.select([listener, sys.stdin], [], [])[0]:
                sys.exit()  # the tests have ended, or were killed
            connection, _ = listener.accept()
            with connection:
                _, streams, *_ = socket.recv_fds(connection, 1, 3)
                request = json.loads(connection.makefile().readline())
                if not (child := os.fork()):
                    for place, stream in enumerate(streams):
                        os.dup2(stream, place)
                    return request
                for stream in streams:
                    os.close(stream)
                _, status = os.waitpid(child, 0)
                connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def become(request):
    """Do what `python <arguments>` does."""
    for stream, mode in enumerate("rww"):  # the server's were made for its own streams
        name = ("stdin", "stdout", "stderr")[stream]
        setattr(sys, name, open(stream, mode, buffering=1 if name == "stderr" else -1, closefd=False))
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    first, *arguments = request["arguments"]
    search = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    if first == "-c":
        sys.path[:1] = ["", *search]
        sys.argv = [first, *arguments[1:]]
        exec(arguments[0], {"__name__": "__main__"})
    elif first == "-m":
        sys.path[:1] = [os.getcwd(), *search]
        sys.argv = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[:1] = [os.path.dirname(os.path.abspath(first)), *search]
        sys.argv = [first, *arguments]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    become(serve(sys.argv[1]))
