"""Records: HDF5 files that are whole or not there, describe themselves, and notice when they are damaged.

A record starts with a user block of 512 bytes (HDF5 tools skip it) that holds a JSON line: the format, the kind of
record, and the SHA-256 of everything behind it. So damage is found before the HDF5 library parses a single byte.
Every dataset has a Fletcher-32 checksum and the attributes ``units`` and ``long_name``.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from hxloop.errors import RecordError, UnreadableFileError
from hxloop.files.hdf5 import parse
from hxloop.files.hdf5_types import Attribute, FormatError
from hxloop.files.json_model import from_json
from hxloop.files.reading import MIB, read_file
from hxloop.files.writing import write_atomically
from hxloop.kit.brief import brief

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import h5py
    from numpy.typing import NDArray

T = TypeVar("T")

FORMAT: Final = "hxloop-record-1"
USER_BLOCK_BYTES: Final = 512

MAX_RECORD_BYTES: Final = 512 * MIB


@brief
@dataclass(frozen=True, eq=False)
class Quantity:
    """An array with its meaning.

    Attributes
    ----------
    values : array of numbers, at least one-dimensional
    units : str
        Unit, ``1`` for pure numbers.
    long_name : str
        What the numbers are, in a few words.
    """

    values: NDArray[Any]
    units: str
    long_name: str


@brief
@dataclass(frozen=True, eq=False)
class Record:
    """Content of a record.

    Attributes
    ----------
    kind : str
        What the file is, for example ``run``.
    attributes : dict of str to str, int, float or bool
    quantities : dict of str to Quantity
        Datasets by path, for example ``metrics/loss``.
    source : str
        Where it was read from, for messages.
    """

    kind: str
    attributes: Mapping[str, Attribute]
    quantities: Mapping[str, Quantity]
    source: str = "the record"

    def text(self, name: str) -> str:
        """Attribute that must be a text.

        Raises
        ------
        UnreadableFileError
            It is not there, or something else.
        """
        found = self.attributes.get(name)
        if not isinstance(found, str):
            raise self.refusal(f"the attribute {name!r} is {'missing' if found is None else 'no text'}")
        return found

    def number(self, name: str) -> float:
        """Attribute that must be a number; errors as in `text`."""
        found = self.attributes.get(name)
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise self.refusal(f"the attribute {name!r} is {'missing' if found is None else 'no number'}")
        return found

    def whole(self, name: str) -> int:
        """Attribute that must be a whole number, not negative; errors as in `text`."""
        found = self.number(name)
        if not isinstance(found, int) or found < 0:
            raise self.refusal(f"the attribute {name!r} is {found}, which is no whole number from 0")
        return found

    def described(self, name: str, kind: type[T]) -> T:
        """What an attribute describes in JSON, of a type that pydantic knows; errors as in `text`."""
        return from_json(self.text(name), kind, f"{self._purpose}: the attribute {name!r}", "path")

    def array(self, name: str, kinds: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
        """Values of a dataset.

        Parameters
        ----------
        name : str
        kinds : str
            Kinds of numbers it may have, letters of `numpy.dtype.kind`.
        shape : tuple of int or None
            Its shape, None for any length.

        Raises
        ------
        UnreadableFileError
            It is not there, or has another type or shape.
        """
        if name not in self.quantities:
            raise self.refusal(f"the dataset {name} is missing")
        values = self.quantities[name].values
        fits = len(shape) == values.ndim and all(n in {None, m} for n, m in zip(shape, values.shape, strict=True))
        if values.dtype.kind not in kinds or not fits:
            wanted = ", ".join("n" if n is None else str(n) for n in shape)
            raise self.refusal(f"the dataset {name} is {values.dtype} {list(values.shape)}, not {kinds} [{wanted}]")
        return values

    def refusal(self, what: str) -> UnreadableFileError:
        """Error that names the file."""
        return UnreadableFileError(f"{self._purpose}: {what}", field="path")

    @property
    def _purpose(self) -> str:
        return f"{self.source} does not describe a {self.kind}"


def write_record(path: Path, record: Record) -> None:
    """Write a record so that a reader sees the old file or the whole new one, whatever happens in between.

    Raises
    ------
    RecordError
        The file cannot be written (full disk, no permission); a file that was there before is untouched.
    """
    body = _to_hdf5(record)
    manifest = json.dumps({"format": FORMAT, "kind": record.kind, "sha256": hashlib.sha256(body).hexdigest()})
    header = manifest.encode().ljust(USER_BLOCK_BYTES - 1) + b"\n"
    if len(header) != USER_BLOCK_BYTES:
        raise RecordError(f"kind of record is too long: {record.kind!r}", field="kind")
    if len(header) + len(body) > MAX_RECORD_BYTES:
        raise RecordError(f"cannot write {path}: it would have more than {MAX_RECORD_BYTES} bytes", field="path")
    write_atomically(path, header + body)


def read_record(path: str | Path, kind: str, *, field: str = "path", written_by: str = "") -> Record:
    """Read a record and check it.

    Parameters
    ----------
    path : path
    kind : str
        What it must hold.
    field : str
        What names the file, in errors.
    written_by : str
        The command that writes such records, for a hint.

    Raises
    ------
    MissingFileError
        No such file.
    UnreadableFileError
        Not a record, a record of another kind or format, damaged, or with anything that records do not have.
    """
    content = read_file(path, limit_bytes=MAX_RECORD_BYTES, field=field)
    manifest = _manifest(content, path, field)
    body = memoryview(content)[USER_BLOCK_BYTES:]
    if hashlib.sha256(body).hexdigest() != manifest["sha256"]:
        raise UnreadableFileError(
            f"{path} is damaged: its content does not match the SHA-256 in its manifest",
            field=field,
            hint="use an older checkpoint or a backup",
        )
    if manifest["kind"] != kind:
        raise UnreadableFileError(
            f"{path} is a record of kind {manifest['kind']!r}, not {kind!r}", field=field,
            hint=f"{written_by} writes one" if written_by else "",
        )  # fmt: skip
    try:
        return _from_hdf5(body, kind, str(path))
    except FormatError as error:
        raise UnreadableFileError(f"{path} is not a readable record: {error}", field=field) from None


def _manifest(content: bytes, path: str | Path, field: str) -> dict[str, str]:
    try:
        manifest = json.loads(content[:USER_BLOCK_BYTES])
    except (ValueError, RecursionError):
        manifest = None
    if not isinstance(manifest, dict) or not all(
        isinstance(manifest.get(key), str) for key in ("format", "kind", "sha256")
    ):
        raise UnreadableFileError(f"{path} is damaged or not a record of this program", field=field)
    if manifest["format"] != FORMAT:
        raise UnreadableFileError(
            f"{path} has the format {manifest['format']!r}, this version reads {FORMAT!r}", field=field
        )
    return manifest


def _to_hdf5(record: Record) -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="earliest") as file:  # what `hxloop.files.hdf5` reads
        for name, value in record.attributes.items():
            file.attrs[name] = _storable(value) if isinstance(value, str) else value
        for name, quantity in record.quantities.items():
            _write_dataset(file, name, quantity)
    return buffer.getvalue()


def _storable(text: str) -> str:
    """Text with escapes for what HDF5 has not: zero bytes, and bytes of file names that are no text (surrogates)."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", r"\x00")


def _write_dataset(file: h5py.File, name: str, quantity: Quantity) -> None:
    values = np.ascontiguousarray(quantity.values)
    # Checksums need chunks, and chunks need a length: an empty array gets one that could grow.
    chunks = tuple(max(1, n) for n in values.shape)
    maximum = tuple(n or None for n in values.shape)
    dataset = file.create_dataset(name, data=values, chunks=chunks, maxshape=maximum, fletcher32=True)
    dataset.attrs["units"] = quantity.units
    dataset.attrs["long_name"] = quantity.long_name


def _from_hdf5(body: memoryview, kind: str, source: str) -> Record:
    attributes, datasets = parse(body)
    quantities = {}
    for name, found in datasets.items():
        units, long_name = found.attributes.get("units"), found.attributes.get("long_name")
        if not isinstance(units, str) or not isinstance(long_name, str):
            raise FormatError(f"{name}: has no units or no long_name")
        quantities[name] = Quantity(found.values, units, long_name)
    return Record(kind, attributes, quantities, source)
