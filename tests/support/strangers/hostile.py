"""Names that act on terminals, markup, formulas, tables or pages where nothing escapes them."""

HOSTILE = "x[red][/x][link=a]$y^2_$<b>&\x1b[2J\x1b]0;t\x07\nforged: line\r\u202eabc\u2066\u2028\x9b31m\ufeff"
"""All at once, but for a zero byte, which no argument can have."""
FILE_NAME = HOSTILE.replace("/", "") + "\udcff"
"""The same as the name of a file, with a byte that is no text."""
SHOWN = (
    r"x[red][/x][link=a]$y^2_$<b>&\x1b[2J\x1b]0;t\x07\nforged: line\r\u202eabc\u2066\u2028\x9b31m\ufeff"
)  # fmt: skip
"""`HOSTILE` where people read it."""


def assert_harmless(text):
    """Nothing but characters that can be seen, in lines, none of which is forged."""
    for line in text.split("\n"):
        assert line.isprintable(), ascii(line)
        assert not line.startswith("forged")
