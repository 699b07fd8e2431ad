"""Compiled loops of `spike_times.closed_form`: spike times and gradients without [sample, input, output] arrays.

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
from hxloop_host.arithmetic.exp_log import exp, exp_each, log
from hxloop_host.arithmetic.lanes import LANES, add_causal, add_weighted_causal, causal_sums

_INV_E = 0.36787944117144233
_INV_E_REST = -1.2428753672788363e-17  # 1/e - _INV_E
_BAND = 500.0  # tau_syn; exp(2 * 500 / 2) and exp(-500) are far inside float64
_SAMPLES = 4  # done together: 4 x 256 inputs x 2 arrays are 16 kB
_SERIES_BELOW = 6e-3  # where the series is exact to rounding, and Halley's quotient would cancel
_TWO_STEPS_BELOW = 1.1  # where two of Halley's steps are enough


@compiled
def _halley_step(w, e_w, z):
    """By how much `w`, whose exponential is `e_w`, is too large for ``w exp(w) = z``."""
    f = w * e_w - z
    return f / (e_w * (w + 1.0) - 0.5 * (w + 2.0) * f / (w + 1.0))


@compiled
def _from_branch(z):
    """``sqrt(2 (e z + 1))``, the distance of Lambert's function from its branch point; -1 below it."""
    above = (z + _INV_E) + _INV_E_REST
    p = math.sqrt(max(2.0 * math.e * above, 0.0))
    return p if above > -2e-17 else -1.0  # one rounding step of -1/e itself still counts as -1/e


@compiled
def _series(p):
    return -1.0 + p * (1.0 - p * (1 / 3 - p * (11 / 72 - p * (43 / 540 - p * (769 / 17280 - p * (221 / 8505))))))


@compiled
def _two_steps(w, e_w, z):
    """Two steps of Halley's iteration; the second one's exponential follows from the first, `e_w`."""
    step = _halley_step(w, e_w, z)
    w -= step
    tail = 1 / 6 - step * (1 / 24 - step * (1 / 120 - step * (1 / 720)))
    e_w *= 1.0 - step * (1.0 - step * (1 / 2 - step * tail))
    return w - _halley_step(w, e_w, z)


@compiled
def lambert_w0(z):
    """Principal branch of the Lambert W function; NaN below -1/e.

    Halley's iteration from the branch-point series or a logarithm (Corless et al., "On the Lambert W function",
    Adv. Comput. Math. 5, 329-359, 1996, eqs. 4.22 and 5.9).
    """
    if z == 0.0 or z == math.inf:
        return z
    p = _from_branch(z)
    if not p >= 0.0:
        return math.nan
    if p < 1.2:
        w = _series(p)
        if p < _SERIES_BELOW:
            return w
        if p < _TWO_STEPS_BELOW:
            return _two_steps(w, exp(w), z)
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
def divisor(slope, least):
    """What derivatives of a spike time are divided by: the membrane's slope, with a temperature at least so much.

    The slope is that of the model, 0 where its membrane only touches the threshold or would not reach it. The chip has
    other thresholds and time constants, so it may spike where the model does not.
    """
    return slope if least == 0.0 else math.sqrt(slope * slope + least * least)


@compiled
def _coefficients_1(terms, n, threshold, soften, found):
    """P, Q, R, S of `add_block` and a bound of all weight gradients, for tau_mem = tau_syn.

    Short loops over a few arrays, of which the compiler makes vectors; arguments of Lambert's function far from most
    take a path of their own in between. The same operations as one by one, so the same bits.

    Parameters
    ----------
    terms : float64 [4, >= n]
        Both sums over the causes, spike time before the origin, derivative of the loss.
    soften : float
        Temperature: least slope of `divisor`, in thresholds per tau_syn.
    found : float64 [5, >= n]
        Receives the five; zeros where the model cannot spike, if there is no temperature.
    """
    sum_0, sum_1, u, outer = terms[0, :n], terms[1, :n], terms[2, :n], terms[3, :n]
    shift, a, z, p, w = found[0, :n], found[1, :n], found[2, :n], found[3, :n], found[4, :n]
    for k in range(n):
        z[k] = -u[k]
    exp_each(z, shift)
    for k in range(n):
        a[k] = sum_0[k] * shift[k]
    for k in range(n):
        z[k] = (sum_1[k] * shift[k] - u[k] * a[k]) / a[k]
    exp_each(z, p)
    for k in range(n):
        z[k] = -(threshold / a[k]) * p[k]
        p[k] = _from_branch(z[k])
        w[k] = _series(p[k])
    e_w = np.empty(n)
    exp_each(w, e_w)
    for k in range(n):
        w[k] = _two_steps(w[k], e_w[k], z[k])
    for k in range(n):
        if a[k] > 0.0 and not _SERIES_BELOW <= p[k] < _TWO_STEPS_BELOW:
            w[k] = lambert_w0(z[k])
    for k in range(n):
        slope = divisor(a[k] * (1.0 + w[k]) if (a[k] > 0.0) & (w[k] > -1.0) else 0.0, soften * threshold)
        w[k] = outer[k] / slope if slope > 0.0 else 0.0
    for k in range(n):
        change = -w[k] * shift[k]
        w[k] = abs(w[k]) * _INV_E  # (u - t) exp(t - u) is 1/e at most
        shift[k], a[k], z[k], p[k] = change * u[k], -change, change * (u[k] - 1.0), -change


