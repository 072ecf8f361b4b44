"""Altered files of every kind that a command reads: each is refused in one line, or used as what it is."""

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
import rbm
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

RNG = np.random.RandomState
X = RNG(0).randint(256, size=(21, 8), dtype=np.uint8)
Y = (np.arange(21) % 3).astype(np.uint8)
SETS = [(X[:9], Y[:9]), (X[9:15], Y[9:15]), (X[15:], Y[15:])]
ORIGIN = {"dataset": {"name": "MNIST", "sha256": "0"}, "settings": {"dataset": "mnist"}, "floatX": "float64"}
MACHINE = {"processor": "Abacus", "cores": 4, "system": "Desk", "threads": "1"}
PART = {
    "epochs": 0,
    "rewrites": ["rank_update"],
    "machine": MACHINE,
    "versions": dict.fromkeys(records.VERSIONS, "9.9"),
}
RECORDS = {
    "settings.json": {"lesson": "SdA", **ORIGIN, "files": ["model.npz"], "parts": [PART]},
    "result.json": {"seconds": {"training": 36}, "validation_error": 0.0139, "test_error": 0.013, "epochs": 36},
}


def network(saved=None):
    params = [pytensor.shared(RNG(1).randn(*shape), name="W") for shape in [(8, 4), (4,), (4, 3), (3,)]]
    if saved is not None:
        assert saved.layer_sizes(2) == [8, 4, 3]
        saved.restore(params)
    return params


MODELS = {  # {lesson: (the parameters of a model, how they are loaded)}
    "mlp": (network(), network),
    "pca": (
        pca.LinearAutoencoder(RNG(0), None, 8, 3).params, lambda saved: pca.load_model(saved, np.zeros(8)).params
    ),
    "sA": (sA.sA(RNG(0), None, 8, 3).params, lambda saved: load_autoencoder(sA.sA, saved).params),
    "cA": (cA.cA(RNG(0), None, 8, 3).params, lambda saved: load_autoencoder(cA.cA, saved).params),
    "rbm": (rbm.RBM(None, 8, 3).params, lambda saved: rbm.load_model(saved).params),
    "vae": (vae.VAE(RNG(0), None, None, 8, 4, 2).params, lambda saved: vae.load_model(saved).params),
}  # fmt: skip


# How a file is used, as the commands do. The path of its folder is given; the outcome is returned.


def use_data(dataset, folder):
    datasets = load_data(folder / dataset if dataset.startswith("my") else dataset)
    values = [tuple(shared.get_value() for shared in pair) for pair in datasets]
    assert datasets.sha256 == checksum([(own._to_bytes(x), y) for x, y in values])
    assert datasets.name == ("MNIST" if datasets.sha256 == data.MNIST_SHA256 else dataset)
    return datasets.sha256


def use_model(lesson, folder):
    saved = SavedModel(folder / "model.npz", lesson)
    params = [param.get_value() for param in MODELS[lesson][1](saved)]
    for param, array in zip(params, saved.arrays, strict=True):
        np.testing.assert_array_equal(param, array.astype(param.dtype))
        assert array.dtype.kind == "f" and np.isfinite(param).all()
    return [param.tolist() for param in params]


def use_checkpoint(folder):
    result, _, _ = train(folder)
    curve = [{name: value for name, value in line.items() if name != "seconds"} for line in result.curve]
    return curve, result.test_error, result.model.params[0].get_value().tolist()


def use_records(folder):
    return results_table(folder.parent)


# What each kind of file is.


def npz(writer=np.savez, **arrays):
    file = io.BytesIO()
    writer(file, **arrays)
    return file.getvalue()


def contents(folder, first):
    """{name: bytes} of a folder's files."""
    names = [first, *(path.name for path in folder.iterdir() if path.is_file() and path.name not in (first, ".lock"))]
    return {name: (folder / name).read_bytes() for name in names}


