"""Datatypes and shapes of the HDF5 in records, and the fixed parts of its structures."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Attribute = str | int | float | bool
"""What an attribute is."""


class FormatError(ValueError):
    """The content is not as records are; the message says where and what."""


class Format:
    """Fixed parts of structures, little-endian, as named in the specification."""

    address = struct.Struct("<Q")
    two_addresses = struct.Struct("<QQ")
    symbol_node = struct.Struct("<4s2xH")
    symbol = struct.Struct("<QQI")
    tree = struct.Struct("<4sBBH16x")
    local_heap = struct.Struct("<8sQQQ")
    global_heap = struct.Struct("<8sQ")
    heap_object = struct.Struct("<H6xQ")
    header = struct.Struct("<BxHII")
    message = struct.Struct("<HHB3x")
    attribute = struct.Struct("<BBHHH")
    string = struct.Struct("<IQI")
    filters = struct.Struct("<BB6xH")
    layout = struct.Struct("<BBBQ")


@dataclass(frozen=True)
class Kind:
    """Type of one value.

    Attributes
    ----------
    size : int
        Bytes of it.
    dtype : dtype, optional
        None for strings, which lie elsewhere.
    is_bool : bool
    """

    size: int
    dtype: DTypeLike | None = None
    is_bool: bool = False

    @property
    def is_string(self) -> bool:
        """Whether it is text."""
        return self.dtype is None


_TRUTH: Final = bytes.fromhex("18020000 01000000 10080000 01000000 00000800") + b"FALSE\0\0\0TRUE\0\0\0\0\0\1"
"""The type of a truth value: an enumeration of a byte, FALSE = 0 and TRUE = 1."""
_MAX_RANK: Final = 32
_MAX_LENGTH: Final = 2**32


def _types() -> dict[bytes, Kind]:
    """Datatype messages of everything that records hold.

    Integers: sign, size, offset and precision in bits. IEEE floats: sign, exponent and mantissa by position, size and
    bias. Text: UTF-8 of any length.
    """
    found = {_TRUTH: Kind(1, np.dtype("<i1"), is_bool=True)}
    for size in (1, 2, 4, 8):
        for code, bits in (("u", 0), ("i", 8)):
            encoded = struct.pack("<4BIHH", 0x10, bits, 0, 0, size, 0, 8 * size)
            found[encoded] = Kind(size, np.dtype(f"<{code}{size}"))
    for size, exponent_bits, mantissa_bits in ((2, 5, 10), (4, 8, 23), (8, 11, 52)):
        head = struct.pack("<4BI", 0x11, 0x20, 8 * size - 1, 0, size)
        exponent, bias = (mantissa_bits, exponent_bits, 0, mantissa_bits), 2 ** (exponent_bits - 1) - 1
        found[head + struct.pack("<HH4BI", 0, 8 * size, *exponent, bias)] = Kind(size, np.dtype(f"<f{size}"))
    found[bytes.fromhex("19010100 10000000 10000000 01000000 00000800")] = Kind(16)
    return found


_TYPES: Final = _types()
_TYPE_SIZES: Final = tuple({len(encoded) for encoded in _TYPES})


def read_type(data: memoryview, where: str) -> Kind:
    """Type that a datatype message describes: an integer, an IEEE float, a truth value or a string.

    Raises
    ------
    FormatError
        Any other.
    """
    for size in _TYPE_SIZES:  # messages are padded
        found = _TYPES.get(bytes(data[:size]))
        if found is not None:
            return found
    raise FormatError(f"{where}: is neither number, truth value nor text")


def read_fixed_text(data: memoryview) -> int:
    """Bytes of a text of fixed length, 0 for all other types."""
    version_and_class, size = data[0], struct.unpack_from("<I", data, 4)[0]
    return int(size) if version_and_class == 0x13 else 0


def read_shape(data: memoryview, where: str) -> tuple[int, ...]:
    """Shape that a dataspace message describes, ``()`` for a single value.

    Raises
    ------
    FormatError
        No values at all, or more dimensions than arrays have.
    """
    version, rank = data[0], data[1]
    if version != 1 or rank > _MAX_RANK:
        raise FormatError(f"{where}: damaged shape")
    shape: tuple[int, ...] = struct.unpack_from(f"<{rank}Q", data, 8)
    if any(n >= _MAX_LENGTH for n in shape):
        raise FormatError(f"{where}: says to have {max(shape)} entries")
    return shape
