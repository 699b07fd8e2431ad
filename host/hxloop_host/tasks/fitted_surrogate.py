"""Settings for surrogate gradients that suit data nobody has made a preset for.

A network with one layer of hidden neurons and an output of leaky integrators, read by their mean membranes: all outputs
learn from all samples, where of a maximum those learn that have one. Numbers without a source were chosen by validation
accuracy on chips other than those reported (serials above 100), on the data of ``benchmarks/own_data.py``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from hxloop.errors import InvalidInputError
from hxloop.rule import CADC_PERIOD_US
from hxloop_host.coding.codings import DEFAULT, settings_of_kind
from hxloop_host.settings.experiment_settings import Settings

if TYPE_CHECKING:
    from hxloop.task import Task

SIGNED_INPUTS: Final = 128
"""Signed inputs of one circuit (HICANN-X: 256 rows, two for a sign)."""
CIRCUITS: Final = 512
MOST_INPUTS: Final = 512
"""What neurons of four circuits hear; of larger ones there is room for few."""
FEW: Final = 16
"""Up to so many features, each drives several rows, for one synapse would be too weak."""
_TIMED: Final = 6
"""Up to so many features, one spike each is as good as a rate, and cheaper."""
HIDDEN: Final = (24, 120, 240)
"""Neurons of the hidden layer: fewest, usual, and most, of many inputs."""
_READINGS: Final = (60, 150)
"""Readings of a sample of spike trains: usual ones, and most where neurons forget faster than that."""
_TAU_US: Final = (6.0, 30.0, 60.0)
"""Time constants that hear spike trains: the published operating point, and the longest of synapses and membranes."""
_LONG: Final = 10.0
"""Length of spike trains in time constants from which on the hidden layer is recurrent: neurons alone forget."""
_SAMPLES_SEEN: Final = 60_000
"""Samples of a training, over all epochs."""


def circuits_merged(rows: int) -> int:
    """Circuits of a neuron with this number of signed inputs."""
    return 1 << max(0, math.ceil(math.log2(rows / SIGNED_INPUTS)))


def refuse_many(task: Task) -> None:
    """Refuse what no fitted network has room for.

    Raises
    ------
    InvalidInputError
        More inputs or classes.
    """
    if task.n_inputs > MOST_INPUTS:
        raise InvalidInputError(
            f"{task.name} has {task.n_inputs} inputs, and settings are fitted for at most {MOST_INPUTS}",
            field="preset",
            hint="use fewer inputs (means of neighbours, principal components), or write settings of your own "
            "(--preset FILE.toml)",
        )
    if hidden_room(task.n_inputs, task.n_classes) < HIDDEN[0]:
        raise InvalidInputError(
            f"{task.n_classes} classes leave no room for hidden neurons that hear {task.n_inputs} inputs",
            field="preset",
            hint="use fewer classes or inputs, or write settings of your own (--preset FILE.toml)",
        )


def hidden_room(rows: int, n_classes: int, *, recurrent: bool = False) -> int:
    """Hidden neurons with this number of signed inputs, and those of each other, that there is room for."""
    best = 0
    for merged in (1, 2, 4):
        signed = SIGNED_INPUTS * merged
        if rows > signed:
            continue
        # More than 128 hidden neurons take two circuits of every output.
        room = (CIRCUITS - n_classes) // merged
        if room > SIGNED_INPUTS:
            room = max(SIGNED_INPUTS, (CIRCUITS - 2 * n_classes) // merged)
        best = max(best, min(room, signed - rows, HIDDEN[2]) if recurrent else min(room, HIDDEN[2]))
    return best


def surrogate_settings(task: Task) -> Settings:
    """Settings of rule ``surrogate`` for a task that `refuse_many` does not refuse."""
    n_train = task.loaded("train").n_samples
    network, coding, times = _of_trains(task) if task.kind == "spikes" else _of_features(task)
    period_us = times.pop("period_us", CADC_PERIOD_US)
    values: dict[str, Any] = {
        "network": network,
        "coding": coding,
        # Operating point, cost of bursts and rate of learning as in preset mnist16_surrogate.
        "neuron": {"t_refractory_us": 0.5, "model_threshold": 1.0, "scale_weights": 51.5} | times,
        "loss": {"kind": "membrane_cross_entropy", "score": "mean", "scale": 20.0, "period_us": period_us},
        "rule": {"kind": "surrogate", "steepness": 10.0, "bursts": 5e-4, "period_us": period_us},
        "optimizer": {"learning_rate": 0.007, "schedule": "cosine", "floor": 0.02},
        "training": {
            "epochs": min(60, max(2, round(_SAMPLES_SEEN / n_train))),
            "batch_size": max(1, min(100, max(n_train // 30, min(16, n_train // 8)))),
        },
    }
    return Settings(**values)


def _of_features(task: Task) -> tuple[dict[str, Any], dict[str, Any], dict[str, float]]:
    """Network, coding, and times in us where they are not the usual ones.

    A few features are a spike each beside a bias; times of more tell too little apart in a mean membrane: they are
    rates.
    """
    few = task.n_inputs <= _TIMED
    copies = max(1, 20 // task.n_inputs) if few else 1
    rows = (task.n_inputs + few) * copies
    usual = HIDDEN[1] if few else max(HIDDEN[1], min(HIDDEN[2], 2 * task.n_inputs))
    size = min(usual, hidden_room(rows, task.n_classes))
    network = _network(task, size, copies, 1.0 / rows, (4.0 if few else 3.0) / math.sqrt(rows))
    if few:
        network["projections"].insert(1, network["projections"][0] | {"source": "bias", "bias_time_us": 6.0})
    coding: dict[str, Any] = {"kind": "rate", "rate_khz": 250.0, "process": "regular", "duration": 6.0}
    if task.coding:
        coding = settings_of_kind(task.coding)().model_dump()
    elif few:
        coding = {"kind": DEFAULT, "t_late": 4.0, "duration": 7.0}
    return network, coding, {}


def _of_trains(task: Task) -> tuple[dict[str, Any], dict[str, Any], dict[str, float]]:
    """As `_of_features`: neurons that remember as much of a sample as they can."""
    trains = task.loaded("train").trains
    assert trains is not None
    duration_us = task.duration_us
    wanted_us = max(_TAU_US[0], duration_us / _LONG)
    tau_syn_us, tau_mem_us = min(wanted_us, _TAU_US[1]), min(wanted_us, _TAU_US[2])
    # Spikes of all channels within a time constant: the mean membrane of a weight of 1.
    arriving = len(trains.time_us) / trains.n_samples * tau_mem_us / duration_us
    recurrent = wanted_us > tau_mem_us and hidden_room(task.n_inputs, task.n_classes, recurrent=True) >= HIDDEN[0]
    size = min(HIDDEN[1], hidden_room(task.n_inputs, task.n_classes, recurrent=recurrent))
    network = _network(task, size, 1, 1.0 / (2.0 * arriving + 3.0), 2.0 / math.sqrt(arriving + 3.0))
    if recurrent:
        recurrence = {"source": "hidden", "target": "hidden", "init_mean": 0.0, "init_std": 0.5 / math.sqrt(size)}
        network["projections"].insert(1, recurrence)
    usual_us, least_us = (duration_us / number for number in _READINGS)
    period_us = max(CADC_PERIOD_US, round(max(least_us, min(usual_us, tau_mem_us)), 3))
    coding = {"kind": "none", "duration": (duration_us + tau_mem_us) / tau_syn_us}
    return network, coding, {"tau_mem_us": tau_mem_us, "tau_syn_us": tau_syn_us, "period_us": period_us}


def _network(task: Task, size: int, copies: int, mean: float, std: float) -> dict[str, Any]:
    return {
        "output": "output",
        "populations": [
            {"name": "hidden", "size": size},
            {"name": "output", "size": task.n_classes, "spiking": False},
        ],
        "projections": [
            {"source": "input", "target": "hidden", "copies": copies, "init_mean": mean, "init_std": std},
            {"source": "hidden", "target": "output", "init_mean": 0.0, "init_std": 0.5 / math.sqrt(size)},
        ],
    }