@compiled
def _coefficients_2(terms, n, threshold, soften, found):
    """The same for tau_mem = 2 tau_syn."""
    c = 0.5 * threshold
    for k in range(n):
        shift_mem = exp(-0.5 * terms[2, k])
        shift = shift_mem * shift_mem
        a1 = terms[1, k] * shift
        a2 = terms[0, k] * shift_mem
        discriminant = a2 * a2 - 4.0 * a1 * c
        there = (a1 > 0.0) & (a2 > 0.0) & (discriminant > 0.0)
        x = math.sqrt(discriminant) if there else 0.0
        slope = divisor(x, soften * threshold)
        p = -2.0 * terms[3, k] / slope if slope > 0.0 else 0.0
        q = 2.0 * terms[3, k] * (1.0 + c / x) / a1 if there else -p  # without a solution, a response to each input
        if there and soften > 0.0:
            q *= x / slope
        found[0, k], found[1, k], found[2, k], found[3, k] = p * shift_mem, q * shift, 0.5 * p * shift_mem, q * shift
        # The two terms of a weight gradient have opposite signs and are largest right before the spike.
        found[4, k] = max(abs(p), abs(q))


@compiled
def _exceeds(inputs, sample, tau_ratio, until, p, q, max_dw_norm):
    """Whether the gradient of any weight does."""
    t, e = inputs[0, sample], inputs[1, sample]
    largest = 0.0
    for i in range(t.size):
        if t[i] < until:
            largest = max(largest, abs(e[i] * (p + q * (t[i] if tau_ratio == 1 else e[i]))))
    return largest > max_dw_norm


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
def _gather(first, begin, inputs, columns, t_out, outer, origin, tau_ratio, pair, terms):
    """Pairs (output of the block, sample) of a few samples that have a gradient, and `terms` of the coefficients.

    Returns how many there are.
    """
    n_samples, width = inputs.shape[1:]
    n = 0
    for j in range(columns.shape[0]):
        for sample in range(begin, min(begin + _SAMPLES, n_samples)):
            spike, slope = t_out[sample, first + j], outer[sample, first + j]
            if slope == 0.0 or not origin[sample] - _BAND <= spike <= origin[sample]:
                continue
            t, e = sample * width, (n_samples + sample) * width
            f, until = (t if tau_ratio == 1 else e), spike - origin[sample]
            terms[0, n], terms[1, n] = causal_sums(inputs, t, e, f, columns, j * width, width, until)
            terms[2, n], terms[3, n] = until, slope
            pair[0, n], pair[1, n] = j, sample
            n += 1
    return n


@compiled
def add_block(
    first, last, inputs, weights, t_out, outer, origin, tau_ratio, threshold, soften, max_dw_norm, grad_w, grad_t_in
):  # fmt: skip
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
    grad_t_in : float64 [n_samples, width of the inputs], or [0, that] if it is not wanted
        Share of these outputs.
    """
    (n_samples, width), n_in, size = inputs.shape[1:], weights.shape[0], last - first
    columns = np.zeros((size, width))
    for i in range(n_in):
        for j in range(size):
            columns[j, i] = weights[i, first + j]
    gradients = np.zeros((size, width))
    pair = np.empty((2, size * _SAMPLES), np.int64)
    terms, found = np.empty((4, size * _SAMPLES)), np.empty((5, size * _SAMPLES))
    for begin in range(0, n_samples, _SAMPLES):
        n = _gather(first, begin, inputs, columns, t_out, outer, origin, tau_ratio, pair, terms)
        if tau_ratio == 1:
            _coefficients_1(terms, n, threshold, soften, found)
        else:
            _coefficients_2(terms, n, threshold, soften, found)
        for k in range(n):
            j, sample, until = pair[0, k] * width, pair[1, k], terms[2, k]
            p, q, r, s, bound = found[0, k], found[1, k], found[2, k], found[3, k], found[4, k]
            t, e = sample * width, (n_samples + sample) * width
            f = t if tau_ratio == 1 else e
            if bound != 0.0 and grad_t_in.shape[0] > 0:
                add_weighted_causal(grad_t_in, t, inputs, t, e, f, columns, j, width, until, r, s)
            # The bound is that of any input, found without looking at them; the factor covers its rounding.
            if bound != 0.0 and (
                bound * 1.001 <= max_dw_norm or not _exceeds(inputs, sample, tau_ratio, until, p, q, max_dw_norm)
            ):
                add_causal(gradients, j, inputs, t, e, f, width, until, p, q)
    for i in range(n_in):
        for j in range(size):
            grad_w[i, first + j] += gradients[j, i]


@compiled
def add_blocks(
    first, every, block, inputs, weights, t_out, outer, origin, tau_ratio, threshold, soften, max_dw_norm,
    grad_w, grad_t_in,
):  # fmt: skip
    """Add the gradients of each `every`-th block of so many outputs, from the one with number `first` on.

    Arguments as for `add_block`, but `grad_t_in` [n_blocks, ...] has room for the shares of all blocks.
    """
    n_out = weights.shape[1]
    for number in range(first, grad_t_in.shape[0], every):
        add_block(
            number * block, min((number + 1) * block, n_out), inputs, weights, t_out, outer, origin, tau_ratio,
            threshold, soften, max_dw_norm, grad_w, grad_t_in[number],
        )  # fmt: skip
