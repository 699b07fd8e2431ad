"""Tables that were measured before, by everything they depend on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from hxloop.codes.calibration_table import load_calibration
from hxloop.errors import InvalidInputError, MissingFileError, RecordError
from hxloop.files.folders import cache_directory
from hxloop.files.private_files import private_directory, trusted_file

if TYPE_CHECKING:
    from pathlib import Path

    from hxloop.codes.calibration_table import CalibrationTable

MAX_AGE_S: Final = 24 * 3600.0
"""A table that was stored longer ago has expired: laboratories calibrate every night."""


def cache_folder() -> Path:
    """Where tables are kept."""
    return cache_directory() / "calibrations"


def cached_file(key: str) -> Path:
    """File of a table with this key, there or not."""
    return cache_folder() / f"{key}.h5"


def look_up(key: str) -> CalibrationTable | None:
    """Table with this key; None if there is none, or it is damaged, of another key, too old, or of another user."""
    file = cached_file(key)
    if not trusted_file(file):
        return None
    try:
        table = load_calibration(file)
        age_s = time.time() - file.stat().st_mtime
    except (MissingFileError, RecordError, OSError):
        return None
    return table if table.key == key and age_s < MAX_AGE_S else None


def store(table: CalibrationTable) -> Path | None:
    """Keep a table; None if the cache cannot be written or is not ours alone (a calibration is not lost for that)."""
    file = cached_file(table.key)
    try:
        private_directory(file.parent)
        table.save(file)
    except (InvalidInputError, OSError, RecordError):
        return None
    return file
