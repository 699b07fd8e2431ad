"""Published files of data sets: found on disk or downloaded, and never used without the published hash."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pooch

from hxloop.errors import DataError, InvalidInputError
from hxloop.files.directories import is_directory, is_file
from hxloop.files.folders import cache_directory
from hxloop.files.private_files import private_directory, trusted_file
from hxloop.files.reading import MIB, read_file
from hxloop.files.temporary import TemporaryFolder
from hxloop.kit.waiting import doing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

log = logging.getLogger(__name__)

DATA_DIR: Final = "HXLOOP_DATA_DIR"
"""Environment variable: folder in which files are looked for before anything is downloaded."""

_MAX_BYTES: Final = 256 * MIB
TIMEOUT_S: Final = 30.0
"""Longest wait for a server's next bytes."""


@dataclass(frozen=True)
class PublishedFiles:
    """Files of one data set.

    Attributes
    ----------
    name : str
        Folder of the data set in the cache.
    md5 : mapping of str to str
        File name to published hash.
    mirrors : tuple of str
        Addresses, ending in ``/``, to which a file name is appended; tried in this order. Without any, the file must be
        there.
    unzipped : mapping of str to str
        Names without ``.gz`` to the hashes of the unzipped content; such files serve as well.
    folders : tuple of str
        Where the files may lie in ``HXLOOP_DATA_DIR``, by default in a folder with the name of the data set or in none.
    spellings : tuple of (str, str)
        Parts of file names that are written differently in some collections.
    """

    name: str
    md5: Mapping[str, str]
    mirrors: tuple[str, ...]
    unzipped: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    spellings: tuple[tuple[str, str], ...] = ()

    def path(self, file: str, data_dir: Path | None = None) -> Path:
        """Where a file lies, zipped or not, after a download if need be.

        `data_dir`, or else ``HXLOOP_DATA_DIR``, comes first, then the user's cache (``HXLOOP_CACHE_DIR`` moves it),
        then the mirrors. A cache that is not the user's own, or root's, is not read; where it cannot be written, a
        download is kept as long as this process runs.

        Raises
        ------
        DataError
            The file is there with another hash, or it is not there and cannot be downloaded.
        """
        root = str(data_dir) if data_dir is not None else os.environ.get(DATA_DIR)
        with doing(f"looking for {file}"):
            local = self._local(file, root)
        if local is not None:
            return local
        with doing(f"downloading {file}"):
            return self._downloaded(file, root)

    def _names(self, file: str) -> dict[str, str]:
        """Names under which a file may lie, and the hash of each."""
        found = {file: self.md5[file]}
        plain = file.removesuffix(".gz")
        if plain in self.unzipped:
            found[plain] = self.unzipped[plain]
        others = {name.replace(old, new): md5 for name, md5 in found.items() for old, new in self.spellings}
        return found | others

    def _candidates(self, file: str, root: str | None) -> Iterator[tuple[Path, str]]:
        for folder in (self.folders or (self.name, "")) if root else ():
            for name, md5 in self._names(file).items():
                yield Path(root or "") / folder / name, md5

    def _local(self, file: str, root: str | None) -> Path | None:
        """First file with the right hash; None if there is no file of these names at all."""
        wrong = None
        for path, md5 in self._candidates(file, root):
            if not is_file(path):
                continue
            try:
                found = hashlib.md5(read_file(path, limit_bytes=_MAX_BYTES, field=DATA_DIR), usedforsecurity=False)
            except InvalidInputError as error:
                wrong = wrong or error.message
                continue
            if found.hexdigest() == md5:
                return path
            wrong = wrong or (
                f"{path} is damaged or another version: its md5 is {found.hexdigest()}, published is {md5}"
            )
        if wrong:
            or_download = ", or remove it to have it downloaded" if self.mirrors else ""
            raise DataError(wrong, field=DATA_DIR, hint=f"replace the file{or_download}")
        return None

    def _downloaded(self, file: str, root: str | None) -> Path:
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
        tried = f"could not be downloaded ({'; '.join(reasons)})" if reasons else "is offered for download nowhere"
        raise DataError(
            f"{self.name} needs the file {file}, which {self._looked_for(file, root)}, is not in {cache} and {tried}",
            field=self.name,
            hint=f"let {DATA_DIR} name a folder with the file, or with {self.name}/{file}",
        )

    def _looked_for(self, file: str, root: str | None) -> str:
        if not root:
            return f"is nowhere else to be looked for ({DATA_DIR} is not set)"
        if not is_directory(Path(root)):
            return f"is not in {DATA_DIR}, as there is no folder {root}"
        places = [folder for folder in self.folders or (self.name,) if folder]
        others = list(self._names(file))[1:]
        return f"is not in {root} ({DATA_DIR}), nor in {', '.join(places)} there" + (
            f", nor as {', '.join(others)}" if others else ""
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
