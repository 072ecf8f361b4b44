import html
import inspect
import re
import shutil
import sys
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from itertools import pairwise

import logistic_sgd
import mlp
import SdA
from graphs import interpreting
from lessons import options, short_schedules
from support import graphs, rewrites
from support.command import command
from support.graphs.execution import evaluate, execute
from support.graphs.steps import Graph, spelled
from support.start import UserError

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from pytensor.graph.basic import Apply
from pytensor.scalar.basic import Composite
from pytensor.scalar.math import Softplus

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


@pytest.fixture
def needs_dot():
    pytest.importorskip("pydot")
    if shutil.which("dot") is None:
        pytest.skip("needs Graphviz")


@pytest.fixture(scope="module")
def sda(small_dataset, tmp_path_factory):
    """The folder of the graphs of a small SdA."""
    folder = tmp_path_factory.mktemp("sda")
    show(SdA.test_SdA, small_dataset, str(folder), *SMALL_SDA)
    return folder / "graphs"


def test_each_step_of_training_has_its_graph_before_and_after_the_rewrites(sda):
    assert {path.stem for path in sda.iterdir()} == {"pretraining_layer_0", "pretraining_layer_1", "finetuning"}
    updates, before, _, after, nodes = parts((sda / "finetuning.txt").read_text())
    for name in ("cost", "h_0", "h_1", "p_y_given_x", "minibatch", "(dcost/dW_0)", "(dcost/dW_1)", "(dcost/db_2)"):
        assert f"'{name}'" in before
    for name in ("train_x", "train_y", "W_0", "b_0", "W_2"):
        assert f" {name} [id " in before and f" {name} [id " in after
    for operation in ("SparseProduct", "RankUpdate{inplace=True}"):
        assert operation in after and operation in nodes and operation not in before
    assert "W_0  49 × 6\n    before: W_0 − 0.1 · (dcost/dW_0)\n" in updates
    assert "RankUpdate{inplace=True}(W_0, minibatch, " in updates
    text = parts((sda / "pretraining_layer_1.txt").read_text())[0]
    lines = text[text.index("updates:") :].splitlines()[2:]
    names = {line.split()[0] for line in lines if line and not line.startswith(" ")}
    assert names == {"W_1", "b_1", "b_prime_1", "rng_1"}


def test_a_node_names_the_line_of_the_lesson_that_made_it_or_what_it_replaces(sda):
    source, first = inspect.getsourcelines(mlp.HiddenLayer.__init__)
    [(number, code)] = [(first + i, line.strip()) for i, line in enumerate(source) if "pt.dot(" in line]
    _, _, before, _, after = parts((sda / "finetuning.txt").read_text())
    [line] = [line for node, line in pairwise(before.splitlines()) if "Dot(h_0, W_1)" in node]
    assert line.strip() == f"mlp.py:{number}  {code}"
    [line] = [line for node, line in pairwise(after.splitlines()) if "vector_sigmoid(" in node and " h_0 1 ×" in node]
    assert "self.output = linear_output if" in line


def test_without_rewrites_theirs_are_not_shown(small_dataset, tmp_path):
    try:
        options = "--batch-size", "20", "--rewrites", "none"
        show(logistic_sgd.sgd_optimization_mnist, small_dataset, str(tmp_path), *options)
    finally:
        rewrites.select(["all"])
    text = (tmp_path / "graphs" / "training.txt").read_text()
    assert "rewrites = none" in text and "RankUpdate" not in text and "Composite" in text  # PyTensor's own are there


def measured(outputs, updates=None, **arguments):
    """The graph that runs, of symbolic variables that bear the arguments' names."""
    inputs = [
        v for v in pytensor.graph.traversal.graph_inputs([*outputs, *(updates or {}).values()]) if v.name in arguments
    ]
    with graphs.shown():
        function = pytensor.function(list(dict.fromkeys(inputs)), outputs, updates=updates, mode=rewrites.mode())
    return Graph("after", function.maker.fgraph, function, arguments)


def test_what_is_not_read_is_not_counted():
    W = pytensor.shared(np.ones((6, 5), "float32"), "W", shape=(6, 5))
    x = pt.matrix("x", shape=(1, 6), dtype="float32")
    graph = measured([x @ W], x=[[0, 1, 0, 2, 0, 0]])
    [step] = [step for step in graph.steps if type(step.node.op).__name__ == "SparseProduct"]
    assert step.bytes == 4 * (6 + 2 * 5 + 5)  # of W the rows that are needed

    d = pt.matrix("d", shape=(1, 5), dtype="float32")
    graph = measured([], {W: W - np.float32(0.5) * (x.T @ d)}, x=[[0, 1, 0, 2, 0, 0]], d=np.ones((1, 5)))
    [step] = [step for step in graph.steps if type(step.node.op).__name__ == "RankUpdate"]
    assert step.bytes == 4 * (6 + 5 + 2 * 2 * 5 + 2)  # two factors beside
    assert step.destroyed and (W.get_value() == 1).all()  # it was measured on a copy

    x = pt.matrix("x", dtype="float32")
    graph = measured([x[pt.arange(3), pt.arange(3)], x.shape[0]], x=np.ones((100, 100)))
    moved = {type(step.node.op).__name__: step.bytes for step in graph.steps}
    assert all(n_bytes < 200 for n_bytes in moved.values()), moved  # what is picked, and a shape

    graph = measured([x.T], x=np.ones((100, 100)))
    assert [step.bytes for step in graph.steps if step.is_view] == [0]
    assert graph.bytes == 2 * 40000  # the result is handed out as a copy


