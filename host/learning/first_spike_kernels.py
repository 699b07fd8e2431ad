"""Compiled loops of `host.learning.first_spike`: spike times and gradients without [sample, input, output] arrays.

All exponentials are taken relative to a nearby time, never of a time itself, so that late spikes neither overflow nor
lose digits. Everything is computed in a fixed order by one thread: results do not depend on the machine's load.
"""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201, ANN202, SIM108, PLR1714
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

import math

import numpy as np
from numba import njit

_jit = njit(cache=True, nogil=True, error_model="numpy")

_INV_E = 0.36787944117144233
_INV_E_REST = -1.2428753672788363e-17  # 1/e - _INV_E
_BAND = 500.0  # tau_syn; exp(2 * 500 / 2) and exp(-500) are far inside float64


@_jit
def lambert_w0(z):
    """Principal branch of the Lambert W function; NaN below -1/e.

    Halley's iteration from the branch-point series or a logarithm (Corless et al., "On the Lambert W function",
    Adv. Comput. Math. 5, 329-359, 1996, eqs. 4.22 and 5.9).
    """
    if z == 0.0 or z == math.inf:
        return z
    above = (z + _INV_E) + _INV_E_REST
    if not above > -2e-17:  # one rounding step of -1/e itself still counts as -1/e
        return math.nan
    p = math.sqrt(max(2.0 * math.e * above, 0.0))
    if p < 1.2:
        w = -1.0 + p * (1.0 - p * (1 / 3 - p * (11 / 72 - p * (43 / 540 - p * (769 / 17280 - p * (221 / 8505))))))
        if p < 6e-3:  # the series is exact to rounding, and Halley's quotient would cancel
            return w
    elif z < 3.0:
        w = z / (1.0 + z) if z < 1.0 else 0.5 * math.log1p(z) + 0.25
    else:
        w = math.log(z) - math.log(math.log(z))
    for _ in range(20):
        e_w = math.exp(w)
        f = w * e_w - z
        step = f / (e_w * (w + 1.0) - 0.5 * (w + 2.0) * f / (w + 1.0))
        w -= step
        if abs(step) <= 1e-15 * abs(w):
            break
    return w


@_jit
def _wait_1(v, i, d, v_end, threshold):
    """Time s in 0..d until ``u(s) = (v + i s) exp(-s)`` (tau_mem = tau_syn) reaches threshold, or inf."""
    r = v / i
    if v_end < threshold and not (0.0 < 1.0 - r < d and i * math.exp(r - 1.0) >= threshold):
        return math.inf
    w = lambert_w0(-(threshold / i) * math.exp(-r))
    s = (1.0 if math.isnan(w) else -w) - r  # NaN: touches, up to rounding
    return min(max(s, 0.0), d)


@_jit
def _wait_2(v, i, d, v_end, threshold):
    """The same for tau_mem = 2 tau_syn, ``u(s) = (v + 2 i) y - 2 i y^2`` with ``y = exp(-s / 2)``."""
    b = v + 2.0 * i
    discriminant = b * b - 8.0 * i * threshold
    if v_end < threshold:
        y_peak = b / (4.0 * i)
        if discriminant < 0.0 or not 0.0 < y_peak < 1.0 or -2.0 * math.log(y_peak) >= d:
            return math.inf
    s = -2.0 * math.log((b + math.sqrt(max(discriminant, 0.0))) / (4.0 * i))
    return min(max(s, 0.0), d)


@_jit
def first_spike_times(t_in, order, weights, tau_ratio, threshold):
    """First spike times [n_samples, n_out]; `order` sorts each sample's inputs by time."""
    n_samples, n_in = t_in.shape
    n_out = weights.shape[1]
    t_out = np.full((n_samples, n_out), np.inf)
    membrane = np.empty(n_out)
    current = np.empty(n_out)
    for sample in range(n_samples):
        membrane[:] = 0.0
        current[:] = 0.0
        for k in range(n_in):
            source = order[sample, k]
            now = t_in[sample, source]
            if not now < math.inf:
                break
            following = t_in[sample, order[sample, k + 1]] if k + 1 < n_in else math.inf
            d = following - now if following < math.inf else math.inf
            decay_syn = math.exp(-d)
            decay_mem = decay_syn if tau_ratio == 1 else math.exp(-0.5 * d)
            gain = (d * decay_syn if d < math.inf else 0.0) if tau_ratio == 1 else 2.0 * (decay_mem - decay_syn)
            for j in range(n_out):
                if t_out[sample, j] < math.inf:
                    continue
                v = membrane[j]
                i = current[j] + weights[source, j]
                v_end = v * decay_mem + i * gain
                if i > 0.0:  # without net excitation the membrane only falls
                    if tau_ratio == 1:
                        wait = _wait_1(v, i, d, v_end, threshold)
                    else:
                        wait = _wait_2(v, i, d, v_end, threshold)
                    if wait < math.inf:
                        t_out[sample, j] = now + wait
                membrane[j] = v_end
                current[j] = i * decay_syn
    return t_out


@_jit
def _coefficients_1(sum_a, sum_b, u, outer, threshold):
    """Coefficients of `first_spike_gradients` for tau_mem = tau_syn; zeros where the model cannot spike."""
    shift = math.exp(-u)
    a = sum_a * shift
    if not a > 0.0:
        return 0.0, 0.0, 0.0, 0.0
    b = sum_b * shift - u * a
    w = lambert_w0(-(threshold / a) * math.exp(b / a))
    if not w > -1.0:
        return 0.0, 0.0, 0.0, 0.0
    p = -outer * shift / (a * (1.0 + w))
    return p * u, -p, p * (u - 1.0), -p


