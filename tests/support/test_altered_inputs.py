"""A thousand altered files of every kind that a command reads: each is refused in one line, or used as what it is."""

import gzip
import io
import json
import os
import pickle
import shutil
import time
import zipfile
from collections import Counter
from contextlib import suppress
from functools import partial

import cA
import pca
import sA
import vae
from dA import load_autoencoder
from graphs import interpreting
from small_runs import train, train_levels
from support import data
from support.data import checksum, digits, load_data, mnist, own
from support.report.tables import results_table
from support.runs import records
from support.runs.checkpoint import FILE
from support.runs.models import SavedModel, save_model
from support.runs.run import Run
from support.start import UserError

import numpy as np
import pytensor
import pytest
from test_mnist import idx, publish

MOST_SECONDS = 10

X = np.random.RandomState(0).randint(256, size=(21, 8), dtype=np.uint8)
Y = (np.arange(21) % 3).astype(np.uint8)
SETS = [(X[:9], Y[:9]), (X[9:15], Y[9:15]), (X[15:], Y[15:])]
IDX_NAMES = [f"{name}.gz" for name in mnist.FILES]
ABOUT = {
    "lesson": "mlp",
    "dataset": {"name": "MNIST", "sha256": "0"},
    "settings": {"dataset": "mnist"},
    "floatX": "float64",
}
RNG = np.random.RandomState
AUTOENCODERS = {  # {lesson: (a model, how it is loaded)}
    "pca": (pca.LinearAutoencoder(RNG(0), None, 8, 3), lambda saved: pca.load_model(saved, np.zeros(8))),
    "sA": (sA.sA(RNG(0), None, 8, 3), partial(load_autoencoder, sA.sA)),
    "cA": (cA.cA(RNG(0), None, 8, 3), partial(load_autoencoder, cA.cA)),
    "vae": (vae.VAE(RNG(0), None, None, 8, 4, 2), vae.load_model),
}
RECORDS = {
    "settings.json": {
        "lesson": "SdA",
        "dataset": {"name": "MNIST", "sha256": "0"},
        "settings": {"dataset": "mnist", "seed": 7},
        "files": ["model.npz"],
        "floatX": "float32",
        "parts": [
            {
                "epochs": 0,
                "rewrites": ["rank_update"],
                "machine": {"processor": "Abacus", "cores": 4, "system": "Desk", "threads": "1"},
                "versions": dict.fromkeys(("python", "pytensor", "numpy", "scipy", "numba"), "9.9"),
            }
        ],
    },
    "result.json": {"seconds": {"training": 36}, "validation_error": 0.0139, "test_error": 0.013, "epochs": 36},
}


# What each kind of file is, and how it is used.


def save_npz(writer=np.savez, **arrays):
    file = io.BytesIO()
    writer(file, **arrays)
    return file.getvalue()


def make_files():
    """{kind: {name: bytes}}, the first of which is the one to alter; each kind is valid as it is."""
    x, y, test_x, test_y = X[:15].reshape(15, 2, 4), Y[:15], X[15:].reshape(6, 2, 4), Y[15:]
    published = dict(zip(IDX_NAMES, map(idx, (x, y, test_x, test_y)), strict=True))
    floats = [(x / 300, y.astype(int)) for x, y in SETS]
    files = {f"IDX {number}": {name: content, **published} for number, (name, content) in enumerate(published.items())}
    for protocol in 0, 2, 5:
        files[f"pickle {protocol}"] = {"my.pkl": pickle.dumps(SETS if protocol else floats, protocol)}
    files["gzipped pickle"] = {"my.pkl": gzip.compress(pickle.dumps(SETS, 2), mtime=0)}
    files["mnist.pkl.gz"] = {"mnist.pkl.gz": gzip.compress(pickle.dumps(SETS, 2), mtime=0)}
    files["own data"] = {"my.npz": save_npz(x=X.reshape(21, 2, 4), y=Y)}
    files["own data, split"] = {"my.npz": save_npz(np.savez_compressed, x=X / 300, y=Y.astype(int), split=[9, 6, 6])}
    files["digits.npz"] = {"digits.npz": save_npz(x=X, y=Y, split=[9, 6, 6])}
    for name, content in RECORDS.items():
        others = {other: json.dumps(content).encode() for other, content in RECORDS.items()}
        files[name] = {name: json.dumps(content, indent=2).encode(), **others}
    return files


