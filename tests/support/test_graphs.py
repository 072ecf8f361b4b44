import html.parser
import inspect
import shutil
import sys
from contextlib import redirect_stdout
from io import StringIO

import logistic_sgd
import mlp
import SdA
from graphs import interpreting
from support import graphs, rewrites
from support.command import command
from support.graphs.execution import evaluate
from support.graphs.steps import Graph, spelled

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.graph.basic import Apply

SMALL_SDA = ["--hidden-layers-sizes", "6", "5", "--batch-size", "1"]


def show(driver, dataset, folder, *options):
    """What `--show-graph` prints, with its exit status checked."""
    printed = StringIO()
    with redirect_stdout(printed):
        status = command(driver, {}, argv=["--show-graph", "--dataset", dataset, "--output-folder", folder, *options])
    assert status == 0
    return printed.getvalue()


def parts(text):
    """The updates, the graph before, its nodes, the graph after, its nodes."""
    headings = "before: the graph", "before: its nodes", "after: the graph", "after: its nodes"
    places = [0, *map(text.index, headings), len(text)]
    return [text[first:last] for first, last in zip(places, places[1:])]


@pytest.fixture(scope="module")
def sda(small_dataset, tmp_path_factory):
    """The folder of the graphs of a small SdA."""
    folder = tmp_path_factory.mktemp("sda")
    show(SdA.test_SdA, small_dataset, str(folder), *SMALL_SDA)
    return folder / "graphs"


@pytest.fixture
def drawn():
    pytest.importorskip("pydot")
    if shutil.which("dot") is None:
        pytest.skip("needs Graphviz")


def test_each_step_of_training_has_its_graph(sda):
    assert {path.stem for path in sda.iterdir()} == {"pretraining_layer_0", "pretraining_layer_1", "finetuning"}


def test_the_graph_as_built_reads_like_the_lesson_and_the_other_shows_the_rewrites(sda):
    updates, before, _, after, nodes = parts((sda / "finetuning.txt").read_text())
    for name in ("cost", "h_0", "h_1", "p_y_given_x", "minibatch", "(dcost/dW_0)", "(dcost/dW_1)", "(dcost/db_2)"):
        assert f"'{name}'" in before
    for name in ("train_x", "train_y", "W_0", "b_0", "W_2"):
        assert f" {name} [id " in before and f" {name} [id " in after
    for operation in ("SparseProduct", "RankUpdate{inplace=True}"):
        assert operation in after and operation in nodes and operation not in before
    assert (
        "W_0  49 × 6\n    before: Sub(W_0, Mul(0.1, (dcost/dW_0)))\n" in updates
        and "RankUpdate{inplace=True}(W_0, minibatch, " in updates
    )


def test_without_rewrites_theirs_are_not_shown(small_dataset, tmp_path):
    try:
        show(SdA.test_SdA, small_dataset, str(tmp_path), *SMALL_SDA, "--rewrites", "none")
    finally:
        rewrites.select(["all"])
    text = (tmp_path / "graphs" / "finetuning.txt").read_text()
    assert "rewrites = none" in text
    assert not any(name in text for name in ("SparseProduct", "RankUpdate", "BackpropUpdate"))
    assert "Composite" in text  # PyTensor's own are there


def test_the_updates_name_each_parameter_and_the_generator(sda):
    text = parts((sda / "pretraining_layer_1.txt").read_text())[0]
    lines = text[text.index("updates:") :].splitlines()[2:]
    names = {line.split()[0] for line in lines if line and not line.startswith(" ")}
    assert names == {"W_1", "b_1", "b_prime_1", "rng_1"}


def test_a_node_names_the_line_of_the_lesson_that_made_it(sda):
    source, first = inspect.getsourcelines(mlp.HiddenLayer.__init__)
    [(number, code)] = [(first + i, line.strip()) for i, line in enumerate(source) if "pt.dot(" in line]
    nodes = parts((sda / "finetuning.txt").read_text())[2].splitlines()
    at = next(i for i, line in enumerate(nodes) if "Dot(h_0, W_1)" in line)
    assert nodes[at + 1].strip() == f"mlp.py:{number}  {code}"


def test_a_fused_loop_names_the_line_of_what_it_replaces(sda):
    nodes = parts((sda / "finetuning.txt").read_text())[4].splitlines()
    [at] = [i for i, line in enumerate(nodes) if "Fused(add, vector_sigmoid" in line and " h_0 1 ×" in line]
    assert "self.output = linear_output if" in nodes[at + 1]