def test_a_page_has_a_row_for_each_node_that_its_drawing_and_its_formulas_lead_to(small_dataset, tmp_path, needs_dot):
    printed = show(logistic_sgd.sgd_optimization_mnist, small_dataset, str(tmp_path), "--batch-size", "20")
    assert "training: a step moves " in printed and printed.rstrip().endswith("training.html")
    page = (tmp_path / "graphs" / "training.html").read_text()
    assert page.count("<svg") == 2 and "<script" not in page and ">minibatch</text>" in page
    shown = html.unescape(page)
    ids, links = re.findall(r'\bid="([^"]+)"', shown), re.findall(r'(?:href|src|data|action)="([^"]*)"', shown)
    assert len(set(ids)) == len(ids) and "#before-box-0" in links
    assert {link.removeprefix("#") for link in links if link != "data:,"} <= set(ids)
    names = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"  # which no browser opens
    assert "url(" not in page and "@import" not in page and page.count("http") == sum(map(page.count, names))

    rows = {key: re.findall("<td>(.*?)</td>", row) for key, row in re.findall('<tr id="(.+?)".*?>(.*?)</tr>', page)}
    _, _, before, _, after = parts((tmp_path / "graphs" / "training.txt").read_text())
    for name, nodes in ("before", before), ("after", after):
        numbers = [line.split()[0] for line in nodes.splitlines()[2:] if "->" in line]
        assert [f"{name}-n{number}" for number in numbers] == [key for key in rows if f"{name}-n" in key]
    [(_, moved, formula, shape, line)] = [row for row in rows.values() if "Dot(" in row[2] and ">W<" in row[2]]
    assert re.sub("<.*?>", "", formula) == "Dot(minibatch, W)"
    assert moved == "6.68 kB" and shape == "20 × 10"  # 4 bytes each of x (20, 49), W (49, 10) and x W (20, 10)
    # W is read and written over: two times 49 x 10, x, D (20, 10), and two factors
    assert " 8.65 kB  RankUpdate{inplace=True}(W, " in after and "view  Subtensor{start:stop}(train_x, " in before
    minibatch, weights = (rows[key] for key in re.findall('href="#(.+?)"', formula))
    assert minibatch[3] == "minibatch 20 × 49" and weights[2:4] == ["W", "49 × 10"]
    assert line.startswith("<b>logistic_sgd.py:") and "pt.dot(input, self.W)" in line


def small_function(name="W"):
    W = pytensor.shared(np.ones(3, "float32"), name, shape=(3,))
    unread = pytensor.shared(np.ones(2, "float32"), "unread")
    with graphs.shown():
        return pytensor.function([], W.sum(), updates={W: W + 1, unread: np.zeros(2, "float32")})


def failing_dot(patch, folder):
    patch.setenv("PATH", str(folder))
    (folder / "dot").write_text("#!/bin/sh\nexit 1\n")
    (folder / "dot").chmod(0o755)


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (lambda patch, folder: patch.setitem(sys.modules, "pydot", None), "pydot is not installed"),
        (lambda patch, folder: patch.setattr(graphs, "MOST_NODES", 1), "nodes, more than 1, nobody could read one"),
        (lambda patch, folder: patch.setenv("PATH", str(folder)), "Graphviz, whose program dot"),
        (failing_dot, "Graphviz, whose program dot"),
    ],
)
def test_a_page_without_a_drawing_says_why(spoil, reason, tmp_path, monkeypatch, interpreted):
    pytest.importorskip("pydot")
    spoil(monkeypatch, tmp_path)
    line = graphs.write(tmp_path / "small", "small", {}, small_function(), {})
    text = (tmp_path / "small.html").read_text()
    assert reason in line.split("without a drawing: ")[1] and line.split("without a drawing: ")[1] in text
    assert "W + 1" in text and "<svg" not in text and "-box-" not in text


def test_names_are_text_and_not_markup(tmp_path, needs_dot, interpreted):
    graphs.write(tmp_path / "odd", "<i>", {}, small_function("<b>&\"'\\N W"), {})
    text = (tmp_path / "odd.html").read_text()
    drawing = text[text.index("<svg") :]
    assert "<b>&" not in text and "<i>" not in text
    assert "&lt;b&gt;&amp;" in drawing and "\\N" in drawing.split("</svg>")[0]


def test_a_function_of_another_mode_is_told_in_one_line(tmp_path, interpreted):
    function = pytensor.function([], pt.constant(1.0))
    with pytest.raises(UserError, match="small was compiled outside .* or in a mode of its own: compile it in"):
        graphs.write(tmp_path / "small", "small", {}, function, {})


