"""The part of HDF5 that records use, read without the HDF5 library, which was not made for files of strangers.

Records are written by one function (`records.write_record`), so what a record may contain is known exactly:
groups with symbol tables; datasets of numbers in one chunk with a checksum, or with no chunk if they are empty;
attributes that are a string, a number or a truth value. Everything else that HDF5 has (links to other places and
files, external storage, compression, references, compounds, ...) does not exist here and is refused by name.

Work is bounded by the file: objects are visited once, arrays together are no larger than the file, and nothing is
allocated because a number says so.

References
----------
The HDF Group, "HDF5 File Format Specification Version 2.0": sections II.A (superblock 0), III.A.1 (version 1 B-trees),
III.B to III.E (symbol tables, local and global heaps), IV.A (object headers).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.files.hdf5_types import Attribute, Format, FormatError, Kind, read_shape, read_type
from hxloop.kit.brief import brief

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_SUPERBLOCK: Final = bytes.fromhex("894844460d0a1a0a 0000000000080800")
_MAX_OBJECTS: Final = 8192
_MAX_STEPS: Final = 100_000
_MAX_DEPTH: Final = 8
_MAX_NAME_BYTES: Final = 255


class Message:
    """Kinds of messages of an object header, by their numbers in the specification."""

    nothing = 0x0000
    dataspace = 0x0001
    datatype = 0x0003
    old_fill_value = 0x0004
    fill_value = 0x0005
    layout = 0x0008
    filters = 0x000B
    attribute = 0x000C
    continuation = 0x0010
    symbol_table = 0x0011
    modified = 0x0012


_IGNORED: Final = {Message.nothing, Message.old_fill_value, Message.fill_value, Message.modified}
_FLETCHER32: Final = 3
_CHECKSUM_BYTES: Final = 4


@brief
@dataclass(frozen=True, eq=False)
class Dataset:
    """Values of a dataset (a copy), and its attributes."""

    values: NDArray[np.generic]
    attributes: dict[str, Attribute]


@dataclass
class Object:
    """What the header of a group or dataset says."""

    where: str
    attributes: dict[str, Attribute] = field(default_factory=dict)
    messages: dict[int, memoryview] = field(default_factory=dict)


def parse(body: memoryview) -> tuple[dict[str, Attribute], dict[str, Dataset]]:
    """Attributes of the root group, and all datasets by their paths.

    Raises
    ------
    FormatError
        Damaged, or not as records are; the message names the dataset.
    """
    file = Hdf5Reader(body)
    try:
        return file.content()
    except (struct.error, IndexError):  # a structure ends before its end
        raise FormatError(f"{file.where}: damaged") from None


class Hdf5Reader:
    """Reads the groups and datasets of one file; `hdf5_data.DataReader` takes more kinds of datasets."""

    def __init__(self, body: memoryview) -> None:
        self.where = "/"
        self._body = body
        self._array_bytes_left = len(body)
        self._steps_left = _MAX_STEPS
        self._seen: set[int] = set()
        self._strings: dict[int, dict[int, memoryview]] = {}
        self._datasets: dict[str, Dataset] = {}

    def content(self) -> tuple[dict[str, Attribute], dict[str, Dataset]]:
        """Attributes of the root group, and all datasets by their paths."""
        start = self._bytes(0, 96, "superblock")
        end, root = struct.unpack_from("<Q", start, 40)[0], struct.unpack_from("<Q", start, 64)[0]
        if start[:16] != _SUPERBLOCK or end != len(self._body):
            raise FormatError("not the HDF5 of a record")
        attributes = self._group(root, "", 0).attributes
        if "" in self._datasets:
            raise FormatError("/: is a dataset, not a group")
        return attributes, self._datasets

    def _bytes(self, offset: int, size: int, where: str) -> memoryview:
        if offset + size > len(self._body):
            raise FormatError(f"{where}: lies outside the file")
        return self._body[offset : offset + size]

    def _step(self, where: str) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise FormatError(f"{where}: the file has more parts than any record")

    # Groups

    def _group(self, address: int, where: str, depth: int) -> Object:
        found = self._object(address, where)
        table = found.messages.get(Message.symbol_table)
        if table is None:
            self._datasets[where] = self._dataset(found)
            return found
        if depth == _MAX_DEPTH:
            raise FormatError(f"{where}: groups lie deeper than in any record")
        if len(found.messages) > 1:
            raise FormatError(f"{where or '/'}: is a group and something else at once")
        if where and found.attributes:
            raise FormatError(f"{where}: groups of a record have no attributes")
        tree, heap = Format.two_addresses.unpack_from(table)
        names = self._local_heap(heap, where or "/")
        for name, child in self._links(tree, names, where or "/"):
            path = f"{where}/{name}" if where else name
            if path in self._datasets:
                raise FormatError(f"{path}: is there twice")
            self._group(child, path, depth + 1)
        return found

    def _links(self, tree: int, names: memoryview, where: str) -> Iterator[tuple[str, int]]:
        for node in self._tree_leaves(tree, where):
            signature, count = Format.symbol_node.unpack(self._bytes(node, 8, where))
            if signature != b"SNOD":
                raise FormatError(f"{where}: damaged list of members")
            for entry in range(count):
                self._step(where)
                at = self._bytes(node + 8 + 40 * entry, 40, where)
                name, address, cache = Format.symbol.unpack_from(at)
                if cache not in {0, 1}:
                    raise FormatError(f"{where}: has a link to another place")
                yield self._name(names[name : name + _MAX_NAME_BYTES + 1], where), address

    def _tree_leaves(self, address: int, where: str, below: int = _MAX_DEPTH) -> Iterator[int]:
        """Nodes of symbols below a node of a group's B-tree, each level lower than the one above."""
        self._step(where)
        signature, kind, found, count = Format.tree.unpack(self._bytes(address, 24, where))
        if signature != b"TREE" or kind != 0 or found >= below:
            raise FormatError(f"{where}: damaged tree of members")
        for k in range(count):
            child = Format.address.unpack(self._bytes(address + 24 + 16 * k + 8, 8, where))[0]
            if found:
                yield from self._tree_leaves(child, where, found)
            else:
                self._step(where)
                yield child

    def _local_heap(self, address: int, where: str) -> memoryview:
        signature, size, _, data = Format.local_heap.unpack(self._bytes(address, 32, where))
        if signature != b"HEAP\0\0\0\0":
            raise FormatError(f"{where}: damaged names of members")
        return self._bytes(data, size, where)

    @staticmethod
    def _name(raw: memoryview, where: str) -> str:
        name, end, _ = bytes(raw).partition(b"\0")
        try:
            text = name.decode("utf-8")
        except UnicodeDecodeError:
            text = ""
        if not end or not text.isprintable() or text in {"", ".", ".."} or "/" in text:
            raise FormatError(f"{where}: has a member with a damaged name")
        return text

    # Object headers

    def _object(self, address: int, where: str) -> Object:
        shown = self.where = where or "/"
        if address in self._seen or len(self._seen) == _MAX_OBJECTS:
            raise FormatError(f"{shown}: is linked from several places, or the file has more objects than any record")
        self._seen.add(address)
        version, n_messages, _, size = Format.header.unpack(self._bytes(address, 12, shown))
        if version != 1:
            raise FormatError(f"{shown}: damaged object header")
        found = Object(shown)
        blocks = [self._bytes(address + 16, size, shown)]
        for block in blocks:  # grows by continuations, each of which costs a step
            while len(block) >= 8 and n_messages:
                self._step(shown)
                n_messages -= 1
                kind, length, flags = Format.message.unpack_from(block)
                if 8 + length > len(block) or flags & ~1:
                    raise FormatError(f"{shown}: damaged object header")
                self._message(found, kind, block[8 : 8 + length], blocks)
                block = block[8 + length :]  # noqa: PLW2901
        return found

    def _message(self, found: Object, kind: int, data: memoryview, blocks: list[memoryview]) -> None:
        if kind == Message.continuation:
            offset, size = Format.two_addresses.unpack(data[:16])
            blocks.append(self._bytes(offset, size, found.where))
        elif kind == Message.attribute:
            name, value = self._attribute(data, found.where)
            if name in found.attributes:
                raise FormatError(f"{found.where}: has the attribute {name} twice")
            found.attributes[name] = value
        elif kind in {
            Message.dataspace, Message.datatype, Message.layout, Message.filters, Message.symbol_table,
        } and kind not in found.messages:  # fmt: skip
            found.messages[kind] = data
        elif kind not in _IGNORED:
            raise FormatError(f"{found.where}: has a feature of HDF5 that records do not use (message {kind:#06x})")

    # Attributes

    def _attribute(self, data: memoryview, where: str) -> tuple[str, Attribute]:
        version, _, name_size, type_size, shape_size = Format.attribute.unpack_from(data)
        if version == 1:
            start, pad = 8, 8
        elif version == 3:
            start, pad = 9, 1
        else:
            raise FormatError(f"{where}: damaged attribute")
        parts = []
        for size in (name_size, type_size, shape_size):
            parts.append(data[start : start + size])
            start += -(-size // pad) * pad
        name = self._name(parts[0], where)
        shown = f"attribute {name} of {where}"
        kind = read_type(parts[1], shown)
        if read_shape(parts[2], shown) != ():
            raise FormatError(f"{shown}: is not a single value")
        raw = data[start : start + kind.size]
        if len(raw) != kind.size:
            raise FormatError(f"{shown}: damaged")
        if kind.is_string:
            return name, self._string(raw, shown)
        value: Attribute = np.frombuffer(raw, kind.dtype)[0].item()
        return name, bool(value) if kind.is_bool else value

    def _string(self, raw: memoryview, where: str) -> str:
        length, address, index = Format.string.unpack(raw)
        if length == 0:
            return ""
        if address not in self._strings:
            self._strings[address] = self._global_heap(address, where)
        content = self._strings[address].get(index)
        if content is None or length > len(content):
            raise FormatError(f"{where}: damaged string")
        self._spend(length, where)
        try:
            text = bytes(content[:length]).decode("utf-8")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise FormatError(f"{where}: is not UTF-8 text")
        return text

    def _global_heap(self, address: int, where: str) -> dict[int, memoryview]:
        signature, size = Format.global_heap.unpack(self._bytes(address, 16, where))
        if signature != b"GCOL\1\0\0\0" or size < 16:
            raise FormatError(f"{where}: damaged string")
        rest = self._bytes(address + 16, size - 16, where)
        found = {}
        while len(rest) >= 16:
            self._step(where)
            index, length = Format.heap_object.unpack_from(rest)
            if index == 0:  # free space, the last entry
                break
            if 16 + length > len(rest):
                raise FormatError(f"{where}: damaged string")
            found[index] = rest[16 : 16 + length]
            rest = rest[16 + -(-length // 8) * 8 :]
        return found

    # Datasets

    def _spend(self, size: int, where: str) -> None:
        self._array_bytes_left -= size
        if self._array_bytes_left < 0:
            raise FormatError(f"{where}: says to hold more than the file has")

    def _dataset(self, found: Object) -> Dataset:
        where = found.where
        needed = (Message.dataspace, Message.datatype, Message.layout, Message.filters)
        if any(kind not in found.messages for kind in needed):
            raise FormatError(f"{where}: is neither a group nor a dataset of a record")
        kind = read_type(found.messages[Message.datatype], where)
        shape = read_shape(found.messages[Message.dataspace], where)
        if kind.is_string or not shape:
            raise FormatError(f"{where}: is not an array of numbers")
        size = kind.size
        for n in shape:
            size *= n
        self._check_filters(found.messages[Message.filters], where)
        chunk, tree = self._layout(found.messages[Message.layout], len(shape), where)
        if chunk != (*(max(1, n) for n in shape), kind.size):
            raise FormatError(f"{where}: is not stored in one piece")
        if size == 0:
            return Dataset(_empty(kind, shape, where), found.attributes)
        self._spend(size, where)
        content = self._bytes(self._only_chunk(tree, size, len(shape), where), size, where)
        return Dataset(_array(content, kind, shape), found.attributes)

    @staticmethod
    def _check_filters(data: memoryview, where: str) -> None:
        version, count, identifier = Format.filters.unpack_from(data)
        if (version, count, identifier) != (1, 1, _FLETCHER32):
            raise FormatError(f"{where}: is compressed or filtered, which records are not")

    @staticmethod
    def _layout(data: memoryview, rank: int, where: str) -> tuple[tuple[int, ...], int]:
        version, layout, dimensions, tree = Format.layout.unpack_from(data)
        if (version, layout, dimensions) != (3, 2, rank + 1):
            raise FormatError(f"{where}: is not stored as datasets of records are")
        return struct.unpack_from(f"<{dimensions}I", data, Format.layout.size), tree

    def _only_chunk(self, tree: int, size: int, rank: int, where: str) -> int:
        signature, kind, level, count = Format.tree.unpack(self._bytes(tree, 24, where))
        stored, skipped, *first, address = struct.unpack(
            f"<II{rank + 1}QQ", self._bytes(tree + 24, 8 + 8 * (rank + 2), where)
        )
        if signature != b"TREE" or (kind, level, count) != (1, 0, 1) or any(first) or skipped:
            raise FormatError(f"{where}: is not stored in one piece")
        if stored != size + _CHECKSUM_BYTES:
            raise FormatError(f"{where}: has {stored} bytes stored, its shape needs {size + _CHECKSUM_BYTES}")
        return int(address)


def _empty(kind: Kind, shape: tuple[int, ...], where: str) -> NDArray[np.generic]:
    try:
        return np.zeros(shape, np.bool_ if kind.is_bool else kind.dtype)
    except ValueError:  # no room for the lengths beside the one that is 0
        raise FormatError(f"{where}: says to have the shape {shape}") from None


def _array(content: memoryview, kind: Kind, shape: tuple[int, ...]) -> NDArray[np.generic]:
    values = np.frombuffer(content, kind.dtype).reshape(shape).copy()
    return values.astype(np.bool_) if kind.is_bool else values
