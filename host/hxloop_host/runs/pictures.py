"""What the pictures of a run show, measured on its chip while it is at hand: decision map and spike raster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.files.records import Quantity
from hxloop.rule import Observe
from hxloop.seeds import derive_seed
from hxloop_host.runs.run_content import INPUT_ROWS, OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hxloop.rule import Codes, Inputs
    from hxloop.task import Dataset, Task
    from hxloop_host.network.chip_runner import ChipRunner

MAP_POINTS: Final = 72
"""Points of the decision map along each axis of the unit square; those outside the disc are left out."""


def decision_map(
    runner: ChipRunner, codes: Codes, task: Task, encode: Callable[[NDArray[np.float64]], Inputs], seed: int
) -> dict[str, Quantity]:
    """Answers of the chip all over the disc inscribed in the unit square; nothing for other tasks.

    Parameters
    ----------
    runner : ChipRunner
    codes : list of arrays
        Weight codes of each projection.
    task : Task
    encode : callable
        Features to spikes.
    seed : int
        Of the training.

    Returns
    -------
    dict
        ``pictures/map``: int8 [y, x], class, -1 where there was no answer, -2 outside the disc.
    """
    if task.features_of_plane is None:
        return {}
    axis = (np.arange(MAP_POINTS) + 0.5) / MAP_POINTS
    x, y = np.meshgrid(axis, axis)
    inside = (x - 0.5) ** 2 + (y - 0.5) ** 2 <= 0.25
    inputs = encode(task.features_of_plane(np.stack([x[inside], y[inside]], axis=1)))
    observe = Observe("first") | runner.readout.observe(runner.network)
    recording = runner.record(inputs, codes, derive_seed(seed, "decision map"), observe=observe)
    answers = np.full(x.shape, OUTSIDE, np.int8)
    answers[inside] = runner.readout.predict(runner.readout.scores(recording))
    return {"pictures/map": Quantity(answers, "1", "class by (y, x); -1: no answer, -2: outside the disc")}


def answers_to_test(task: Task, data: Dataset, predicted: NDArray[np.int64]) -> dict[str, Quantity]:
    """Classes of the test samples and the chip's answers; their features only where a decision map will show them."""
    points: dict[str, Quantity] = {}
    if task.features_of_plane is not None and data.features is not None:
        points["test/features"] = Quantity(data.features, "1", "features of the test samples")
    return {
        **points,
        "test/label": Quantity(data.label, "1", "class"),
        "test/predicted": Quantity(predicted, "1", "answer of the chip, -1: none"),
    }


def raster(runner: ChipRunner, codes: Codes, inputs: Inputs, seed: int) -> dict[str, Quantity]:
    """All spikes of one sample on the chip.

    Returns
    -------
    dict
        ``pictures/raster/<population>/time_us`` and ``.../neuron`` for the input channels and every population that
        spikes.
    """
    recording = runner.record(inputs, codes, derive_seed(seed, "raster"), observe=Observe("all"))
    tick_us = runner.spec.tick_us
    rows: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {
        INPUT_ROWS: (inputs.spikes.tick * tick_us, inputs.spikes.source)
    }
    for name, spikes in recording.spikes.items():
        rows[name] = (spikes.tick * tick_us, spikes.neuron)
    found = {}
    for name, (time_us, index) in rows.items():
        found[f"pictures/raster/{name}/time_us"] = Quantity(time_us, "us", f"spike times of {name}")
        found[f"pictures/raster/{name}/neuron"] = Quantity(index.astype(np.int64), "1", f"spiking neurons of {name}")
    return found
