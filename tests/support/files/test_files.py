"""Files that are written whole or not at all, and JSON that anybody may have written."""

import errno
import math
import os
import stat

from support import files
from support.files import count, damaged, file_name, number, read_json, replacing, shown, write_json
from support.start import UserError

import pytest


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a").write_bytes(b"before")
    return tmp_path / "a"


def write(path):
    with replacing(path) as file:
        file.write(b"after")


def test_the_file_and_then_its_folder_are_synced(path, monkeypatch):
    """The rename itself would else be lost in a power cut. Some file systems cannot sync a folder: no matter."""
    events, replace = [], os.replace

    def sync(descriptor):
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        events.append("folder" if is_folder else "file")
        if is_folder:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", lambda *paths: (events.append("rename"), replace(*paths)))
    write(path)
    assert path.read_bytes() == b"after"
    assert events == ["file", "rename", "folder"]


def test_where_a_folder_cannot_be_opened_the_file_is_written(path, monkeypatch):
    """As on Windows. The file itself is opened by `open`."""

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    write(path)
    assert path.read_bytes() == b"after"


@pytest.mark.parametrize("n_failures, succeeds", [(3, True), (4, False)])
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


def test_a_link_is_replaced_and_not_followed(path):
    """Neither one in the place of the file, nor one in the place of its temporary name."""
    outside = path.parent / "outside"
    outside.write_bytes(b"before")
    for link in path, path.with_name(f".a.{os.getpid()}"):
        link.unlink(missing_ok=True)
        link.symlink_to(outside)
        write(path)
        assert not path.is_symlink() and path.read_bytes() == b"after"
        assert sorted(entry.name for entry in path.parent.iterdir()) == ["a", "outside"]
    assert outside.read_bytes() == b"before"


# JSON


def refusal(path, content, use):
    """What `damaged` makes of this content and what a block does with it: one line."""
    path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    with pytest.raises(UserError) as caught:
        with damaged(path, "make it anew"):
            use(read_json(path))
    text = str(caught.value)
    before, after = f"{path} is damaged or of another kind (", "): make it anew"
    assert text.startswith(before) and text.endswith(after) and text.isprintable()
    return text.removeprefix(before).removesuffix(after)


@pytest.mark.parametrize(
    "content, reason",
    [
        ('{"other": 1}', "it lacks 'cost'"),
        ("null", "its form is different"),
        ('{"cost": 1e999}', "inf is not a finite number"),
        ('{"cost": "1\\u001b[31m"}', "'1[31m' is not int or float"),
        (f'{{"cost": 1{"0" * 400}}}', f"1{'0' * 79} is not a finite number"),
        (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[" * 100_000, "its form is different"),
        ('{"cost": 1' + " " * (17 << 20) + "}", "it has more than 16 MiB"),
    ],
    ids=range(9),
)
def test_what_a_block_cannot_use_is_told_in_one_line(path, content, reason):
    assert refusal(path, content, lambda value: number(value["cost"])) == reason


def test_a_missing_file_passes_and_one_that_cannot_be_read_does_not(path):
    path.unlink()
    with pytest.raises(FileNotFoundError), damaged(path, "make it anew"):
        read_json(path)
    with pytest.raises(UserError, match="cannot be read: Is a directory; make it anew"):
        with damaged(path.parent, "make it anew"):
            read_json(path.parent)
    with pytest.raises(UserError, match="^mine$"), damaged(path, "make it anew"):
        raise UserError("mine")


def test_what_is_written_is_read(path):
    write_json(path, {"cost": [1, None]})
    assert read_json(path) == {"cost": [1, None]}
    path.write_text('{"epoch": 1}\n{"epoch": 2}\n')
    assert read_json(path, lines=True) == [{"epoch": 1}, {"epoch": 2}]


def test_values_are_checked():
    good = {number: [0, -1.5, 10**300], count: [0, 7, 2**63 - 1], file_name: ["model.npz", ".a", "a b"]}
    bad = {
        number: [math.nan, math.inf, -math.inf, 10**400, True, "1", None],
        count: [-1, 1.0, 2**63, False, "1", None],
        file_name: ["", ".", "..", "a/b", "/a", "../a", "a\0", "a\n", None, 1],
    }
    for check in good:
        assert [check(value) for value in good[check]] == good[check]
        for value in bad[check]:
            with pytest.raises(ValueError):
                check(value)


def test_what_is_shown_is_short_and_printable():
    assert shown("a\x1b[31m\nb") == "a[31mb" and shown("x" * 9999) == "x" * 80
    assert shown(10**5000) == "a giant value" and shown("\ud800x") == "x"
