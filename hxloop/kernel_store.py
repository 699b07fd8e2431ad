"""Files of compiled kernels: whose they are, whether they are whole, and where they go when they cannot go home.

A kernel is machine code in a pickle, so whoever can write one runs code as its reader: nothing is read from a folder
into which others could have put it. Each file begins with a digest of its name and content. Whatever is wrong with a
file, or with a folder, costs a compilation and nothing else.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from pathlib import Path
from typing import Final

import platformdirs

from hxloop.errors import InvalidInputError
from hxloop.folders import cache_directory
from hxloop.private_files import private_directory, read_private, trusted_directory, write_private

log = logging.getLogger(__name__)

_DIGEST_BYTES: Final = 32


class KernelStore:
    """Kernels of one version of their sources.

    Parameters
    ----------
    name : str
        Of the folder within each place; stands for the sources and all else that kernels depend on.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._home: Path | None = None
        self._homeless = False
        self._trusted: dict[Path, bool] = {}

    def read(self, file: str) -> bytes | None:
        """Content of a kernel's file, None if no place has it whole."""
        for folder in self._folders():
            path = folder / file
            if not path.exists() or not self._is_trusted(folder):
                continue
            try:
                content = read_private(path)
            except (OSError, InvalidInputError) as error:
                log.warning("cannot read the compiled kernel %s: %s", path, error)
                continue
            if content[:_DIGEST_BYTES] == _digest(file, content[_DIGEST_BYTES:]):
                return content[_DIGEST_BYTES:]
            log.warning("the compiled kernel %s is damaged: it is compiled again", path)
        return None

    def write(self, file: str, content: bytes) -> None:
        """Keep a kernel where it will be found again, if there is such a place."""
        folder = self.home()
        if folder is None:
            return
        try:
            write_private(folder / file, _digest(file, content) + content)
        except OSError as error:
            log.warning("cannot keep the compiled kernel %s: %s", folder / file, error)

    def home(self) -> Path | None:
        """Folder that new kernels are written to; said once if it is not the usual one."""
        if self._home is None and not self._homeless:
            self._home = self._found_home()
            self._homeless = self._home is None
        return self._home

    def _found_home(self) -> Path | None:
        first = ""
        for folder in self._folders():
            try:
                private_directory(folder, field="HXLOOP_CACHE_DIR")
                with tempfile.TemporaryFile(dir=folder):
                    pass
            except InvalidInputError as error:
                first = first or error.message
                continue
            except OSError as error:
                first = first or f"cannot write to the directory {folder}: {error.strerror or error}"
                continue
            if first:
                log.warning("%s; compiled kernels are kept in %s instead", first, folder)
            return folder
        log.warning("%s; no other place can keep compiled kernels: they are compiled at every start", first)
        return None

    def _folders(self) -> list[Path]:
        return [place / self._name for place in _places()]

    def _is_trusted(self, folder: Path) -> bool:
        if folder not in self._trusted:
            self._trusted[folder] = trusted_directory(folder)
            if not self._trusted[folder]:
                log.warning("compiled kernels in %s are not used: others could have written them", folder)
        return self._trusted[folder]


def _places() -> list[Path]:
    """Where kernels may be: the cache asked for, the user's own, and one that any machine has."""
    temporary = Path(tempfile.gettempdir()) / f"hxloop-{os.getuid()}"
    places = (cache_directory(), Path(platformdirs.user_cache_dir("hxloop")), temporary)
    return [place / "kernels" for place in dict.fromkeys(places)]


def _digest(file: str, content: bytes) -> bytes:
    """Of name and content, so that a file under another kernel's name is no good either."""
    return hashlib.sha256(file.encode() + b"\0" + content).digest()
