"""Arrays in HDF5 files of users, as h5py writes them by default: more than records hold, still without the library.

Datasets of numbers or text, in one piece or in chunks, plain or compressed by gzip (with or without shuffle).
Attributes are passed over. All else that HDF5 has is refused by name; the bounds are those of `hxloop.files.hdf5`, and
no file unpacks to more than `MAX_BYTES`.

References
----------
The HDF Group, "HDF5 File Format Specification Version 2.0": sections III.A.1 (chunks), IV.A.2.i (layout), IV.A.2.l
(filters).
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.errors import UnreadableFileError
from hxloop.files.hdf5 import Dataset, Hdf5Reader, Message, Object
from hxloop.files.hdf5_types import Format, FormatError, Kind, read_fixed_text, read_shape, read_type
from hxloop.files.reading import MIB, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MAX_BYTES: Final = 512 * MIB
"""Largest file, and largest sum of all arrays in it."""

_HINT: Final = "write it with h5py's defaults, file.create_dataset(name, data=array), or with numpy.savez"
_UNDEFINED: Final = 2**64 - 1
_PASSED_OVER: Final = {Message.attribute, 0x000D, 0x000E, 0x0015, 0x0016}
"""Messages that say nothing about values: attributes, comments, times, counts of links."""
_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3
_COMPACT, _CONTIGUOUS, _CHUNKED = 0, 1, 2
_MOST_FILTERS: Final = 8


def read_arrays(path: str | Path, field: str) -> dict[str, NDArray[Any]]:
    """All arrays of a file by their paths, text as numpy's ``U`` or ``S``.

    Raises
    ------
    MissingFileError
        No such file.
    UnreadableFileError
        Damaged, or with something that is not read; the dataset is named.
    """
    content = memoryview(read_file(path, limit_bytes=MAX_BYTES, field=field))
    if bytes(content[8:9]) not in {b"\0", b""}:
        raise UnreadableFileError(
            f"cannot read {path}: it is written as newer versions of HDF5 do (libver='latest')", field=field, hint=_HINT
        )
    reader = DataReader(content)
    try:
        datasets = reader.content()[1]
    except FormatError as error:
        raise UnreadableFileError(f"cannot read {path}: {error}", field=field, hint=_HINT) from None
    except (struct.error, IndexError):  # a structure ends before its end
        raise UnreadableFileError(f"cannot read {path}: {reader.where}: damaged", field=field, hint=_HINT) from None
    return {name: dataset.values for name, dataset in datasets.items()}


@dataclass(frozen=True)
class _Chunk:
    """Where a part of an array lies, and what was left out of the filters."""

    offset: tuple[int, ...]
    stored: int
    skipped: int
    address: int


class DataReader(Hdf5Reader):
    """Reads files of data."""

    def __init__(self, body: memoryview) -> None:
        super().__init__(body)
        self._array_bytes_left = MAX_BYTES

    def _message(self, found: Object, kind: int, data: memoryview, blocks: list[memoryview]) -> None:
        if kind not in _PASSED_OVER:
            super()._message(found, kind, data, blocks)

    def _dataset(self, found: Object) -> Dataset:
        where, messages = found.where, found.messages
        if any(kind not in messages for kind in (Message.dataspace, Message.datatype, Message.layout)):
            raise FormatError(f"{where}: is neither a group nor a dataset")
        text_bytes = read_fixed_text(messages[Message.datatype])
        kind = (
            Kind(text_bytes, np.dtype(f"S{text_bytes}")) if text_bytes else read_type(messages[Message.datatype], where)
        )
        shape = read_shape(messages[Message.dataspace], where)
        size = math.prod(shape) * kind.size
        self._spend(size, where)
        raw = self._values(found, kind, shape, size)
        if kind.is_string:
            texts = [self._string(raw[k : k + kind.size], where) for k in range(0, size, kind.size)]
            return Dataset(np.array(texts, np.str_).reshape(shape), {})
        values = np.frombuffer(raw, kind.dtype).reshape(shape)
        return Dataset(values.astype(np.bool_) if kind.is_bool else values, {})

    def _values(self, found: Object, kind: Kind, shape: tuple[int, ...], size: int) -> memoryview:
        """Bytes of all values."""
        where, layout = found.where, found.messages[Message.layout]
        version, how = layout[0], layout[1]
        if version != 3:
            raise FormatError(f"{where}: is stored as newer versions of HDF5 do (libver='latest')")
        if how != _CHUNKED and Message.filters in found.messages:
            raise FormatError(f"{where}: is filtered, but not in chunks")
        if how == _COMPACT:
            stored = struct.unpack_from("<H", layout, 2)[0]
            raw = layout[4 : 4 + stored]
        elif how == _CONTIGUOUS:
            address, stored = Format.two_addresses.unpack_from(layout, 2)
            if address == _UNDEFINED and size:
                raise FormatError(f"{where}: has no values, they were never written")
            raw = self._bytes(address, stored, where) if size else layout[:0]
        elif how == _CHUNKED:
            return self._chunked(found, kind, shape, size)
        else:
            raise FormatError(f"{where}: is stored in a way that is not read")
        if len(raw) < size or stored != size:
            raise FormatError(f"{where}: has {len(raw)} bytes stored, its shape needs {size}")
        return raw

    def _chunked(self, found: Object, kind: Kind, shape: tuple[int, ...], size: int) -> memoryview:
        where, rank = found.where, len(shape)
        dimensions, tree = struct.unpack_from("<BQ", found.messages[Message.layout], 2)
        if dimensions != rank + 1 or not rank:
            raise FormatError(f"{where}: damaged chunks")
        *chunk, item = struct.unpack_from(f"<{dimensions}I", found.messages[Message.layout], Format.layout.size)
        chunk_bytes = math.prod(chunk) * kind.size
        if item != kind.size or not chunk_bytes or chunk_bytes > MAX_BYTES:
            raise FormatError(f"{where}: damaged chunks")
        filters = self._filters(found)
        if not size:
            return memoryview(b"")
        expected = math.prod(-(-n // m) for n, m in zip(shape, chunk, strict=True))
        chunks = {entry.offset: entry for entry in self._leaves(tree, rank, where)} if tree != _UNDEFINED else {}
        if expected * chunk_bytes > 2 * MAX_BYTES:
            raise FormatError(f"{where}: its chunks are much larger than its values")
        if len(chunks) != expected:
            raise FormatError(f"{where}: has {len(chunks)} of {expected} chunks, not all its values were written")
        dtype = np.dtype(f"V{kind.size}")
        values = np.empty(shape, dtype)
        for offset, entry in chunks.items():
            if any(at % m or at >= n for at, m, n in zip(offset, chunk, shape, strict=True)):
                raise FormatError(f"{where}: damaged chunks")
            raw = self._unfiltered(entry, filters, chunk_bytes, kind.size, where)
            part = np.frombuffer(raw, dtype).reshape(chunk)
            place = tuple(slice(at, min(at + m, n)) for at, m, n in zip(offset, chunk, shape, strict=True))
            values[place] = part[tuple(slice(0, s.stop - s.start) for s in place)]
        return memoryview(values.tobytes())

    def _leaves(self, address: int, rank: int, where: str, below: int = 8) -> Iterator[_Chunk]:
        """Chunks below a node of the tree, each level lower than the one above."""
        self._step(where)
        signature, kind, level, count = Format.tree.unpack(self._bytes(address, 24, where))
        if signature != b"TREE" or kind != 1 or level >= below:
            raise FormatError(f"{where}: damaged tree of chunks")
        entry = struct.Struct(f"<II{rank + 1}QQ")
        for k in range(count):
            stored, skipped, *offset, child = entry.unpack(
                self._bytes(address + 24 + k * entry.size, entry.size, where)
            )
            if level:
                yield from self._leaves(child, rank, where, level)
            else:
                self._step(where)
                yield _Chunk(tuple(offset[:-1]), stored, skipped, child)

    def _filters(self, found: Object) -> list[int]:
        """Numbers of the filters that values went through, the first one first."""
        if Message.filters not in found.messages:
            return []
        data, where = found.messages[Message.filters], found.where
        version, count = data[0], data[1]
        if version != 1 or count > _MOST_FILTERS:
            raise FormatError(f"{where}: damaged list of filters")
        at, numbers = 8, []
        for _ in range(count):
            number, name_bytes, _, n_values = struct.unpack_from("<4H", data, at)
            at += 8 + -(-name_bytes // 8) * 8 + 4 * (n_values + n_values % 2)
            if number not in {_DEFLATE, _SHUFFLE, _FLETCHER32}:
                raise FormatError(f"{where}: is compressed with filter {number}; gzip is read")
            numbers.append(number)
        return numbers

    def _unfiltered(self, entry: _Chunk, filters: list[int], size: int, item: int, where: str) -> bytes | memoryview:
        raw: bytes | memoryview = self._bytes(entry.address, entry.stored, where)
        for k, number in reversed(list(enumerate(filters))):
            if entry.skipped >> k & 1:
                continue
            if number == _FLETCHER32:
                raw = raw[:-4]
            elif number == _DEFLATE:
                try:
                    raw = zlib.decompressobj().decompress(raw, size + 5)  # a checksum may be inside
                except zlib.error:
                    raise FormatError(f"{where}: damaged") from None
            else:
                raw = _unshuffled(raw, item)
        if len(raw) != size:
            raise FormatError(f"{where}: damaged")
        return raw


def _unshuffled(raw: bytes | memoryview, item: int) -> bytes:
    """Bytes in their order again: first bytes of all values came first, then all second ones."""
    whole = len(raw) // item * item
    return np.frombuffer(raw[:whole], np.uint8).reshape(item, -1).T.tobytes() + bytes(raw[whole:])
