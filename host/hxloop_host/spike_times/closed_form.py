"""Fast & Deep: closed-form first spike times of current-based LIF neurons and their exact gradients.

A neuron obeys ``du/dt = -u / tau_mem + sum_i w_i exp(-(t - t_i))`` with times in tau_syn, starts at ``u = 0`` and
spikes when `u` first reaches its threshold. For ``tau_mem = tau_syn`` the spike time is a Lambert W function of two
sums over the inputs that came before, for ``tau_mem = 2 tau_syn`` a logarithm. The gradients are evaluated at the
times the chip measured: these say which inputs came before the spike, the nominal parameters say how the time moves
with them.

References
----------
Goeltz, Kriener, Baumbach, Billaudelle, Breitwieser, Cramer, Dold, Kungl, Senn, Schemmel, Meier, Petrovici, "Fast and
energy-efficient neuromorphic deep learning with first-spike times", Nature Machine Intelligence 3, 823-835 (2021):
spike times and derivatives (Methods), gradients at measured times.
"""

from __future__ import annotations

from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import ArrayError, OutOfRangeError
from hxloop.kit.cores import n_cores
from hxloop_host.arithmetic.exp_log import exp_of, log_of
from hxloop_host.arithmetic.lanes import LANES
from hxloop_host.arithmetic.shared_work import share_out
from hxloop_host.spike_times.kernels import add_blocks, first_spike_times, next_band, relative_inputs

Array = NDArray[np.float64]

BLOCK: Final = 16
"""Outputs whose gradients are computed together; few enough for copies that lie along the inputs to be cheap."""

WORTH_THREADS: Final = 1_000_000
"""Samples x inputs x outputs from which on it pays to wake threads."""


