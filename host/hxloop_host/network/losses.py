"""Losses on first output spike times, and the class they read out.

Missing output spikes (time ``inf``) are treated alike by all losses:

- Without a spike of the label's own output there is no time to compare with: the sample contributes the constant
  `MISSING_LABEL_LOSS` and no gradient. Such samples are the business of `weight_bumper.WeightBumper`.
- A silent output of another class is as late as can be, which is what these losses ask for: it contributes nothing to
  the loss and gets no gradient. (Half of the wrong outputs of trained networks never spike.)

References
----------
Goeltz et al., "Fast and energy-efficient neuromorphic deep learning with first-spike times", Nature Machine
Intelligence 3, 823-835 (2021): `SoftmaxTimes` and its constants. Goeltz et al., "DelGrad: exact event-based gradients
for training delays and weights on spiking neuromorphic hardware", Nature Communications (2025): the squared errors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import ArrayError, OutOfRangeError
from hxloop_host.arithmetic.exp_log import exp_of, log_of

Times = NDArray[np.float64]
Labels = NDArray[np.int64]

MISSING_LABEL_LOSS: Final = 100.0
"""Loss of a sample whose label output stays silent (the published constant)."""


class SpikeTimeLoss(ABC):
    """Loss of a batch as a function of its output spike times."""

    def value_and_gradient(self, t_out: Times, label: Labels) -> tuple[float, Times]:
        """Mean loss and its derivative.

        Parameters
        ----------
        t_out : float64 [n_samples, n_classes], tau_syn
            First spike times of the output neurons, ``inf`` where none.
        label : int64 [n_samples]
            Right class of each sample.

        Returns
        -------
        value : float
            Mean over the samples; 0 for no samples.
        gradient : float64 [n_samples, n_classes]
            Derivative of that mean, 0 for outputs that did not spike.

        Raises
        ------
        ArrayError
            Shapes that do not belong together, or labels that are not integers.
        OutOfRangeError
            A label without an output.
        """
        times, labels = _checked(t_out, label)
        n_samples = len(times)
        gradient = np.zeros(times.shape)
        if n_samples == 0:
            return 0.0, gradient
        rows = np.flatnonzero(np.isfinite(times[np.arange(n_samples), labels]))
        values = np.full(n_samples, MISSING_LABEL_LOSS)
        values[rows], gradient[rows] = self._per_sample(times[rows], labels[rows])
        return float(values.mean()), gradient / n_samples

    def predict(self, t_out: Times) -> Labels:
        """Class of each sample: the output that spikes first.

        Parameters
        ----------
        t_out : float64 [n_samples, n_classes], tau_syn
            First spike times of the output neurons.

        Returns
        -------
        int64 [n_samples]
            Class, the lower one of equals; -1 where no output spiked.
        """
        return _smallest(np.asarray(t_out, np.float64))

    @abstractmethod
    def _per_sample(self, times: Times, labels: Labels) -> tuple[Times, Times]:
        """Loss [n] and derivative [n, n_classes] of samples whose label output spiked."""


@final
@dataclass(frozen=True)
class SoftmaxTimes(SpikeTimeLoss):
    """Cross entropy of a soft minimum of the times, and a cost of late answers.

    ``L = ln(sum_n exp(-(t_n - t_label) / xi)) + alpha exp(t_label / beta)``

    Parameters
    ----------
    xi, beta : float, tau_syn
        Softness of the comparison, and scale of the cost of late answers.
    alpha : float
        Weight of the cost of late answers.
    """

    xi: float = 0.2
    alpha: float = 0.005
    beta: float = 1.0

    def __post_init__(self) -> None:
        _require_positive(xi=self.xi, beta=self.beta)

    def _per_sample(self, times: Times, labels: Labels) -> tuple[Times, Times]:
        rows = np.arange(len(times))
        first = times.min(axis=1, keepdims=True)
        weights = exp_of(-(times - first) / self.xi)
        total = weights.sum(axis=1)
        own = times[rows, labels]
        late = self.alpha * exp_of(own / self.beta)
        gradient = -weights / total[:, None] / self.xi
        gradient[rows, labels] += 1.0 / self.xi + late / self.beta
        return log_of(total) + (own - first[:, 0]) / self.xi + late, gradient


@final
@dataclass(frozen=True)
class ShiftInvariantMSE(SpikeTimeLoss):
    """The label's output shall spike a given time before the others, whenever that is.

    ``L = 1/2 sum_{n != label} (t_n - t_label - delta)^2`` over the outputs that spiked

    Parameters
    ----------
    delta : float, tau_syn
        Wanted distance.
    """

    delta: float = 0.3

    def __post_init__(self) -> None:
        _require_positive(delta=self.delta)

    def _per_sample(self, times: Times, labels: Labels) -> tuple[Times, Times]:
        rows = np.arange(len(times))
        error = times - times[rows, labels][:, None] - self.delta
        error[rows, labels] = 0.0
        error[~np.isfinite(times)] = 0.0
        gradient = error.copy()
        gradient[rows, labels] = -error.sum(axis=1)
        return 0.5 * (error**2).sum(axis=1), gradient


@final
@dataclass(frozen=True)
class TargetTimesMSE(SpikeTimeLoss):
    """Every output shall spike at a given time: one for the label's output, one for the others.

    ``L = 1/2 sum_n (t_n - target_n)^2`` over the outputs that spiked. The class is the output nearest to `t_correct`.

    Parameters
    ----------
    t_correct, t_wrong : float, tau_syn
        Wanted times.
    """

    t_correct: float
    t_wrong: float

    def __post_init__(self) -> None:
        _require_positive(t_correct=self.t_correct, t_wrong=self.t_wrong)

    def predict(self, t_out: Times) -> Labels:
        """Class of each sample: the output whose spike is nearest to `t_correct`; see `SpikeTimeLoss.predict`."""
        return _smallest(np.abs(np.asarray(t_out, np.float64) - self.t_correct))

    def _per_sample(self, times: Times, labels: Labels) -> tuple[Times, Times]:
        error = times - self.t_wrong
        rows = np.arange(len(times))
        error[rows, labels] = times[rows, labels] - self.t_correct
        error[~np.isfinite(times)] = 0.0
        return 0.5 * (error**2).sum(axis=1), error


def _smallest(values: Times) -> Labels:
    if values.size == 0:
        return np.full(len(values), -1, np.int64)
    comparable = np.where(np.isfinite(values), values, np.inf)
    return np.where(np.isfinite(comparable).any(axis=1), comparable.argmin(axis=1), -1).astype(np.int64)


def _checked(t_out: Times, label: Labels) -> tuple[Times, Labels]:
    times = np.asarray(t_out, np.float64)
    labels = np.asarray(label)
    if times.ndim != 2:
        raise ArrayError(f"must have shape [n_samples, n_classes], got {times.shape}", field="t_out")
    if labels.shape != times.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ArrayError(
            f"must be {len(times)} integers, one per sample, got {labels.dtype} {labels.shape}", field="label"
        )
    if labels.size and (labels.min() < 0 or labels.max() >= times.shape[1]):
        raise OutOfRangeError(f"must be 0..{times.shape[1] - 1}, one per output", field="label")
    return times, labels.astype(np.int64)


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise OutOfRangeError(f"must be positive and finite, got {value}", field=name)