def parameters():
    random = np.random.RandomState(1)
    return [pytensor.shared(random.randn(*shape), name="Wb"[len(shape) < 2]) for shape in [(8, 4), (4,), (4, 3), (3,)]]


class Uses:
    """A folder, and for each kind of file, as whole as it is in `files`, its use in a place there."""

    def __init__(self, folder, monkeypatch):
        self.data, self.run = folder / "data", folder / "runs" / "SdA"
        self.files = make_files()
        self.outcomes = {}
        publish(monkeypatch, {name: self.files["IDX 0"][name] for name in IDX_NAMES})
        sha256 = checksum(SETS)
        settings = {"DATA": self.data, "MNIST_SHA256": sha256, "DIGITS_SHA256": sha256, "NAMES": {sha256: "MNIST"}}
        for name, value in settings.items():
            monkeypatch.setattr(data, name, value)
        monkeypatch.setattr(mnist, "N_VALID", 6)
        monkeypatch.setattr(mnist, "MIRRORS", [])
        monkeypatch.setattr(digits, "make_digits", lambda: SETS)
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # and what else takes long
        monkeypatch.setattr(records, "versions", lambda: dict.fromkeys(records.VERSIONS, "9.9"))
        monkeypatch.delenv("MNIST_DIR", raising=False)
        monkeypatch.chdir(folder)
        self._make_models(folder, monkeypatch)
        for kind in self.files:
            self.use(kind, self.original(kind))  # is remembered as what comes of the valid file

    def _make_models(self, folder, monkeypatch):
        save_model(folder / "model.npz", parameters(), ABOUT)
        self.files["model"] = {"model.npz": (folder / "model.npz").read_bytes()}
        for lesson, (model, _) in AUTOENCODERS.items():
            save_model(folder / "model.npz", model.params, {**ABOUT, "lesson": lesson})
            self.files[f"model of {lesson}"] = {"model.npz": (folder / "model.npz").read_bytes()}
        with monkeypatch.context() as often:
            for name in "seconds_between_checkpoints", "seconds_within_an_epoch":
                often.setattr(Run, name, -1)
            for stop_after in 2, 5, 8, 12, None:
                with suppress(KeyboardInterrupt):
                    train(folder / f"run {stop_after}", stop_after)
                self.files[f"checkpoint {stop_after}"] = contents(folder / f"run {stop_after}", FILE)
            with suppress(KeyboardInterrupt):
                train_levels(folder / "levels", stop_after=(1, 0))
        self.files["checkpoint of levels"] = contents(folder / "levels", FILE)
        self.files["model of a level"] = contents(folder / "levels", "model_0.npz")

    def original(self, kind):
        return next(iter(self.files[kind].values()))

    def use(self, kind, content):
        """Put an altered file in the place of the valid one and use it; say whether the outcome is the valid file's."""
        folder = self.data if kind.startswith(("IDX", "mnist", "digits")) else self.run
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        name, *_ = self.files[kind]
        for other, its_content in {**self.files[kind], name: content}.items():
            (folder / other).write_bytes(its_content)
        outcome = self._outcome(kind, folder / name)
        return outcome == self.outcomes.setdefault(kind, outcome)

    def _outcome(self, kind, path):
        """What comes of using a file as the commands do."""
        if kind.startswith("model of ") and (lesson := kind.removeprefix("model of ")) in AUTOENCODERS:
            saved = SavedModel(path, lesson)
            params = [param.get_value() for param in AUTOENCODERS[lesson][1](saved).params]
            for param, array in zip(params, saved.arrays, strict=True):
                np.testing.assert_array_equal(param, array.astype(param.dtype))
                assert array.dtype.kind == "f" and np.isfinite(param).all()
            return [param.tolist() for param in params]
        if kind == "model of a level":
            return [array.tolist() for array in SavedModel(path, "small_runs").arrays]
        if "level" in kind:
            return train_levels(path.parent)
        if kind.startswith("checkpoint"):
            result, _, _ = train(path.parent)
            curve = [{name: value for name, value in line.items() if name != "seconds"} for line in result.curve]
            return curve, result.test_error, result.model.params[0].get_value().tolist()
        if kind == "model":
            saved = SavedModel(path, "mlp")
            assert saved.layer_sizes(2) == [8, 4, 3]
            params = parameters()
            saved.restore(params)
            return [param.get_value().tolist() for param in params]
        if path.suffix == ".json":
            return results_table(path.parents[1])
        datasets = load_data({"IDX": "mnist", "mni": "mnist", "dig": "digits"}.get(kind[:3], path))
        values = [tuple(shared.get_value() for shared in pair) for pair in datasets]
        assert datasets.sha256 == checksum([(own._to_bytes(x), y) for x, y in values])
        assert datasets.name == ("MNIST" if datasets.sha256 == data.MNIST_SHA256 else path.name)
        return datasets.sha256


