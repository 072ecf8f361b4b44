"""Text as HTML: the plain text of docstrings, the Markdown of answers and tables, and code."""

import html
import re

try:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer
except ImportError:  # Pygments is optional: without it code has one colour
    highlight = None

STYLES = {"light": "xcode", "dark": "github-dark"}  # of Pygments
BLOCK = re.compile(r"(?:^ {4}.*\n(?:\s*\n(?= {4}))?)+|(?:^.*\S.*\n)+", re.MULTILINE)
ITEM = re.compile(r"^(?=\[\d+\] |- )", re.MULTILINE)  # a reference, or an item of a list
PICTURE = re.compile(r"!\[(.*)\]\((\S+)\)<br>\n(.*)")  # and its caption


def coloured(code):
    """The lines of a program, a list, as HTML. Each has its indentation, at which it goes on if it does not fit."""
    lines = html.escape(code)
    if highlight is not None:
        lines = highlight(code, PythonLexer(stripnl=False, ensurenl=False), HtmlFormatter(nowrap=True))
    indents = [len(line) - len(line.lstrip()) for line in code.split("\n")]
    return [f'<span class="line" style="--in:{n}ch">{line}</span>' for n, line in zip(indents, lines.split("\n"))]


def colours():
    """The style sheet of coloured code, for screens with a light and with a dark background."""
    sheets = [
        f"@media (prefers-color-scheme: {scheme}) {{\n{HtmlFormatter(style=style).get_style_defs('pre')}\n}}"
        for scheme, style in (STYLES.items() if highlight is not None else ())
    ]
    return "\n".join(sheets)


def preformatted(lines):
    """A block of lines that are HTML already. It can be scrolled, with the keyboard, too."""
    return '<pre tabindex="0"><code>{}</code></pre>'.format("\n".join(lines).strip("\n"))


def blocks(text, link):
    """A text as HTML: headings, paragraphs, lists, tables, pictures, and indented blocks, which are kept as they are.

    Empty lines divide them. `link` is a function: from the address in a Markdown link to that in a page, or to None,
    which leaves the link out.
    """
    parts = []
    for block in BLOCK.findall(text.strip("\n") + "\n"):
        if block.startswith("    "):
            parts.append(preformatted([html.escape(line[4:]) for line in block.split("\n")]))
        elif block.startswith("## "):
            parts.append(f"<h2>{inline(block[3:], link)}</h2>")
        elif block.startswith("|"):
            parts.append(table(block.splitlines(), link))
        elif found := PICTURE.match(block):
            address = link(found[2])
            image = f'<a href="{address}"><img src="{address}" alt="{html.escape(found[1])}" loading="lazy"></a>'
            parts.append(f"<figure>{image}<figcaption>{inline(found[3], link)}</figcaption></figure>")
        elif ITEM.match(block):
            items = [inline(item.removeprefix("- "), link) for item in ITEM.split(block) if item]
            parts += ["<ul>", *(f"<li>{item}</li>" for item in items), "</ul>"]
        else:
            parts.append(f"<p>{inline(block, link)}</p>")
    return "\n".join(parts)


def table(lines, link):
    """A Markdown table. A bar after a backslash belongs to its cell."""
    rows = [[inline(cell, link) for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    head = "".join(f'<th scope="col">{cell}</th>' for cell in rows[0])
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>" for cells in rows[2:])
    return (
        f'<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
    )


def inline(text, link=lambda target: None):
    """The words of a paragraph: code between backticks, Markdown links, and signs after a backslash."""

    def linked(found):
        target = link(found[2])
        return f'<a href="{target}">{found[1]}</a>' if target else found[1]

    pieces = re.split(r"(?<!\\)`([^`]+)`", html.escape(" ".join(text.split())))
    for place, piece in enumerate(pieces):
        words = re.sub(r"\\([^\w\s])", r"\1", re.sub(r"\[([^]]+)\]\((\S+?)\)", linked, piece))
        pieces[place] = f"<code>{piece}</code>" if place % 2 else words
    return "".join(pieces)
