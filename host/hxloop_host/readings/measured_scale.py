"""How strong weights are and where thresholds lie on a chip, in units of its readings: least squares on recordings.

What one reading says of the next is linear in the strength of a neuron's excitatory and inhibitory weights, so both
follow from any recording in which events arrive. Where a membrane was as its neuron spiked is its threshold. Sums go on
over recordings; before there are any, everything is nominal.

References
----------
Cramer, Billaudelle et al., PNAS 119:e2109194119 (2022): weights and traces scaled to the model by measured factors, one
for all neurons; here each neuron has its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from hxloop.errors import ArrayError
from hxloop_host.readings.kernels import MEMBRANE, add_crossings, predict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.rule import Recording, State, Strength, Weights
    from hxloop_host.readings.reading_grid import ReadingGrid

    Array = NDArray[np.float64]
    Floats = NDArray[np.floating[Any]]

READING_STD: Final = 0.015
"""Of what a reading says of the next, in thresholds: the CADC's noise of 0.7 and rounding of 0.3 LSB, twice, at some 70
LSB a threshold."""
FACTOR_STD: Final = 0.2
"""Spread of strengths and thresholds, in their nominal values, that is believed before anything was measured (assumed;
residual mismatch is 5 to 10 %)."""
CROSSING_STD: Final = 0.1
"""Of a membrane at one spike, in thresholds (assumed: noise of the membrane, and what a reading is off)."""
FACTORS: Final = (0.2, 5.0)
"""What a factor can be (assumed): others are errors of the measurement."""
READINGS: Final = 4000
"""Readings of a neuron that are measured of one recording: with as many, factors are known to a per cent."""
STATE: Final = ("normal", "right", "crossings", "crossed")


@final
class MeasuredScale:
    """Sums of what was measured, and what follows from them.

    Parameters
    ----------
    n_neurons : int
    """

    def __init__(self, n_neurons: int) -> None:
        self.normal = np.zeros((n_neurons, 3, 3))
        self.right = np.zeros((n_neurons, 3))
        self.crossings = np.zeros(n_neurons)
        self.crossed = np.zeros(n_neurons)

    def add(self, grid: ReadingGrid, recording: Recording) -> None:
        """Measure a recording with all spikes and the membranes of some populations."""
        n_samples = min(recording.n_samples, max(1, READINGS // max(1, len(recording.membrane_times_us))))
        v, exc, inh, held = what_is_known(grid, recording, recording.weights, n_samples)
        left = grid.decay[MEMBRANE]
        rises = v[:, 1:] - left * v[:, :-1] + held[:, 1:]
        used = grid.undisturbed(recording)[:n_samples]
        # What a neuron reads at rest is only known as well as its first readings: it is fitted with the rest.
        columns = [np.broadcast_to(1.0 - left, rises.shape) * used, exc[:, 1:] * used, inh[:, 1:] * used]
        for a in range(3):
            self.right[:, a] += np.einsum("skn,skn->n", columns[a], rises, dtype=np.float64)
            for b in range(3):
                self.normal[:, a, b] += np.einsum("skn,skn->n", columns[a], columns[b], dtype=np.float64)
        weights = grid.flat([w * f for w, f in zip(recording.weights, self.factors(grid, recording), strict=True)])
        add_crossings(
            v, grid.quiet_ticks, grid.inputs(recording), grid.spikes(recording), grid.links, weights,
            grid.kernels, grid.decay, grid.period, grid.delay, self.crossings, self.crossed,
        )  # fmt: skip

    def strengths(self) -> Array:
        """float64 [2, n_neurons]: measured over nominal strength of excitatory and inhibitory weights."""
        believed = np.eye(3) * (READING_STD / FACTOR_STD) ** 2
        fitted = np.linalg.solve(self.normal + believed, (self.right + believed @ [0.0, 1.0, 1.0])[..., None])
        return np.clip(fitted[:, 1:, 0].T, *FACTORS)

    def factors(self, grid: ReadingGrid, recording: Recording) -> Weights:
        """Measured over nominal strength, per projection [n_sources * copies, n_target]; a code of 0 is excitatory."""
        exc, inh = self.strengths()
        found = []
        for projection, codes in zip(grid.network.projections, recording.codes, strict=True):
            part = grid.part[projection.target]
            found.append(np.where(codes < 0, inh[part], exc[part]))
        return found

    def thresholds(self, nominal: Array) -> Array:
        """float64 [n_neurons]: thresholds in units of the readings, infinite where a neuron has none."""
        believed = (CROSSING_STD / FACTOR_STD) ** 2
        with np.errstate(invalid="ignore"):
            found = (believed * nominal + self.crossed) / (believed + self.crossings)
        return np.where(np.isfinite(nominal), np.clip(found, nominal * FACTORS[0], nominal * FACTORS[1]), nominal)

    def state(self) -> State:
        """Sums."""
        return {name: getattr(self, name).copy() for name in STATE}

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from sums.

        Raises
        ------
        ArrayError
            One is missing, or of another shape.
        """
        for name in STATE:
            if name not in state or np.shape(state[name]) != getattr(self, name).shape:
                raise ArrayError("is missing, or of another network", field=f"rule state {name}")
            setattr(self, name, np.array(state[name], np.float64))


def measured(
    scale: MeasuredScale, grid: ReadingGrid, recording: Recording, strength: Strength | None
) -> tuple[Weights, Array]:
    """Factors of the weights, and thresholds: those of the calibration where there is one, else those measured here."""
    if strength is None:
        factors = scale.factors(grid, recording)
    else:
        factors = [strength.factor(k, codes) for k, codes in enumerate(recording.codes)]
    return factors, scale.thresholds(grid.threshold.astype(np.float64))


def what_is_known(
    grid: ReadingGrid, recording: Recording, weights: Weights, n_samples: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Membranes of the first samples, and what adds to each since the reading before.

    Returns
    -------
    v, exc, inh, held : [n_samples, n_reads, n_neurons]
        Readings, what excitatory and inhibitory events add to them, and what adaptation takes away.
    """
    v = grid.membranes(recording)[:n_samples]
    exc, inh, held = (np.zeros_like(v) for _ in range(3))
    predict(
        v, grid.inputs(recording), grid.spikes(recording), grid.links, grid.flat(weights), grid.kernels,
        grid.decay, grid.period, grid.delay, exc, inh, held,
    )  # fmt: skip
    return v, exc, inh, held


def modelled_membranes(grid: ReadingGrid, recording: Recording, weights: Weights) -> dict[str, NDArray[np.float32]]:
    """Each reading as the one before and the events since then have it, NaN around spikes.

    Returns
    -------
    dict of str to float32 [n_samples, n_reads, size]
        Of the populations whose membranes were read.
    """
    v, exc, inh, held = what_is_known(grid, recording, weights, recording.n_samples)
    found = exc + inh - held
    found[:, 1:] += grid.decay[MEMBRANE] * v[:, :-1]
    found[:, 1:][~grid.undisturbed(recording)] = np.nan
    return {name: found[:, :, grid.part[name]].astype(np.float32) for name in recording.membranes}
