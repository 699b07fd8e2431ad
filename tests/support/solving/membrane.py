"""Independent first spike times for tests of the learning rules: the membrane written down, roots by bracketing.

Shares nothing with `hxloop_host.learning`; no closed form of a spike time is used. Times in tau_syn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

_ROOT = {"xtol": 1e-15, "rtol": 1e-15, "maxiter": 200}
_AFTER_LAST = 60.0  # longer than any membrane needs to its peak after the last input


@dataclass(frozen=True)
class Spike:
    """time: inf for none. slope: of the membrane there. margin: highest membrane (until the next input) - threshold."""

    time: float
    slope: float
    margin: float


def _psp(s, tau_ratio):
    return s * np.exp(-s) if tau_ratio == 1 else 2.0 * (np.exp(-s / 2) - np.exp(-s))


def _psp_slope(s, tau_ratio):
    return (1 - s) * np.exp(-s) if tau_ratio == 1 else 2.0 * np.exp(-s) - np.exp(-s / 2)


def first_spike(t_in, w, tau_ratio, threshold):
    """First spike of one neuron; `t_in`, `w` [n_in]."""
    present = np.isfinite(t_in)
    t_in, w = t_in[present], w[present]
    starts = np.unique(t_in)
    ends = np.append(starts[1:], starts[-1:] + _AFTER_LAST)
    highest = -np.inf
    for start, end in zip(starts, ends, strict=True):
        causes = t_in <= start
        t_c, w_c = t_in[causes], w[causes]

        def u(t, t_c=t_c, w_c=w_c):
            return float(w_c @ _psp(t - t_c, tau_ratio)) - threshold

        def slope(t, t_c=t_c, w_c=w_c):
            return float(w_c @ _psp_slope(t - t_c, tau_ratio))

        peak = end
        if slope(start) > 0 > slope(end):  # one extremum at most between two inputs
            peak = brentq(slope, start, end, **_ROOT)
        highest = max(highest, u(peak))
        if u(peak) >= 0:
            time = brentq(u, start, peak, **_ROOT) if u(start) < 0 else start
            return Spike(time, slope(time), highest)
    return Spike(np.inf, np.nan, highest)


def layer_times(t_in, w, tau_ratio, threshold):
    """First spikes of a layer; `t_in` [n_samples, n_in], `w` [n_in, n_out]; object array [n_samples, n_out]."""
    return np.array([[first_spike(row, column, tau_ratio, threshold) for column in w.T] for row in t_in], object)


def times_of(spikes):
    """Times of an array of spikes."""
    return np.vectorize(lambda spike: spike.time, otypes=[float])(spikes)


def first_spike_by_integration(t_in, w, tau_ratio, threshold):
    """The same from the differential equations alone, by Runge-Kutta steps with dense output; good to about 1e-9."""
    state = np.zeros(2)
    events = np.unique(t_in[np.isfinite(t_in)])
    for start, end in zip(events, np.append(events[1:], events[-1:] + _AFTER_LAST), strict=True):
        state = state + np.array([0.0, w[t_in == start].sum()])

        def crossing(_, y):
            return y[0] - threshold

        crossing.terminal, crossing.direction = True, 1
        done = solve_ivp(
            lambda _, y: [-y[0] / tau_ratio + y[1], -y[1]],
            (start, end),
            state,
            method="DOP853",
            rtol=1e-12,
            atol=1e-13,
            max_step=0.1,
            events=crossing,
        )
        if done.t_events[0].size:
            return done.t_events[0][0]
        state = done.y[:, -1]
    return np.inf


def central_difference(function, array, step):
    """Derivative of a scalar function with respect to each element of `array`, of 4th order in `step`."""
    derivative = np.empty(array.shape)
    for index in np.ndindex(array.shape):
        moved = []
        for k in (1, -1, 2, -2):
            shifted = array.copy()
            shifted[index] += k * step
            moved.append(float(function(shifted)))
        derivative[index] = (8 * (moved[0] - moved[1]) - (moved[2] - moved[3])) / (12 * step)
    return derivative