def test_graphs_are_not_written_through_links(tmp_path, monkeypatch, interpreted):
    monkeypatch.setattr(graphs, "MOST_NODES", 0)
    (tmp_path / "outside").write_text("mine")
    for ending, target in ("html", "outside"), ("txt", "missing"):
        (tmp_path / f"small.{ending}").symlink_to(tmp_path / target)
    graphs.write(tmp_path / "small", "small", {}, small_function(), {})
    assert (tmp_path / "outside").read_text() == "mine" and not (tmp_path / "missing").exists()
    assert not any(path.is_symlink() for path in tmp_path.iterdir())


def test_formulas_are_written_as_the_lesson_writes_them(interpreted):
    x, y = pt.vectors("x", "y")
    graph = measured([x - (y - x) / (x + 1), pt.dot(x, y), pt.constant(5.0)], x=[1], y=[2])
    texts = {graph.expression(output, depth=5)[0] for output in graph.fgraph.outputs}
    assert any("x − (y − x) / (x + 1)" in text for text in texts) and "Dot(x, y)" in texts


def test_a_run_in_the_folder_stays_as_it_is(small_dataset, tmp_path):
    with interpreting():
        logistic_sgd.sgd_optimization_mnist(dataset=small_dataset, batch_size=20, n_epochs=2, output_folder=tmp_path)

    def files():
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir() if path.is_file()}

    before = files()
    assert len(before) >= 5
    others = "--batch-size", "20", "--learning-rate", "1", "--fresh"
    printed = show(logistic_sgd.sgd_optimization_mnist, small_dataset, str(tmp_path), *others)
    assert files() == before
    assert "validation error" not in printed and "first cost" not in printed  # nothing is trained


@pytest.mark.parametrize("lesson", short_schedules())
def test_every_lesson_shows_its_graphs_and_trains_nothing(lesson, small_dataset, tmp_path, interpreted):
    module = import_module(lesson)
    driver = module.sgd_optimization_mnist if lesson == "logistic_sgd" else getattr(module, f"test_{lesson}")
    printed = show(driver, small_dataset, str(tmp_path), *options(short_schedules()[lesson]))
    assert list((tmp_path / "graphs").glob("*.html")) and [path.name for path in tmp_path.iterdir()] == ["graphs"]
    assert "training the model" not in printed and "complete" not in printed


def test_afterwards_all_is_as_before(small_dataset, tmp_path):
    clone, mode = Apply.clone_with_new_inputs, pytensor.config.mode
    with pytest.raises(RuntimeError), graphs.shown():
        raise RuntimeError
    assert Apply.clone_with_new_inputs is clone and pytensor.config.mode is mode


@pytest.mark.parametrize("is_link", [False, True])
def test_a_folder_that_cannot_be_made_or_is_a_link_gets_one_line(is_link, small_dataset, tmp_path, capsys):
    (tmp_path / "graphs").symlink_to(tmp_path.parent) if is_link else (tmp_path / "graphs").write_text("a file")
    argv = ["--show-graph", "--dataset", small_dataset, "--output-folder", str(tmp_path)]
    assert command(mlp.test_mlp, {}, argv=argv) == 2
    error = capsys.readouterr().err
    assert "cannot write to" in error and error.count("\n") == 1


@pytest.mark.parametrize("n_bytes, words", [(0, "0 B"), (999, "999 B"), (7840, "7.84 kB"), (3136000, "3.14 MB")])
def test_bytes_are_spelled_for_a_reader(n_bytes, words):
    assert spelled(n_bytes) == words


def test_a_fused_loop_is_run_on_whole_arrays_with_the_same_values(monkeypatch, float64):
    """Entry by entry, a step on a large training set would take minutes."""
    x, b = pt.matrix("x"), pt.vector("b")
    outputs = [pt.tanh(pt.exp(x + b) * 2 - x), pt.switch(x > b, x, 0.5)]
    fgraph = pytensor.function([x, b], outputs, mode=Mode("py", "fast_run")).maker.fgraph
    assert any(isinstance(getattr(node.op, "scalar_op", None), Composite) for node in fgraph.toposort())
    monkeypatch.setattr(Composite, "impl", None)
    images, bias = np.array([[0.5, -1, 2], [0, 3, 0.25]]), np.array([0.1, -0.5, 1])
    expected = np.tanh(np.exp(images + bias) * 2 - images), np.where(images > bias, images, 0.5)
    for value, wanted in zip(execute(fgraph, [images, bias]), expected):
        np.testing.assert_allclose(value, wanted, rtol=1e-14)


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


def test_softplus_is_computed_for_all_entries_at_once(monkeypatch):
    monkeypatch.delattr(Softplus, "impl")  # of a single number
    x = pt.vector("x", dtype="float32")
    [values] = evaluate([pt.softplus(x)], {x: np.array([-200, 0, 3, 200], np.float32)})
    np.testing.assert_allclose(values, [0, np.log(2), np.log1p(np.exp(3)), 200], rtol=1e-7)
    assert values.dtype == np.float32
