"""Published files of data sets: found on disk or downloaded, and never used without the published hash."""

from __future__ import annotations

import functools
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pooch

from hxloop.errors import DataError, InvalidInputError
from hxloop.folders import cache_directory
from hxloop.private_files import private_directory, trusted_file
from hxloop.temporary import TemporaryFolder

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

DATA_DIR: Final = "HXLOOP_DATA_DIR"
"""Environment variable: folder in which files are looked for before anything is downloaded."""

TIMEOUT_S: Final = 30.0
"""Longest wait for a server's next bytes."""


@dataclass(frozen=True)
class PublishedFiles:
    """Files of one data set.

    Attributes
    ----------
    name : str
        Folder of the data set, in ``HXLOOP_DATA_DIR`` and in the cache.
    md5 : mapping of str to str
        File name to published hash.
    mirrors : tuple of str
        Addresses, ending in ``/``, to which a file name is appended; tried in this order.
    """

    name: str
    md5: Mapping[str, str]
    mirrors: tuple[str, ...]

    def path(self, file: str) -> Path:
        """Where a file lies, after a download if need be.

        ``HXLOOP_DATA_DIR`` and its folder of the data set's name come first, then the user's cache
        (``HXLOOP_CACHE_DIR`` moves it), then the mirrors. A cache that is not the user's own, or root's, is not read;
        where it cannot be written, a download is kept as long as this process runs.

        Raises
        ------
        DataError
            The file is there with another hash, or it is not there and cannot be downloaded.
        """
        local = self._local(file)
        return self._downloaded(file) if local is None else local

    def _local(self, file: str) -> Path | None:
        root = os.environ.get(DATA_DIR)
        for folder in (Path(root) / self.name, Path(root)) if root else ():
            path = folder / file
            if path.is_file():
                self._check(path)
                return path
        return None

    def _check(self, path: Path) -> None:
        try:
            found = pooch.file_hash(str(path), alg="md5")
        except OSError as error:
            raise DataError(f"cannot read {path}: {error}", field=DATA_DIR) from error
        if found != self.md5[path.name]:
            raise DataError(
                f"{path} is damaged or another version: its md5 is {found}, published is {self.md5[path.name]}",
                field=DATA_DIR,
                hint="replace the file, or remove it to have it downloaded",
            )

    def _downloaded(self, file: str) -> Path:
        cache = cache_directory() / "data" / self.name
        if trusted_file(cache / file) and pooch.file_hash(str(cache / file), alg="md5") == self.md5[file]:
            return cache / file
        known_hash = f"md5:{self.md5[file]}"
        folder, reasons = _folder_for_downloads(cache), []
        for mirror in self.mirrors:
            downloader = pooch.HTTPDownloader(timeout=TIMEOUT_S)
            try:
                return Path(pooch.retrieve(mirror + file, known_hash, fname=file, path=folder, downloader=downloader))
            except (OSError, ValueError) as error:  # no connection, refusals and full disks; wrong hashes
                reasons.append(f"{mirror}: {_first_line(error)}")
        raise DataError(
            f"{self.name} needs the file {file}, which is not in {cache} and could not be downloaded ("
            + "; ".join(reasons)
            + ")",
            field=self.name,
            hint=f"let {DATA_DIR} name a folder with the file, or with {self.name}/{file}",
        )


def _folder_for_downloads(cache: Path) -> Path:
    """The cache, or a temporary folder where it is not ours alone or cannot be written."""
    try:
        private_directory(cache, field="HXLOOP_CACHE_DIR")
        with tempfile.TemporaryFile(dir=cache):
            return cache
    except InvalidInputError as error:
        reason = error.message
    except OSError as error:
        reason = f"cannot write to the directory {cache}: {error.strerror or error}"
    log.warning("%s; data sets are downloaded again by every process", reason)
    return _temporary_folder() / cache.name


@functools.cache
def _temporary_folder() -> Path:
    return TemporaryFolder().path


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
