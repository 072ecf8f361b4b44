"""Records of runs: what they say of the machine and of the code, and a result in a notebook."""

import builtins
import importlib.util
import json
import signal
import sys
from types import SimpleNamespace

from small_runs import network, start, train_a_stage
from support import settings
from support.command import command
from support.runs import interruption, records
from support.runs.models import Result, SavedModel
from support.runs.records import RecordedRun, machine, peak_memory, read_curve, read_result, read_settings
from support.settings import digests
from support.start import UserError

import pytest


def test_the_processor_is_named_without_proc(monkeypatch):
    monkeypatch.setattr(builtins, "open", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError))
    monkeypatch.setattr(records.platform, "processor", lambda: "")
    monkeypatch.setattr(records.platform, "machine", lambda: "arm64")
    assert machine()["processor"] == "arm64"


@pytest.mark.parametrize("system, megabytes", [("Linux", 3072), ("Darwin", 3), ("Windows", None)])
def test_the_peak_memory_is_in_megabytes_on_each_system_that_tells_it(system, megabytes, monkeypatch):
    resource = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: SimpleNamespace(ru_maxrss=3_000_000))
    monkeypatch.setitem(sys.modules, "resource", None if system == "Windows" else resource)
    monkeypatch.setattr(records.platform, "system", lambda: system)
    assert peak_memory() == megabytes


def test_signals_are_handled_where_there_is_no_other_way_to_end_a_process(monkeypatch, tmp_path):
    """Windows has SIGINT and SIGTERM, and none of the others."""
    for name in [name for name in dir(signal) if name.startswith("SIG") and name not in ("SIGINT", "SIGTERM")]:
        monkeypatch.delattr(signal, name)
    before = signal.getsignal(signal.SIGTERM)
    with interruption.Signals():
        within = signal.getsignal(signal.SIGTERM)
        with start(tmp_path) as run:
            assert signal.getsignal(signal.SIGTERM) == run.signals.handle
            with pytest.raises(interruption.Interrupted):  # nothing is trained: it does not wait
                signal.raise_signal(signal.SIGTERM)
            run.stage(network())
            signal.raise_signal(signal.SIGTERM)
            assert run.signals.signum == signal.SIGTERM
            with pytest.raises(interruption.Interrupted):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is within
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    "file, read, content",
    [
        ("settings.json", read_settings, '{"lesson": "mlp"}'),
        ("curve.jsonl", read_curve, '{"epoch": 1, "cost": 0.5}\n{"epoch": -1, "cost": 0.5}'),
        ("curve.jsonl", read_curve, '{"epoch": 1, "cost": NaN}'),
        ("curve.jsonl", read_curve, '{"epoch": 1, "cost": 1, "validation_error": 0.5}'),
        ("curve.jsonl", read_curve, '{"epoch": 1, "cost": 1, "iteration": true}'),
        ("result.json", read_result, '{"test_error": 0.5}'),
        ("result.json", read_result, '{"seconds": {"training": "1"}}'),
        ("result.json", read_result, '{"seconds": {}, "peak_memory_mb": []}'),
        ("result.json", read_result, "[" * 100_000),
    ],
)
def test_a_damaged_record_is_told_in_one_line(file, read, content, tmp_path):
    (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match=f"{file} is damaged .*: make the run again, or remove its folder"):
        read(tmp_path)


LESSON = '''
"""A lesson."""
import helper
from support.settings import checked

@checked
def test_it(dataset="d", output_folder=None, fresh=False, {argument}):
    """Train.

    Parameters
    ----------
    rate : float, at least 0
        A rate.
    """
    return helper.step(rate)
'''
HELPER = "def step(rate):\n    return rate * 2\n"


def lesson_of(folder, helper=HELPER, argument="rate=0.5"):
    """A lesson that imports another file, imported from a folder."""
    (folder / "helper.py").write_text(helper)
    (folder / "small_lesson.py").write_text(LESSON.replace("{argument}", argument))
    specification = importlib.util.spec_from_file_location("small_lesson", folder / "small_lesson.py")
    module = importlib.util.module_from_spec(specification)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        specification.loader.exec_module(module)
    sys.modules.pop("helper")
    return module.test_it


