"""What a session keeps: messages as they travel, configurations, and how much of both. Pure logic."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from hxloop.protocol.codec import is_of_configuration
from hxloop.protocol.messages import ConfigureRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from hxloop.protocol.messages import ArrayHeader, RunRequest

Frames = Sequence[bytes | memoryview]
"""A message as it travels: the header, then its arrays."""

MAX_STORE_BYTES: Final = 64 * 2**20
"""Stored replies, and stored configurations, of one session: bytes beyond which the oldest are dropped."""

Key = TypeVar("Key")
Entry = TypeVar("Entry")


def size_of(frames: Frames) -> int:
    """Bytes of all frames."""
    return sum(len(frame) for frame in frames)


def digest_of(frames: Frames) -> bytes:
    """SHA-256 of a message, sizes of its frames included."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(len(frame).to_bytes(8, "little"))
        digest.update(frame)
    return digest.digest()


@dataclass(frozen=True, eq=False)
class StoredConfiguration:
    """An accepted configuration, as it came.

    Attributes
    ----------
    config_hash : str
    arrays : dict
        Header and frame of every array by name; configurations share the frames of what they have in common.
    """

    config_hash: str
    arrays: dict[str, tuple[ArrayHeader, bytes | memoryview]]

    @classmethod
    def of(cls, request: ConfigureRequest | RunRequest, frames: Frames, base: StoredConfiguration | None) -> Self:
        """From a message; what it does not bring is that of its base."""
        brought = {
            h.name: (h, frame)
            for h, frame in zip(request.arrays, frames[1:], strict=True)
            if is_of_configuration(h.name)
        }
        return cls(request.config_hash, (base.arrays | brought) if base else brought)

    @property
    def n_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(len(frame) for _, frame in self.arrays.values())

    def message(self) -> list[bytes | memoryview]:
        """Frames of a message that uploads all of it; of no session."""
        header = ConfigureRequest(
            session="", sequence=0, config_hash=self.config_hash, arrays=tuple(h for h, _ in self.arrays.values())
        )
        return [header.model_dump_json().encode(), *(frame for _, frame in self.arrays.values())]


class Store(Generic[Key, Entry]):
    """Entries by key, bounded in number and bytes; the newest entry always stays.

    Parameters
    ----------
    size : callable
        Bytes of an entry.
    max_entries, max_bytes : int
        Beyond either, the entry that was put or touched longest ago is dropped.
    """

    def __init__(self, size: Callable[[Entry], int], max_entries: int, max_bytes: int = MAX_STORE_BYTES) -> None:
        self._size = size
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def put(self, key: Key, entry: Entry) -> None:
        """Store or replace an entry."""
        replaced = self._entries.pop(key, None)
        self._bytes += self._size(entry) - (self._size(replaced) if replaced is not None else 0)
        self._entries[key] = entry
        while len(self._entries) > 1 and (len(self._entries) > self._max_entries or self._bytes > self._max_bytes):
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= self._size(dropped)

    def get(self, key: Key, *, touch: bool = False) -> Entry | None:
        """Entry or None; `touch` makes it the newest one."""
        if touch and key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)
