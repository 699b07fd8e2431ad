"""Compiled loops of `first_spike.closed_form`: spike times and gradients without [sample, input, output] arrays.

All exponentials are taken relative to a nearby time, never of a time itself, so that late spikes neither overflow nor
lose digits. Everything is computed in a fixed order, whatever the number of threads that share the blocks and however
the kernels were compiled: sums run in lanes, as vectors do, but in lanes that are written down.
"""

# Kernels stay un-annotated: numba infers the types.
# ruff: noqa: ANN001, ANN201, ANN202, SIM108, PLR1714
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator, call-arg, var-annotated"

import math

import numpy as np

from hxloop_host.arithmetic.compiled import compiled
from hxloop_host.arithmetic.exp_log import exp, log
from hxloop_host.arithmetic.lanes import LANES, causal_sums

_INV_E = 0.36787944117144233
_INV_E_REST = -1.2428753672788363e-17  # 1/e - _INV_E
_BAND = 500.0  # tau_syn; exp(2 * 500 / 2) and exp(-500) are far inside float64
_SAMPLES = 4  # done together: 4 x 256 inputs x 2 arrays are 16 kB


@compiled
def _halley_step(w, e_w, z):
    """By how much `w`, whose exponential is `e_w`, is too large for ``w exp(w) = z``."""
    f = w * e_w - z
    return f / (e_w * (w + 1.0) - 0.5 * (w + 2.0) * f / (w + 1.0))


@compiled
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
        if p < 1.1:  # two steps are enough, and the second one's exponential follows from the first
            e_w = exp(w)
            step = _halley_step(w, e_w, z)
            w -= step
            tail = 1 / 6 - step * (1 / 24 - step * (1 / 120 - step * (1 / 720)))
            e_w *= 1.0 - step * (1.0 - step * (1 / 2 - step * tail))
            return w - _halley_step(w, e_w, z)
    elif z < 3.0:
        w = z / (1.0 + z) if z < 1.0 else 0.5 * log(1.0 + z) + 0.25
    else:
        w = log(z) - log(log(z))
    for _ in range(20):
        step = _halley_step(w, exp(w), z)
        w -= step
        if abs(step) <= 1e-15 * abs(w):
            break
    return w


@compiled
def _wait_1(v, i, d, v_end, threshold):
    """Time s in 0..d until ``u(s) = (v + i s) exp(-s)`` (tau_mem = tau_syn) reaches threshold, or inf."""
    r = v / i
    if v_end < threshold and not (0.0 < 1.0 - r < d and i * exp(r - 1.0) >= threshold):
        return math.inf
    w = lambert_w0(-(threshold / i) * exp(-r))
    s = (1.0 if math.isnan(w) else -w) - r  # NaN: touches, up to rounding
    return min(max(s, 0.0), d)


@compiled
def _wait_2(v, i, d, v_end, threshold):
    """The same for tau_mem = 2 tau_syn, ``u(s) = (v + 2 i) y - 2 i y^2`` with ``y = exp(-s / 2)``."""
    b = v + 2.0 * i
    discriminant = b * b - 8.0 * i * threshold
    if v_end < threshold:
        y_peak = b / (4.0 * i)
        if discriminant < 0.0 or not 0.0 < y_peak < 1.0 or -2.0 * log(y_peak) >= d:
            return math.inf
    s = -2.0 * log((b + math.sqrt(max(discriminant, 0.0))) / (4.0 * i))
    return min(max(s, 0.0), d)


@compiled
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
            decay_syn = exp(-d)
            decay_mem = decay_syn if tau_ratio == 1 else exp(-0.5 * d)
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


@compiled
def _coefficients_1(sum_0, sum_1, u, outer, threshold):
    """P, Q, R, S of `add_block` and a bound of all weight gradients, for tau_mem = tau_syn.

    Zeros where the model cannot spike.
    """
    shift = exp(-u)
    a = sum_0 * shift
    if not a > 0.0:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    b = sum_1 * shift - u * a
    w = lambert_w0(-(threshold / a) * exp(b / a))
    if not w > -1.0:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    slope = outer / (a * (1.0 + w))
    p = -slope * shift
    return p * u, -p, p * (u - 1.0), -p, abs(slope) * _INV_E  # (u - t) exp(t - u) is 1/e at most


@compiled
def _coefficients_2(sum_0, sum_1, u, outer, threshold):
    """The same for tau_mem = 2 tau_syn."""
    shift_mem = exp(-0.5 * u)
    shift = shift_mem * shift_mem
    a1 = sum_1 * shift
    a2 = sum_0 * shift_mem
    c = 0.5 * threshold
    discriminant = a2 * a2 - 4.0 * a1 * c
    if not (a1 > 0.0 and a2 > 0.0 and discriminant > 0.0):
        return 0.0, 0.0, 0.0, 0.0, 0.0
    x = math.sqrt(discriminant)
    p = -2.0 * outer / x
    q = 2.0 * outer * (1.0 + c / x) / a1
    # The two terms of a weight gradient have opposite signs and are largest right before the spike.
    return p * shift_mem, q * shift, 0.5 * p * shift_mem, q * shift, max(abs(p), abs(q))


