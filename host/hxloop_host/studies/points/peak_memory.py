"""How much memory something takes: the peak of this process above what it had before. Known on Linux only."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")
_RESET: Final = Path("/proc/self/clear_refs")
_PEAK_OF_NOW: Final = "5"
"""What makes the kernel forget the peak so far (proc(5), since Linux 4.0)."""


class PeakMemory:
    """Begins to look when it is made. Other threads of the process count, too; programs that it starts do not."""

    def __init__(self) -> None:
        self._before = math.nan
        with suppress(OSError):
            _RESET.write_text(_PEAK_OF_NOW)
            self._before = _resident_mb("VmRSS")

    def growth_mb(self) -> float:
        """Peak since then above what there was then, in MB; NaN where nobody says it."""
        with suppress(OSError):
            return max(0.0, _resident_mb("VmHWM") - self._before) if math.isfinite(self._before) else math.nan
        return math.nan


def _resident_mb(name: str) -> float:
    found = re.search(rf"^{name}:\s*(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    return math.nan if found is None else int(found[1]) * 1024 * 1e-6