def make_kinds(folder, monkeypatch):
    """{kind: ({name: bytes}, use)}. The first file is the one to alter; each kind is valid as it is."""
    x, y, test_x, test_y = X[:15].reshape(15, 2, 4), Y[:15], X[15:].reshape(6, 2, 4), Y[15:]
    published = dict(zip([f"{name}.gz" for name in mnist.FILES], map(idx, (x, y, test_x, test_y)), strict=True))
    publish(monkeypatch, published)
    zipped = gzip.compress(pickle.dumps(SETS, 2), mtime=0)
    kinds = {f"IDX {name}": ({name: published[name], **published}, partial(use_data, "mnist")) for name in published}
    kinds["mnist.pkl.gz"] = {"mnist.pkl.gz": zipped}, partial(use_data, "mnist")
    kinds["digits.npz"] = {"digits.npz": npz(x=X, y=Y, split=[9, 6, 6])}, partial(use_data, "digits")
    for name, content in {
        "pickle 0": pickle.dumps([(x / 300, y.astype(int)) for x, y in SETS], 0),
        "pickle 2": pickle.dumps(SETS, 2),
        "pickle 5": pickle.dumps(SETS, 5),
        "gzipped pickle": zipped,
        "own data": npz(x=X.reshape(21, 2, 4), y=Y),
        "own data, split": npz(np.savez_compressed, x=X / 300, y=Y.astype(int), split=[9, 6, 6]),
    }.items():
        kinds[name] = {"my data": content}, partial(use_data, "my data")
    whole = {name: json.dumps(content).encode() for name, content in RECORDS.items()}
    kinds |= {name: ({name: whole[name], **whole}, use_records) for name in whole}
    for lesson, (params, _) in MODELS.items():
        save_model(folder / "model.npz", params, {"lesson": lesson, **ORIGIN})
        kinds[f"model of {lesson}"] = contents(folder, "model.npz"), partial(use_model, lesson)
    for name in "seconds_between_checkpoints", "seconds_within_an_epoch":
        monkeypatch.setattr(Run, name, -1)
    for stop_after in 2, 5, 8, 12, None:
        with suppress(KeyboardInterrupt):
            train(folder / f"run {stop_after}", stop_after)
        kinds[f"checkpoint {stop_after}"] = contents(folder / f"run {stop_after}", FILE), use_checkpoint
    with suppress(KeyboardInterrupt):
        train_levels(folder / "levels", stop_after=(1, 0))
    kinds["checkpoint of levels"] = contents(folder / "levels", FILE), train_levels
    return kinds


# How a file is altered.


def piece(change):
    """A way to alter content: `change` gets what is before a short piece, the piece, and what is behind."""

    def alter(content, random):
        start = random.integers(len(content) + 1)
        end = min(len(content), start + random.integers(1, 40))
        return change(content[:start], content[start:end], content[end:])

    return alter


def flipped(content, random):
    altered = bytearray(content or b"\0")
    for place in random.integers(len(altered), size=random.integers(1, 5)):
        altered[place] ^= 1 << random.integers(8)
    return bytes(altered)


BYTES = {
    "flipped": flipped,
    "cut": piece(lambda before, some, behind: before),
    "removed": piece(lambda before, some, behind: before + behind),
    "repeated": piece(lambda before, some, behind: before + some + some + behind),
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


def in_arrays(content, random):
    """One array that is missing, in another's place, of another shape or type, or with a number that is none."""
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    name, other = random.choice([name for name in arrays if arrays[name].dtype.kind != "U"], 2)
    value = arrays.pop(name)
    altered = [
        {},
        {"99.W": value},
        {name: arrays.get(other, value), other: value.T},
        {name: value.reshape(1, *value.shape)},
        {name: value[:-1]},
        {name: value.astype(random.choice(["i4", "?", "c8", "U9", "f2"]))},
        {name: np.full(value.shape, random.choice([np.nan, np.inf, 1e300]))},
    ]
    return npz(**{**arrays, **altered[random.integers(len(altered))]})


ABSURD = [None, True, "text", "\ud800\n", "x" * 100_000, -1, 0, 0.5, 10**18, 10**30, 1e308, [], [[]], {}, {"": 0}]
ABSURD_JSON = ["NaN", "-Infinity", "9" * 5000, "[" * 100_000, "1e999", '{"a":' * 5000, ""]


def in_json(content, random):
    """A field that is missing or has another value, at any depth; or what is no JSON."""
    if not content.startswith(b"PK"):
        return _in_json(json.loads(content), random).encode()
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    name = "about" if "about" in arrays else "state"
    arrays[name] = _in_json(json.loads(str(arrays[name])), random)
    return npz(**arrays)


def _in_json(value, random):
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
    "other arrays": npz(a=np.zeros(2)),
    "empty zip": b"PK\5\6" + bytes(18),
    "harmful pickle": b"cos\nsystem\n(Vtouch canary\ntR.",
    "objects": npz(x=np.array([{}], object), y=np.array([None])),
}