# In the loops below, `t`, `e` and `f` [width] are times before the origin, E and F of `add_block` for one sample.


@compiled
def _exceeds(t, e, f, until, p, q, max_dw_norm):
    """Whether the gradient of any weight does."""
    largest = 0.0
    for i in range(t.size):
        if t[i] < until:
            largest = max(largest, abs(e[i] * (p + q * f[i])))
    return largest > max_dw_norm


@compiled
def _add_to_weights(gradients, t, e, f, until, p, q):
    for i in range(t.size):
        change = e[i] * (p + q * f[i])
        gradients[i] += change if t[i] < until else 0.0


@compiled
def _add_to_times(gradients, t, e, f, weights, until, r, s):
    for i in range(gradients.size):
        change = weights[i] * e[i] * (r + s * f[i])
        gradients[i] += change if t[i] < until else 0.0


@compiled
def next_band(t_out, outer, latest, origin):
    """Move each sample on to its next band of spikes with a gradient, those before `latest`; whether there is any.

    Sets `origin` [n_samples] to the last spike of the band (-inf: none is left) and `latest` to its beginning.
    """
    found = False
    for sample in range(t_out.shape[0]):
        last = -math.inf
        for j in range(t_out.shape[1]):
            if t_out[sample, j] < latest[sample] and outer[sample, j] != 0.0:
                last = max(last, t_out[sample, j])
        origin[sample] = last
        latest[sample] = last - _BAND
        found = found or last > -math.inf
    return found


@compiled
def relative_inputs(t_in, origin, tau_ratio):
    """Times relative to the origin of their sample and E of `add_block`, float64 [2, n_samples, whole lanes >= n_in].

    An input that is not before the origin, or is none at all, causes nothing: it is put after it.
    """
    n_samples, n_in = t_in.shape
    values = np.empty((2, n_samples, -(-n_in // LANES) * LANES))
    values[0], values[1] = 1.0, 0.0
    for sample in range(n_samples):
        for i in range(n_in):
            t = t_in[sample, i] - origin[sample]
            values[0, sample, i] = t if t < 0.0 else 1.0
            values[1, sample, i] = exp(t if tau_ratio == 1 else 0.5 * t) if t < 0.0 else 0.0
    return values


@compiled
def add_block(first, last, inputs, weights, t_out, outer, origin, tau_ratio, threshold, max_dw_norm, grad_w, grad_t_in):
    """Add the gradients of the outputs ``first <= j < last`` whose spikes lie in the present band of each sample.

    Both derivatives of a spike time T are combinations of two functions of the input time t alone,
    ``dT/dw = E (P + Q F)`` and ``dT/dt = w E (R + S F)``, with (relative to the origin) ``E = exp(t), F = t`` for
    tau_mem = tau_syn and ``E = F = exp(t / 2)`` for tau_mem = 2 tau_syn. So exponentials are taken once per sample and
    input. Loops run along the inputs, for outputs that spiked only; a few samples at a time, whose inputs stay in the
    first cache while all outputs are done.

    Parameters
    ----------
    grad_w : float64 [n_in, n_out]
        The columns of these outputs are added to.
    grad_t_in : float64 [n_samples, n_in], or [0, n_in] if it is not wanted
        Share of these outputs.
    """
    (n_samples, width), n_in = inputs.shape[1:], weights.shape[0]
    columns = np.zeros((last - first, width))
    for i in range(n_in):
        for j in range(last - first):
            columns[j, i] = weights[i, first + j]
    gradients = np.zeros((last - first, width))
    wanted = grad_t_in.shape[0] > 0
    for begin in range(0, n_samples, _SAMPLES):
        for j in range(last - first):
            for sample in range(begin, min(begin + _SAMPLES, n_samples)):
                spike, slope = t_out[sample, first + j], outer[sample, first + j]
                if slope == 0.0 or not origin[sample] - _BAND <= spike <= origin[sample]:
                    continue
                until = spike - origin[sample]
                t, e = inputs[0, sample], inputs[1, sample]
                f = t if tau_ratio == 1 else e
                sum_0, sum_1 = causal_sums(t, e, f, columns[j], until)
                if tau_ratio == 1:
                    p, q, r, s, bound = _coefficients_1(sum_0, sum_1, until, slope, threshold)
                else:
                    p, q, r, s, bound = _coefficients_2(sum_0, sum_1, until, slope, threshold)
                if bound == 0.0:
                    continue
                if wanted:
                    _add_to_times(grad_t_in[sample], t, e, f, columns[j], until, r, s)
                # The bound is that of any input, found without looking at them; the factor covers its rounding.
                if bound * 1.001 <= max_dw_norm or not _exceeds(t, e, f, until, p, q, max_dw_norm):
                    _add_to_weights(gradients[j], t, e, f, until, p, q)
    for i in range(n_in):
        for j in range(last - first):
            grad_w[i, first + j] += gradients[j, i]
