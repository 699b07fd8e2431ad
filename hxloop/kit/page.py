"""One self-contained HTML page from sections of text, tables and pictures."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from html import escape as escape_html
from string import Template
from typing import TYPE_CHECKING, Final

from hxloop.text import many_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

_PNG: Final = b"\x89PNG"
_SENTENCE: Final = 24
"""Letters."""
_PAGE: Final = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1150px; margin: 1.5em auto; padding: 0 1em;
       color: #222; background: #fff; overflow-wrap: anywhere; }
h1 { font-size: 1.6em; line-height: 1.2; }
h2 { font-size: 1.2em; border-top: 1px solid #bbb; padding-top: 0.6em; }
p { max-width: 46em; }
a { color: #0060a0; }
.wide { overflow-x: auto; margin: 1em 0; }
table { border-collapse: collapse; font-size: 14px; overflow-wrap: break-word; }
th, td { border-bottom: 1px solid #ddd; padding: 3px 8px; text-align: left; vertical-align: top; max-width: 26em; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.words { min-width: 9em; }
td.green { background: #d8efd8; }
td.red { background: #f6d2d2; }
td.grey { background: #ececec; }
figure { margin: 1em 0; }
figcaption { max-width: 46em; font-size: 14px; color: #444; }
img { max-width: 100%; height: auto; display: block; margin: 1em 0; }
summary { cursor: pointer; padding: 0.3em 0; }
pre { white-space: pre-wrap; background: #f4f4f4; padding: 0.7em; font-size: 14px; }
@media (max-width: 600px) { body { padding: 0 0.5em; } th, td { max-width: 13em; } }
</style>
</head>
<body>
<h1>$title</h1>
<p>$links</p>
$sections
</body>
</html>
""")


@dataclass(frozen=True)
class Marked:
    """A cell of a table with a colour behind its text: ``green``, ``red`` or ``grey``."""

    text: str
    colour: str


@dataclass(frozen=True)
class Table:
    """Rows under a heading; numbers are shown with `digits` significant digits, None as an empty cell.

    A heading whose texts are all empty is not shown. With `folded`, a line of text, the table is hidden until that
    line is clicked.
    """

    heading: Sequence[str]
    rows: Sequence[Sequence[object]]
    digits: int = 4
    folded: str | None = None


@dataclass(frozen=True)
class Picture:
    """A picture with words.

    Attributes
    ----------
    content : bytes
        PNG or SVG.
    alt : str
        What it shows, for those who do not see it.
    caption : str
        Below it; none if empty.
    """

    content: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    key : str
        Name for links.
    title : str
    text : list of str
        Paragraphs.
    pictures : list of Picture or bytes
        PNG or SVG without words of their own go by the title of the section.
    tables : list of Table
    code : str or None
        A command, shown as it is.
    """

    key: str
    title: str
    text: list[str] = field(default_factory=list)
    pictures: Sequence[Picture | bytes] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    code: str | None = None


def page(title: str, sections: Sequence[Section]) -> str:
    """HTML of the whole page; every text is escaped."""
    links = " &middot; ".join(f'<a href="#{escape(s.key)}">{escape(s.title)}</a>' for s in sections)
    return _PAGE.substitute(title=escape(title), links=links, sections="\n".join(map(_section, sections)))


def escape(text: str) -> str:
    """HTML of foreign text; lines stay lines, and every character can be seen."""
    return escape_html(many_lines(text))


def shown(value: object, digits: int = 4) -> str:
    """A value of a table as text."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return " .. ".join(shown(v, digits) for v in value)
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _section(section: Section) -> str:
    parts = [f'<section id="{escape(section.key)}">', f"<h2>{escape(section.title)}</h2>"]
    parts += [f"<p>{escape(text)}</p>" for text in section.text]
    for k, given in enumerate(section.pictures):
        picture = given if isinstance(given, Picture) else Picture(given, f"{section.title}, picture {k + 1}")
        parts.append(_picture(picture))
    parts += map(_table, section.tables)
    if section.code is not None:
        parts.append(f"<pre>{escape(section.code)}</pre>")
    return "\n".join([*parts, "</section>"])


def _picture(picture: Picture) -> str:
    kind = "png" if picture.content.startswith(_PNG) else "svg+xml"
    data = base64.b64encode(picture.content).decode()
    image = f'<img alt="{escape(picture.alt)}" src="data:image/{kind};base64,{data}">'
    if not picture.caption:
        return image
    return f"<figure>{image}<figcaption>{escape(picture.caption)}</figcaption></figure>"


def _table(table: Table) -> str:
    heading = "".join(f"<th>{escape(text)}</th>" for text in table.heading)
    first = f"<tr>{heading}</tr>\n" if any(table.heading) else ""
    rows = "\n".join("<tr>" + "".join(_cell(value, table.digits) for value in row) + "</tr>" for row in table.rows)
    shown = f'<div class="wide"><table>\n{first}{rows}\n</table></div>'
    if table.folded is None:
        return shown
    return f"<details><summary>{escape(table.folded)}</summary>\n{shown}</details>"


def _cell(value: object, digits: int) -> str:
    if isinstance(value, Marked):
        return f'<td class="{escape(value.colour)}">{escape(value.text)}</td>'
    text = shown(value, digits)
    if isinstance(value, int | float) and not isinstance(value, bool):
        style = ' class="number"'
    else:  # a sentence keeps some width on a phone, where the table is scrolled
        style = ' class="words"' if len(text) > _SENTENCE else ""
    return f"<td{style}>{escape(text)}</td>"
