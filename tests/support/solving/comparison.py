"""Measured spikes against the reference, neuron by neuron."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np
from support.solving.networks import random_network
from support.solving.reference import Reference, solve

if TYPE_CHECKING:
    from hxloop.chip import Chip
    from hxloop.spikes import SpikeBatch

GRAZING = 1e-6
"""A peak within this fraction of (threshold - leak) of the threshold may or may not be a spike."""
SAME_SPIKE_TICKS = 60
"""Further apart, two spikes are taken as one missing and one extra."""
NEARBY_TICKS = 4
"""An extra spike belongs to a grazing peak at most this far away."""


@dataclass
class Tally:
    """Counts over any number of runs; `worst`: (sample, source, tick, error in ticks) of what is wrong, at most ten."""

    compared: int = 0
    flips: int = 0
    max_tick_error: int = 0
    missing: int = 0
    extra: int = 0
    grazing: int = 0
    not_compared: int = 0
    worst: list[tuple[object, ...]] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Every spike within one tick, none missing, none extra."""
        return self.max_tick_error <= 1 and self.missing == 0 and self.extra == 0

    def add(self, other: Tally) -> None:
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            if item.name == "max_tick_error":
                self.max_tick_error = max(mine, theirs)
            else:
                setattr(self, item.name, mine + theirs)

    def note(self, *what: object) -> None:
        if len(self.worst) < 10:
            self.worst.append(what)


def compare(measured: SpikeBatch, reference: Reference) -> Tally:
    """Compare all spikes of all neurons.

    After a grazing spike that only one side has, the rest of that neuron's sample is counted as not compared, because
    the membrane was reset on one side only.
    """
    tally = Tally()
    mine, theirs = _trains(measured), _trains(reference.spikes)
    near = {
        key: (reference.near_tick[k], reference.near_margin[k])
        for key, k in _group(reference.near_sample, reference.near_source).items()
    }
    for key in sorted(mine.keys() | theirs.keys()):
        a, b = mine.get(key, _NONE), theirs.get(key, _NONE)
        _walk(key, measured.tick[a], reference.spikes.tick[b], reference.margin[b], near.get(key), tally)
    return tally


_NONE = np.empty(0, np.int64)


def _group(sample, source):
    if not len(sample):
        return {}
    order = np.lexsort((np.arange(len(sample)), source, sample))
    starts = np.flatnonzero(np.diff(sample[order], prepend=-1) | np.diff(source[order], prepend=-1))
    return {(int(sample[part[0]]), int(source[part[0]])): part for part in np.split(order, starts[1:])}


def _trains(spikes: SpikeBatch):
    return _group(spikes.sample, spikes.source)


def _walk(key, measured, expected, margin, near, tally: Tally) -> None:
    i = j = 0
    while i < len(measured) or j < len(expected):
        m = measured[i] if i < len(measured) else np.inf
        e = expected[j] if j < len(expected) else np.inf
        error = 0 if m == e else m - e
        if abs(error) <= SAME_SPIKE_TICKS:
            tally.compared += 1
            tally.flips += error != 0
            tally.max_tick_error = max(tally.max_tick_error, int(abs(error)))
            if abs(error) > 1:
                tally.note(*key, int(e), int(error))
            i, j = i + 1, j + 1
            continue
        if error > 0:
            excused, kind = margin[j] <= GRAZING, "missing"
            j += 1
        else:
            excused = near is not None and bool(((abs(near[0] - m) <= NEARBY_TICKS) & (near[1] <= GRAZING)).any())
            kind = "extra"
            i += 1
        if excused:
            tally.grazing += 1
            tally.not_compared += max(len(measured) - i, len(expected) - j)
            return
        setattr(tally, kind, getattr(tally, kind) + 1)
        tally.note(*key, int(min(m, e)), kind)


def check_network(chip: Chip, index: int, seed: int) -> tuple[Tally, int]:
    """Run random network number `index` on a chip and compare; also the number of its neurons."""
    network = random_network(index, seed)
    plan = network.plan
    chip.configure(network.config)
    result = chip.run(network.inputs, duration_ticks=plan.duration_ticks)
    reference = solve(network.config, chip.spec, network.inputs, plan.duration_ticks, measured=result.spikes)
    return compare(result.spikes, reference), sum(plan.sizes)
