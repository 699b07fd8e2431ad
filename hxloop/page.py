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

_PAGE: Final = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>$title</title>
<style>
body { font: 14px/1.45 sans-serif; max-width: 1150px; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; font-size: 12px; }
th, td { border-bottom: 1px solid #ddd; padding: 2px 8px; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
img { max-width: 100%; display: block; margin: 1em 0; }
h2 { border-top: 1px solid #bbb; padding-top: 0.6em; }
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
    """Rows under a heading; numbers are shown with `digits` significant digits, None as an empty cell."""

    heading: Sequence[str]
    rows: Sequence[Sequence[object]]
    digits: int = 4


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
        PNG.
    tables : list of Table
    """

    key: str
    title: str
    text: list[str] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


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
        data = base64.b64encode(picture).decode()
        parts.append(f'<img alt="{escape(section.title)}, picture {k + 1}" src="data:image/png;base64,{data}">')
    parts += map(_table, section.tables)
    return "\n".join([*parts, "</section>"])


def _table(table: Table) -> str:
    heading = "".join(f"<th>{escape(text)}</th>" for text in table.heading)
    rows = "\n".join("<tr>" + "".join(_cell(value, table.digits) for value in row) + "</tr>" for row in table.rows)
    return f"<table>\n<tr>{heading}</tr>\n{rows}\n</table>"


def _cell(value: object, digits: int) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    style = ' class="number"' if number else ""
    return f"<td{style}>{escape(shown(value, digits))}</td>"
