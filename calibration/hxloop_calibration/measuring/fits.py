"""Fits of one curve to the readings of many circuits at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Model = Callable[[Floats, Floats], tuple[Floats, Floats]]
    """Parameters [n, p] and times [n, m] to values [n, m] and derivatives [n, m, p]."""

_ROUNDS = 40


def least_squares(model: Model, start: Floats, t: Floats, y: Floats, weight: Floats) -> Floats:
    """Levenberg-Marquardt fits of many instances in parallel.

    Parameters
    ----------
    model : callable
    start : float64 [n, p]
    t, y, weight : float64 [n, m]
        Readings with weight 0 are left out.

    Returns
    -------
    float64 [n, p]
        NaN for instances that have fewer readings than parameters.

    References
    ----------
    Marquardt, "An algorithm for least-squares estimation of nonlinear parameters", SIAM J. Appl. Math. 11, 431 (1963).
    """
    p, enough = start.copy(), (weight > 0).sum(axis=1) >= start.shape[1]
    y = np.where(weight > 0, y, 0.0)
    damping = np.full(len(p), 1e-3)
    eye = np.eye(p.shape[1])
    value, slope = model(p, t)
    cost = np.sum(weight * (y - value) ** 2, axis=1)
    for _ in range(_ROUNDS):
        weighted = weight[..., None] * slope
        normal = np.einsum("nmp,nmq->npq", weighted, slope)
        right = np.einsum("nmp,nm->np", weighted, y - value)
        scale = np.einsum("npp->np", normal)
        scaled = normal + (damping[:, None] * scale + 1e-30)[..., None] * eye
        step = np.linalg.solve(scaled, right[..., None])[..., 0]
        trial_value, trial_slope = model(p + step, t)
        trial_cost = np.sum(weight * (y - trial_value) ** 2, axis=1)
        better = np.isfinite(trial_cost) & (trial_cost <= cost)
        p[better] += step[better]
        value = np.where(better[:, None], trial_value, value)
        slope = np.where(better[:, None, None], trial_slope, slope)
        gain = np.where(better, cost - trial_cost, 0.0)
        cost = np.where(better, trial_cost, cost)
        damping = np.clip(np.where(better, damping / 5.0, damping * 4.0), 1e-9, 1e9)
        if better.any() and (gain <= 1e-9 * cost + 1e-30)[better].all():
            break
    p[~enough] = np.nan
    return p


def decay(p: Floats, t: Floats) -> tuple[Floats, Floats]:
    """``offset + amplitude exp(-t / exp(log_tau))``; p: offset, amplitude, log_tau."""
    tau = np.exp(np.clip(p[:, 2:3], -50.0, 50.0))
    e = np.exp(-t / tau)
    return p[:, :1] + p[:, 1:2] * e, np.stack([np.ones_like(t), e, p[:, 1:2] * e * t / tau], axis=-1)


def rise_and_decay(p: Floats, t: Floats) -> tuple[Floats, Floats]:
    """``offset + amplitude (exp(-t / slow) - exp(-t / fast))``; p: offset, amplitude, log_slow, log_fast."""
    slow, fast = np.exp(np.clip(p[:, 2:3], -50.0, 50.0)), np.exp(np.clip(p[:, 3:4], -50.0, 50.0))
    s, f = np.exp(-t / slow), np.exp(-t / fast)
    a = p[:, 1:2]
    return p[:, :1] + a * (s - f), np.stack([np.ones_like(t), s - f, a * s * t / slow, -a * f * t / fast], axis=-1)


def amplitude(shape: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Offset and amplitude of a known shape: weighted linear least squares.

    Parameters
    ----------
    shape, y, weight : float64 [n, m]

    Returns
    -------
    offset, amplitude : float64 [n]
        NaN where the readings do not determine them.
    """
    y = np.where(weight > 0, y, 0.0)
    total = weight.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_x, mean_y = (weight * shape).sum(axis=1) / total, (weight * y).sum(axis=1) / total
        dx = shape - mean_x[:, None]
        found = (weight * dx * (y - mean_y[:, None])).sum(axis=1) / (weight * dx**2).sum(axis=1)
    return mean_y - found * mean_x, found


def psp(t_us: Floats | float, tau_mem_us: Floats | float, tau_syn_us: Floats | float) -> Floats:
    """Response of a membrane to one event that raises its slope by 1, in us; arguments broadcast; 0 before the event.

    ``(exp(-t / tau_mem) - exp(-t / tau_syn)) / (1 / tau_syn - 1 / tau_mem)``, written so that equal time constants are
    no special case.
    """
    x = np.asarray(t_us * (1.0 / tau_syn_us - 1.0 / tau_mem_us))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(np.abs(x) < 1e-6, 1.0 - 0.5 * x, -np.expm1(-x) / x)
        return np.where(np.asarray(t_us) > 0, t_us * np.exp(-t_us / tau_mem_us) * ratio, 0.0)


def psp_peak_us(tau_mem_us: float, tau_syn_us: float) -> float:
    """Highest value of `psp`, in us: that at ``ln(tau_mem / tau_syn) / (1 / tau_syn - 1 / tau_mem)``."""
    log = np.log(tau_mem_us / tau_syn_us)
    at_us = tau_syn_us if abs(log) < 1e-6 else log / (1.0 / tau_syn_us - 1.0 / tau_mem_us)
    return float(psp(at_us, tau_mem_us, tau_syn_us))


def middle_of_rise(level: Floats, fraction: Floats) -> Floats:
    """Where a fraction rises from 0 to 1: mean of the distribution that it is the integral of.

    Parameters
    ----------
    level : float64 [k, n]
        Rising along the first axis, from where the fraction is 0 to where it is 1.
    fraction : float64 [k, n]

    Returns
    -------
    float64 [n]
        NaN where the levels do not reach from below 0.25 to above 0.75.

    References
    ----------
    Spearman (1908) and Kaerber (1931); Finney, "Statistical method in biological assay" (1978), chapter 18.
    """
    share = np.diff(fraction, axis=0)
    centre = 0.5 * (level[1:] + level[:-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = (share * centre).sum(axis=0) / share.sum(axis=0)
    return np.where((fraction[0] < 0.25) & (fraction[-1] > 0.75), middle, np.nan)