@final
class FirstSpikeLayer:
    """One layer of the Fast & Deep rule. Times are in tau_syn, weights in model units; ``inf``: no spike.

    An input counts as a cause of a spike if it arrived strictly before it: the membrane is continuous, so an input at
    the very moment of the spike has not moved it yet, and on the chip's clock a spike stamped like an input began
    before it.

    Parameters
    ----------
    tau_ratio : {1, 2}
        tau_mem / tau_syn.
    threshold : float
        Threshold above leak, in model units.

    Raises
    ------
    OutOfRangeError
        Another ratio, or a threshold that is not positive and finite.
    """

    def __init__(self, tau_ratio: int, threshold: float) -> None:
        if tau_ratio not in (1, 2):
            raise OutOfRangeError(
                f"tau_mem / tau_syn must be 1 or 2, got {tau_ratio}",
                field="tau_ratio",
                hint="only these two ratios have a closed form",
            )
        if not (np.isfinite(threshold) and threshold > 0):
            raise OutOfRangeError(f"must be positive and finite, got {threshold}", field="threshold")
        self.tau_ratio = int(tau_ratio)
        self.threshold = float(threshold)

    def times(self, t_in: Array, w: Array) -> Array:
        """First spike times of the nominal (textbook) neurons.

        Parameters
        ----------
        t_in : float64 [n_samples, n_in], tau_syn
            Arrival times of the inputs.
        w : float64 [n_in, n_out]
            Model weights.

        Returns
        -------
        float64 [n_samples, n_out], tau_syn

        Raises
        ------
        ArrayError
            Shapes that do not belong together.

        Notes
        -----
        A membrane that only touches the threshold spikes. The published form tries all sets of causes; here each
        interval between inputs is solved from the state at its beginning, which gives the same times.
        """
        inputs, weights = _prepare(t_in, w)
        order = np.argsort(inputs, axis=1, kind="stable")
        return np.asarray(first_spike_times(inputs, order, weights, self.tau_ratio, self.threshold))

    def gradients(
        self, t_in: Array, w: Array, t_out_measured: Array, grad_t_out: Array, max_dw_norm: float | None = None,
        soften: float = 0.0,
    ) -> tuple[Array, Array]:  # fmt: skip
        """Gradients of the loss, at spike times that were measured rather than computed.

        Parameters
        ----------
        t_in : float64 [n_samples, n_in], tau_syn
            Arrival times of the inputs, as measured.
        w : float64 [n_in, n_out]
            Model weights the chip ran with.
        t_out_measured : float64 [n_samples, n_out], tau_syn
            First spike times the chip returned.
        grad_t_out : float64 [n_samples, n_out]
            Derivative of the loss with respect to `t_out_measured`; a mean over the batch includes its 1/n_samples.
        max_dw_norm : float, optional
            A (sample, output) whose largest weight gradient exceeds this leaves the weights untouched.
        soften : float
            Temperature, in thresholds per tau_syn. Derivatives are divided by the slope of the membrane at its spike;
            with a temperature by ``sqrt(slope^2 + (soften threshold)^2)`` instead.

        Returns
        -------
        grad_w : float64 [n_in, n_out]
            Derivative with respect to the weights, summed over the samples.
        grad_t_in : float64 [n_samples, n_in]
            Derivative with respect to the input times.

        Raises
        ------
        ArrayError
            Shapes that do not belong together.

        Notes
        -----
        Zero for outputs that did not spike and, without a temperature, where the nominal model with the inputs before
        the measured time could not spike at all: no net excitation, or a membrane that stays below threshold for ever.
        With one, the slope of such a membrane counts as 0: the chip's did cross, and more weight would have made it
        cross earlier.
        `max_dw_norm` guards the weights against the divergence of the derivative where the membrane just reaches the
        threshold; the gradient of the input times is not limited (the next layer has a guard of its own). A
        temperature bounds both. Its form is assumed.
        """
        return self._run(t_in, w, t_out_measured, grad_t_out, max_dw_norm, soften, with_times=True)

    def weight_gradient(
        self, t_in: Array, w: Array, t_out_measured: Array, grad_t_out: Array, max_dw_norm: float | None = None,
        soften: float = 0.0,
    ) -> Array:  # fmt: skip
        """First of the two `gradients`, the same bits, without the work for the second that no first layer needs."""
        return self._run(t_in, w, t_out_measured, grad_t_out, max_dw_norm, soften, with_times=False)[0]

    def _run(
        self, t_in: Array, w: Array, measured: Array, outer: Array, max_dw_norm: float | None, soften: float, *,
        with_times: bool,
    ) -> tuple[Array, Array]:  # fmt: skip
        """Gradients; those of the input times [0, n_in] if not wanted.

        The outputs are done in blocks of a fixed size, whose shares are added in their order: results do not depend
        on the threads that work on them.
        """
        inputs, weights = _prepare(t_in, w)
        (n_samples, n_in), n_out = inputs.shape, weights.shape[1]
        times = _checked(measured, (n_samples, n_out), "t_out_measured")
        slopes = _checked(outer, (n_samples, n_out), "grad_t_out")
        limit = np.inf if max_dw_norm is None else float(max_dw_norm)
        width = -(-n_in // LANES) * LANES
        grad_w, shares = np.zeros((n_in, n_out)), np.zeros((-(-n_out // BLOCK), n_samples if with_times else 0, width))
        n_workers = n_cores() if inputs.size * n_out >= WORTH_THREADS else 1
        latest, origin = np.full(n_samples, np.inf), np.empty(n_samples)
        while next_band(times, slopes, latest, origin):
            relative = relative_inputs(inputs, origin, self.tau_ratio)

            def add(worker: int, relative: Array = relative) -> None:
                add_blocks(
                    worker, n_workers, BLOCK, relative, weights, times, slopes, origin, self.tau_ratio, self.threshold,
                    soften, limit, grad_w, shares,
                )  # fmt: skip

            share_out(add, n_workers)
        return grad_w, shares.sum(axis=0)[:, :n_in]


def warm_up() -> None:
    """Compile all kernels now, or load them, rather than in the first batch."""
    rule, inputs, weights = FirstSpikeLayer(1, 1.0), np.zeros((1, 1)), np.full((1, 1), 4.0)
    times = rule.times(inputs, weights)
    rule.gradients(inputs, weights, times, np.ones((1, 1)))
    log_of(exp_of(times))


def _prepare(t_in: Array, w: Array) -> tuple[Array, Array]:
    inputs = np.ascontiguousarray(t_in, np.float64)
    weights = np.ascontiguousarray(w, np.float64)
    if inputs.ndim != 2:
        raise ArrayError(f"must have shape [n_samples, n_in], got {inputs.shape}", field="t_in")
    if weights.ndim != 2 or weights.shape[0] != inputs.shape[1]:
        raise ArrayError(f"must have shape [{inputs.shape[1]}, n_out] like t_in, got {weights.shape}", field="w")
    return inputs, weights


def _checked(values: Array, shape: tuple[int, int], field: str) -> Array:
    array = np.ascontiguousarray(values, np.float64)
    if array.shape != shape:
        raise ArrayError(f"must have shape {shape}, got {array.shape}", field=field)
    return array
