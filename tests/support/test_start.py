import os

from support import start

import pytest


@pytest.mark.parametrize("text", [None, "", "3,2", " 08 ", "0", "many", ",2", "1.5", "9" * 5000, "²"])
def test_the_first_number_counts_and_what_is_none_is_one_thread(text, monkeypatch, capsys):
    threads = {"3,2": 3, " 08 ": 8}.get(text, 1)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", text or "")
    if text is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    assert start.choose_threads() == threads
    assert os.environ["OMP_NUM_THREADS"] == os.environ["NUMBA_NUM_THREADS"] == str(threads)
    assert capsys.readouterr().err.count("\n") == (threads == 1 and bool(text))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder whose .pytensor is a file, and a temporary folder beside it."""
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    (tmp_path / "home" / ".pytensor").touch()
    monkeypatch.setattr(start.tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("PYTENSOR_FLAGS", "PYTENSORRC", "MPLCONFIGDIR", "LOCALAPPDATA"):
        monkeypatch.setenv(name, "")  # so that what the test sets is taken back
        monkeypatch.delenv(name)
    return tmp_path / "home"


def test_flags_of_the_user_are_kept(home, monkeypatch):
    monkeypatch.setenv("PYTENSOR_FLAGS", "floatX=float64")
    start.choose_compile_folder()
    flags = os.environ["PYTENSOR_FLAGS"]
    assert flags.startswith("floatX=float64,base_compiledir=") and str(home.parent / "temporary") in flags


def test_a_folder_that_a_pytensorrc_names_is_left_alone(home):
    (home / ".pytensorrc").write_text("[global]\nbase_compiledir = /elsewhere\n")
    start.choose_compile_folder()
    assert "PYTENSOR_FLAGS" not in os.environ


def test_a_home_that_can_be_written_changes_nothing(home, capsys):
    (home / ".pytensor").unlink()
    start.choose_compile_folder()
    assert "PYTENSOR_FLAGS" not in os.environ and capsys.readouterr().err == ""


@pytest.mark.skipif(os.name != "posix", reason="temporary folders are each user's own there")
@pytest.mark.parametrize("prepared", ["nothing", "own", "open to others", "a link", "a file"])
def test_compiled_code_is_loaded_from_a_folder_of_the_users_own_alone(home, prepared):
    folder = home.parent / "temporary" / f"pytensor-{os.getuid()}"
    if prepared == "own":
        folder.mkdir(mode=0o700)
    elif prepared == "open to others":
        folder.mkdir()
        folder.chmod(0o777)
    elif prepared == "a link":
        (home / "private").mkdir(mode=0o700)
        folder.symlink_to(home / "private")
    elif prepared == "a file":
        folder.touch()
    chosen = start.private_folder()
    assert (chosen == folder) == (prepared in ("nothing", "own"))
    assert chosen.is_dir() and chosen.stat().st_mode & 0o077 == 0
    assert start.private_folder() == folder or prepared not in ("nothing", "own")  # the same at each run
