"""The emulator hidden from a test: as if a real chip had taken its place."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

PACKAGE = "hxloop_chip"
_CHILDREN = Path(__file__).with_name("children")


def hide_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the end of a test neither it nor a Python that it starts can import, find or run the emulator's package."""
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if Path(entry).name != "chip_emulator"])
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(_CHILDREN), *([before] if before else [])]))
    assert importlib.util.find_spec(PACKAGE) is None, "the emulator is installed elsewhere: it cannot be hidden"