def contents(folder, first):
    """{name: bytes} of a folder's files."""
    names = [first, *(path.name for path in folder.iterdir() if path.is_file() and path.name not in (first, ".lock"))]
    return {name: (folder / name).read_bytes() for name in names}


# How files are altered.


def altering(change):
    """A way to alter content: `change` gets what is before a short piece, the piece, what is behind, and `random`."""

    def alter(content, random):
        start = random.integers(len(content) + 1)
        end = min(len(content), start + random.integers(1, 40))
        return change(content[:start], content[start:end], content[end:], random)

    return alter


def flipped(content, random):
    altered = bytearray(content or b"\0")
    for place in random.integers(len(altered), size=random.integers(1, 5)):
        altered[place] ^= 1 << random.integers(8)
    return bytes(altered)


BYTES = {
    "flipped": flipped,
    "cut": altering(lambda before, piece, behind, random: before),
    "removed": altering(lambda before, piece, behind, random: before + behind),
    "repeated": altering(lambda before, piece, behind, random: before + piece + piece + behind),
}


def inside(content, random):
    """What is compressed, altered and compressed again: every checksum is right."""
    alter = random.choice(list(BYTES.values()))
    if content.startswith(b"\x1f\x8b"):
        return gzip.compress(alter(gzip.decompress(content), random), mtime=0)
    if not content.startswith(b"PK"):
        return alter(content, random)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = random.choice(list(members))
    header = members[name].index(b"\n") + 1 if random.random() < 0.5 else len(members[name])
    members[name] = alter(members[name][:header], random) + members[name][header:]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return file.getvalue()


def altered_arrays(content, random):
    """One array that is missing, in another's place, of another shape or type, or with a number that is none."""
    if not content.startswith(b"PK"):
        return inside(content, random)
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    names = [name for name in arrays if name not in ("about", "state")]
    name, other = names[random.integers(len(names))], names[random.integers(len(names))]
    value = arrays.pop(name)
    altered = [
        {},
        {"99.W": value},
        {name: arrays.get(other, value), other: value.T},
        {name: value.reshape(1, *value.shape)},
        {name: value[:-1]},
        {name: value.astype(random.choice(["i4", "?", "c8", "U9", "f2"]))},
    ]
    if value.dtype.kind == "f":
        altered += [{name: np.full_like(value, random.choice([np.nan, np.inf]))}, {name: np.full(value.shape, 1e300)}]
    return save_npz(**{**arrays, **altered[random.integers(len(altered))]})


ABSURD = [None, True, "text", "\ud800\n", "x" * 100_000, -1, 0, 0.5, 10**18, 10**30, 1e308, [], [[]], {}, {"": 0}]
ABSURD_JSON = ["NaN", "-Infinity", "9" * 5000, "[" * 100_000, "1e999", '{"a":' * 5000, ""]


