"""Samples on a chip with given weights; nothing is learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hxloop.kit.brief import brief
from hxloop.rule import Observe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.rule import Codes, Inputs
    from hxloop_host.network.chip_runner import ChipRunner

EVALUATION_SAMPLES = 2000
"""Samples sent to the chip in one run when nothing is learned from them."""


@brief
@dataclass(frozen=True, eq=False)
class Score:
    """A data set on the chip.

    Attributes
    ----------
    accuracy : float
        Fraction of right answers.
    loss : float
        Mean loss.
    silent_fraction : float
        Of all (sample, neuron) pairs of populations that spike.
    scores : float64 [n_samples, n_classes]
        What the answers are taken from.
    answers : int64 [n_samples]
        Classes, -1: none.
    """

    accuracy: float
    loss: float
    silent_fraction: float
    scores: NDArray[np.float64]
    answers: NDArray[np.int64]


def answers(runner: ChipRunner, codes: Codes, inputs: Inputs, trial_seed: int) -> NDArray[np.int64]:
    """Classes of samples, int64 [n_samples]; only what the readout needs is recorded."""
    readout = runner.readout
    recording = runner.record(
        inputs, codes, trial_seed, observe=readout.observe(runner.network), parts=_parts(inputs.n_samples)
    )
    return readout.predict(readout.scores(recording))


def score(runner: ChipRunner, codes: Codes, inputs: Inputs, label: NDArray[np.int64], trial_seed: int) -> Score:
    """Run a data set with given weight codes, and look at all neurons."""
    readout, network = runner.readout, runner.network
    observe = Observe("first") | readout.observe(network)
    recording = runner.record(inputs, codes, trial_seed, observe=observe, parts=_parts(inputs.n_samples))
    scores = readout.scores(recording)
    found = readout.predict(scores)
    return Score(
        accuracy=float(np.mean(found == label)),
        loss=readout.value_and_gradient(scores, label)[0],
        silent_fraction=mean_silence(recording.silent_fraction(), {p.name: p.size for p in network.populations}),
        scores=scores,
        answers=found,
    )


def mean_silence(per_population: dict[str, float], sizes: dict[str, int]) -> float:
    """Fraction of all (sample, neuron) pairs without a spike from that of each population; NaN where none spikes."""
    if not per_population:
        return float("nan")
    return float(np.average(list(per_population.values()), weights=[sizes[name] for name in per_population]))


def _parts(n_samples: int) -> int:
    """Runs into which an evaluation is divided."""
    return -(-n_samples // EVALUATION_SAMPLES)
