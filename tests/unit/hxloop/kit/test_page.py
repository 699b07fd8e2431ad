"""Pages: every text is shown as it is, every picture is inside, nothing is fetched."""

import base64
from html.parser import HTMLParser

from hxloop.kit.figures import draw, draw_alone
from hxloop.kit.page import Picture, Section, Table, page, shown

HOSTILE = "</title><script>alert('1')</script>\"><img src=x onerror=alert(1)> & $title ${links}"
VOID = {"meta", "img", "br"}


class Parsed(HTMLParser):
    """Elements with their attributes, and the text within each of them; elements must be closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", **dict(attributes)}
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def handle_endtag(self, tag):
        assert self._open.pop()["tag"] == tag

    def all(self, tag):
        return [element for element in self.elements if element["tag"] == tag]


def one_axis(figure):
    figure.subplots().plot([1, 2], [3, 4], label="a")


SVG, PNG = draw_alone(2.0, 1.5, one_axis, "svg", "png")


def test_hostile_texts_are_shown_as_they_are():
    table = Table((HOSTILE, "b"), [(HOSTILE, 1.0)], folded=HOSTILE)
    section = Section(HOSTILE, HOSTILE, [HOSTILE], [SVG, Picture(PNG, HOSTILE, HOSTILE)], [table], HOSTILE)
    found = Parsed(page(HOSTILE, [section]))
    assert {e["tag"] for e in found.elements} == {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "a", "section", "figure", "figcaption",
        "img", "details", "summary", "div", "table", "tr", "th", "td", "pre",
    }  # fmt: skip
    for tag in ("h1", "h2", "a", "figcaption", "summary", "th", "pre"):
        assert found.all(tag)[0]["text"] == HOSTILE
    assert found.all("p")[1]["text"] == HOSTILE
    assert found.all("td")[0]["text"] == HOSTILE
    assert found.all("section")[0]["id"] == HOSTILE
    assert found.all("img")[1]["alt"] == HOSTILE
    assert not any(name.startswith("on") for e in found.elements for name in e)


def test_pictures_are_inside_with_words():
    section = Section("s", "Two pictures", pictures=[PNG, Picture(SVG, "a line", "It goes up.")])
    first, second = Parsed(page("t", [section])).all("img")
    assert first["alt"] == "Two pictures, picture 1"
    assert second["alt"] == "a line"
    for image, kind, content in ((first, "png", PNG), (second, "svg+xml", SVG)):
        head, data = image["src"].split(",")
        assert head == f"data:image/{kind};base64"
        assert base64.b64decode(data) == content


def test_only_pictures_with_a_caption_have_one():
    found = Parsed(page("t", [Section("s", "S", pictures=[SVG, Picture(SVG, "x"), Picture(SVG, "x", "said")])]))
    assert [e["text"] for e in found.all("figcaption")] == ["said"]


def test_every_section_is_linked_on_top_and_the_page_fits_a_phone():
    text = page("t", [Section("one", "First"), Section("two", "Second")])
    found = Parsed(text)
    assert [(a["href"], a["text"]) for a in found.all("a")] == [("#one", "First"), ("#two", "Second")]
    assert [s["id"] for s in found.all("section")] == ["one", "two"]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"}.items() <= found.all("meta")[
        1
    ].items()
    assert "http" not in text
    assert "@import" not in text


def test_tables_are_scrolled_alone_and_may_be_folded():
    tables = [Table(("a",), [(1,)]), Table(("", ""), [("x", "y")]), Table(("a",), [(1,)], folded="1 row")]
    text = page("t", [Section("s", "S", tables=tables)])
    found = Parsed(text)
    assert text.count('<div class="wide"><table>') == 3
    assert [e["text"] for e in found.all("summary")] == ["1 row"]
    assert len(found.all("details")) == 1
    assert len(found.all("th")) == 2  # none for the heading without words


def test_cells_are_shown_by_their_kind():
    values = (1.23456, 7, True, None, (1.0, 2.5), "short", "a sentence that is longer than a few words")
    cells = Parsed(page("t", [Section("s", "S", tables=[Table(("x",) * 7, [values], 3)])])).all("td")
    assert [c["text"] for c in cells] == ["1.23", "7", "True", "", "1 .. 2.5", "short", values[-1]]
    assert [c.get("class") for c in cells] == ["number", "number", None, None, None, None, "words"]
    assert shown(0.000123456) == "0.0001235"


def test_bytes_of_figures_repeat_and_carry_no_date():
    assert draw_alone(2.0, 1.5, one_axis, "svg", "png") == [SVG, PNG]
    assert draw(2.0, 1.5, one_axis) == draw(2.0, 1.5, one_axis)
    assert b"date" not in SVG
    assert b"<text" not in SVG  # letters are paths: no font is needed
    for chunk in (b"tIME", b"Software"):
        assert chunk not in PNG
