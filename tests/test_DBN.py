import json

import DBN
from graphs import interpreting
from numpy_reference import sigmoid
from support.data import load_data

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("interpreted")


def small_dbn(seed=3):
    return DBN.DBN(np.random.RandomState(seed), n_ins=49, hidden_layers_sizes=[6, 5], n_outs=10)


def test_machines_share_their_weights_with_the_sigmoid_layers_and_have_biases_of_their_own():
    dbn = small_dbn()
    for sigmoid_layer, machine in zip(dbn.sigmoid_layers, dbn.rbm_layers, strict=True):
        assert machine.W is sigmoid_layer.W and machine.hbias is sigmoid_layer.b
        assert machine.vbias not in dbn.params
    assert [machine.vbias.name for machine in dbn.rbm_layers] == ["vbias_0", "vbias_1"]
    states = [machine.theano_rng.get_value().bit_generator.state for machine in dbn.rbm_layers]
    assert states[0] != states[1]


def test_a_step_of_pretraining_is_contrastive_divergence_of_that_layer_alone(small_dataset, float64, monkeypatch):
    # The hidden units are drawn by rounding, so that NumPy can follow: v = (h W' + b > 0), h = (x W + c > 0).
    monkeypatch.setattr(DBN.RBM, "sample", lambda self, mean, rng: (rng, (mean > 0.5).astype(mean.dtype)))
    data, dbn = load_data(small_dataset)[0][0], small_dbn()
    params = [*dbn.params, *(machine.vbias for machine in dbn.rbm_layers)]
    for param in params:
        param.set_value(np.random.RandomState(1).normal(size=param.get_value().shape))
    before = [param.get_value() for param in params]
    W, c, b = before[2], before[3], before[7]
    x = sigmoid(data.get_value()[:10] @ before[0] + before[1])  # probabilities, not draws
    h = 1.0 * (x @ W + c > 0)
    logits = h @ W.T + b
    v = 1.0 * (logits > 0)
    cost = dbn.pretraining_functions(data, batch_size=10, k=1)[1](0, lr=0.5)
    z = sigmoid(logits)
    expected = np.mean(np.sum(x * np.log(z) + (1 - x) * np.log(1 - z), axis=1))
    np.testing.assert_allclose(cost, expected, rtol=1e-12)
    up_x, up_v = sigmoid(x @ W + c), sigmoid(v @ W + c)
    W, c, b = W + 0.05 * (x.T @ up_x - v.T @ up_v), c + 0.5 * (up_x - up_v).mean(axis=0), b + 0.5 * (x - v).mean(axis=0)
    for param, value in zip(params, [*before[:2], W, c, *before[4:7], b], strict=True):
        np.testing.assert_allclose(param.get_value(), value, rtol=1e-12)


def test_free_energies_are_those_of_the_layer_below(small_dataset, float64):
    dbn, x = small_dbn(), load_data(small_dataset)[1][0].get_value()
    W0, c0, W1, c1 = (param.get_value() for param in dbn.params[:4])
    h = sigmoid(x @ W0 + c0)
    expected = [-np.logaddexp(0, below @ W + c).sum(axis=1).mean() for below, W, c in ((x, W0, c0), (h, W1, c1))]
    found = [dbn.mean_free_energies(layer, images=x)["images"] for layer in (0, 1)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.fixture(scope="module")
def run(small_dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dbn")
    with interpreting():
        return folder, DBN.test_DBN(dataset=small_dataset, output_folder=folder, **DBN.SHORT)


def test_the_driver_pretrains_watches_the_free_energies_and_finetunes(run):
    folder, result = run
    assert [(line.get("layer"), line["epoch"]) for line in result.curve] == [(0, 0), (1, 0), (None, 1), (None, 2)]
    for line in result.curve[:2]:
        # Of one kind of images: the two differ by much less than the energies of different images.
        assert abs(line["free_energy"] - line["validation_free_energy"]) < 2
    assert DBN.predict(folder / "model.npz") == pytest.approx(result.test_error)


def test_a_pretrained_stack_is_finetuned_as_it_was(run, small_dataset, tmp_path):
    folder, result = run
    options = {**DBN.SHORT, "hidden_layers_sizes": None, "seed": 1}
    again = DBN.test_DBN(dataset=small_dataset, output_folder=tmp_path, pretrained=folder / "pretrained.npz", **options)
    assert [line["cost"] for line in again.curve] == [line["cost"] for line in result.curve[2:]]
    assert json.loads((tmp_path / "settings.json").read_text())["settings"]["hidden_layers_sizes"] == [9, 8]


def test_a_divergence_names_the_rate_of_its_stage(small_dataset, tmp_path):
    with pytest.raises(ValueError, match="choose --pretrain-lr below 1e\\+38"):
        DBN.test_DBN(dataset=small_dataset, output_folder=tmp_path, **DBN.SHORT, pretrain_lr=1e38)
