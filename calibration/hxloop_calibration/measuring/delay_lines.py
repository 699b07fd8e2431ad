"""Delay neurons on the bench: all pairs of circuits at once, each with a trigger on every driver.

A pair is a column: the circuit of the first hemisphere is its head, as `hxloop_host.placing` places them. A driver has
one label for each group of columns, so that an event makes few pairs spike at once, and their spikes find the link to
the host free. Channel ``driver * n_labels + label`` drives one group on one driver. The groups of a sample are driven
by different drivers, because what a driver gives is less soon after another event: turn t drives group l by the driver
number t + l.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes.operating_point import Wanted, codes_for
from hxloop.codes.relay_point import RELAY, RELAY_CIRCUITS, RELAY_CODE
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop.spikes import SpikeBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop.codes.boot import BootSettings
    from hxloop.spec import ChipSpec

    Ints = NDArray[np.int64]

_BEGIN_TICKS, _APART_TICKS = 512, 128
_MARGIN_US: Final = 6.0  # after the last delay: later spikes are none of a trigger that works


@dataclass(frozen=True, eq=False)
class DelayLines:
    """Delay neurons and their triggers.

    Attributes
    ----------
    spec : ChipSpec
    n_pairs : int
        The first columns; by default all.
    drivers : tuple of int
        Drivers of the first hemisphere with triggers.
    """

    spec: ChipSpec
    n_pairs: int
    drivers: tuple[int, ...]

    @classmethod
    def of_chip(cls, spec: ChipSpec) -> DelayLines:
        """All there are on a chip."""
        return cls(spec, spec.n_columns, tuple(range(spec.n_drivers)))

    @property
    def group(self) -> Ints:
        """int64 [n_pairs]: label of each pair."""
        return np.arange(self.n_pairs) % self.spec.n_labels

    def config(self, boot: BootSettings) -> ChipConfig:
        """Configuration with codes of delay neurons that follow from those of `boot`, as in networks."""
        spec, pair = self.spec, np.arange(self.n_pairs)
        circuit = (pair[:, None] + spec.n_columns * np.arange(RELAY_CIRCUITS)).ravel().astype(np.int16)
        head = np.repeat(pair, RELAY_CIRCUITS).astype(np.int16)
        neurons = codes_for(Wanted.at(RELAY, circuit, head), boot, spec)
        sign = np.zeros((spec.n_hemispheres, spec.n_rows), np.int8)
        sign[:, 0::2], sign[:, 1::2] = 1, -1
        driver, label = np.array(self.drivers), np.arange(spec.n_labels)
        shape = (len(driver), self.n_pairs)
        n = len(driver) * self.n_pairs
        weight: NDArray[np.int8] | NDArray[np.float64] = np.full(n, RELAY_CODE, np.int8)
        weight = weight.astype(np.float64) if spec.continuous_weights else weight
        synapses = Synapses(
            np.broadcast_to(pair, shape).ravel().astype(np.int16),
            np.repeat(2 * driver, self.n_pairs).astype(np.int16),
            np.broadcast_to(self.group, shape).ravel().astype(np.uint8),
            weight,
        )
        routes = Routes(
            self._channel(driver[:, None], label).ravel().astype(np.int32),
            np.repeat(driver, spec.n_labels).astype(np.int16),
            np.tile(label, len(driver)).astype(np.uint8),
        )
        return ChipConfig(neurons, boot.shared, synapses, sign, routes, Routes.none(), delayed=pair.astype(np.int16))

    def counters(self, config: ChipConfig, counter: float) -> NDArray[np.uint8] | NDArray[np.float64]:
        """The same counter for all circuits of a configuration."""
        return np.full_like(config.neurons.refractory_counter, counter)

    def with_counter(self, config: ChipConfig, counter: float) -> ChipConfig:
        """Configuration whose delays all have this counter."""
        return replace(config, neurons=replace(config.neurons, refractory_counter=self.counters(config, counter)))

    def events(self, turns: Sequence[int], repeats: int) -> SpikeBatch:
        """One event at every pair per sample, `repeats` samples of each turn, turn by turn."""
        label = np.arange(self.spec.n_labels)
        driver = np.array(self.drivers)[(np.repeat(np.asarray(turns), repeats)[:, None] + label) % len(self.drivers)]
        sample = np.repeat(np.arange(len(driver)), len(label))
        tick = np.broadcast_to(_BEGIN_TICKS + _APART_TICKS * label, driver.shape)
        return SpikeBatch.from_arrays(sample, tick.ravel(), self._channel(driver, label).ravel(), len(driver))

    def number(self, turns: Sequence[int]) -> Ints:
        """int64 [n_turns, n_pairs]: number of the driver, in `drivers`, that drives a pair in a turn."""
        return (np.asarray(turns)[:, None] + self.group) % len(self.drivers)

    def duration_us(self, longest_us: float) -> float:
        """Length of samples in which delays up to this one end."""
        return (_BEGIN_TICKS + _APART_TICKS * self.spec.n_labels) * self.spec.tick_us + longest_us + _MARGIN_US

    def delays_us(self, spikes: SpikeBatch, repeats: int) -> NDArray[np.float64]:
        """Delays that spikes show, in us.

        Parameters
        ----------
        spikes : SpikeBatch
            Of a run with `events`.
        repeats : int
            As given to it.

        Returns
        -------
        float64 [n_turns, n_repeats, n_pairs]
            Turns in the order given to `events`; NaN where there is no spike after the event.
        """
        begun = _BEGIN_TICKS + _APART_TICKS * self.group
        first = np.full((spikes.n_samples, self.n_pairs), np.inf)
        mine = spikes.source < self.n_pairs
        sample, pair, tick = spikes.sample[mine], spikes.source[mine], spikes.tick[mine]
        after = tick > begun[pair]
        np.minimum.at(first, (sample[after], pair[after]), tick[after].astype(np.float64))
        late = np.where(np.isfinite(first), first - begun, np.nan) * self.spec.tick_us
        return late.reshape(-1, repeats, self.n_pairs)

    def _channel(self, driver: Ints, label: Ints) -> Ints:
        return np.asarray(driver * self.spec.n_labels + label)
