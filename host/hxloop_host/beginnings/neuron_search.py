"""Scale and shift of each neuron's weights, searched for all neurons of a population at once with measured spikes.

More weight means earlier spikes, and in more samples. So the shift of all weights onto a neuron is bisected until its
median spike is where it shall be. Where it then spikes in too few samples its weights are made more alike, so that
samples differ less for it, and where that is not enough, its spikes come earlier than wanted; where it spikes in too
many, its weights are made less alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Chosen = NDArray[np.bool_]

_FLATTER: Final = 0.7
"""Factor of the spread of the weights onto a neuron that spikes in too few samples."""
_FLATTEST: Final = 0.3
"""Smallest scale: weights that are all the same tell nothing apart."""
_SHARES: Final = 10.0
"""tau_syn that one whole share of missing spikes is as bad as: silence is worse than a wrong time."""
_SMALLEST: Final = 1e-3
"""tau_syn or model weight: less is nothing."""


class Wanted(NamedTuple):
    """What each neuron of a population shall do.

    Attributes
    ----------
    median : float64 [n_neurons], tau_syn
        Of the first spikes of all samples, those without a spike counted as the latest.
    tolerance : float, tau_syn
        How far from that is near enough.
    lowest, highest : float
        Share of the samples in which it spikes.
    """

    median: Array
    tolerance: float
    lowest: float
    highest: float


class Seen(NamedTuple):
    """What each neuron did: shares and medians (inf: silent in half of the samples), float64 [n_neurons]."""

    share: Array
    median: Array

    @classmethod
    def of(cls, times: Array) -> Seen:
        """Of first spike times [n_samples, n_neurons] in tau_syn, inf where none."""
        n_samples = len(times)
        if not n_samples:
            return cls(np.zeros(times.shape[1]), np.full(times.shape[1], np.inf))
        share = np.isfinite(times).sum(axis=0) / n_samples
        return cls(share, np.sort(times, axis=0)[n_samples // 2])

    def misses(self, wanted: Wanted) -> Array:
        """How far each neuron is from what is wanted, float64 [n_neurons]; 0 where it is there."""
        far = np.maximum(np.abs(self.median - wanted.median) - wanted.tolerance, 0.0)
        out = np.maximum(wanted.lowest - self.share, 0.0) + np.maximum(self.share - wanted.highest, 0.0)
        return np.asarray(np.minimum(far, 1e3) + _SHARES * out)


@final
@dataclass
class NeuronSearch:
    """State of the search; `scale` and `shift` are what to try next.

    Attributes
    ----------
    wanted : Wanted
    step : float64 [n_neurons]
        First change of the shift, in model units.
    range : float
        Largest shift.
    most : float
        Largest scale.
    """

    wanted: Wanted
    step: Array
    range: float
    most: float = 4.0

    def __post_init__(self) -> None:
        n = len(self.wanted.median)
        self.scale, self.shift = np.ones(n), np.zeros(n)
        self.best_scale, self.best_shift, self.best = np.ones(n), np.zeros(n), np.full(n, np.inf)
        self._step = self.step.copy()
        self._low, self._high = np.full(n, -self.range), np.full(n, self.range)
        self._has_low, self._has_high = np.zeros(n, bool), np.zeros(n, bool)

    @property
    def is_done(self) -> bool:
        """Whether all neurons do what is wanted."""
        return bool((self.best == 0.0).all())

    def learn(self, seen: Seen) -> None:
        """Take in what the neurons did with `scale` and `shift`, and choose the next ones."""
        misses = seen.misses(self.wanted)
        better = misses < self.best
        self.best[better] = misses[better]
        self.best_scale[better], self.best_shift[better] = self.scale[better], self.shift[better]
        weak = (seen.share < self.wanted.lowest) & (self.scale <= _FLATTEST)
        late = (seen.median > self.wanted.median) | weak
        off = (np.abs(seen.median - self.wanted.median) > self.wanted.tolerance) | weak
        stuck = (self._high - self._low) < _SMALLEST  # no shift is near enough with this scale
        settled = (~off | stuck) & (self.best > 0.0)
        self._bisect(late, (self.best > 0.0) & ~settled)
        self._spread(seen.share, settled)

    def _bisect(self, late: Chosen, moving: Chosen) -> None:
        up, down = moving & late, moving & ~late
        self._low[up], self._has_low[up] = self.shift[up], True
        self._high[down], self._has_high[down] = self.shift[down], True
        between = moving & self._has_low & self._has_high
        open_up, open_down = up & ~self._has_high, down & ~self._has_low
        self.shift[open_up] += self._step[open_up]
        self.shift[open_down] -= self._step[open_down]
        self._step[open_up | open_down] *= 2.0
        self.shift[between] = 0.5 * (self._low + self._high)[between]
        at_end = moving & (np.abs(self.shift) > self.range)
        self.shift[at_end] = np.sign(self.shift[at_end]) * self.range
        self._low[at_end & late], self._high[at_end & ~late] = self.range, -self.range

    def _spread(self, share: Array, settled: Chosen) -> None:
        """Other scales, from which shifts are searched anew, near the last ones."""
        rare, often = settled & (share < self.wanted.lowest), settled & (share > self.wanted.highest)
        self.scale[rare] = np.maximum(self.scale[rare] * _FLATTER, _FLATTEST)
        self.scale[often] = np.minimum(self.scale[often] / _FLATTER, self.most)
        again = rare | often
        self._step[again] = self.step[again]
        self._has_low[again] = self._has_high[again] = False
        self._low[again], self._high[again] = -self.range, self.range
