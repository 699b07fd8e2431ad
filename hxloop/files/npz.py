"""npz files: arrays of numbers or text in a zip archive, read by what the two formats need and no more.

`numpy.load` and `zipfile` offer more than such a file may use (objects, encryption, three more compressions, Python
expressions as headers), and fail with errors of seven libraries where a file is damaged.

References
----------
PKWARE, ".ZIP File Format Specification" 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16. NumPy, "The .npy format", versions
1.0 to 3.0.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.errors import UnreadableFileError
from hxloop.files.reading import MIB, read_file
from hxloop.kit.arguments import shown

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_BYTES: Final = 512 * MIB
"""Largest file, and largest sum of all arrays in it."""
MAX_ARRAYS: Final = 4096

_HINT: Final = "write it with numpy.savez and plain arrays of numbers"
_END: Final = struct.Struct("<10xHII2x")
_ENTRY: Final = struct.Struct("<4s4x2H4x3I3H8xI")
_LOCAL: Final = struct.Struct("<26x2H")
_MAX_COMMENT_BYTES: Final = 2**16
_ENCRYPTED: Final = 1
_STORED, _DEFLATED = 0, 8

_MAX_HEADER_BYTES: Final = 10_000
_DESCR: Final = re.compile(r"'descr':\s*'([^']*)'")
_ORDER: Final = re.compile(r"'fortran_order':\s*(True|False)")
_SHAPE: Final = re.compile(r"'shape':\s*\(((?:\d{1,19}(?:, ?|(?=\))))*)\)")
_PLAIN: Final = re.compile(r"[<>|=]?[biufcSU]\d{1,9}")


@dataclass(frozen=True)
class _Entry:
    """What the directory of the archive says about a member."""

    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


class NpzFile:
    """Names of the arrays in a file; an array is unpacked when it is asked for.

    Parameters
    ----------
    path : str or Path
    field : str
        What the file was given as.

    Attributes
    ----------
    names : tuple of str

    Raises
    ------
    MissingFileError
        No such file.
    UnreadableFileError
        No npz file, or damaged; the member is named.
    """

    def __init__(self, path: str | Path, field: str) -> None:
        self._path, self._field = path, field
        self._content = memoryview(read_file(path, limit_bytes=MAX_BYTES, field=field))
        self._entries = self._directory()
        self.names = tuple(self._entries)

    def read(self, name: str) -> NDArray[Any]:
        """Array of this name; read-only.

        Raises
        ------
        UnreadableFileError
            Damaged, encrypted, packed in another way, or no array of numbers or text.
        """
        return self._array(self._unpacked(name), name)

    def _refusal(self, what: str, name: str = "") -> UnreadableFileError:
        member = f": {shown(name)}" if name else ""
        return UnreadableFileError(f"{self._path}{member} {what}", field=self._field, hint=_HINT)

    # The archive

    def _directory(self) -> dict[str, _Entry]:
        content = self._content
        if bytes(content[:6]) == b"\x93NUMPY":
            raise self._refusal("is a single array, not an npz file")
        tail = bytes(content[-_MAX_COMMENT_BYTES - _END.size :])
        at = tail.rfind(b"PK\5\6")
        if at < 0 or len(tail) - at < _END.size:
            raise self._refusal("is not an npz file, or not all of it")
        count, size, start = _END.unpack_from(tail, at)
        if count > MAX_ARRAYS:
            raise self._refusal(f"says to hold {count} arrays, which no npz file of this program needs")
        found: dict[str, _Entry] = {}
        rest = content[start : start + size]
        for _ in range(count):
            if len(rest) < _ENTRY.size or bytes(rest[:4]) != b"PK\1\2":
                raise self._refusal("is a damaged npz file: its list of arrays ends too early")
            flags, method, crc, packed, unpacked, length, extra, comment, offset = _ENTRY.unpack_from(rest)[1:]
            behind = _ENTRY.size + length + extra + comment
            if behind > len(rest):
                raise self._refusal("is a damaged npz file: its list of arrays ends too early")
            name = self._array_name(bytes(rest[_ENTRY.size : _ENTRY.size + length]))
            if name in found:
                raise self._refusal("is there twice", name)
            found[name] = _Entry(flags, method, crc, packed, unpacked, offset)
            rest = rest[behind:]
        total = sum(entry.size for entry in found.values())
        if total > MAX_BYTES:
            raise self._refusal(f"says to hold {total} bytes of arrays, more than {MAX_BYTES}")
        return found

    def _array_name(self, raw: bytes) -> str:
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self._refusal("has a member whose name is no text") from None
        if not name.endswith(".npy"):
            raise self._refusal("is no array", name)
        return name.removesuffix(".npy")

    def _unpacked(self, name: str) -> memoryview:
        entry = self._entries[name]
        if entry.flags & _ENCRYPTED:
            raise self._refusal("is encrypted", name)
        header = self._content[entry.offset : entry.offset + _LOCAL.size]
        if len(header) < _LOCAL.size or bytes(header[:4]) != b"PK\3\4":
            raise self._refusal("is damaged", name)
        length, extra = _LOCAL.unpack(header)
        begin = entry.offset + _LOCAL.size + length + extra
        packed = self._content[begin : begin + entry.packed]
        if entry.method == _STORED:
            content = packed
        elif entry.method == _DEFLATED:
            content = memoryview(self._inflated(packed, entry.size, name))
        else:
            raise self._refusal(f"is packed with method {entry.method}, which npz files do not use", name)
        if len(packed) != entry.packed or len(content) != entry.size or zlib.crc32(content) != entry.crc:
            raise self._refusal("is damaged", name)
        return content

    def _inflated(self, packed: memoryview, size: int, name: str) -> bytes:
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            return stream.decompress(packed, size + 1)  # grows with what is there, and ends one byte beyond
        except zlib.error:
            raise self._refusal("is damaged", name) from None

    # Arrays

    def _array(self, content: memoryview, name: str) -> NDArray[Any]:
        dtype, order, shape, values = self._npy(content, name)
        needed = math.prod(shape) * dtype.itemsize
        if needed != len(values):
            raise self._refusal(f"has {len(values)} bytes, but says to have the shape {shape} of {dtype}", name)
        if dtype.kind == "U":  # numpy fails on characters that do not exist, whatever it is asked
            try:
                bytes(values).decode("utf-32-be" if dtype.byteorder == ">" else "utf-32-le")
            except UnicodeDecodeError:
                raise self._refusal("is no text", name) from None
        try:
            found: NDArray[Any] = np.ndarray(shape, dtype, values, order=order)
        except (ValueError, TypeError, OverflowError):  # dimensions that numpy does not have
            raise self._refusal(f"has the shape {shape}, which no array has", name) from None
        return found

    def _npy(self, content: memoryview, name: str) -> tuple[np.dtype[Any], Any, tuple[int, ...], memoryview]:
        """Type, order, shape and values of a file in the npy format."""
        version = content[6] if len(content) > 11 and bytes(content[:6]) == b"\x93NUMPY" else 0
        if version not in {1, 2, 3}:
            raise self._refusal("is no array", name)
        length_at = struct.Struct("<H" if version == 1 else "<I")
        length = length_at.unpack_from(bytes(content[8:12]))[0]
        begin = 8 + length_at.size
        if length > _MAX_HEADER_BYTES or begin + length > len(content):
            raise self._refusal("has a damaged header", name)
        header = bytes(content[begin : begin + length]).decode("latin-1")
        found = [pattern.search(header) for pattern in (_DESCR, _ORDER, _SHAPE)]
        if "'descr': [" in header or (found[0] and "O" in found[0][1]):
            raise self._refusal("holds Python objects or records, not numbers", name)
        descr, order, shape = found
        if descr is None or order is None or shape is None or _left(header, descr, order, shape):
            raise self._refusal("has a damaged header", name)
        lengths = tuple(int(n) for n in shape[1].replace(" ", "").split(",") if n)
        return self._dtype(descr[1], name), "F" if order[1] == "True" else "C", lengths, content[begin + length :]

    def _dtype(self, descr: str, name: str) -> np.dtype[Any]:
        if _PLAIN.fullmatch(descr):
            try:
                return np.dtype(descr)
            except (TypeError, ValueError):
                pass
        raise self._refusal(f"has the type {shown(descr)}, which is neither number nor text", name)


def _left(header: str, *found: re.Match[str]) -> str:
    """What a header has beyond its three entries."""
    for match in found:
        header = header.replace(match[0], "")
    return header.strip("{}, \n")
