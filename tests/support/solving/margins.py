"""Circuits and inputs at the margins of the solver's short cuts, and how spikes of two paths are compared."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st
from support.solving.bare_solver import Spikes, make_circuit, make_inputs, make_trial, solve

from hxloop.seeds import generator
from hxloop_chip.solver import layout as at

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRAZING = 1e-6
"""A peak within this fraction of (threshold - leak) of the threshold may or may not be a spike."""
DURATION, N_SAMPLES = 700, 2
ALL_NOISE = {
    at.SIGMA_THRESHOLD: 4.0, at.SIGMA_AMPLITUDE: 0.05, at.SIGMA_JITTER: 3.0, at.SIGMA_MEMBRANE: 2.0,
    at.SIGMA_DRIFT: 2.0,
}  # fmt: skip
_SIZES = (1, 2, 15, 16, 17, 63, 64, 65, 130)
_EDGES = (0, 1, 62, 63, 64, 65, 127, 128, 191, 192)
_REFRACTORY = (0.0, 0.5, 7.25, 63.0, 64.0, 65.5, 128.0, 300.0)
_TAUS = {  # ticks: of membrane, excitation, inhibition; 40 ticks are 0.3 us
    "short": ((40, 125),) * 3,
    "short currents": ((200, 3000), (40, 125), (40, 125)),
    "short membrane": ((40, 125), (200, 2000), (200, 2000)),
    "any": ((60, 3000), (60, 2000), (60, 2000)),
}


REGIMES = (*_TAUS, "equal", "twice", "alike", "currents alike")


@dataclass(frozen=True)
class Case:
    """How a circuit is made (arguments of `make_circuit`), and its inputs (lists of (tick, source) of each sample)."""

    kind: tuple[object, ...]
    weights: NDArray[np.float64] = field(repr=False)
    options: dict[str, Any] = field(repr=False)
    trains: list[list[tuple[int, int]]] = field(repr=False)

    def circuit(self, stretch: float = 1.0) -> at.Circuit:
        """Circuit with all thresholds multiplied by `stretch`."""
        return make_circuit(self.weights, **{**self.options, "threshold": self.options["threshold"] * stretch})

    @property
    def apart(self) -> Case:
        """The same with currents that decay alike to a part in 10^12, so that each is carried by itself."""
        return replace(self, options={**self.options, "tau_inh": self.options["tau_inh"] * (1 + 1e-12)})

    @property
    def inputs(self) -> at.Inputs:
        return make_inputs(*self.trains)

    @property
    def kept_alive(self) -> at.Inputs:
        """The same with an event far behind the end, so that no sample ends early."""
        return make_inputs(*[[*train, (10**9, 0)] for train in self.trains])


def _time_constants(regime: str, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if regime == "equal":
        return np.broadcast_to(rng.uniform(60, 1500, n), (3, n)).copy()
    if regime == "alike":
        return rng.uniform(400, 1500, (3, 1)) * rng.uniform(0.85, 1.2, (3, n))
    if regime == "twice":
        tau = rng.uniform(60, 1000, n)
        return np.stack([2 * tau, tau, tau])
    if regime == "currents alike":
        tau_mem, tau = rng.uniform(60, 2000, (2, n))
        return np.stack([tau_mem, tau, tau])
    return np.stack([rng.uniform(low, high, n) for low, high in _TAUS[regime]])


def _train(pattern: str, n_inputs: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Events of a sample: on the edges of steps, all at once, many in each step, few."""
    if pattern == "edges":
        tick = rng.choice(_EDGES, 12)
    elif pattern == "at once":
        tick = np.repeat(rng.choice([0, 5, 63, 64, 200]), 30)
    elif pattern == "dense":
        tick = rng.integers(0, 256, 120)
    else:
        tick = rng.integers(0, 500, 8)
    return list(zip(tick.tolist(), rng.integers(0, n_inputs, tick.size).tolist(), strict=True))


def _free_peaks(weights: NDArray[np.float64], tau: NDArray[np.float64], trains: list[list[tuple[int, int]]]) -> Any:
    """Highest membrane of each neuron if it never spiked; a maximum between two ticks by a parabola."""
    peak, s = np.zeros(weights.shape[2]), np.arange(DURATION)[:, None]
    answer = {}  # of a source: membranes after an event
    for source in {source for train in trains for _, source in train}:
        answer[source] = np.zeros((DURATION, weights.shape[2]))
        for step, x in ((weights[0, source], tau[1]), (-weights[1, source], tau[2])):
            rate = 1 / x - 1 / tau[0] + 1e-9  # never 0
            answer[source] += step * np.exp(-s / tau[0]) * -np.expm1(-rate * s) / rate
    for train in trains:
        u = np.zeros((DURATION, weights.shape[2]))
        for tick, source in train:
            u[tick:] += answer[source][: DURATION - tick]
        top = np.clip(u.argmax(axis=0), 1, DURATION - 2)
        a, b, c = (np.take_along_axis(u, (top + k)[None], 0)[0] for k in (-1, 0, 1))
        bend = 2 * b - a - c
        peak = np.maximum(peak, b + np.where(bend > 0, (c - a) ** 2 / (8 * np.maximum(bend, 1e-12)), 0.0))
    return peak


