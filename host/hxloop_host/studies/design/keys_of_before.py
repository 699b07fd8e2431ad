"""Points in the form they had before there were other rules, readouts, codings, optimisers and networks than one.

A point is named by a hash of what its result depends on, written as JSON. What that form can say is still written in
it, to the byte, so that what studies of earlier versions have computed is found again; everything else has the form of
today (`hxloop_host.studies.design.point`). The order of the keys below is part of the names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hxloop_host.beginnings.drawn import DrawnSettings
from hxloop_host.settings.network_settings import LayeredNetwork

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop.kit.strict import Strict
    from hxloop_calibration.options import Method
    from hxloop_host.settings.experiment_settings import Settings
    from hxloop_host.studies.design.point import Point

DEFAULT_METHOD: Final[Method] = "default"
"""Method of all calibrations before there was another one."""
_TASKS: Final = ("yin-yang", "mnist16")
_NETWORK: Final = ("sizes", "copies", "bias_copies", "bias_times", "init_mean", "init_std")
_NEURON: Final = (
    "tau_mem_us", "tau_syn_us", "t_refractory_us", "v_leak_mv", "v_reset_mv", "v_threshold_mv", "model_threshold",
    "scale_weights", "weight_bits",
)  # fmt: skip
_LOSSES: Final = {"delta": 0.3, "xi": 0.2, "alpha": 0.005, "beta": 1.0, "t_correct": 1.6, "t_wrong": 1.9}
"""Numbers of all losses, which stood in one section whatever the loss was, and their defaults."""
_OF_LOSS: Final = {
    "shift_invariant_mse": ("delta",),
    "softmax_times": ("xi", "alpha", "beta"),
    "target_times_mse": ("t_correct", "t_wrong"),
}
_SILENCE: Final = ("limits", "bump", "doubling", "targeted")
_GRADIENT_LIMIT: Final = "max_dw_norm"
_OPTIMIZER: Final = (
    "learning_rate", "beta1", "beta2", "epsilon", _GRADIENT_LIMIT, "schedule", "step_epochs", "gamma", "floor",
)  # fmt: skip
_TRAINING: Final = (
    "epochs", "batch_size", "batch_split", "evaluate_every", "checkpoint_every", "keep_checkpoints", "select", "clock",
    "begin_s",
)  # fmt: skip
_CODING: Final = ("t_early", "t_late", "duration", "jitter")
_DATA: Final = ("train", "validation", "test")

KNOBS_OF_BEFORE: Final = {f"silence.{key}": f"rule.{key}" for key in _SILENCE} | {
    f"optimizer.{_GRADIENT_LIMIT}": f"rule.{_GRADIENT_LIMIT}"
}
"""What settings are called today."""


_LATER: Final = {
    "optimizer": {"clip_norm": 0.0, "delay_rate": 1.0},
    "rule": {"model_noise": 0.0, "soften": 0.0, "soften_epochs": 5.0},
}
"""What settings that came later say if everything is as it was before them."""
_LATER_OF_RULE: Final = {"fast_and_deep": {"silent": "bump", "lift": 0.01, "memory": 0.5}}
"""The same of settings of a rule, by its kind."""


class _NewerError(Exception):
    """Something that there was not then."""


def form_of_before(point: Point) -> dict[str, Any] | None:
    """Plain values of a point as they were written once, None for one that this form cannot say."""
    try:
        return _point(point)
    except _NewerError:
        return None


def without_later(settings: dict[str, Any]) -> dict[str, Any]:
    """Plain settings of a point, as they were before there were choices that it does not make."""
    found = dict(settings)
    later_of = _LATER | {"rule": _LATER_OF_RULE.get(settings["rule"]["kind"], {})}
    for section, later in later_of.items():
        own = settings[section]
        found[section] = {key: value for key, value in own.items() if key not in later or value != later[key]}
    return found


def losses_left(before: Settings, chosen: Settings) -> dict[str, float]:
    """Numbers of a loss that was chosen before another one was: once they stayed in the settings without any effect.

    Parameters
    ----------
    before, chosen : Settings
        Without and with what a study turns.

    Returns
    -------
    dict of str to float
        Those that are not the default.
    """
    old, new = before.loss.kind, chosen.loss.kind
    if old == new or old not in _OF_LOSS or new not in _OF_LOSS:
        return {}
    values = {key: float(getattr(before.loss, key)) for key in _OF_LOSS[old]}
    return {key: value for key, value in values.items() if value != _LOSSES[key]}


def _point(point: Point) -> dict[str, Any]:
    if point.task not in _TASKS or point.rule is not None or point.data:
        raise _NewerError
    if point.action == "measure" or point.calibration_method != DEFAULT_METHOD:
        raise _NewerError
    return {
        "action": point.action,
        "task": point.task,
        "settings": _settings(point.settings, point.losses_left),
        "chip": point.chip,
        "serial": point.serial,
        "seed": point.seed,
        "model": point.model,
        "calibrated_at_s": point.calibrated_at_s,
        "initial": None if point.initial is None else _point(point.initial),
        "at_s": point.at_s,
        "trial": point.trial,
    }


def _settings(settings: Settings, left: Mapping[str, float]) -> dict[str, Any]:
    kinds = (settings.rule.kind, settings.optimizer.kind, settings.coding.kind)
    if kinds != ("fast_and_deep", "adam", "time_to_first_spike") or settings.loss.kind not in _OF_LOSS:
        raise _NewerError
    later = settings.augmentation or settings.virtual_chips or settings.beginning != DrawnSettings()
    if later or not isinstance(settings.network, LayeredNetwork):
        raise _NewerError
    own = _OF_LOSS[settings.loss.kind]
    rule = _section(settings.rule, (*_SILENCE, _GRADIENT_LIMIT))
    adam = _section(settings.optimizer, tuple(key for key in _OPTIMIZER if key != _GRADIENT_LIMIT))
    adam[_GRADIENT_LIMIT] = rule.pop(_GRADIENT_LIMIT)
    return {
        "network": _section(settings.network, _NETWORK),
        "neuron": _section(settings.neuron, _NEURON),
        "loss": {"kind": settings.loss.kind, **_LOSSES, **left, **_section(settings.loss, own)},
        "silence": rule,
        "optimizer": {key: adam[key] for key in _OPTIMIZER},
        "training": _section(settings.training, _TRAINING),
        "coding": _section(settings.coding, _CODING),
        "data": _section(settings.data, _DATA),
    }


def _section(part: Strict, keys: tuple[str, ...]) -> dict[str, Any]:
    """Values of a section; keys that came later may only have the values that stand for what was always so.

    Raises
    ------
    _NewerError
    """
    values = part.model_dump()
    for key, value in values.items():
        info = type(part).model_fields.get(key)
        if key not in (*keys, "kind") and (info is None or value != info.default):
            raise _NewerError
    return {key: values[key] for key in keys}
