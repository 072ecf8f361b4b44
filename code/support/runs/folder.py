"""The folder of a run: its lock, the run that lies in it, and the files of earlier runs."""

import itertools
import json
import os
from contextlib import contextmanager, suppress

from support.files import replacing, shown, write_json
from support.runs import records
from support.runs.checkpoint import FILE, State, read_checkpoint
from support.start import UserError

from filelock import FileLock, Timeout

ELSEWHERE = "choose another --output-folder"
OF_NO_MODEL = {"settings.json", "curve.jsonl", "pretrained.npz"}  # the files of a run that has saved no model.npz yet


@contextmanager
def opening(folder):
    """If the folder cannot be written, or another process writes to it, the block ends with a UserError."""
    try:
        yield
    except Timeout as error:
        raise UserError(f"another process is training in {folder}: wait for it, or {ELSEWHERE}") from error
    except OSError as error:
        raise UserError(f"cannot write to the output folder {folder} ({error.strerror}): {ELSEWHERE}") from error


@contextmanager
def writing(folder):
    """If the disk is full, or the folder is gone, the block ends with a UserError that says how the run goes on."""
    try:
        yield
    except OSError as error:
        told = (
            f"cannot write to {folder} ({error.strerror or error}): make room; the last checkpoint there is whole, "
            "and the same command goes on from it"
        )
        if not folder.is_dir():
            told = f"{folder} is gone, and what the run had written there: the same command starts over"
        raise UserError(told) from error


@contextmanager
def locked(folder):
    """Within the block no other process writes to the folder."""
    with opening(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / ".lock").is_symlink():
            (folder / ".lock").unlink()  # the lock would be made where the link points
        lock = FileLock(folder / ".lock", is_singleton=True)  # a notebook may open its run a second time
        lock.acquire(timeout=0)
    try:
        yield
    finally:
        lock.release()


def find_run(folder, about, fresh):
    """Find the run that goes on in a folder, or begin one: in any case if it is to be `fresh`.

    `about` is a dict of the lesson, data set, settings, floatX and code of the run. Runs that differ in one of these
    are different runs. settings.json holds `about`; the `parts` of the run, which are the epochs made with the same
    rewrites, threads, versions and machine; and `files`, the names of all files that the run has written.

    Returns the `State`, the arrays of the checkpoint, whether the run came to its end before, and the folder inside
    this one to which the files of an earlier run were moved, or None.
    """
    moved, is_finished, part = None, False, {"epochs": 0, **records.circumstances()}
    state, arrays = (None, {}) if fresh else read_checkpoint(folder / FILE)
    files, parts = [], [part]
    with suppress(FileNotFoundError):
        files = records.read_settings(folder, remedy=f"move it away, or {ELSEWHERE}")["files"]
    if state is None:
        for name in (*records.FILES, "model.npz"):
            if name not in files:
                records.check_that_it_is_free(folder, name)
        state, moved = State({}), _set_aside(folder, files)
        files = [] if moved else files
    else:
        _check_that_it_is_the_same(folder, state.about, about)
        is_finished = (folder / "result.json").exists()
        files, parts = state.about["files"] + files, state.about["parts"]
        if not is_finished and {**parts[-1], "epochs": 0} != part:
            parts = [*parts, {**part, "epochs": len(state.curve)}]
    state.about = {**about, "parts": parts, "files": list(dict.fromkeys([*records.FILES, *files]))}
    if not is_finished:
        write_json(folder / "settings.json", state.about)
        with replacing(folder / "curve.jsonl") as file:
            file.write("".join(json.dumps(line) + "\n" for line in state.curve).encode())
    return state, arrays, is_finished, moved


def _set_aside(folder, files):
    """Move the files to a new folder inside, and return that. If no model is among them, nothing is moved: None."""
    earlier = [path for path in (folder / name for name in files) if path.is_file() or path.is_symlink()]
    if {path.name for path in earlier} <= OF_NO_MODEL:
        return None
    places = (folder / f"earlier.{number}" for number in itertools.count(1))
    place = next(place for place in places if not os.path.lexists(place))
    place.mkdir()
    for path in earlier:
        path.rename(place / path.name)
    return place


def _check_that_it_is_the_same(folder, *abouts):
    """Raise a UserError if the run in the folder has other settings, other data or other code than this one."""
    remedy = f"--fresh (in a notebook fresh=True) starts over and keeps that run's files; or {ELSEWHERE}"
    there, here = (
        {"the lesson": run["lesson"], "the data": run["dataset"]["sha256"], "floatX": run["floatX"], **run["settings"]}
        for run in abouts
    )
    for name, value in here.items():
        if there.get(name) != value:
            raise UserError(f"{folder} holds a run with {name} = {shown(there.get(name))}, not {value}: {remedy}")
    if changed := records.changed_code(abouts[0]["lesson"], abouts[0]):
        raise UserError(f"{folder} holds a run of other code: {shown(changed)} changed since then; {remedy}")
