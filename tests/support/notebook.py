"""Cells of a notebook: code whose text only linecache knows, in a `__main__` without a file, as IPython has it."""

import linecache
import sys
from contextlib import contextmanager
from types import ModuleType

CELL = "<ipython-input-7-abc>"


def write_cell(source):
    linecache.cache[CELL] = (len(source), None, source.splitlines(keepends=True), CELL)


@contextmanager
def cell(source):
    """Run a cell; its names are attributes of what is yielded."""
    before = sys.modules["__main__"]
    sys.modules["__main__"] = space = ModuleType("__main__")
    write_cell(source)
    try:
        exec(compile(source, CELL, "exec"), vars(space))
        yield space
    finally:
        sys.modules["__main__"] = before
        del linecache.cache[CELL]
