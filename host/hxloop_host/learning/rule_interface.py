"""What every learning rule on first spike times offers to the training loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SpikeTimeRule(ABC):
    """One layer of neurons that are described by the time of their first spike.

    Times are in units of tau_syn, weights in model units; ``inf`` stands for "no spike".
    """

    @abstractmethod
    def times(self, t_in: NDArray[np.float64], w: NDArray[np.float64]) -> NDArray[np.float64]:
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
            First spike times.

        Raises
        ------
        ArrayError
            Shapes that do not belong together.
        """

    @abstractmethod
    def gradients(
        self,
        t_in: NDArray[np.float64],
        w: NDArray[np.float64],
        t_out_measured: NDArray[np.float64],
        grad_t_out: NDArray[np.float64],
        max_dw_norm: float | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
        """

    @abstractmethod
    def weight_gradient(
        self,
        t_in: NDArray[np.float64],
        w: NDArray[np.float64],
        t_out_measured: NDArray[np.float64],
        grad_t_out: NDArray[np.float64],
        max_dw_norm: float | None = None,
    ) -> NDArray[np.float64]:
        """First of the two `gradients` without the work for the second, which nobody asks of a first layer.

        Returns
        -------
        grad_w : float64 [n_in, n_out]
            The same bits as from `gradients`.
        """