def test_bytes_of_a_product_are_those_of_its_arrays(small_dataset, tmp_path):
    printed = show(logistic_sgd.sgd_optimization_mnist, small_dataset, str(tmp_path), "--batch-size", "20")
    _, _, before, _, after = parts((tmp_path / "graphs" / "training.txt").read_text())
    # 4 bytes each of x (20, 49), W (49, 10) and the product (20, 10)
    assert "6.68 kB  Dot(minibatch, W)  ->  20 × 10" in before
    # W is read and written over: two times 49 x 10, x, D (20, 10), and two factors
    assert " 8.65 kB  RankUpdate{inplace=True}(W, " in after
    assert "view  Subtensor{start:stop}(train_x, " in before
    assert "training: a step moves " in printed


def measured(outputs, updates=None, **arguments):
    """The graph that runs, of symbolic variables that bear the arguments' names."""
    inputs = [
        v for v in pytensor.graph.traversal.graph_inputs([*outputs, *(updates or {}).values()]) if v.name in arguments
    ]
    with graphs.shown():
        function = pytensor.function(list(dict.fromkeys(inputs)), outputs, updates=updates, mode=rewrites.mode())
    return Graph("after", function.maker.fgraph, function, arguments)


def test_of_weights_the_rows_count_that_are_needed():
    W = pytensor.shared(np.ones((6, 5), "float32"), "W", shape=(6, 5))
    x = pt.matrix("x", shape=(1, 6), dtype="float32")
    graph = measured([x @ W], x=[[0, 1, 0, 2, 0, 0]])
    [step] = [step for step in graph.steps if type(step.node.op).__name__ == "SparseProduct"]
    assert step.bytes == 4 * (6 + 2 * 5 + 5)

    d = pt.matrix("d", shape=(1, 5), dtype="float32")
    graph = measured([], {W: W - np.float32(0.5) * (x.T @ d)}, x=[[0, 1, 0, 2, 0, 0]], d=np.ones((1, 5)))
    [step] = [step for step in graph.steps if type(step.node.op).__name__ == "RankUpdate"]
    assert step.bytes == 4 * (6 + 5 + 2 * 2 * 5 + 2)  # two factors beside
    assert step.destroyed and (W.get_value() == 1).all()  # it was measured on a copy


def test_indexing_counts_what_it_picks_and_a_shape_no_array():
    x = pt.matrix("x", dtype="float32")
    graph = measured([x[pt.arange(3), pt.arange(3)], x.shape[0]], x=np.ones((100, 100)))
    moved = {type(step.node.op).__name__: step.bytes for step in graph.steps}
    assert all(n_bytes < 200 for n_bytes in moved.values()), moved


def test_a_view_moves_nothing():
    x = pt.matrix("x", dtype="float32")
    graph = measured([x.T], x=np.ones((100, 100)))
    assert [step.bytes for step in graph.steps if step.is_view] == [0]
    assert graph.bytes == 2 * 40000  # the result is handed out as a copy


class Tags(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            elif name in ("src", "href", "xlink:href", "data", "action"):
                self.links.append(value)


def test_a_page_has_both_graphs_and_loads_nothing(drawn, sda):
    for path in sda.glob("*.html"):
        text = path.read_text()
        page = Tags(text)
        assert page.tags.count("svg") == 2 and "script" not in page.tags
        assert len(set(page.ids)) == len(page.ids)
        targets = {link.removeprefix("#") for link in page.links if link != "data:,"}
        assert targets <= set(page.ids) and {"before-box-0", "after-box-0", "before-0", "after-0"} <= targets
        assert "url(" not in text and "@import" not in text
        assert text.count("http") == text.count("http://www.w3.org/2000/svg") + text.count(
            "http://www.w3.org/1999/xlink"
        )
        assert ">minibatch</text>" in text and "≤" not in text.split("</svg>")[0]


def test_names_are_text_and_not_markup(drawn, tmp_path):
    W = pytensor.shared(np.ones(3, "float32"), "<b>&\"'\\N W", shape=(3,))
    with graphs.shown():
        function = pytensor.function([], W.sum(), updates={W: W + 1})
    graphs.write(tmp_path / "odd", "<i>", {}, function, {})
    text = (tmp_path / "odd.html").read_text()
    drawing = text[text.index("<svg") :]
    assert "<b>&" not in text and "<i>" not in text
    assert "&lt;b&gt;&amp;" in drawing and "\\N" in drawing.split("</svg>")[0]


@pytest.mark.parametrize("missing, told", [("pydot", "pydot is not installed"), ("dot", "Graphviz, whose program dot")])
def test_without_an_extra_there_is_the_text_and_one_line(missing, told, small_dataset, tmp_path, monkeypatch):
    if missing == "pydot":
        monkeypatch.setitem(sys.modules, "pydot", None)
    else:
        pytest.importorskip("pydot")
        monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "training.html").write_text("an earlier one")
    printed = show(logistic_sgd.sgd_optimization_mnist, small_dataset, str(tmp_path), "--batch-size", "20")
    [line] = [line for line in printed.splitlines() if "the text alone" in line]
    assert told in line and str(tmp_path / "graphs" / "training.txt") in line
    assert [path.name for path in (tmp_path / "graphs").iterdir()] == ["training.txt"]


