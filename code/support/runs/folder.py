"""The folder of a run: its lock, the run that lies in it, and the files of earlier runs."""

import itertools
import json
import os
from contextlib import contextmanager, suppress

from support.console import say
from support.files import replacing, shown, write_json
from support.runs import records
from support.runs.checkpoint import FILE, read_checkpoint
from support.start import UserError

from filelock import FileLock, Timeout

ELSEWHERE = "choose another --output-folder"
GOES_ON = "make room there, and the same command goes on from the last checkpoint"
OF_NO_MODEL = {"settings.json", "curve.jsonl", "pretrained.npz"}  # the files of a run that has saved no model.npz yet
NOTHING = {"where": "", "stages": {}}  # the checkpoint of a run that has not begun


@contextmanager
def writing(folder, remedy):
    """If the folder cannot be written, the block ends with a UserError that ends with the remedy."""
    try:
        yield
    except BrokenPipeError:  # nobody reads the output
        raise
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror or error}): {remedy}") from error


@contextmanager
def locked(folder):
    """Within the block no other process writes to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / ".lock").is_symlink():
        (folder / ".lock").unlink()  # the lock would be made where the link points
    lock = FileLock(folder / ".lock", is_singleton=True)  # a notebook may open its run a second time
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"another process is training in {folder}: wait for it, or {ELSEWHERE}") from error
    try:
        yield
    finally:
        lock.release()


def find_run(folder, about, fresh):
    """(the content of settings.json, the checkpoint) of the run that goes on in a folder, or of a new one.

    `about` is a dict of the lesson, data set, settings, floatX and code of the run. Runs that differ in one of these
    are different runs. settings.json holds `about`; the `parts` of the run, which are the epochs made with the same
    rewrites, threads, versions and machine; and `files`, the names of all files that the run has written.
    """
    checkpoint = None if fresh else read_checkpoint(folder / FILE)
    files, part = [], {"epochs": 0, **records.circumstances()}
    with suppress(FileNotFoundError):
        files = records.read_settings(folder, remedy=f"move it away, or {ELSEWHERE}")["files"]
    if checkpoint is None:
        for name in (*records.FILES, "model.npz"):
            records.check_that_it_is_free(folder, name, files)
        files, parts, checkpoint = _set_aside(folder, files), [part], NOTHING
    else:
        _check_that_it_is_the_same(folder, checkpoint["about"], about)
        files, parts = checkpoint["about"]["files"] + files, checkpoint["about"]["parts"]
    about = {**about, "parts": parts, "files": list(dict.fromkeys([*records.FILES, *files]))}
    if not (folder / "result.json").exists():
        curve = [line for stage in checkpoint["stages"].values() for line in stage["curve"]]
        if {**parts[-1], "epochs": 0} != part:
            parts.append({**part, "epochs": len(curve)})
        write_json(folder / "settings.json", about)
        with replacing(folder / "curve.jsonl") as file:
            file.write("".join(json.dumps(line) + "\n" for line in curve).encode())
    return about, checkpoint


def _set_aside(folder, files):
    """Move the files to a new folder inside. If no model is among them, nothing is moved. Return those that stay."""
    earlier = [path for path in (folder / name for name in files) if path.is_file() or path.is_symlink()]
    if {path.name for path in earlier} <= OF_NO_MODEL:
        return files
    places = (folder / f"earlier.{number}" for number in itertools.count(1))
    place = next(place for place in places if not os.path.lexists(place))
    place.mkdir()
    for path in earlier:
        path.rename(place / path.name)
    say(f"an earlier run's files were moved to {place}")
    return []


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
    if changed := records.changed_code(abouts[0]):
        raise UserError(f"{folder} holds a run of other code: {changed} changed since then; {remedy}")
