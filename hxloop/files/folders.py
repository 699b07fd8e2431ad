"""Folders of this program outside a project."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_directory() -> Path:
    """What can be made again (kernels, data sets, calibration tables): ``HXLOOP_CACHE_DIR``, else the user's cache."""
    return Path(os.environ.get("HXLOOP_CACHE_DIR") or platformdirs.user_cache_dir("hxloop"))