@pytest.fixture
def kinds(tmp_path, monkeypatch):
    sha256 = checksum(SETS)
    settings = {"MNIST_SHA256": sha256, "DIGITS_SHA256": sha256, "NAMES": {sha256: "MNIST"}, "DATA": tmp_path / "SdA"}
    for name, value in settings.items():
        monkeypatch.setattr(data, name, value)
    monkeypatch.setattr(mnist, "N_VALID", 6)
    monkeypatch.setattr(mnist, "MIRRORS", [])
    monkeypatch.setattr(digits, "make_digits", lambda: SETS)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # and what else takes long
    monkeypatch.setattr(records, "versions", lambda: dict.fromkeys(records.VERSIONS, "9.9"))
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    with interpreting(floatX="float64"):
        yield make_kinds(tmp_path, monkeypatch)


@pytest.mark.slow
def test_altered_files_are_refused_in_one_line_or_used_as_what_they_are(kinds, tmp_path):
    folder, counts, random = tmp_path / "SdA", Counter(), np.random.default_rng(0)

    def use(kind, content):
        """The outcome of a kind with another content in the place of the valid one."""
        files, function = kinds[kind]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, its_content in {**files, next(iter(files)): content}.items():
            (folder / name).write_bytes(its_content)
        return function(folder)

    originals = {kind: next(iter(files.values())) for kind, (files, _) in kinds.items()}
    outcomes = {kind: use(kind, content) for kind, content in originals.items()}
    strangers = list({**STRANGERS, **originals}.values())
    for number in range(50 * len(kinds)):
        kind = list(kinds)[number % len(kinds)]
        content = originals[kind]
        ways = {**BYTES, "inside": inside, "another file": lambda *_: strangers[random.integers(len(strangers))]}
        if content.startswith(b"PK"):
            ways["arrays"] = in_arrays
        if content.startswith(b"{") or b"about.npy" in content or b"state.npy" in content:
            ways["JSON"] = in_json
        way = random.choice(list(ways))
        content, case = ways[way](content, random), f"file {number}: {kind}, {way}"
        start = time.monotonic()
        try:
            is_same = use(kind, content) == outcomes[kind]
        except UserError as refusal:
            text = str(refusal)
            assert text.isprintable() and len(text) < 1000 and str(folder) in text, f"{case}: {text}"
            counts.update([(kind, "refused"), (way, "refused")])
        except BaseException as error:
            raise AssertionError(case) from error
        else:  # a file without a checksum, or with a new one, may hold something else
            may_differ = way in ("inside", "arrays", "JSON") or kind.startswith("pickle") or kind.endswith(".json")
            assert is_same or may_differ or way == "another file" and "my data" in kinds[kind][0], case
        assert time.monotonic() - start < MOST_SECONDS, case
    for kind in kinds:
        assert counts[kind, "refused"] >= 30 or kind == "digits.npz"  # which are drawn anew
    for way in ["another file", "inside", "arrays", "JSON", *BYTES]:
        assert counts[way, "refused"] >= 30
