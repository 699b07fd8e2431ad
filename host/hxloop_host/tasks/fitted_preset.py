"""Settings that suit data nobody has made a preset for, by their kind and size.

Of first-spike learning they are a beginning: a two-layer network, as large as the chip has room for, with the
operating point of the presets. The rules of thumb below interpolate between the presets `paper` (4 features,
3 classes), `digits` (64, 10) and `mnist16` (256, 10), which were chosen by validation accuracy. Those of surrogate
gradients are in `fitted_surrogate`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from hxloop_host.coding.codings import DEFAULT, settings_of_kind
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.tasks.fitted_surrogate import (
    FEW,
    HIDDEN,
    circuits_merged,
    hidden_room,
    refuse_many,
    surrogate_settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hxloop.task import Task

FITTED: Final = "fitted"
"""What such settings are called where presets have names."""
_LONG: Final = {"fast_and_deep": 20.0, "surrogate": 200.0}
"""Length of a sample in time constants from which on a rule has been seen to fail, or (surrogate) was not tried."""
_SAMPLES_SEEN: Final = 200_000
"""Samples of a training, over all epochs; the figures of the presets are 20 x 5000 to 20 x 50000."""


def default_settings(task: Task) -> tuple[str, str | Settings]:
    """What a task is trained with where nothing else is said and nothing tried: what to call it, preset or settings.

    Raises
    ------
    InvalidInputError
        No settings can be fitted to its size.
    """
    if task.presets:
        return task.presets[0], task.presets[0]
    return FITTED, fitted_settings(task, fitted_kinds(task)[0])


def settings_for_rule(task: Task, rule: object) -> str | Settings | None:
    """What a task is trained with by a rule that is named: a preset of its own, or fitted settings, if any."""
    if not isinstance(rule, str):
        return None
    made = presets_for_rule(task, rule)
    if made:
        return made[0]
    return fitted_settings(task, rule) if rule in FITS else None


def presets_for_rule(task: Task, rule: str | None) -> list[str]:
    """Presets of a task that are made for a rule."""
    return [name for name in task.presets if load_settings(name).rule.kind == rule]


def fitted_kinds(task: Task) -> tuple[str, ...]:
    """Rules that suit a task, of which a short trial takes one: of spike trains, all spikes should count."""
    return ("surrogate",) if task.kind == "spikes" else tuple(FITS)


def fitted_settings(task: Task, rule: str = "fast_and_deep") -> Settings:
    """Settings fitted to the kind and size of a task's data.

    Parameters
    ----------
    task : Task
    rule : str
        One of `FITS`. First-spike learning uses the first spike of each channel of spike trains.

    Returns
    -------
    Settings

    Raises
    ------
    InvalidInputError
        More inputs or classes than such a network may have.
    """
    refuse_many(task)
    return FITS[rule](task)


def _first_spike_settings(task: Task) -> Settings:
    base = load_settings("paper" if task.n_inputs <= FEW else "digits").model_dump()
    base["network"] |= _network(task)
    base["coding"] = _coding(task, base)
    n_train = task.loaded("train").n_samples
    base["training"] |= {
        "epochs": min(100, max(1, round(_SAMPLES_SEEN / n_train))),
        "batch_size": min(40 if n_train < 10_000 else 100, n_train),
    }
    return Settings(**base)


FITS: Final[dict[str, Callable[[Task], Settings]]] = {
    "fast_and_deep": _first_spike_settings,
    "surrogate": surrogate_settings,
}
"""What fits settings, by rule."""


def _network(task: Task) -> dict[str, Any]:
    copies = max(1, 20 // task.n_inputs) if task.n_inputs <= FEW else 1
    biased = task.kind == "features" and task.n_inputs <= FEW
    rows = (task.n_inputs + biased) * copies
    merged = circuits_merged(rows)
    room = hidden_room(rows, task.n_classes)
    return {
        "sizes": [min(room, HIDDEN[1]) if task.n_inputs <= FEW else room, task.n_classes],
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
    if settings.coding.duration > _LONG.get(settings.rule.kind, math.inf):
        first += f", samples of {settings.coding.duration:g} time constants of the neurons, which forget early spikes"
    return (
        f"settings fitted to {task.n_inputs} {'channels' if task.kind == 'spikes' else 'features'} and "
        f"{task.n_classes} classes: rule {settings.rule.kind}, network {sizes}, coding {settings.coding.kind}{first}, "
        f"{training.epochs} epochs in batches of {training.batch_size}; --preset takes others"
    )
