"""What the pictures of a run show, measured on its chip while it is at hand: decision map, spikes and membranes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.files.records import Quantity
from hxloop.kit.extras import extra
from hxloop.rule import Observe
from hxloop.seeds import derive_seed
from hxloop_host.runs.run_content import INPUT_ROWS, OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from hxloop.rule import Codes, Inputs, Recording, Rule
    from hxloop.task import Dataset, Task
    from hxloop_host.network.chip_runner import ChipRunner

MAP_POINTS: Final = 72
"""Points of the decision map along each axis of the unit square; those outside the disc are left out."""
MOST_TRACES: Final = 12
"""Neurons of a population, other than the output, whose membranes are stored."""
SILENT_TRACES: Final = 3
"""How many of these are silent ones."""


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


def one_sample(
    runner: ChipRunner, rule: Rule, codes: Codes, inputs: Inputs, number: int, seed: int, warn: Callable[[str], object]
) -> dict[str, Quantity]:
    """All spikes of one sample on the chip, and the membranes that rule and readout look at.

    Parameters
    ----------
    runner : ChipRunner
    rule : Rule
        Its model of the membranes is stored beside them.
    codes : list of arrays
        Weight codes of each projection.
    inputs : Inputs
        The test set.
    number : int
        Of the sample.
    seed : int
        Of the training.
    warn : callable
        Told in one line if the rule's model fails.

    Returns
    -------
    dict
        ``pictures/sample`` and ``pictures/answer``, int64 [1]; ``pictures/raster/<population>/time_us`` and
        ``.../neuron`` for the input channels and every population that spikes; for those whose membranes were read,
        ``pictures/membranes/<population>/neuron``, int64 [n], ``.../measured`` and, where the rule's model says
        something, ``.../modelled``, float32 [n_reads, n], at the ``pictures/membrane_time_us``.
    """
    recording = runner.record(
        inputs.part(number, number + 1), codes, derive_seed(seed, "raster"), observe=Observe("all") | runner.observe
    )
    modelled: Mapping[str, NDArray[np.float32]] = {}
    if recording.membranes:
        with extra("model of the membranes", warn):
            modelled = rule.modelled(recording, runner.strength)
    answer = runner.readout.predict(runner.readout.scores(recording))
    return {
        "pictures/sample": Quantity(
            np.array([number]), "1", "number of the test sample that spikes and membranes show"
        ),
        "pictures/answer": Quantity(answer, "1", "answer of the chip in the run they show, -1: none"),
        **_spikes(recording),
        **_membranes(recording, modelled),
    }


def _spikes(recording: Recording) -> dict[str, Quantity]:
    tick_us, given = recording.tick_us, recording.inputs.spikes
    rows: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {INPUT_ROWS: (given.tick * tick_us, given.source)}
    for name, spikes in recording.spikes.items():
        rows[name] = (spikes.tick * tick_us, spikes.neuron)
    found = {}
    for name, (time_us, index) in rows.items():
        found[f"pictures/raster/{name}/time_us"] = Quantity(time_us, "us", f"spike times of {name}")
        found[f"pictures/raster/{name}/neuron"] = Quantity(index.astype(np.int64), "1", f"spiking neurons of {name}")
    return found


def _membranes(recording: Recording, modelled: Mapping[str, NDArray[np.float32]]) -> dict[str, Quantity]:
    if not recording.membranes:
        return {}
    found = {"pictures/membrane_time_us": Quantity(recording.membrane_times_us, "us", "times of the readings")}
    for name, read in recording.membranes.items():
        neurons, path = shown_neurons(recording, name), f"pictures/membranes/{name}"
        scale = f"of {name}, 0 at leak, {recording.network.population(name).model_threshold:g} at threshold"
        found[f"{path}/neuron"] = Quantity(neurons, "1", f"neurons of {name} whose membranes are stored")
        found[f"{path}/measured"] = Quantity(read[0, :, neurons].T.copy(), "1", f"measured membranes {scale}")
        if name in modelled:
            model = modelled[name][0, :, neurons].T.astype(np.float32)
            model[~np.isfinite(model)] = np.nan
            found[f"{path}/modelled"] = Quantity(model, "1", f"what the rule's model says of membranes {scale}")
    return found


def shown_neurons(recording: Recording, name: str) -> NDArray[np.int64]:
    """Neurons of a population whose membranes are stored of a recording of one sample: all of the output.

    Of others at most `MOST_TRACES`: those with most spikes first, the last `SILENT_TRACES` of them silent ones, if
    there are so many; of these, those whose membranes rose highest.
    """
    size = recording.network.population(name).size
    if size <= MOST_TRACES or name == recording.network.output:
        return np.arange(size)
    counts = np.zeros(size, np.int64)
    if name in recording.spikes:
        counts = np.bincount(recording.spikes[name].neuron, minlength=size)
    order = np.lexsort((-recording.membranes[name][0].max(axis=0), -counts))
    n_active = int((counts > 0).sum())
    n_silent = min(size - n_active, max(SILENT_TRACES, MOST_TRACES - n_active))
    return np.concatenate([order[: min(n_active, MOST_TRACES - n_silent)], order[n_active : n_active + n_silent]])


def pixels(task: Task) -> dict[str, Quantity]:
    """``pictures/grid``, int64 [2]: rows and columns, where the inputs of a task are the pixels of a picture."""
    if task.grid is None:
        return {}
    return {"pictures/grid": Quantity(np.array(task.grid), "1", "rows and columns of the pixels that inputs are")}
