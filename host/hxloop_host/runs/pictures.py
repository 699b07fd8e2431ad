"""What the pictures of a run show, measured on its chip while it is at hand: decision map and spike raster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.files.records import Quantity
from hxloop.seeds import derive_seed
from hxloop_host.runs.run_content import INPUT_ROWS, OUTSIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.readout import Readout
    from hxloop.task import Dataset, Task
    from hxloop_host.network.chip_network import ChipNetwork

MAP_POINTS: Final = 72
"""Points of the decision map along each axis of the unit square; those outside the disc are left out."""


def decision_map(network: ChipNetwork, task: Task, loss: Readout, seed: int) -> dict[str, Quantity]:
    """Answers of the configured chip all over the disc inscribed in the unit square; nothing for other tasks.

    Returns
    -------
    dict
        ``pictures/map``: int8 [y, x], class, -1 where no output spiked, -2 outside the disc.
    """
    if task.features_of_plane is None:
        return {}
    axis = (np.arange(MAP_POINTS) + 0.5) / MAP_POINTS
    x, y = np.meshgrid(axis, axis)
    inside = (x - 0.5) ** 2 + (y - 0.5) ** 2 <= 0.25
    features = task.features_of_plane(np.stack([x[inside], y[inside]], axis=1))
    times = network.on_grid(network.input_times(features))
    answers = np.full(x.shape, OUTSIDE, np.int8)
    answers[inside] = loss.predict(network.run(times, derive_seed(seed, "decision map")).t_out[-1])
    return {"pictures/map": Quantity(answers, "1", "class by (y, x); -1: no spike, -2: outside the disc")}


def answers_to_test(task: Task, data: Dataset, predicted: NDArray[np.int64]) -> dict[str, Quantity]:
    """Classes of the test samples and the chip's answers; their features only where a decision map will show them."""
    points = {"test/features": Quantity(data.features, "1", "features of the test samples")}
    return {
        **(points if task.features_of_plane else {}),
        "test/label": Quantity(data.label, "1", "class"),
        "test/predicted": Quantity(predicted, "1", "answer of the chip, -1: no output spiked"),
    }


def raster(network: ChipNetwork, data: Dataset, sample: int, seed: int) -> dict[str, Quantity]:
    """All spikes of one sample on the configured chip.

    Returns
    -------
    dict
        ``pictures/raster/<layer>/time_us`` and ``.../neuron`` for the input channels and every layer.
    """
    times = network.on_grid(network.input_times(data.features[sample : sample + 1]))
    tick_us, tau_syn_us = network.chip.spec.tick_us, network.settings.neuron.tau_syn_us
    channel = np.flatnonzero(np.isfinite(times[0]))
    rows: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {INPUT_ROWS: (times[0, channel] * tau_syn_us, channel)}
    spikes = network.spikes(times, derive_seed(seed, "raster"))
    for layer in network.layers:
        _, neuron, tick = network.placement.decode_spikes(spikes, layer.name)
        rows[layer.name] = (tick * tick_us, neuron)
    found = {}
    for name, (time_us, index) in rows.items():
        found[f"pictures/raster/{name}/time_us"] = Quantity(time_us, "us", f"spike times of {name}")
        found[f"pictures/raster/{name}/neuron"] = Quantity(index.astype(np.int64), "1", f"spiking neurons of {name}")
    return found
