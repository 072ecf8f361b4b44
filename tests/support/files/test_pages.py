from support.errors import UserError
from support.files.pages import place, refresh

import pytest


def test_a_new_page_is_filled(tmp_path):
    page = refresh(tmp_path / "page.md", {"table": ["| 1 |", "| 2 |"]}, f"# New\n\n{place('table')}")
    _, _, begin, *lines, end = page.read_text().splitlines()
    assert lines == ["", "| 1 |", "| 2 |", ""] and begin.startswith("<!-- table") and end == "<!-- end of table -->"


def test_only_what_is_between_the_marks_changes(tmp_path):
    """A backslash in the text or in a line is not taken for a part of a pattern."""
    page = tmp_path / "page.md"
    page.write_text(f"Before \\1\n{place('a')}between \\g<0>, ä\n{place('b')}after", encoding="utf-8")
    for lines in ["old"], ["new \\1"]:
        refresh(page, {"b": ["B"], "a": lines}, "")
    text = page.read_text(encoding="utf-8")
    begin_a, end_a, begin_b, end_b = (place("a") + place("b")).splitlines()
    a, b = [begin_a, "", "new \\1", "", end_a], [begin_b, "", "B", "", end_b]
    assert text.split("\n") == ["Before \\1", *a, "between \\g<0>, ä", *b, "after"]


@pytest.mark.parametrize("text", ["My own words.\n", place("other"), place("table").replace("end of", "ende of")])
def test_a_page_without_the_place_is_told_in_one_line_and_kept(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(UserError, match="has no place for its table: move the page away") as refusal:
        refresh(page, {"table": ["new"]}, "")
    assert page.read_text() == text and "\n" not in str(refusal.value)
