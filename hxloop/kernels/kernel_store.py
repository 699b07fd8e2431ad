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
from contextlib import suppress
from pathlib import Path
from typing import Final

import platformdirs

from hxloop.errors import InvalidInputError
from hxloop.files.folders import cache_directory
from hxloop.files.locks import FileLock
from hxloop.files.private_files import private_directory, read_private, trusted_directory, write_private

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
        self._complaint: str | None = None  # not yet looked for
        self._trusted: dict[Path, bool] = {}

    def read(self, file: str) -> bytes | None:
        """Content of a kernel's file, None if it must be compiled; if it will not be kept as usual, that is said."""
        usual = self._folders()[0]
        content = self._whole(usual / file)
        if content is not None:
            return content
        home = self._find_home()
        if home is not None and home != usual:
            content = self._whole(home / file)
        if content is None and self._complaint:
            log.warning("%s", self._complaint)
            self._complaint = ""
        return content

    def _whole(self, path: Path) -> bytes | None:
        """Content of a file that is there, ours and undamaged."""
        try:
            if not os.path.exists(path) or not self._is_trusted(path.parent):  # noqa: PTH110 (False where closed)
                return None
            content = read_private(path)
        except (OSError, InvalidInputError) as error:
            log.warning("cannot read the compiled kernel %s: %s", path, error)
            return None
        if content[:_DIGEST_BYTES] != _digest(path.name, content[_DIGEST_BYTES:]):
            log.warning("the compiled kernel %s is damaged: it is compiled again", path)
            return None
        return content[_DIGEST_BYTES:]

    def write(self, file: str, content: bytes) -> None:
        """Keep a kernel where it will be found again, if there is such a place."""
        folder = self._find_home()
        if folder is None:
            return
        try:
            write_private(folder / file, _digest(file, content) + content)
        except OSError as error:
            log.warning("%s; kernels are compiled again at the next start", _why(folder, error))
            self._home = None  # the disk is full: the next one is not tried

    def lock(self, file: str) -> FileLock | None:
        """Wait until no other process compiles a kernel, and keep others waiting; None where there is no place."""
        folder = self._find_home()
        if folder is None:
            return None
        try:
            return FileLock(folder / f"{file}.lock", field="HXLOOP_CACHE_DIR")
        except (InvalidInputError, OSError):  # it is compiled twice
            return None

    def _find_home(self) -> Path | None:
        """First folder that can be written; None if none can."""
        if self._complaint is not None:
            return self._home
        self._complaint = ""
        for folder in self._folders():
            try:
                private_directory(folder, field="HXLOOP_CACHE_DIR")
                with tempfile.TemporaryFile(dir=folder):
                    self._home = folder
                    break
            except (InvalidInputError, OSError) as error:
                self._complaint = self._complaint or _why(folder, error)
        if self._complaint:
            home = f"kept in {self._home} instead" if self._home else "compiled at every start"
            self._complaint += f"; kernels are {home}"
        return self._home

    def _folders(self) -> list[Path]:
        """The cache asked for; where that cannot be written, the user's own, and one that any machine has."""
        places = [cache_directory(), Path(platformdirs.user_cache_dir("hxloop"))]
        with suppress(FileNotFoundError):  # there is no temporary folder
            places.append(Path(tempfile.gettempdir()) / f"hxloop-{os.getuid()}")
        return [place / "kernels" / self._name for place in dict.fromkeys(places)]

    def _is_trusted(self, folder: Path) -> bool:
        if folder not in self._trusted:
            self._trusted[folder] = trusted_directory(folder)
            if not self._trusted[folder]:
                log.warning("compiled kernels in %s are not used: others could have written them", folder)
        return self._trusted[folder]


def _why(folder: Path, error: InvalidInputError | OSError) -> str:
    if isinstance(error, InvalidInputError):
        return error.message
    return f"cannot write to the directory {folder}: {error.strerror or error}"


def _digest(file: str, content: bytes) -> bytes:
    """Of name and content, so that a file under another kernel's name is no good either."""
    return hashlib.sha256(file.encode() + b"\0" + content).digest()
