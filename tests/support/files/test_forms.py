"""The form of JSON from files."""

import math

from support.errors import UserError
from support.files.forms import check_form, is_count, is_number, parse_json, read_json

import pytest

FORM = {
    "name": str,
    "epochs?": is_count,
    "curve": [{"cost": is_number}],
    "seconds": {...: is_number},
    "best": (str, None),
}
GOOD = {"name": "x", "curve": [{"cost": 1.5, "more": []}], "seconds": {"a": 1}, "best": None, "others": 1}


@pytest.mark.parametrize("change", [{}, {"epochs": 3}, {"best": "x"}, {"curve": [], "seconds": {}}])
def test_what_has_the_form_is_let_through(change):
    check_form({**GOOD, **change}, FORM)


@pytest.mark.parametrize(
    "change, fault",
    [
        ({"name": 1}, "its content.name is wrong: 1"),
        ({"name": None}, "its content.name is wrong: None"),
        ({"epochs": -1}, "its content.epochs is wrong: -1"),
        ({"curve": {}}, "its content.curve is wrong: {}"),
        ({"curve": [{"cost": 1}, {"cost": math.nan}]}, "its content.curve.1.cost is wrong: nan"),
        ({"curve": [{}]}, "its content.curve.0 lacks 'cost'"),
        ({"seconds": {"a\x1b[31m": "1"}}, "its content.seconds.a[31m is wrong: 1"),
        ({"seconds": 7}, "its content.seconds is wrong: 7"),
        ({"best": 3}, "its content.best is wrong: 3"),
    ],
)
def test_what_has_not_is_named(change, fault):
    with pytest.raises(ValueError) as refusal:
        check_form({**GOOD, **change}, FORM)
    assert str(refusal.value) == fault


def test_numbers_are_finite_and_counts_whole():
    assert all(map(is_number, [0, -1.5, 10**300])) and all(map(is_count, [0, 7, 2**62]))
    assert not any(map(is_number, [math.nan, math.inf, -math.inf, 10**400, True, "1", None]))
    assert not any(map(is_count, [-1, 1.0, 2**63, 10**30, False, "1", None]))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 5000, "[1]"])
def test_what_is_no_json_of_the_form_is_refused(text):
    with pytest.raises((ValueError, RecursionError)):
        parse_json(text, {"name": str})


def test_a_damaged_file_is_told_in_one_line(tmp_path):
    path = tmp_path / "result.json"
    for content in b"", b"\xff", b"{", b"[" * 100_000, b'{"name": 1}', b'{"name": "x"' + b" " * (17 << 20) + b"}":
        path.write_bytes(content)
        with pytest.raises(UserError) as refusal:
            read_json(path, {"name": str})
        assert str(refusal.value).startswith(f"{path} is damaged (") and str(refusal.value).isprintable()
    path.write_text('{"name": "x"}')
    assert read_json(path, {"name": str}) == {"name": "x"}
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "missing.json", {})
