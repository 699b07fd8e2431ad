"""Synapse drivers as a router sees them: which are free for an input, which signs their rows have, which labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hxloop.errors import DoesNotFitError
from hxloop_host.placing.crossbar import ANY_BUS, drivers_per_bus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hxloop.spec import ChipSpec

Source = tuple[bool, int]
"""Whether it is a neuron, and its circuit or input channel."""

BOTH = 0
"""Sign of an input that has none, and takes both rows of a driver."""

NOWHERE = -1
"""No driver."""

_NEVER = 9


@dataclass(frozen=True)
class Input:
    """An input that looks for a place: its source, the bus it arrives on, and the sign of its weights."""

    source: Source
    bus: int
    sign: int


class Board:
    """What drives what, and which sign each row has, for the whole chip.

    Attributes
    ----------
    load : int64 [n_hemispheres * n_drivers]
        Sources of each driver.
    mixed : bool [n_hemispheres * n_drivers]
        Whether its even row may still be excitatory and its odd row inhibitory.
    """

    def __init__(self, spec: ChipSpec) -> None:
        self._spec = spec
        self._drivers: dict[Source, list[int]] = {}
        self.load = np.zeros(spec.n_hemispheres * spec.n_drivers, np.int64)
        self.mixed = np.ones(len(self.load), np.bool_)
        self._signs = np.zeros((2, len(self.load)), np.int8)

    def driven_by(self, source: Source) -> list[int]:
        """Drivers of a source, in the order they were chosen."""
        return self._drivers.get(source, [])

    @staticmethod
    def n_steps(wanted: Input, *, packed: bool) -> int:
        """Steps in which the demands on a place are lowered, see `Slot.find`."""
        return 1 + packed if wanted.sign == BOTH else 3 + packed

    def signed(self, first: int, last: int) -> NDArray[np.bool_]:
        """Of the drivers ``first <= d < last``, those both of whose rows have a sign."""
        return np.asarray((self._signs[:, first:last] != 0).all(axis=0))

    def reluctance(self, sign: int, first: int, last: int) -> NDArray[np.int64]:
        """int64 [2, n]: how little an input of this sign should take each row of the drivers ``first <= d < last``.

        0: it has the sign already; 1: it has none yet, and the sign is usual there; 2: it is not usual; 9: never.
        """
        signs, usual = self._signs[:, first:last], np.array([[1], [-1]])
        return np.where(signs == sign, 0, np.where(signs != 0, _NEVER, np.where(usual == sign, 1, 2)))

    def add(self, driver: int, odd: int, wanted: Input) -> None:
        """Let a source drive a row of a driver, or both."""
        if wanted.sign == BOTH:
            self._signs[:, driver] = 1, -1
        else:
            self._signs[odd, driver] = wanted.sign
            self.mixed[driver] &= wanted.sign == (-1 if odd else 1)
        known = self._drivers.setdefault(wanted.source, [])
        if driver not in known:
            known.append(driver)
            self.load[driver] += 1

    def labels(self) -> dict[tuple[Source, int], int]:
        """Label of each source on each of its drivers, the lowest that is free.

        Raises
        ------
        DoesNotFitError
            A neuron finds no label that is free on all its drivers.
        """
        taken = np.zeros((len(self.load), self._spec.n_labels), np.bool_)
        chosen: dict[tuple[Source, int], int] = {}
        without = 0
        for source, drivers in self._label_groups():
            free = ~taken[drivers].any(axis=0)
            if not free.any():
                without += 1
                continue
            label = int(free.argmax())
            taken[drivers, label] = True
            chosen |= {(source, driver): label for driver in drivers}
        if without:
            raise DoesNotFitError(
                f"{without} neurons find no label that is free on all their synapse drivers: {self._spec.name} has "
                f"{self._spec.n_labels} labels and a neuron has the same one everywhere, {without} short",
                field="projections",
                hint="use fewer projections between populations",
            )
        return chosen

    def _label_groups(self) -> Iterator[tuple[Source, list[int]]]:
        """Drivers that must have the same label; neurons, which are bound most, come first."""
        for source, drivers in self._drivers.items():
            if source[0]:
                yield source, drivers
        for source, drivers in self._drivers.items():
            if not source[0]:
                yield from ((source, [driver]) for driver in drivers)


class Slot:
    """Rows that a circuit of each neuron of a population can still listen to.

    The neurons' circuits lie in one hemisphere, or those of a population without merging in several; then each of
    these hemispheres needs a row of its own.
    """

    def __init__(self, hemispheres: list[int], spec: ChipSpec) -> None:
        self._spec = spec
        self._free = {h: np.ones((2, spec.n_drivers), np.bool_) for h in hemispheres}

    def take(self, hemisphere: int, driver: int, odd: int, wanted: Input) -> None:
        """Listen to an input on a row of a driver, or on both."""
        rows = slice(None) if wanted.sign == BOTH else odd
        self._free[hemisphere][rows, driver % self._spec.n_drivers] = False

    def find(self, wanted: Input, board: Board, step: int, *, packed: bool) -> dict[int, tuple[int, int]]:
        """Best driver in each hemisphere, and whether its odd row; nothing if one of them has none left.

        Parameters
        ----------
        wanted : Input
        board : Board
        step : int
            Reluctance up to which rows are taken. If `packed`, what another circuit of the hemisphere has begun comes
            first: step 0 takes only drivers whose other row this slot uses, whatever their reluctance, and for inputs
            without a sign drivers whose rows have both signs already; the rest follows a step later.
        packed : bool
        """
        n_drivers, per_bus = self._spec.n_drivers, drivers_per_bus(self._spec)
        first, last = (0, n_drivers) if wanted.bus == ANY_BUS else (wanted.bus * per_bus, (wanted.bus + 1) * per_bus)
        usual = 0 if wanted.sign >= 0 else 1
        found = {}
        for hemisphere, free in self._free.items():
            start = hemisphere * n_drivers + first
            rows = _rows(wanted, board, start, free[:, first:last], step, packed=packed)
            here = rows[0] | rows[1]
            shared = [d - start for d in board.driven_by(wanted.source) if 0 <= d - start < len(here)]
            best = next((d for d in shared if here[d]), NOWHERE)
            if best == NOWHERE:
                load = np.where(here, board.load[start : start + len(here)], self._spec.n_labels)
                best = int(load.argmin())
                if load[best] >= self._spec.n_labels:
                    return {}
            found[hemisphere] = start + best, usual if rows[usual, best] else 1 - usual
        return found


def _rows(
    wanted: Input, board: Board, start: int, free: NDArray[np.bool_], step: int, *, packed: bool
) -> NDArray[np.bool_]:
    """Rows of the drivers from `start` on, [even or odd, n], that an input may take at a step."""
    last = start + free.shape[1]
    if wanted.sign == BOTH:
        both = free[0] & free[1] & board.mixed[start:last]
        if packed and step == 0:
            both &= board.signed(start, last)
        return np.broadcast_to(both, free.shape)
    reluctance = board.reluctance(wanted.sign, start, last)
    if not packed:
        return (reluctance <= step) & free
    if step == 0:
        return (reluctance < _NEVER) & free & ~free[::-1]
    return (reluctance < step) & free