@st.composite
def cases(draw: st.DrawFn, *, recurrent: bool, regimes: tuple[str, ...] = REGIMES) -> Case:
    """Neurons that are driven to about their thresholds, by hairs more or less, or far beyond."""
    n, n_inputs = draw(st.sampled_from(_SIZES)), draw(st.integers(1, 6))
    regime = draw(st.sampled_from(regimes))
    pattern = draw(st.sampled_from(["edges", "at once", "dense", "sparse"]))
    strength = draw(st.sampled_from(["grazing", 1.5, 6.0, 40.0][: 3 if recurrent else 4]))
    refractory = draw(st.sampled_from([None, *_REFRACTORY]))
    signs = draw(st.sampled_from(["excitatory", "one per source", "one per synapse", "both"]))
    seed = draw(st.integers(0, 2**32))
    rng = generator(seed, "margins")

    tau = _time_constants(regime, n, rng)
    trains = [_train(pattern, n_inputs, rng) for _ in range(N_SAMPLES)]
    n_sources = n_inputs + n * recurrent
    size = rng.uniform(0.1, 1.0, (2, n_sources, n)) * (rng.random((n_sources, n)) < 0.8)
    size[1] *= 0.5
    size[:, n_inputs:] *= 1.0 / n if strength == "grazing" else 5.0 / n / strength**2
    if signs == "excitatory":
        size[1] = 0.0
    elif signs != "both":
        negative = rng.random((n_sources, 1) if signs == "one per source" else (n_sources, n)) < 0.3
        size[0] *= ~negative
        size[1] *= negative
    threshold = rng.uniform(50, 400, n)
    beyond = strength
    if strength == "grazing":
        beyond = 1.0 + rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(-6, -1, n)
    peak = _free_peaks(size, tau, trains)
    size *= np.where(peak > 1.0, threshold * beyond / np.maximum(peak, 1.0), 0.0)
    reset = rng.choice([0.0, -100.0, 0.9], n) * np.where(rng.random(n) < 0.5, 1.0, threshold)
    held = rng.choice(_REFRACTORY, n) if refractory is None else np.full(n, refractory)
    options = {
        "tau_mem": tau[0], "tau_exc": tau[1], "tau_inh": tau[2], "threshold": threshold,
        "reset": np.clip(reset, -200.0, 0.9 * threshold),
        "refractory": np.maximum(held, 5.5 * recurrent), "sigma_membrane": 2.0,
        "neuron_source": n_inputs + np.arange(n) if recurrent else -1,
    }  # fmt: skip
    return Case((n, n_inputs, regime, pattern, strength, refractory, signs, seed), size, options, trains)


def trial_of(noise: bool, *, event_by_event: bool = False, **options: Any) -> at.Trial:
    """Trial with all noise or none."""
    return make_trial(
        DURATION, ALL_NOISE if noise else None, drift_samples=3.0, event_by_event=event_by_event, **options
    )


def _same(a: NDArray[np.int64], b: NDArray[np.int64], until: int) -> bool:
    """Equal to one tick before tick `until`, and none missing but perhaps the last one, in the last two ticks."""
    m = min(a.size, b.size)
    close = bool((np.abs(a[:m] - b[:m])[np.minimum(a[:m], b[:m]) < until] <= 1).all())
    return close and all(rest.size == 0 or rest[0] >= until - 1 for rest in (a[m:], b[m:]))


def _trains(spikes: Spikes, n: int) -> list[list[NDArray[np.int64]]]:
    return [[spikes.of(k, neuron) for neuron in range(n)] for k in range(N_SAMPLES)]


def assert_same_spikes(case: Case, noise: bool, found: Spikes, expected: Spikes, *, grazing: float = GRAZING) -> int:
    """Spikes equal to one tick, but for neurons with a peak that grazes: there a threshold moved by `grazing` decides.

    In a recurrent network what hangs on a spike that fell on the other tick is not compared. Returns the number of
    spikes compared.
    """
    n, compared, moved = case.weights.shape[2], 0, None
    recurrent = np.max(case.options["neuron_source"]) >= 0
    delay = case.circuit().delay
    pairs = zip(_trains(found, n), _trains(expected, n), strict=True)
    for k, (mine, theirs) in enumerate(pairs):
        until = DURATION
        if recurrent:
            first = [_first_difference(a, b) for a, b in zip(mine, theirs, strict=True)]
            until = min(DURATION, min(first) + delay)
        for neuron in range(n):
            compared += mine[neuron].size
            if _same(mine[neuron], theirs[neuron], until):
                continue
            if moved is None:
                moved = [
                    _trains(solve(case.circuit(s), case.inputs, trial_of(noise, event_by_event=True)), n)
                    for s in (1 - grazing, 1 + grazing)
                ]
            low, high = moved[0][k], moved[1][k]
            grazes = not _same(low[neuron], high[neuron], until)
            assert grazes, (k, neuron, until, mine[neuron], theirs[neuron])
    return compared


def _first_difference(a: NDArray[np.int64], b: NDArray[np.int64]) -> int:
    m = min(a.size, b.size)
    differ = np.flatnonzero(a[:m] != b[:m])
    if differ.size:
        return int(min(a[differ[0]], b[differ[0]]))
    return int(np.concatenate([a[m:], b[m:], [10**9]])[0])
