"""Records of runs, on systems that tell less than Linux."""

import builtins
import json
import os
import signal
import sys

from support.runs import interruption, records
from support.runs.folder import RunFolder
from support.runs.records import machine, peak_memory, write_json

import pytest


def test_the_processor_is_named_without_proc(monkeypatch):
    def absent(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(builtins, "open", absent)
    monkeypatch.setattr(records.platform, "processor", lambda: "")
    monkeypatch.setattr(records.platform, "machine", lambda: "arm64")
    assert machine()["processor"] == "arm64"


def test_the_peak_memory_is_unknown_where_there_is_no_resource_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_memory() is None


def test_the_peak_memory_is_in_megabytes_on_each_system(monkeypatch):
    resource = pytest.importorskip("resource")
    usage = type("Usage", (), {"ru_maxrss": 3_000_000})
    monkeypatch.setattr(resource, "getrusage", lambda who: usage)
    for system, megabytes in ("Linux", 3072), ("Darwin", 3):
        monkeypatch.setattr(records.platform, "system", lambda system=system: system)
        assert peak_memory() == megabytes


def test_signals_are_handled_where_there_is_no_other_way_to_end_a_process(monkeypatch):
    """Windows has SIGINT and SIGTERM, and none of the others."""
    for name in [name for name in dir(signal) if name.startswith("SIG") and name not in ("SIGINT", "SIGTERM")]:
        monkeypatch.delattr(signal, name)
    before = signal.getsignal(signal.SIGTERM)
    with interruption.handled():
        assert signal.getsignal(signal.SIGTERM) is interruption._interrupt
        with interruption.deferred() as request:
            assert signal.getsignal(signal.SIGTERM) == request.note
        assert signal.getsignal(signal.SIGTERM) is interruption._interrupt
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_record_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_json(path, {"test_error": 0.5})
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError):
        write_json(path, {"test_error": 0.25})
    assert json.loads(path.read_text()) == {"test_error": 0.5}


def test_a_lock_is_no_file_of_an_earlier_run(tmp_path):
    (tmp_path / ".lock").write_text("")
    folder = RunFolder(tmp_path, {"lesson": "none"})
    assert folder.open(fresh=False) is None
    folder.close()
