"""Altered models of the autoencoders: each is refused in one line, or used as what it is."""

import io
from functools import partial

import cA
import pca
import rbm
import sA
import vae
from dA import load_autoencoder
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
    "rbm": (rbm.RBM(None, 8, 3), rbm.load_model),
    "vae": (vae.VAE(RNG(0), None, None, 8, 4, 2), vae.load_model),
}


def altered_arrays(content, random):
    """One array that is missing, in another's place, of another shape or type, or with a number that is none."""
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    name, other = random.choice([name for name in arrays if name != "about"], 2)
    value = arrays.pop(name)
    altered = [
        {},
        {"99.W": value},
        {name: arrays.get(other, value), other: value.T},
        {name: value.reshape(1, *value.shape)},
        {name: value[:-1]},
        {name: value.astype(random.choice(["i4", "?", "c8", "U9", "f2"]))},
        {name: np.full_like(value, random.choice([np.nan, np.inf]))},
        {name: np.full(value.shape, 1e300)},
    ]
    return save_npz(**{**arrays, **altered[random.integers(len(altered))]})


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
