"""Independent reference for one neuron of any model: its differential equations integrated by scipy.

Shares nothing with the emulator. Times in ticks, potentials in mV above leak, currents in mV per tick.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf

import numpy as np
from scipy.integrate import solve_ivp

_LONGEST_STEP = 8.0  # so that no peak is stepped over
_ACCURACY = {"rtol": 1e-12, "atol": 1e-12}


@dataclass(frozen=True)
class Neuron:
    """Adaptive exponential integrate-and-fire neuron with current- or conductance-based inputs.

    adaptation: (tau_w, a, b, rest) or None. exponential: (current at `at`, at, slope) or None. coba_exc, coba_inh:
    (modulation, reversal) or None.
    """

    tau_mem: float
    tau_exc: float
    tau_inh: float
    threshold: float
    reset: float
    refractory: float
    adaptation: tuple[float, float, float, float] | None = None
    exponential: tuple[float, float, float] | None = None
    coba_exc: tuple[float, float] | None = None
    coba_inh: tuple[float, float] | None = None

    def membrane_slope(self, u, w, exc, inh):
        if self.coba_exc:
            exc *= self.coba_exc[0] * (self.coba_exc[1] - u)
        if self.coba_inh:
            inh *= self.coba_inh[0] * (u - self.coba_inh[1])
        upswing = 0.0
        if self.exponential:
            current, at, slope = self.exponential
            upswing = current * exp(min((u - at) / slope, 600.0))
        return -u / self.tau_mem + exc - inh - w + upswing

    def slopes(self, y, held):
        u, w, exc, inh = y
        dw = 0.0
        if self.adaptation:
            tau_w, a, _, rest = self.adaptation
            dw = (a * (u - rest) - w) / tau_w
        return [0.0 if held else self.membrane_slope(u, w, exc, inh), dw, -exc / self.tau_exc, -inh / self.tau_inh]


@dataclass(frozen=True)
class Solution:
    """Exact spike times, and the membrane at the wanted times (before the reset at a spike)."""

    spikes: np.ndarray
    trace: np.ndarray


def integrate(neuron: Neuron, events: list[tuple[float, float, float]], duration: float, read_at=()) -> Solution:
    """Run from rest. events: (time, excitatory step, inhibitory step), sorted. read_at: times, ascending."""
    read_at = np.asarray(read_at, np.float64)
    trace = np.full(read_at.shape, np.nan)
    trace[read_at == 0.0] = 0.0
    spikes, y, t, free = [], np.zeros(4), 0.0, -inf
    pending = [*events, (inf, 0.0, 0.0)]

    def crossing(_, y):
        return y[0] - neuron.threshold

    crossing.terminal, crossing.direction = True, 1
    while t < duration:
        while pending[0][0] <= t:
            _, exc, inh = pending.pop(0)
            y = np.add(y, (0.0, 0.0, exc, inh))
        held = t < free
        stop = min(pending[0][0], duration, free if held else inf)
        run = solve_ivp(
            lambda _, y, held=held: neuron.slopes(y, held), (t, stop), y, "DOP853", max_step=_LONGEST_STEP,
            events=None if held else crossing, dense_output=read_at.size > 0, **_ACCURACY,
        )  # fmt: skip
        wanted = (read_at > t) & (read_at <= run.t[-1])
        if wanted.any():
            trace[wanted] = run.sol(read_at[wanted])[0]
        t, y = run.t[-1], run.y[:, -1]
        if run.status == 1:
            spikes.append(t)
            free = t + neuron.refractory
            y[0] = neuron.reset
            if neuron.adaptation:
                y[1] += neuron.adaptation[2]
    return Solution(np.array(spikes), trace)
