"""Altered models of the autoencoders: each is refused in one line, or used as what it is."""

import io
import shutil
from functools import partial

import cA
import pca
import sA
import vae
from dA import load_autoencoder
from lessons import options, short_schedules
from support.command import command
from support.pictures import Pictures
from support.runs.models import SavedModel, save_model
from support.start import UserError

import numpy as np
import pytest
from test_altered_inputs import ABOUT, BYTES, altered_json, inside, save_npz

RNG = np.random.RandomState
LESSONS = {
    "pca": (pca.LinearAutoencoder(RNG(0), None, 8, 3), lambda saved: pca.load_model(saved, np.zeros(8))),
    "sA": (sA.sA(RNG(0), None, 8, 3), partial(load_autoencoder, sA.sA)),
    "cA": (cA.cA(RNG(0), None, 8, 3), partial(load_autoencoder, cA.cA)),
    "vae": (vae.VAE(RNG(0), None, None, 8, 4, 2), vae.load_model),
}


def altered_arrays(content, random):
    """One array that is missing, in another's place, of another shape or type, or with a number that is none."""
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    names = [name for name in arrays if name != "about"]
    name, other = random.choice(names, 2)
    value = arrays[name]
    match random.integers(8):
        case 0:
            del arrays[name]
        case 1:
            arrays["99.W"] = value
        case 2:
            arrays[name], arrays[other] = arrays[other], value.T
        case 3:
            arrays[name] = value.reshape(1, *value.shape)
        case 4:
            arrays[name] = value[:-1]
        case 5:
            arrays[name] = value.astype(random.choice(["i4", "?", "c8", "U9", "f2"]))
        case 6:
            arrays[name] = np.full_like(value, random.choice([np.nan, np.inf]))
        case 7:
            arrays[name] = np.full(value.shape, 1e300)
    return save_npz(**arrays)


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS)
def test_a_hundred_altered_models_are_refused_in_one_line_or_used_as_what_they_are(lesson, tmp_path):
    model, load = LESSONS[lesson]
    path, random = tmp_path / "model.npz", np.random.default_rng(0)
    save_model(path, model.params, {**ABOUT, "lesson": lesson})
    content = path.read_bytes()
    refused = 0
    for number in range(100):
        alter = [altered_arrays, altered_arrays, altered_json, inside, random.choice(list(BYTES.values()))][number % 5]
        path.write_bytes(alter(content, random))
        try:
            saved = SavedModel(path, lesson)
            params = [param.get_value() for param in load(saved).params]
        except UserError as refusal:
            assert str(refusal).isprintable() and str(path) in str(refusal) and len(str(refusal)) < 1000
            refused += 1
        else:
            for param, array in zip(params, saved.arrays, strict=True):
                np.testing.assert_array_equal(param, array.astype(param.dtype))
                assert array.dtype.kind == "f" and np.isfinite(param).all()
    assert 60 < refused < 100


@pytest.mark.parametrize("lesson", [pca, sA, cA, vae], ids=lambda lesson: lesson.__name__)
def test_the_command_that_reads_an_altered_model_ends_with_one_line_and_status_2(
    lesson, tmp_path, small_dataset, capsys, interpreted, monkeypatch
):
    monkeypatch.setattr(Pictures, "save", lambda *figure_and_name: None)  # drawing them takes long
    name = lesson.__name__
    run = tmp_path / "run"
    how = {"plot": lesson.plot, **({"sample": lesson.sample} if lesson is vae else {})}
    driver = getattr(lesson, f"test_{name}")
    schedule = options(short_schedules()[name])
    assert command(driver, {}, ["--dataset", small_dataset, "--output-folder", str(run), *schedule], **how) == 0
    content = (run / "model.npz").read_bytes()
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    first = next(each for each in arrays if each != "about")
    altered = {
        "cut": content[:-100],
        "another network": save_npz(**{**arrays, first: arrays[first][:-1]}),
        "another lesson's": save_npz(**{**arrays, "about": str(arrays["about"]).replace(f'"{name}"', '"mlp"')}),
    }
    for case, its_content in altered.items():
        copy = tmp_path / case
        shutil.copytree(run, copy)
        (copy / "model.npz").write_bytes(its_content)
        for option in how:
            capsys.readouterr()
            status = command(driver, {}, [f"--{option}", str(copy if option == "plot" else copy / "model.npz")], **how)
            [line] = capsys.readouterr().err.splitlines()
            assert status == 2 and line.startswith(f"{name}.py: error: ") and "model.npz" in line, case
        for path in run.iterdir():
            if path.suffix != ".png" and path.name != "model.npz":
                assert (copy / path.name).read_bytes() == path.read_bytes(), case
