"""Mechanisms of mismatch and noise, each with one strength that can be compared with the others'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hxloop.errors import InvalidInputError
from hxloop.kit.suggest import suggestion
from hxloop_host.studies.design.knobs import key_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from hxloop_host.settings.experiment_settings import NeuronSettings

_HEIGHT, _TAU, _RATIO = "height", "tau", "ratio"

MISMATCH: Final = {
    "threshold": {"v_threshold_residual_mv": _HEIGHT},
    "tau_mem": {"tau_mem_residual": _RATIO},
    "tau_syn": {"tau_syn_residual": _RATIO},
    "synaptic_input": {"synaptic_input_residual": _RATIO},
    "synapse": {"synapse_fixed": _RATIO},
}
"""Fixed patterns: of a threshold, standard deviation as a share of threshold - leak; else of the logarithm."""

NOISE: Final = {
    "jitter": {"jitter_trial_us": _TAU},
    "membrane": {"membrane_trial_mv": _HEIGHT},
    "threshold_noise": {"threshold_trial_mv": _HEIGHT},
    "amplitude": {"amplitude_trial": _RATIO},
}
"""Temporal noise: jitter as a share of tau_syn, potentials as a share of threshold - leak, amplitudes relative."""

ALL: Final = "all"
"""Every mechanism of a group at once."""


def turned(mechanism: str, percent: float, neuron: NeuronSettings) -> dict[str, float]:
    """Knobs for one mechanism, or `ALL` of mismatch, at a strength in percent."""
    chosen: dict[str, str] = {}
    for name, imperfections in (MISMATCH | NOISE).items():
        if name == mechanism or (mechanism == ALL and name in MISMATCH):
            chosen |= imperfections
    unit = {_HEIGHT: neuron.v_threshold_mv - neuron.v_leak_mv, _TAU: neuron.tau_syn_us, _RATIO: 1.0}
    return {key_of(name): float(f"{percent / 100 * unit[u]:.9g}") for name, u in chosen.items()}


def check_known(names: Collection[str], known: Mapping[str, object] | Collection[str], field: str) -> None:
    """Refuse a name that is not known.

    Raises
    ------
    InvalidInputError
        With the nearest one that is.
    """
    for name in names:
        if name not in known:
            raise InvalidInputError(f"no {field} is called {name!r}", field=field, hint=suggestion(name, list(known)))
