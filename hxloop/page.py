"""One self-contained HTML page from sections of text, tables and pictures."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from html import escape
from string import Template
from typing import TYPE_CHECKING, Final

from hxloop.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PNG: Final = b"\x89PNG"
_PAGE: Final = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1150px; margin: 1.5em auto; padding: 0 1em;
       color: #222; background: #fff; overflow-wrap: anywhere; }
h1 { font-size: 1.6em; line-height: 1.2; }
h2 { font-size: 1.2em; border-top: 1px solid #bbb; padding-top: 0.6em; }
p { max-width: 46em; }
a { color: #0060a0; }
.wide { overflow-x: auto; margin: 1em 0; }
table { border-collapse: collapse; font-size: 13px; overflow-wrap: normal; }
th, td { border-bottom: 1px solid #ddd; padding: 3px 8px; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
img { max-width: 100%; height: auto; display: block; margin: 1em 0; }
summary { cursor: pointer; padding: 0.3em 0; }
pre { overflow-x: auto; background: #f4f4f4; padding: 0.7em; font-size: 13px; }
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
class Table:
    """Rows under a heading; numbers are shown with `digits` significant digits, None as an empty cell.

    With `folded`, a line of text, the table is hidden until that line is clicked.
    """

    heading: Sequence[str]
    rows: Sequence[Sequence[object]]
    digits: int = 4
    folded: str | None = None


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
    pictures : list of bytes
        PNG or SVG.
    tables : list of Table
    code : str or None
        A command, shown as it is.
    """

    key: str
    title: str
    text: list[str] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    code: str | None = None


def check_page_name(path: Path, field: str) -> None:
    """Refuse a name that a browser would not open as a page.

    Parameters
    ----------
    path : Path
    field : str
        Where the name was given.

    Raises
    ------
    InvalidInputError
        It does not end in ``.html`` or ``.htm``.
    """
    if path.suffix.lower() not in {".html", ".htm"}:
        raise InvalidInputError(f"{path} is no HTML file", field=field, hint="write a name that ends in .html")


def page(title: str, sections: Sequence[Section]) -> str:
    """HTML of the whole page; every text is escaped."""
    links = " &middot; ".join(f'<a href="#{s.key}">{escape(s.title)}</a>' for s in sections)
    return _PAGE.substitute(title=escape(title), links=links, sections="\n".join(map(_section, sections)))


def shown(value: object, digits: int = 4) -> str:
    """A value of a table as text."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return " .. ".join(shown(v, digits) for v in value)
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _section(section: Section) -> str:
    parts = [f'<section id="{section.key}">', f"<h2>{escape(section.title)}</h2>"]
    parts += [f"<p>{escape(text)}</p>" for text in section.text]
    for k, picture in enumerate(section.pictures):
        kind, data = "png" if picture.startswith(_PNG) else "svg+xml", base64.b64encode(picture).decode()
        parts.append(f'<img alt="{escape(section.title)}, picture {k + 1}" src="data:image/{kind};base64,{data}">')
    parts += map(_table, section.tables)
    if section.code is not None:
        parts.append(f"<pre>{escape(section.code)}</pre>")
    return "\n".join([*parts, "</section>"])


def _table(table: Table) -> str:
    heading = "".join(f"<th>{escape(text)}</th>" for text in table.heading)
    rows = "\n".join("<tr>" + "".join(_cell(value, table.digits) for value in row) + "</tr>" for row in table.rows)
    shown = f'<div class="wide"><table>\n<tr>{heading}</tr>\n{rows}\n</table></div>'
    if table.folded is None:
        return shown
    return f"<details><summary>{escape(table.folded)}</summary>\n{shown}</details>"


def _cell(value: object, digits: int) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    style = ' class="number"' if number else ""
    return f"<td{style}>{escape(shown(value, digits))}</td>"