def run_it(driver, folder, finish=True):
    with start(folder, lesson=driver) as run:
        train_a_stage(run.stage(network()), 2)
        if finish:
            run.finish()


CHANGED = "def step(rate):\n    return rate * 3\n"
SAME = """"Now with a docstring."
# and a comment


def step(rate):
    "Twice."
    return (rate
        * 2)
"""


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_run_of_other_code_is_neither_shown_nor_continued(is_finished, tmp_path, capsys):
    folder, changed = tmp_path / "run", lesson_of(tmp_path, CHANGED)
    run_it(lesson_of(tmp_path), folder, finish=is_finished)
    assert set(read_settings(folder)["code"]) == {"small_lesson", "helper"}
    lesson_of(tmp_path, CHANGED)
    with pytest.raises(UserError, match="a run of other code: helper.py changed since then; --fresh"):
        run_it(changed, folder)
    capsys.readouterr()
    for read in (lambda: RecordedRun(folder, changed)), (lambda: SavedModel(folder / "model.npz", "small_lesson")):
        read()
        assert "was made by other code: helper.py changed since then" in capsys.readouterr().out
    run_it(lesson_of(tmp_path, SAME), folder)  # comments, docstrings and layout do not count

    record = json.loads((folder / "settings.json").read_text())
    del record["code"]  # as in runs of earlier versions, which stay readable
    (folder / "settings.json").write_text(json.dumps(record))
    RecordedRun(folder, lesson_of(tmp_path, CHANGED))
    assert "other code" not in capsys.readouterr().out


def test_a_digest_does_not_depend_on_the_version_of_python(tmp_path):
    """Lists that are empty, and fields that only newer syntax trees have, are left out of it."""
    (tmp_path / "a.py").write_text(
        "def f(x: int = 1, *y) -> str:\n    return f'{x!r:>3} {y}' + u'x'\n\nclass A: pass\n"
    )
    assert digests(tmp_path / "a.py") == {"a": "df0e892afb46d21e"}


def test_an_argument_without_a_docstring_is_told_in_one_line(tmp_path, capsys):
    driver = lesson_of(tmp_path, argument="rate=0.5, momentum=0.9")
    line = "the argument momentum of test_it is not in its docstring: write, below Parameters there, 'momentum : float"
    with pytest.raises(UserError, match=line):
        driver()
    assert command(driver, {}, []) == 2
    assert capsys.readouterr().err.startswith(f"small_lesson.py: error: {line}")


def test_a_notebook_shows_a_result_as_a_line_and_a_picture():
    curve = [{"epoch": n, "cost": 1 / n, "validation_error": 0.5 / n} for n in range(1, 1000)]
    result = Result(network(), curve, {"validation_error": 0.25, "test_error": 0.125, "epochs": 999})
    assert repr(result) == "SimpleNamespace: validation error 0.25, test error 0.125, epochs 999"
    assert result._repr_html_() == repr(result)
    assert repr(Result(network(), curve[:2])) == "SimpleNamespace after 2 epochs: cost 0.5"
    assert repr(Result(network(), [])) == "SimpleNamespace after 0 epochs: not trained"
    result.picture = b"PNG"
    assert "SimpleNamespace: validation" in result._repr_html_() and "base64,UE5H" in result._repr_html_()


def test_the_code_of_each_lesson_is_known_when_it_is_imported_and_pytest_does_not_collect_its_driver():
    import SdA

    namespace = {}
    exec("def driver(seed=0):\n    pass", namespace)  # as in a session of Python, where no file has it
    settings.checked(namespace["driver"])
    assert set(settings.CODE["SdA"]) == {"SdA", "dA", "mlp", "logistic_sgd"} and SdA.test_SdA.__test__ is False