def test_a_graph_that_is_too_large_is_not_drawn(small_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(graphs, "MOST_NODES", 20)
    monkeypatch.setattr(graphs, "draw", lambda graph: pytest.fail("drawn"))
    printed = show(logistic_sgd.sgd_optimization_mnist, small_dataset, str(tmp_path), "--batch-size", "20")
    assert "nodes, more than 20, nobody could read a drawing" in printed
    assert [path.name for path in (tmp_path / "graphs").iterdir()] == ["training.txt"]


def test_a_run_in_the_folder_stays_as_it_is(small_dataset, tmp_path):
    with interpreting():
        logistic_sgd.sgd_optimization_mnist(dataset=small_dataset, batch_size=20, n_epochs=2, output_folder=tmp_path)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    assert len(before) >= 5
    options = "--batch-size", "20", "--learning-rate", "1", "--fresh"
    printed = show(logistic_sgd.sgd_optimization_mnist, small_dataset, str(tmp_path), *options)
    graphs_folder = tmp_path / "graphs"
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir() if path != graphs_folder}
    assert after == before
    assert "validation error" not in printed and "first cost" not in printed


def test_nothing_is_trained(small_dataset, tmp_path):
    result = logistic_sgd.sgd_optimization_mnist(
        dataset=small_dataset, batch_size=20, output_folder=tmp_path, show_graph=True
    )
    assert result.curve == [] and not any(param.get_value().any() for param in result.model.params)


def test_afterwards_all_is_as_before(small_dataset, tmp_path):
    clone, mode = Apply.clone_with_new_inputs, pytensor.config.mode
    with pytest.raises(RuntimeError), graphs.shown():
        raise RuntimeError
    assert Apply.clone_with_new_inputs is clone and pytensor.config.mode is mode


def test_predict_shows_no_graph(capsys):
    assert command(SdA.test_SdA, {}, ["--predict", "model.npz", "--show-graph"], predict=SdA.predict) == 2
    assert "--predict goes with --dataset only" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_gets_one_line(small_dataset, tmp_path, capsys):
    (tmp_path / "graphs").write_text("a file")
    argv = ["--show-graph", "--dataset", small_dataset, "--output-folder", str(tmp_path)]
    assert command(mlp.test_mlp, {}, argv=argv) == 2
    error = capsys.readouterr().err
    assert "cannot write to" in error and error.count("\n") == 1


@pytest.mark.parametrize("n_bytes, words", [(0, "0 B"), (999, "999 B"), (7840, "7.84 kB"), (3136000, "3.14 MB")])
def test_bytes_are_spelled_for_a_reader(n_bytes, words):
    assert spelled(n_bytes) == words


def test_what_is_evaluated_without_compiling_is_what_numpy_computes(recwarn):
    weights, examples = np.array([[1.0, 2], [0, -1]]), np.array([[1.0, -2], [0.5, 3]])
    x, W, rng = pt.dmatrix("x"), pytensor.shared(weights), pt.random.shared_rng(seed=5)
    state = rng.get_value().bit_generator.state
    _, coins = rng.binomial(n=1, p=0.5, size=(2, 2))
    outputs = pt.special.softmax(pt.dot(x, W), axis=1), pt.dot(np.float64(5e307) * x, W), coins
    softmax, large, coins = evaluate(outputs, {x: examples})
    logits = examples @ weights
    np.testing.assert_allclose(softmax, np.exp(logits - np.logaddexp(*logits.T)[:, None]), rtol=1e-14)
    np.testing.assert_allclose(large, [[5e307, np.inf], [2.5e307, -1e308]], rtol=1e-14)
    np.testing.assert_array_equal(coins, np.random.default_rng(5).binomial(1, 0.5, (2, 2)))
    assert rng.get_value().bit_generator.state == state
    assert not recwarn.list  # of an overflow: machine code does not tell of it either