def altered_json(content, random):
    """A field that is missing or has another value, at any depth; or what is no JSON."""
    if not content.startswith(b"PK"):
        return _altered_json(json.loads(content), random).encode()
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    name = next((name for name in ("about", "state") if name in arrays), None)
    if name is None:
        return inside(content, random)
    arrays[name] = _altered_json(json.loads(str(arrays[name])), random)
    return save_npz(**arrays)


def _altered_json(value, random):
    whole = place = [value]
    key = 0
    while isinstance(place[key], (dict, list)) and place[key] and (place is whole or random.random() < 0.8):
        place = place[key]
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = keys[random.integers(len(keys))]
    way = random.integers(4)
    if way == 0 and place is not whole:
        del place[key]
    elif way == 1:
        place[key] = "<here>"
        return json.dumps(whole[0]).replace('"<here>"', ABSURD_JSON[random.integers(len(ABSURD_JSON))])
    else:
        place[key] = ABSURD[random.integers(len(ABSURD))]
    return json.dumps(whole[0])


STRANGERS = {
    "empty": b"",
    "page": b"<html>Not found</html>",
    "other arrays": save_npz(a=np.zeros(2)),
    "empty zip": b"PK\5\6" + bytes(18),
    "harmful pickle": b"cos\nsystem\n(Vtouch canary\ntR.",
    "objects": save_npz(x=np.array([{}], object), y=np.array([None])),
}


def has_json(content):
    return content.startswith(b"{") or b"state.npy" in content or b"about.npy" in content


def altered(content, random, strangers):
    """(name of the way, altered content, whether all checksums inside are right)"""
    way = random.random()
    if way < 0.15:
        return "another file", strangers[random.choice(list(strangers))], True
    if way < 0.35:
        name, alter = ("JSON", altered_json) if has_json(content) else ("inside", inside)
        return name, alter(content, random), True
    if way < 0.5:
        return "arrays", altered_arrays(content, random), True
    name = random.choice(list(BYTES))
    return name, BYTES[name](content, random), False


def campaign(n, seed, uses, folder):
    """Alter and use n files; return how often each kind was refused and used, and each way of altering."""
    strangers = {**STRANGERS, **{kind: uses.original(kind) for kind in uses.files}}
    kinds, counts = list(uses.files), Counter()
    random = np.random.default_rng(seed)
    for number in range(n):
        kind = kinds[number % len(kinds)]
        way, content, is_whole = altered(uses.original(kind), random, strangers)
        case = f"file {number} of seed {seed}: {kind}, {way}"
        start = time.monotonic()
        try:
            is_same = uses.use(kind, content)
        except UserError as refusal:
            text = str(refusal)
            assert text.isprintable() and len(text) < 1000, case
            assert str(folder) in text, f"{case}: {text}"
            end = "refused"
        except BaseException as error:
            raise AssertionError(case) from error
        else:
            end = "used"
            has_no_checksum = kind.startswith("pickle") or "json" in kind
            may_differ = (
                is_whole and (way != "another file" or kind in ("own data", "own data, split")) or has_no_checksum
            )
            assert is_same or may_differ, case
        assert time.monotonic() - start < MOST_SECONDS, case
        counts.update([(kind, end), (way, end), end])
    return counts


@pytest.fixture
def float64_without_compiling():
    with interpreting(floatX="float64"):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("float64_without_compiling")
def test_altered_files_are_refused_in_one_line_or_used_as_what_they_are(tmp_path, monkeypatch):
    uses = Uses(tmp_path, monkeypatch)
    counts = campaign(1200, 0, uses, tmp_path)
    assert 900 < counts["refused"] < 1150
    for kind in uses.files:
        assert counts[kind, "refused"] >= 30 or kind == "digits.npz"  # which are drawn anew
    for way in ["another file", "inside", "arrays", "JSON", *BYTES]:
        assert counts[way, "refused"] >= 30