@_jit
def _coefficients_2(sum_a, sum_b, u, outer, threshold):
    """The same for tau_mem = 2 tau_syn."""
    shift_mem = math.exp(-0.5 * u)
    shift = shift_mem * shift_mem
    a1 = sum_a * shift
    a2 = sum_b * shift_mem
    c = 0.5 * threshold
    discriminant = a2 * a2 - 4.0 * a1 * c
    if not (a1 > 0.0 and a2 > 0.0 and discriminant > 0.0):
        return 0.0, 0.0, 0.0, 0.0
    x = math.sqrt(discriminant)
    p = 2.0 * outer * (1.0 + c / x) / a1 * shift
    q = -2.0 * outer / x * shift_mem
    return p, q, p, 0.5 * q


@_jit
def _coefficients(sum_a, sum_b, u, outer, tau_ratio, threshold):
    if tau_ratio == 1:
        return _coefficients_1(sum_a, sum_b, u, outer, threshold)
    return _coefficients_2(sum_a, sum_b, u, outer, threshold)


@_jit
def _causal_sums(t_in, weights, origin, until, tau_ratio, f_a, f_b, sum_a, sum_b):
    """Fill A and B of each input of one sample, and their weighted sums over the causes of each output's spike."""
    sum_a[:] = 0.0
    sum_b[:] = 0.0
    for i in range(t_in.size):
        t = t_in[i]
        if t < origin:
            tau = t - origin
            a = math.exp(tau)
            b = tau * a if tau_ratio == 1 else math.exp(0.5 * tau)
            f_a[i] = a
            f_b[i] = b
            for j in range(until.size):
                w = weights[i, j] if t < until[j] else 0.0
                sum_a[j] += w * a
                sum_b[j] += w * b


@_jit
def _drop_jumps(t_in, origin, until, f_a, f_b, p, q, largest, max_dw_norm):
    """Set P = Q = 0 for outputs whose largest weight gradient exceeds the limit."""
    largest[:] = 0.0
    for i in range(t_in.size):
        t = t_in[i]
        if t < origin:
            for j in range(until.size):
                dw = abs(p[j] * f_a[i] + q[j] * f_b[i]) if t < until[j] else 0.0
                largest[j] = max(largest[j], dw)
    for j in range(until.size):
        if largest[j] > max_dw_norm:
            p[j] = q[j] = 0.0


@_jit
def _accumulate(t_in, weights, origin, until, f_a, f_b, p, q, r, s, grad_w, grad_t_in):
    """Add one sample's gradients."""
    for i in range(t_in.size):
        t = t_in[i]
        if t < origin:
            a = f_a[i]
            b = f_b[i]
            total = 0.0
            for j in range(until.size):
                causal = t < until[j]
                grad_w[i, j] += p[j] * a + q[j] * b if causal else 0.0
                total += weights[i, j] * (r[j] * a + s[j] * b) if causal else 0.0
            grad_t_in[i] += total


@_jit
def first_spike_gradients(t_in, weights, t_out, outer, tau_ratio, threshold, max_dw_norm):
    """Weight gradient [n_in, n_out] (summed over samples) and input time gradient [n_samples, n_in].

    Both derivatives of a spike time T are combinations of two functions of the input time t alone,
    ``dT/dw = P A(t) + Q B(t)`` and ``dT/dt = w (R A(t) + S B(t))``, with (relative to an origin)
    ``A = exp(t), B = t exp(t)`` for tau_mem = tau_syn and ``A = exp(t), B = exp(t / 2)`` for tau_mem = 2 tau_syn.
    So exponentials are taken once per sample and input. Outputs of a sample whose times lie further apart than
    `_BAND` are treated one band after the other, each with an origin of its own.
    """
    n_samples, n_in = t_in.shape
    n_out = weights.shape[1]
    grad_w = np.zeros((n_in, n_out))
    grad_t_in = np.zeros((n_samples, n_in))
    f_a, f_b = np.empty(n_in), np.empty(n_in)
    until = np.empty(n_out)  # an input before this time is a cause of the output's spike
    sum_a, sum_b, largest = np.empty(n_out), np.empty(n_out), np.empty(n_out)
    p, q, r, s = np.empty(n_out), np.empty(n_out), np.empty(n_out), np.empty(n_out)
    for sample in range(n_samples):
        inputs = t_in[sample]
        latest = math.inf
        while True:
            origin = -math.inf
            for j in range(n_out):
                if t_out[sample, j] < latest and outer[sample, j] != 0.0:
                    origin = max(origin, t_out[sample, j])
            if origin == -math.inf:
                break
            latest = origin - _BAND
            for j in range(n_out):
                inside = latest <= t_out[sample, j] <= origin and outer[sample, j] != 0.0
                until[j] = t_out[sample, j] if inside else -math.inf
            _causal_sums(inputs, weights, origin, until, tau_ratio, f_a, f_b, sum_a, sum_b)
            for j in range(n_out):
                p[j] = q[j] = r[j] = s[j] = 0.0
                if until[j] > -math.inf:
                    u = until[j] - origin
                    p[j], q[j], r[j], s[j] = _coefficients(
                        sum_a[j], sum_b[j], u, outer[sample, j], tau_ratio, threshold
                    )
            if max_dw_norm < math.inf:
                _drop_jumps(inputs, origin, until, f_a, f_b, p, q, largest, max_dw_norm)
            _accumulate(inputs, weights, origin, until, f_a, f_b, p, q, r, s, grad_w, grad_t_in[sample])
    return grad_w, grad_t_in
