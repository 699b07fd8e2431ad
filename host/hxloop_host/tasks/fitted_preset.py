"""Settings that suit data nobody has made a preset for, by their kind and size.

They are a beginning: a two-layer network for first-spike learning, as large as the chip has room for, with the
operating point of the presets. The rules of thumb below interpolate between the presets `paper` (4 features,
3 classes), `digits` (64, 10) and `mnist16` (256, 10), which were chosen by validation accuracy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from hxloop.errors import InvalidInputError
from hxloop_host.coding.codings import DEFAULT, settings_of_kind
from hxloop_host.settings.experiment_settings import Settings, load_settings

if TYPE_CHECKING:
    from hxloop.task import Task

_SIGNED_INPUTS: Final = 128
"""Signed inputs of one circuit (HICANN-X: 256 rows, two for a sign)."""
_CIRCUITS: Final = 512
_MOST_INPUTS: Final = 256
"""What a network of two layers can be given: beyond, each neuron would take four circuits."""
_FEW: Final = 16
"""Up to so many inputs, each drives several rows, for one synapse would be too weak."""
_LONG: Final = 20.0
"""Length of a sample in time constants from which on first-spike learning has been seen to fail."""
_SAMPLES_SEEN: Final = 200_000
"""Samples of a training, over all epochs; the figures of the presets are 20 x 5000 to 20 x 50000."""


def default_settings(task: Task) -> tuple[str, str | Settings]:
    """What a task is trained with where nothing else is said: what to call it, and a preset or settings.

    Raises
    ------
    InvalidInputError
        No settings can be fitted to its size.
    """
    if task.presets:
        return task.presets[0], task.presets[0]
    return "fitted", fitted_settings(task)


def fitted_settings(task: Task) -> Settings:
    """Settings fitted to the kind and size of a task's data.

    Parameters
    ----------
    task : Task

    Returns
    -------
    Settings
        With first-spike learning. Of spike trains, the first spike of each channel is used.

    Raises
    ------
    InvalidInputError
        More inputs than such a network may have.
    """
    if task.n_inputs > _MOST_INPUTS:
        raise InvalidInputError(
            f"{task.name} has {task.n_inputs} inputs, and settings are fitted for at most {_MOST_INPUTS}",
            field="preset",
            hint="write settings of your own (--preset FILE.toml), or use fewer inputs",
        )
    few = task.n_inputs <= _FEW
    base = load_settings("paper" if few else "digits").model_dump()
    n_train = task.load("train").n_samples
    base["network"] |= _network(task)
    base["coding"] = _coding(task, base)
    base["training"] |= {
        "epochs": min(100, max(1, round(_SAMPLES_SEEN / n_train))),
        "batch_size": min(40 if n_train < 10_000 else 100, n_train),
    }
    return Settings(**base)


def _network(task: Task) -> dict[str, Any]:
    copies = max(1, 20 // task.n_inputs) if task.n_inputs <= _FEW else 1
    biased = task.kind == "features" and task.n_inputs <= _FEW
    rows = (task.n_inputs + biased) * copies
    merged = 2 ** max(0, math.ceil(math.log2(rows / _SIGNED_INPUTS)))
    hidden = 120
    if task.n_inputs > _FEW:
        # More than 128 hidden neurons take two circuits of every output.
        hidden = max(120, min(240, (_CIRCUITS - 2 * task.n_classes) // merged))
    return {
        "sizes": [hidden, task.n_classes],
        "copies": [copies, 1],
        "bias_copies": [copies if biased else 0, 0],
        "bias_times": [0.9 if biased else 0.0, 0.0],
        # The more rows there are, the less each of them needs to give; about half of the inputs are taken to spike.
        "init_mean": [min(0.2, max(0.07, 2.5 / rows if biased else 7.0 / rows)), 0.1 if merged > 1 else 0.075],
        "init_std": [0.12, 0.15],
    }


def _coding(task: Task, base: dict[str, Any]) -> dict[str, Any]:
    if task.kind == "spikes":
        duration = max(2.0, math.ceil(task.duration_us / base["neuron"]["tau_syn_us"]) + 2.0)
        return {"kind": "none", "first_only": not _is_single(task), "duration": duration}
    if task.coding and task.coding != DEFAULT:
        return settings_of_kind(task.coding)().model_dump()
    return dict(base["coding"])


def _is_single(task: Task) -> bool:
    """Whether no channel spikes twice in any sample that is trained on."""
    trains = task.load("train").trains
    return trains is not None and trains.is_single


def preset_words(task: Task, settings: Settings) -> str:
    """What was chosen for data without a preset, in one line."""
    network, training = settings.network, settings.training
    sizes = "-".join(str(n) for n in (task.n_inputs, *network.sizes))
    first = ", first spike of each channel only" if getattr(settings.coding, "first_only", False) else ""
    if settings.coding.duration > _LONG:
        first += f", samples of {settings.coding.duration:g} time constants of the neurons, which forget early spikes"
    return (
        f"settings fitted to {task.n_inputs} {'channels' if task.kind == 'spikes' else 'features'} and "
        f"{task.n_classes} classes: network {sizes}, coding {settings.coding.kind}{first}, {training.epochs} epochs in "
        f"batches of {training.batch_size}; --preset takes others"
    )
