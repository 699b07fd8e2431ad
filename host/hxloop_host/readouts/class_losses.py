"""Losses on scores of which the label's should be the largest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.readout import check_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray


def cross_entropy(
    scores: NDArray[np.float64], label: NDArray[np.int64], scale: float
) -> tuple[float, NDArray[np.float64]]:
    """Mean of ``-ln softmax(scale * scores)[label]``, and its derivative with respect to the scores.

    Parameters
    ----------
    scores : float64 [n_samples, n_classes]
    label : int64 [n_samples]
    scale : float
        Inverse temperature of the softmax.

    Raises
    ------
    ArrayError, OutOfRangeError
        As `hxloop.readout.check_labels`.
    """
    from hxloop_host.arithmetic.exp_log import exp_of, log_of  # compiled: not needed to read settings

    values, labels = check_labels(scores, label)
    if len(values) == 0:
        return 0.0, np.zeros(values.shape)
    rows = np.arange(len(values))
    below = scale * (values - values.max(axis=1, keepdims=True))
    weights = exp_of(below)
    total = weights.sum(axis=1)
    gradient = weights / total[:, None]
    gradient[rows, labels] -= 1.0
    return float((log_of(total) - below[rows, labels]).mean()), scale * gradient / len(values)


def squared_error(
    scores: NDArray[np.float64], label: NDArray[np.int64], correct: float, wrong: float
) -> tuple[float, NDArray[np.float64]]:
    """Mean of ``1/2 sum_n (score_n - target_n)^2``, and its derivative with respect to the scores.

    Parameters
    ----------
    scores : float64 [n_samples, n_classes]
    label : int64 [n_samples]
    correct, wrong : float
        Targets of the label and of the others.

    Raises
    ------
    ArrayError, OutOfRangeError
        As `hxloop.readout.check_labels`.
    """
    values, labels = check_labels(scores, label)
    if len(values) == 0:
        return 0.0, np.zeros(values.shape)
    error = values - wrong
    rows = np.arange(len(values))
    error[rows, labels] = values[rows, labels] - correct
    return float(0.5 * (error**2).sum(axis=1).mean()), error / len(values)


def largest(scores: NDArray[np.float64], above: float = -np.inf) -> NDArray[np.int64]:
    """int64 [n_samples]: class with the largest score, the lower one of equals; -1 where none is larger than `above`.

    Scores that are NaN are none.
    """
    values = np.asarray(scores, np.float64)
    if values.size == 0:
        return np.full(len(values), -1, np.int64)
    comparable = np.where(np.isnan(values), -np.inf, values)
    return np.where(comparable.max(axis=1) > above, comparable.argmax(axis=1), -1).astype(np.int64)
