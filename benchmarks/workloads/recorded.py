"""Recordings of networks that surrogate gradients train: spikes and membranes of a chip, after a few steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.workloads.networks import images
from hxloop.rule import Batch
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.tasks.shd70 import shd70
from hxloop_host.training.assembly import prepared, trainer_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.chip import Chip
    from hxloop.readout import Readout
    from hxloop.rule import Recording
    from hxloop.task import Dataset

MNIST, SPEECH = "mnist_256_246_10", "speech_70_236_20"
BATCH = {MNIST: 100, SPEECH: 50}
STEPS = 20
"""Of training before the recording: neurons are as active then as in most of a training."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """A recording, and what learns from it.

    Attributes
    ----------
    recording : Recording
    readout : Readout
    label : int64 [n_samples]
    grad_scores : float64 [n_samples, n_classes]
        Derivative of the loss by the scores.
    steepness : float
    """

    recording: Recording
    readout: Readout
    label: NDArray[np.int64]
    grad_scores: NDArray[np.float64]
    steepness: float


def recorded(name: str, chip: Chip) -> Recorded:
    """One batch of a network (`MNIST` or `SPEECH`) on a chip."""
    settings, data = _MADE[name]()
    size = settings.training.batch_size
    rule, runner = prepared(settings, chip, data.n_inputs)
    trainer = trainer_of(settings, rule, runner, data, data.take(slice(size)), seed=1)
    trainer.epoch(lambda _: None)
    inputs, samples = trainer._inputs, np.arange(size)
    batch = Batch(inputs.take(samples), data.label[:size], epoch=1, number=0, seed=1)
    recording, readout = runner.run(batch, trainer.weights), runner.readout
    _, grad_scores = readout.value_and_gradient(readout.scores(recording), batch.label)
    return Recorded(recording, readout, batch.label, grad_scores, settings.rule.steepness)


def _mnist() -> tuple[Settings, Dataset]:
    return load_settings("mnist16_surrogate"), images(STEPS * BATCH[MNIST], "train")[0]


def _speech() -> tuple[Settings, Dataset]:
    """A recurrent layer of as many neurons as a chip has beside the output, with as many sources as it has rows."""
    base = load_settings("mnist16_surrogate").model_dump()
    base["network"] = {
        "output": "output",
        "populations": [{"name": "hidden", "size": 236}, {"name": "output", "size": 20, "spiking": False}],
        "projections": [
            {"source": "input", "target": "hidden", "init_mean": 0.02, "init_std": 0.1},
            {"source": "hidden", "target": "hidden", "part": [0, 186], "init_std": 0.02},
            {"source": "hidden", "target": "output", "init_std": 0.05},
        ],
    }
    base["coding"] = {"kind": "none", "duration": 28.4}  # 100 reads of 1.7 us
    base["neuron"] |= {"tau_mem_us": 20.0, "tau_syn_us": 6.0}
    base["training"]["batch_size"] = BATCH[SPEECH]
    return Settings.model_validate(base), shd70("train").take(slice(STEPS * BATCH[SPEECH]))


_MADE = {MNIST: _mnist, SPEECH: _speech}
