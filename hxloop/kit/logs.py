"""Logging to stderr as text or JSON lines; stdout belongs to results."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Literal

from hxloop.kit.terminal import speak
from hxloop.kit.waiting import leave_to_log
from hxloop.text import many_lines, one_line

LogFormat = Literal["text", "json"]


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + "Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class _Lines(logging.Formatter):
    """One line a record, whatever is in it; a traceback below it is indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (name of the base class)
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return "\n".join(f"  {line}" for line in many_lines(super().formatException(ei)).split("\n"))


def set_up_logging(style: LogFormat = "text", level: int = logging.INFO) -> None:
    """Send log records of this process to stderr.

    Parameters
    ----------
    style : {"text", "json"}
        Readable lines, or one JSON object a line.
    level : int
        As in `logging`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if style == "json" else _Lines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    speak()
    leave_to_log()
    logging.basicConfig(level=level, handlers=[handler], force=True)
