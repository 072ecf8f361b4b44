"""The folder of a run: who may write there, which files are the run's, what becomes of those of an earlier run."""

import itertools
import json
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from support.console import say
from support.errors import UserError
from support.files.forms import is_number, read_json, shown
from support.runs.checkpoints import FILE, read_checkpoint, write_checkpoint
from support.runs.models import save_model
from support.runs.records import FILES, SETTINGS, check_that_it_is_free, circumstances, claim, peak_memory, write_json

RESULT = {"seconds": {...: is_number}, "peak_memory_mb?": (is_number, None), ...: is_number}
OF_NO_MODEL = {"settings.json", "curve.jsonl", "pretrained.npz"}  # of a run that never got to a model of its own


class RunFolder:
    """The files of one run; between `open` and `close` no other process writes there.

    Parameters
    ----------
    path : path-like
    about : dict
        What tells this run from others: its lesson, data set, settings and floatX.

    Attributes
    ----------
    about : dict
        The same, and the `parts` of the run: with which rewrites, threads, versions and machine it went on from where.
    resumed : dict, the state in the checkpoint of an unfinished or finished run; None where there is none
    arrays : dict of array, in that checkpoint
    is_finished : bool, whether that run came to its end
    record : dict, what settings.json says: the same, and `files`, the names of the files that the run has written
    """

    def __init__(self, path, about):
        self.path = Path(path)
        self.about = about
        self.record = None
        self.resumed, self.arrays = None, {}
        self.is_finished = False

    def open(self, fresh):
        """Lock the folder, find the run that is to go on, or move an earlier one aside.

        Returns
        -------
        str, or None
            What to tell the user.

        Raises
        ------
        UserError
            Where the folder cannot be written, another process writes to it, or it holds something else.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.lock = FileLock(self.path / ".lock", is_singleton=True)  # a notebook may begin a run anew
            self.lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                f"another process is training in {self.path}: wait for it, or choose another --output-folder"
            ) from error
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            return self._start(fresh)
        except OSError as error:
            self.close()
            raise self._unwritable(error) from error
        except BaseException:
            self.close()
            raise

    def close(self):
        self.lock.release()

    def _unwritable(self, error):
        return UserError(
            f"cannot write to the output folder {self.path} ({error.strerror}): choose another --output-folder"
        )

    def _start(self, fresh):
        moved = None
        self.resumed, self.arrays = (None, {}) if fresh else read_checkpoint(self.path / FILE)
        record = self._recorded()
        part = {"epochs": 0, **circumstances()}
        if self.resumed is None:
            own = [] if record is None else record["files"]
            for name in (*FILES, "model.npz"):
                if name not in own:
                    check_that_it_is_free(self.path, name)
            moved = self._set_aside(own)
            self.about = {**self.about, "parts": [part]}
        else:
            self._check_that_it_is_the_same(self.resumed["about"])
            self.is_finished = (self.path / "result.json").exists()
            parts = self.resumed["about"]["parts"]
            if not self.is_finished and {**parts[-1], "epochs": 0} != part:
                parts = [*parts, {**part, "epochs": len(self.resumed["curve"])}]
            self.about = {**self.about, "parts": parts}
        files = [*FILES, *(self.resumed["about"]["files"] + (record or {"files": []})["files"] if self.resumed else [])]
        self.record = {**self.about, "files": list(dict.fromkeys(files))}
        if not self.is_finished:
            write_json(self.path / "settings.json", self.record)
            curve = self.resumed["curve"] if self.resumed else []
            (self.path / "curve.jsonl").write_text("".join(json.dumps(line) + "\n" for line in curve))
        return moved and f"an earlier run's files were moved to {moved}"

    def _recorded(self):
        """The settings.json of the run that is there; None where there is none."""
        path = self.path / "settings.json"
        if not path.exists():
            return None
        try:
            return read_json(path, SETTINGS)
        except UserError as error:
            raise UserError(
                f"{path} is no file of a run, or damaged: move it away, or choose another --output-folder"
            ) from error

    def _set_aside(self, files):
        """Move the files of an earlier run to a folder of their own inside this one; return that, or None."""
        earlier = [path for path in (self.path / name for name in files) if path.is_file()]
        if {path.name for path in earlier} <= OF_NO_MODEL:
            return None
        number = next(i for i in itertools.count(1) if not (self.path / f"earlier.{i}").exists())
        place = self.path / f"earlier.{number}"
        place.mkdir()
        for path in earlier:
            path.rename(place / path.name)
        return place

    def _check_that_it_is_the_same(self, about):
        there, here = (
            {
                "the lesson": run["lesson"],
                "the data": run["dataset"]["sha256"],
                "floatX": run["floatX"],
                **run["settings"],
            }
            for run in (about, self.about)
        )
        for name in here:
            if there.get(name) != here[name]:
                raise UserError(
                    f"{self.path} holds a run with {name} = {shown(there.get(name))}, not {here[name]}: --fresh (in a "
                    "notebook fresh=True) starts over and keeps that one beside; or choose another --output-folder"
                )

    def claim(self, name):
        """The path of a file that the run is going to write; a UserError where somebody else's has that name."""
        with self.writing():
            return claim(self.path, self.record, name)

    @contextmanager
    def writing(self):
        """Within the block, a disk that is full or gone ends the run with a line that says how it goes on."""
        try:
            yield
        except OSError as error:
            raise UserError(
                f"cannot write to {self.path} ({error.strerror or error}): make room; the last checkpoint there is "
                "whole, and the same command goes on from it"
            ) from error

    def write_checkpoint(self, state, arrays):
        with self.writing():
            write_checkpoint(self.path / FILE, {"about": self.record, **state}, arrays)

    def save_model(self, name, params, figures, curve):
        """Save parameters with what they reached, and the curve until then, as a file of this name."""
        path = self.claim(f"{name}.npz")
        curve = [{name: value for name, value in line.items() if name != "seconds"} for line in curve]
        with self.writing():
            save_model(path, params, {**self.about, **figures, "curve": curve})

    def save_picture(self, name, pixels):
        try:
            from PIL import Image
        except ImportError:
            say(f"the picture {name} is left out: Pillow is not installed")
            return
        with self.writing():
            Image.fromarray(pixels).save(self.claim(name))

    def append_to_curve(self, line):
        with self.writing(), open(self.path / "curve.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")

    def write_result(self, result):
        with self.writing():
            write_json(self.path / "result.json", {**result, "peak_memory_mb": peak_memory()})

    def read_result(self):
        """What result.json of a finished run says."""
        return read_json(self.path / "result.json", RESULT)
