"""The pages of the lessons: they are whole, need nothing from elsewhere, and hold what the files hold."""

import os
import re
import subprocess
from html.parser import HTMLParser

from lessons import REWRITING_FLAGS
from support import pages
from support.pages import markup, write_pages
from support.pages.markup import blocks
from support.pages.source import Source
from support.start import ROOT, UserError

import pytest

LESSON = '''
"""Lesson 2: less & less.

The model (Small)
    One sentence, with `code`, a < b.

        y = x W,    two  columns
          indented

    | a bar

The loop (driver)
    Another one [1].

References
    [1] A. Author, A title that
        goes on.
"""

import sys

LIMIT = 1 < 2 & 3


def before():
    return LIMIT


class Small:
    """Small."""

    def first(self):
        return "<b>"


# A comment on the driver.
def driver():
    pass


if __name__ == "__main__":
    sys.exit()


"""Exercises

Think first.

1. The one. Run
   it.
2. The other.
"""
'''


class Page(HTMLParser):
    """A page of HTML: its tags with their attributes, and its texts with the tags that they are in."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open, path

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((data, [*self.open]))

    def within(self, tag):
        return "".join(text for text, tags in self.texts if tag in tags)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The folder of the project's pages, with a page in the place of the graphs of one lesson."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "dA" / "graphs").mkdir(parents=True)
    (folder / "dA" / "graphs" / "30_corruption.html").write_text("")
    assert write_pages(folder, with_graphs=False) == folder / "index.html"
    return folder


def write(tmp_path, **files):
    """The pages of some files, without records."""
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text.lstrip(), encoding="utf-8")
    folder = write_pages(tmp_path / "pages", code=tmp_path, results=tmp_path / "none", with_graphs=False).parent
    return {path.stem: Page(path) for path in folder.glob("*.html")}


def test_every_address_is_in_the_folder_and_nothing_is_fetched_or_run(book):
    for path in book.glob("*.html"):
        page = Page(path)
        addresses = [(tag, each[key]) for tag, each in page.tags for key in ("href", "src") if key in each]
        for tag, address in addresses:
            assert address == "data:," or tag == "a" and address.startswith("https:") or (book / address).is_file()
        assert not {"script", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
        assert not [key for _, each in page.tags for key in each if key.startswith("on")]
        assert "@import" not in page.within("style") and "url(" not in page.within("style")
        assert all(each["alt"] for tag, each in page.tags if tag == "img") and page.within("title")


def test_the_pages_lead_from_lesson_to_lesson_and_on_to_the_other_programs(book):
    pages = {path.stem: Page(path) for path in book.glob("*.html")}
    name, seen = "logistic_sgd", []
    while name:
        seen.append(name)
        links = {each.get("rel", each["href"]): each["href"] for tag, each in pages[name].tags if tag == "a"}
        assert "index.html" in links and links.get("prev") == (f"{seen[-2]}.html" if len(seen) > 1 else None)
        name = links.get("next", "").removesuffix(".html")
    listed = [each["href"].removesuffix(".html") for tag, each in pages["index"].tags if tag == "a"]
    assert seen == listed[1 : len(seen) + 1] and {*seen, "index"} == pages.keys()
    assert "1.42 ▲, 1.41 ▲, means of 10 seeds" in pages["index"].within("td")


def test_a_page_has_the_graphs_and_the_recorded_runs(book):
    """The first run's errors are shown, those of another seed are linked; the published recipe has 1.37 %."""
    assert "dA/graphs/30_corruption.html" in (book / "dA.html").read_text(encoding="utf-8")
    page = Page(book / "SdA.html")
    images = [each["src"] for tag, each in page.tags if tag == "img"]
    assert images[0] == "SdA.png" and "SdA/errors.png" in images and "SdA-seed-1/errors.png" not in images
    assert "SdA-seed-1/errors.png" in [each.get("href") for _, each in page.tags]
    assert "Errors by epoch: the star marks the model that is kept" in page.within("figcaption")
    assert {"1.37 ▲", "finetune_lr = 0.1", "1.223e-05"} <= {text for text, _ in page.texts}


def test_sections_stand_beside_the_code_that_they_name(tmp_path):
    (tmp_path / "small.py").write_text(LESSON.lstrip(), encoding="utf-8")
    source = Source(tmp_path / "small.py")
    assert (source.title, source.number, source.is_program) == ("Lesson 2: less & less", 2, True)
    headings = [re.findall("^## (.*)", text, re.MULTILINE) for text, _ in source.rows]
    assert headings == [[], ["The model"], ["The loop", "References"]]
    lines = LESSON.lstrip().split("\n")
    code = ["".join(lines[number - 1] for number in numbers) for _, numbers in source.rows]
    assert code[0] == "import sysLIMIT = 1 < 2 & 3"
    assert code[1].startswith("def before():") and code[1].endswith('return "<b>"')
    assert code[2].startswith("# A comment on the driver.def driver():") and code[2].endswith("sys.exit()")


@pytest.mark.parametrize("path", sorted((ROOT / "code").glob("*.py")), ids=lambda path: path.stem)
def test_each_line_of_a_lesson_is_on_its_page(path):
    source = Source(path)
    numbers = [number for _, numbers in source.rows for number in numbers]
    shown = "".join(source.code.split("\n")[number - 1] for number in numbers)
    left_out = [line for line in source.code.split("\n") if line.strip() and line not in shown]
    assert numbers == sorted({*numbers})
    texts = source.title + "".join(text for text, _ in source.rows)
    assert not [line for line in left_out if line.strip(' "\\r.') not in texts and not line.endswith(")")]


