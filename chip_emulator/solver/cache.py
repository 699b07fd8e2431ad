"""Where compiled kernels are kept.

Numba's cache goes stale when a function called from another file changes, so the directory's name holds a hash of all
kernel sources. A cache that cannot be written costs a compilation at each start, nothing else.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from pathlib import Path
from typing import Any

import numba
from numba.core import config as _numba_config

from hxloop.folders import cache_directory

_log = logging.getLogger(__name__)


def source_hash() -> str:
    """First 16 hex digits of the SHA-256 of all kernel sources and the Numba version."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def use_kernel_cache() -> Path:
    """Point Numba at the cache directory of these sources (``HXLOOP_CACHE_DIR`` overrides the user's)."""
    root = cache_directory()
    path = root / "kernels" / source_hash()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        path = Path(tempfile.mkdtemp(prefix="hxloop-kernels-"))
        _log.warning("kernel cache %s is not writable (%s): compiling into %s instead", root, error, path)
    numba_settings: Any = _numba_config
    numba_settings.CACHE_DIR = str(path)
    return path


CACHE_PATH = use_kernel_cache()
"""Set when the first kernel module is imported."""
