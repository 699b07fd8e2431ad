"""Independent reference of compressed inputs: exact sub-steps of a fraction of a tick in float64, all neurons at once.

The gains of the inputs are held for as long as is asked: for the solver's steps, or for a sub-step, which is as good as
continuous. Shares nothing with the solver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Neurons:
    """Neurons [n] without noise; times in ticks, mV above leak.

    weights [2, n_sources, n] in mV per tick; compression [4, n]: c of excitation and inhibition, h of both.
    """

    weights: Floats
    tau_mem: Floats
    tau_exc: Floats
    tau_inh: Floats
    threshold: Floats
    reset: Floats
    refractory: Floats
    compression: Floats


def gains(v: Floats, exc: Floats, inh: Floats, compression: Floats) -> tuple[Floats, Floats]:
    """What the inputs pass on."""
    c_exc, c_inh, h_exc, h_inh = compression
    up, down = np.maximum(v, 0.0), np.maximum(-v, 0.0)
    return 1.0 / (1.0 + c_exc * exc + h_exc * up), 1.0 / (1.0 + c_inh * inh + h_inh * down)


def integrate(
    neurons: Neurons, train: list[tuple[int, int]], duration: int, hold: int, per_tick: int = 8
) -> tuple[list[list[float]], Floats]:
    """Exact spike times of each neuron, and membranes [duration, n] at whole ticks, before the events of that tick.

    Parameters
    ----------
    hold : int
        Gains are held for so many sub-steps.
    per_tick : int
        Sub-steps.
    """
    n, dt = neurons.tau_mem.size, 1.0 / per_tick
    arriving = np.zeros((duration + 1, 2, n))
    for tick, source in train:
        arriving[tick] += neurons.weights[:, source]
    v, current, free = np.zeros(n), np.zeros((2, n)), np.full(n, -1.0)
    rates = 1.0 / np.stack([neurons.tau_exc, neurons.tau_inh])
    decay = np.exp(-dt * rates)
    times: list[list[float]] = [[] for _ in range(n)]
    seen = np.empty((duration, n))
    gain = np.ones((2, n))
    for k in range(duration * per_tick):
        if k % hold == 0:
            ahead = current.copy()
            for j in range(k, k + hold):  # currents at the end of what is held, events included
                if j % per_tick == 0 and j < duration * per_tick:
                    ahead += arriving[j // per_tick]
                ahead *= decay
            gain = np.stack(gains(v, ahead[0], ahead[1], neurons.compression))
        if k % per_tick == 0:
            seen[k // per_tick] = v
            current = current + arriving[k // per_tick]
        t = k * dt
        begun, before = np.clip(free, t, t + dt), v  # a refractory period ends here, or has ended before
        v = _advanced(before, current, gain, begun - t, t + dt - begun, neurons.tau_mem, rates)
        for x in np.flatnonzero(v >= neurons.threshold):
            share = (neurons.threshold[x] - before[x]) / (v[x] - before[x])  # a straight line, in a fraction of a tick
            times[x].append(float(begun[x] + share * (t + dt - begun[x])))
            free[x] = times[x][-1] + neurons.refractory[x]
            late = min(free[x] - t, dt)
            one = slice(x, x + 1)
            v[one] = _advanced(
                neurons.reset[one], current[:, one], gain[:, one], late, dt - late, neurons.tau_mem[one], rates[:, one]
            )  # fmt: skip
        current = current * decay
    return times, seen


def _advanced(
    v: Floats, current: Floats, gain: Floats, late: Floats, span: Floats, tau_mem: Floats, rates: Floats
) -> Floats:
    """Membrane after `span` ticks that begin `late` ticks after the currents are what is given."""
    u, r = v * np.exp(-span / tau_mem), 1.0 / tau_mem
    for sign, k in ((1.0, 0), (-1.0, 1)):
        difference = rates[k] - r + 1e-12  # never 0
        response = np.exp(-r * span) * -np.expm1(-difference * span) / difference
        u = u + sign * gain[k] * current[k] * np.exp(-rates[k] * late) * response
    return u
