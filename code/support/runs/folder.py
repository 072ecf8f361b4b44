"""The folder of a run: its lock, the files of the run, and the files of an earlier run."""

import itertools
import json
import os
from contextlib import contextmanager
from pathlib import Path

from support.files import replacing, shown, write_json
from support.runs import records
from support.runs.checkpoint import FILE, State, read_checkpoint, write_checkpoint
from support.runs.models import save_model
from support.start import UserError

from filelock import FileLock, Timeout

OF_NO_MODEL = {"settings.json", "curve.jsonl", "pretrained.npz"}  # the files of a run that has saved no model.npz yet


class RunFolder:
    """The files of one run. Between `open` and `close` no other process writes there.

    Parameters
    ----------
    path : path-like
    about : dict
        The lesson, data set, settings, floatX and code of the run. Runs that differ in one of these are different runs.

    Attributes
    ----------
    about : dict
        The same, and the `parts` of the run: the epochs made with the same rewrites, threads, versions and machine.
    state, arrays : those of the checkpoint of an unfinished or finished run, or of a new run
    is_finished : bool, whether the run came to its end before
    record : dict, the content of settings.json: `about`, and `files`, the names of all files that the run has written
    """

    def __init__(self, path, about):
        self.path, self.about = Path(path), about
        self.lock = None

    def open(self, fresh):
        """Lock the folder. Then find the run that goes on, or move the files of an earlier run to another folder.

        The line that is returned, if any, tells the user where they are. A UserError says that the folder cannot be
        written, that another process writes to it, or that it holds something else.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if (self.path / ".lock").is_symlink():
                (self.path / ".lock").unlink()  # the lock would be made where the link points
            self.lock = FileLock(self.path / ".lock", is_singleton=True)  # a notebook may open its run a second time
            self.lock.acquire(timeout=0)
            return self._start(fresh)
        except Timeout as error:
            raise UserError(
                f"another process is training in {self.path}: wait for it, or choose another --output-folder"
            ) from error
        except OSError as error:
            self.close()
            raise UserError(
                f"cannot write to the output folder {self.path} ({error.strerror}): choose another --output-folder"
            ) from error
        except BaseException:
            self.close()
            raise

    def open_for_graphs(self):
        """Make the folder graphs/, and nothing else. The lock is not needed."""
        self.state, self.is_finished = State(self.about), False
        folder = self.path / "graphs"
        try:
            if folder.is_symlink():
                raise OSError(0, "it is a link")
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write to {folder} ({error.strerror}): choose another --output-folder") from error

    def close(self):
        if self.lock is not None:
            self.lock.release()

    def _start(self, fresh):
        moved, part = None, {"epochs": 0, **records.circumstances()}
        self.state, self.arrays = (None, {}) if fresh else read_checkpoint(self.path / FILE)
        self.is_finished = self.state is not None and (self.path / "result.json").exists()
        files = self._recorded_files()
        if self.state is None:
            for name in (*records.FILES, "model.npz"):
                if name not in files:
                    records.check_that_it_is_free(self.path, name)
            moved = self._set_aside(files)
            files, parts = [], [part]
        else:
            earlier, n_epochs = self.state.about, len(self.state.curve)
            self._check_that_it_is_the_same(earlier)
            files, parts = earlier["files"] + files, earlier["parts"]
            if not self.is_finished and {**parts[-1], "epochs": 0} != part:
                parts = [*parts, {**part, "epochs": n_epochs}]
        self.about = {**self.about, "parts": parts}
        self.record = {**self.about, "files": list(dict.fromkeys([*records.FILES, *files]))}
        self.state = self.state or State(self.record)
        if not self.is_finished:
            write_json(self.path / "settings.json", self.record)
            with replacing(self.path / "curve.jsonl") as file:
                file.write("".join(json.dumps(line) + "\n" for line in self.state.curve).encode())
        return moved and f"an earlier run's files were moved to {moved}"

    def _recorded_files(self):
        """The names of the files that the run in the folder has written, as its settings.json lists them."""
        try:
            return records.read_settings(self.path)["files"]
        except FileNotFoundError:
            return []
        except UserError as error:
            raise UserError(
                f"{self.path / 'settings.json'} is not a file of a run, or is damaged: move it away, or choose another "
                "--output-folder"
            ) from error

    def _set_aside(self, files):
        """Move the files of an earlier run to a new folder inside this one. Return that folder.

        If the run has saved no model, its files may be overwritten: nothing is moved, and None is returned.
        """
        earlier = [path for path in (self.path / name for name in files) if path.is_file() or path.is_symlink()]
        if {path.name for path in earlier} <= OF_NO_MODEL:
            return None
        number = next(i for i in itertools.count(1) if not os.path.lexists(self.path / f"earlier.{i}"))
        place = self.path / f"earlier.{number}"
        place.mkdir()
        for path in earlier:
            path.rename(place / path.name)
        return place

    def _check_that_it_is_the_same(self, about):
        """Raise a UserError if the run in the folder has other settings, other data or other code."""
        remedy = (
            "--fresh (in a notebook fresh=True) starts over and keeps that run's files; or choose another "
            "--output-folder"
        )
        there, here = (
            {"the lesson": run["lesson"], "the data": run["dataset"]["sha256"], "floatX": run["floatX"]}
            | run["settings"]
            for run in (about, self.about)
        )
        for name in here:
            if there.get(name) != here[name]:
                there_is = f"{self.path} holds a run with {name} = {shown(there.get(name))}, not {here[name]}"
                raise UserError(f"{there_is}: {remedy}")
        if changed := records.changed_code(about["lesson"], about):
            raise UserError(f"{self.path} holds a run of other code: {shown(changed)} changed since then; {remedy}")

    def claim(self, name):
        """The path of a file that the run is going to write. A UserError says that another file has this name."""
        with self.writing():
            return records.claim(self.path, self.record, name)

    @contextmanager
    def writing(self):
        """If the disk is full or gone, the block ends with a UserError that says how the run goes on."""
        try:
            yield
        except OSError as error:
            if not self.path.is_dir():
                raise UserError(
                    f"{self.path} is gone, and what the run had written there: the same command starts over"
                ) from error
            raise UserError(
                f"cannot write to {self.path} ({error.strerror or error}): make room; the last checkpoint there is "
                "whole, and the same command goes on from it"
            ) from error

    def write_checkpoint(self, arrays):
        self.state.about = self.record
        with self.writing():
            write_checkpoint(self.path / FILE, self.state, arrays)

    def save_model(self, name, params, figures):
        """Save parameters as the file `name`.npz, with the figures that they reached and the curve until then."""
        path = self.claim(f"{name}.npz")
        curve = [{name: value for name, value in line.items() if name != "seconds"} for line in self.state.curve]
        with self.writing():
            save_model(path, params, {**self.about, **figures, "curve": curve})

    def append_to_curve(self, line):
        """Append a line to curve.jsonl, which `open` has put there anew: it is no link."""
        with self.writing(), open(self.path / "curve.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")

    def write_result(self, result):
        with self.writing():
            write_json(self.path / "result.json", {**result, "peak_memory_mb": records.peak_memory()})
