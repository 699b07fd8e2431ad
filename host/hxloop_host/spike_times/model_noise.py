"""What keeps Fast & Deep from trusting its model too much: noise on the model's neurons, and a bound on its slopes.

References
----------
Joshi et al., Nat. Commun. 11:2473 (2020), and Rasch et al., Nat. Commun. 14:5282 (2023): noise that is drawn anew for
every batch makes weights that withstand it. There it is in the forward pass too; here the forward pass is the chip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np
from scipy.special import lambertw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Batch, Strength

    Array = NDArray[np.float64]


@final
class NoisyStrength:
    """Strength of the weights as a model with other neurons has it; satisfies `hxloop.rule.Strength`.

    Every neuron's threshold and every synapse's strength are multiplied by a log-normal factor. A threshold that is
    `f` times higher is the same as weights that are `f` times weaker, so both are factors on weights.

    Parameters
    ----------
    measured : Strength or None
        What calibration measured.
    network : Network
    noise : float
        Standard deviation of both logarithms.
    random : Generator
    """

    def __init__(self, measured: Strength | None, network: Network, noise: float, random: np.random.Generator) -> None:
        self._measured = measured
        self.tau_factor = 1.0 if measured is None else measured.tau_factor
        thresholds = {p.name: random.standard_normal(p.size) for p in network.populations}
        self._factors = [
            np.exp(noise * (random.standard_normal(network.weight_shape(p)) - thresholds[p.target]))
            for p in network.projections
        ]

    def factor(self, projection: int, codes: NDArray[Any]) -> Array:
        """Factors [n_sources * copies, n_target] of a projection."""
        own = self._factors[projection]
        return own if self._measured is None else own * self._measured.factor(projection, codes)


def noisy(measured: Strength | None, network: Network, noise: float, batch: Batch) -> Strength | None:
    """Strength with noise of this batch, or as measured where there is none."""
    return NoisyStrength(measured, network, noise, batch.generator("model noise")) if noise else measured


def steepness(t_in: Array, weights: Array, t_out: Array, tau_ratio: int, threshold: float) -> Array:
    """How fast membranes cross the threshold, by which derivatives of spike times are divided.

    Parameters
    ----------
    t_in : float64 [n_samples, n_in], tau_syn
    weights : float64 [n_in, n_out]
    t_out : float64 [n_samples, n_out], tau_syn
        Measured first spikes, inf where none.
    tau_ratio : {1, 2}
    threshold : float

    Returns
    -------
    float64 [n_samples, n_out]
        1 for an infinitely strong input, 0 where the membrane only touches the threshold or would not reach it;
        ``1 + W`` (tau_mem = tau_syn), or the root of the discriminant over its linear term (tau_mem = 2 tau_syn).

    References
    ----------
    Goeltz, Kriener et al., Nat. Mach. Intell. 3:823 (2021), eqs. of spike times and derivatives in Methods.
    """
    found = np.zeros(t_out.shape)
    for sample, (inputs, spikes) in enumerate(zip(t_in, t_out, strict=True)):
        spiked = np.isfinite(spikes)
        if not spiked.any():
            continue
        before = inputs[:, None] < spikes[spiked]
        # Relative to the spike, so that nothing overflows; entries that did not come before it count for nothing.
        since = np.where(before, inputs[:, None] - np.where(before, spikes[spiked], 0.0), -np.inf)
        e = np.exp(since)
        own = weights[:, spiked]
        first = (own * e).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if tau_ratio == 1:
                ratio = (own * e * np.where(before, since, 0.0)).sum(axis=0) / first
                argument = -threshold / first * np.exp(ratio)
                w = lambertw(argument).real
                value = np.where((first > 0.0) & (argument >= -np.exp(-1.0)), 1.0 + w, 0.0)
            else:
                second = (own * np.sqrt(e)).sum(axis=0)
                left = second**2 - 2.0 * first * threshold
                value = np.where((first > 0.0) & (second > 0.0) & (left > 0.0), np.sqrt(np.abs(left)) / second, 0.0)
        found[sample, spiked] = np.where(np.isfinite(value), np.clip(value, 0.0, None), 0.0)
    return found


def softened(
    slopes: Array, t_in: Array, weights: Array, t_out: Array, tau_ratio: int, threshold: float, temperature: float
) -> Array:
    """Derivatives of the loss by spike times, lowered where a spike time hangs by a thread.

    The derivative of a spike time is divided by the `steepness` ``s``, without a bound as membranes come to touch the
    threshold. With the factor ``s / sqrt(s^2 + temperature^2)`` it is divided by ``sqrt(s^2 + temperature^2)``
    instead: bounded by ``1 / temperature``, and as it was for steep crossings. The form is assumed.

    Parameters
    ----------
    slopes : float64 [n_samples, n_out]
    t_in, weights, t_out, tau_ratio, threshold
        As for `steepness`.
    temperature : float
        0: as they are.
    """
    if not temperature:
        return slopes
    steep = steepness(t_in, weights, t_out, tau_ratio, threshold)
    return np.asarray(slopes * steep / np.hypot(steep, temperature))
