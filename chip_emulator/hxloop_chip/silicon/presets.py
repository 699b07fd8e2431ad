"""Named chips: a datasheet, the strength of every imperfection, and whether they boot calibrated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from hxloop.errors import InvalidInputError
from hxloop.kit import arguments
from hxloop.naming.chip_name import ChipName
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop_chip.silicon.imperfections import Imperfections

if TYPE_CHECKING:
    from hxloop.spec import ChipSpec


MODEL_VERSION: Final = "6"
"""Version of the physics; raise it when the same inputs give other spikes. Here, so that it can be told without the
solver."""


@dataclass(frozen=True)
class NamedChip:
    """What a name stands for.

    Attributes
    ----------
    spec : ChipSpec
    imperfections : Imperfections
    calibrated : bool
        Boots with the codes of a nightly calibration; else with nominal ones.
    """

    spec: ChipSpec
    imperfections: Imperfections
    calibrated: bool

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest strength of every imperfection on this datasheet."""
        found = self.imperfections.bounds()
        if self.spec.continuous_weights:
            found["weight_dac_fixed"] = (0.0, 0.0)  # continuous weights have no DAC
        return found


TYPICAL: Final = Imperfections(
    v_leak_fixed_mv=20.0,
    v_reset_fixed_mv=25.0,
    v_threshold_fixed_mv=50.0,
    v_other_fixed_mv=20.0,
    voltage_gain_fixed=0.01,
    leak_conductance_fixed=0.25,
    capacitance_fixed_pf=0.03,
    tau_syn_fixed=0.30,
    synaptic_input_fixed=0.20,
    synaptic_reference_fixed_mv=4.0,
    input_compression_fixed=0.0025,
    input_headroom_fixed=0.006,
    input_compression_spread_fixed=0.3,
    synapse_dac_fixed=0.05,
    driver_fixed=0.02,
    synapse_fixed=0.115,
    weight_dac_fixed=0.03,
    driver_depletion_fixed=0.02,
    driver_depletion_spread_fixed=0.3,
    adaptation_fixed=0.2,
    exponential_fixed=0.3,
    coba_fixed=0.1,
    correlated_fixed=0.05,
    crosstalk_neighbour_fixed=0.001,
    crosstalk_crowding_fixed_codes=0.5,
    threshold_temperature_fixed_mv_per_k=0.3,
    threshold_temperature_mean_fixed_mv_per_k=0.5,
    tau_mem_temperature_fixed_per_k=0.001,
    tau_mem_temperature_mean_fixed_per_k=0.0033,
    tau_syn_temperature_fixed_per_k=0.001,
    tau_syn_temperature_mean_fixed_per_k=0.0033,
    cadc_gain_fixed=0.03,
    cadc_offset_fixed_lsb=10.0,
    madc_gain_fixed=0.02,
    madc_offset_fixed_lsb=5.0,
    correlation_amplitude_fixed=0.4,
    correlation_tau_fixed=0.3,
    event_wait_fixed=1.0,
    v_leak_residual_mv=4.4,
    v_reset_residual_mv=4.3,
    v_threshold_residual_mv=2.9,
    tau_mem_residual=0.018,
    tau_syn_residual=0.015,
    synaptic_input_residual=0.035,
    synaptic_reference_residual_mv=0.15,
    cadc_slope_residual=1.0,
    membrane_trial_mv=2.0,
    threshold_trial_mv=4.7,
    amplitude_trial=0.02,
    jitter_trial_us=0.12,
    rewrite_trial_codes=0.5,
    drift_trial_mv=1.0,
    temperature_trial_k=1.0,
    cadc_trial_lsb=0.7,
    madc_trial_lsb=1.5,
    event_wait_trial=0.3,
)
"""Silicon before calibration, what a nightly calibration leaves of it, and noise (docs/chip.md)."""

CHIPS: Final[dict[str, NamedChip]] = {
    "ideal": NamedChip(TEXTBOOK, Imperfections(), calibrated=False),
    "typical": NamedChip(HICANN_X, TYPICAL, calibrated=True),
    "rough": NamedChip(HICANN_X, TYPICAL.scaled(2.0), calibrated=True),
    "uncalibrated": NamedChip(HICANN_X, TYPICAL, calibrated=False),
}


def named_chip(name: str) -> NamedChip:
    """What a chip's name stands for.

    Parameters
    ----------
    name : str
        ``ideal``, ``typical``, ``rough`` or ``uncalibrated``; in brackets, other strengths of imperfections than the
        named chip's: ``typical[jitter_trial_us=0,tau_syn_residual=0.1]``, or ``typical[all=0,membrane_trial_mv=2]`` for
        membrane noise alone.

    Raises
    ------
    InvalidInputError
        No chip of that name, no such imperfection, or not a strength.
    """
    found = ChipName.parse(name, CHIPS)
    base = found.base
    if not found.changes:
        return CHIPS[base]
    values = found.strengths(CHIPS[base].imperfections.model_dump())
    bounds = CHIPS[base].bounds()
    for key, value in values.items():
        lowest, highest = bounds[key]
        if highest == 0.0 and value:
            raise InvalidInputError(f"{base} has no such imperfection", field=f"chip[{key}]")
        arguments.real_number(value, f"chip[{key}]", lowest=lowest, highest=highest)
    return replace(CHIPS[base], imperfections=type(CHIPS[base].imperfections)(**values))