@pytest.mark.parametrize("heading", ["The model (Large)", "The model (driver)"])
def test_a_heading_whose_name_is_not_below_the_code_before_it_is_told(tmp_path, heading):
    text = LESSON.replace("(driver)", "(first)").replace("The model (Small)", heading)
    with pytest.raises(UserError, match="there is no (Large|first), for the section"):
        write(tmp_path, small=text)


def test_a_file_without_such_names_has_each_docstring_beside_its_function(tmp_path):
    (tmp_path / "small.py").write_text(
        LESSON.lstrip().replace(" (Small)", "").replace(" (driver)", ""), encoding="utf-8"
    )
    (_, first), (text, numbers) = Source(tmp_path / "small.py").rows
    assert text == "## `Small`\n\nSmall."
    lines = LESSON.lstrip().split("\n")
    assert [lines[first[-1] - 1], lines[numbers[0] - 1], lines[numbers[1] - 1]] == [
        "    return LIMIT",
        "class Small:",
        "",
    ]


def test_code_is_whole_and_escaped_with_pygments_and_without(tmp_path, monkeypatch):
    pytest.importorskip("pygments")
    coloured = write(tmp_path, small=LESSON)["small"]
    monkeypatch.setattr(markup, "highlight", None)
    plain = write(tmp_path, small=LESSON)["small"]
    assert plain.within("pre") == coloured.within("pre") and "LIMIT = 1 < 2 & 3" in plain.within("pre")
    assert 'return "<b>"' in plain.within("pre") and plain.within("h1") == "Lesson 2: less & less"
    assert "prefers-color-scheme: dark) {\npre {" in coloured.within("style")
    assert not [tag for tag, each in plain.tags if tag == "span" and each["class"] != "line"]
    assert "img" not in dict(plain.tags)  # there are no records either


def test_answers_are_folded(book):
    page = Page(book / "dA.html")
    assert "Where the neighbours of a pixel are lost" in page.within("details")
    assert "With seeds 1 and 2 they differ by at most 0.4" in page.within("details")
    assert "next_rng, noise = self.theano_rng.normal" in page.within("details")  # the solution
    for text, tags in page.texts:
        assert "Where the neighbours of a pixel" not in text or "details" in tags
    questions = [text for text, tags in page.texts if tags[-3:] == ["ol", "li", "p"]]
    assert questions[0].startswith("The noise. Run ") and "details" not in dict.fromkeys(page.open)


def test_exercises_without_answers_are_questions_alone(tmp_path):
    page = write(tmp_path, small=LESSON)["small"]
    assert [each["value"] for tag, each in page.tags if tag == "li" and "value" in each] == ["1", "2"]
    assert "The one. Run it." in page.within("li") and "Answer" not in page.within("summary")
    assert page.within("ol").split()[-1] == "other."


@pytest.mark.parametrize(
    "text, expected",
    [
        ("one\ntwo\n\nthree", "<p>one two</p>\n<p>three</p>"),
        ("a < b & `c < d`", "<p>a &lt; b &amp; <code>c &lt; d</code></p>"),
        ("So\n\n    y = x\n\n      z < 1\n\nand", ["y = x\n\n  z &lt; 1", "<p>and</p>"]),
        ("| a | b |\n|---|---|\n| \\|h\\| | `x` |", ['<th scope="col">a</th>', "<td>|h|</td><td><code>x</code></td>"]),
        ("[1] One\n    goes on.\n[2] Two.", "<ul>\n<li>[1] One goes on.</li>\n<li>[2] Two.</li>\n</ul>"),
        ("- one\n- [two](b.py)", "<ul>\n<li>one</li>\n<li>two</li>\n</ul>"),
        ("see [a](a.py), x = [[1, 2]] and [1]", '<p>see <a href="a.html">a</a>, x = [[1, 2]] and [1]</p>'),
        ("## The `name`", "<h2>The <code>name</code></h2>"),
        (r"2 \* 3 \[4\]", "<p>2 * 3 [4]</p>"),
    ],
)
def test_the_plain_text_of_docstrings_and_answers_becomes_html(text, expected):
    made = blocks(text, {"a.py": "a.html"}.get)
    if isinstance(expected, str):
        assert made == expected
    else:
        assert all(part in made for part in expected)


def test_graphs_are_made_again_if_some_code_is_newer(tmp_path, monkeypatch, capsys):
    (tmp_path / "room").mkdir()
    lesson, newer = tmp_path / "small.py", tmp_path / "room" / "newer.py"
    lesson.touch(), newer.touch()
    commands = []

    def run(command, **options):
        commands.append(command[1:3])
        (tmp_path / "pages" / "graphs").mkdir(parents=True)
        (tmp_path / "pages" / "graphs" / "step.html").touch()
        return subprocess.CompletedProcess(command, 2, stderr="note\nsmall.py: error: no such thing\n")

    monkeypatch.setattr(subprocess, "run", run)
    for _ in range(2):
        pages.make_graphs(lesson, tmp_path / "pages")
    assert commands == [[lesson, "--show-graph"]]
    assert "they are left out: small.py: error: no such thing" in capsys.readouterr().out
    os.utime(newer, (2e9, 2e9))
    pages.make_graphs(lesson, tmp_path / "pages")
    assert len(commands) == 2


@pytest.mark.slow
def test_the_graphs_of_the_largest_minibatches_are_made(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTENSOR_FLAGS", REWRITING_FLAGS)
    pages.make_graphs(ROOT / "code" / "logistic_sgd.py", tmp_path / "small")
    assert "600 × 784" in (tmp_path / "small" / "graphs" / "training.html").read_text(encoding="utf-8")
