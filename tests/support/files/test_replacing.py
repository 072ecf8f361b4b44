"""Files that are written whole or not at all, on every system."""

import errno
import os

from support.files import replacing as files
from support.files.replacing import replacing

import pytest


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a").write_bytes(b"before")
    return tmp_path / "a"


def write(path):
    with replacing(path) as file:
        file.write(b"after")


def test_the_file_and_then_its_folder_are_synced(path, monkeypatch):
    """The rename itself would else be lost in a power cut."""
    events, sync, replace = [], os.fsync, os.replace
    is_folder = {True: "folder", False: "file"}
    monkeypatch.setattr(
        os, "fsync", lambda fd: (events.append(is_folder[os.path.isdir(f"/proc/self/fd/{fd}")]), sync(fd))
    )
    monkeypatch.setattr(os, "replace", lambda *paths: (events.append("rename"), replace(*paths)))
    write(path)
    assert path.read_bytes() == b"after"
    if os.path.exists("/proc/self/fd"):
        assert events == ["file", "rename", "folder"]


def test_a_folder_that_cannot_be_opened_is_not_synced(path, monkeypatch):
    """As on Windows."""

    def deny(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", deny)
    write(path)
    assert path.read_bytes() == b"after"


def test_a_file_system_that_syncs_no_folders(path, monkeypatch):
    sync = os.fsync
    calls = []

    def refuse_the_second(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_the_second)
    write(path)
    assert path.read_bytes() == b"after" and len(calls) == 2


@pytest.mark.parametrize("n_failures, succeeds", [(1, True), (3, True), (4, False)])
def test_a_file_that_is_held_open_for_a_moment_is_replaced_after_it(path, monkeypatch, n_failures, succeeds):
    """As a virus scanner holds it on Windows."""
    replace, failures = os.replace, []

    def fail_at_first(*paths):
        if len(failures) < n_failures:
            failures.append(paths)
            raise PermissionError(errno.EACCES, "Permission denied")
        replace(*paths)

    monkeypatch.setattr(os, "replace", fail_at_first)
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    if succeeds:
        write(path)
    else:
        with pytest.raises(PermissionError):
            write(path)
    assert path.read_bytes() == (b"after" if succeeds else b"before")
    assert [entry.name for entry in path.parent.iterdir()] == ["a"]
