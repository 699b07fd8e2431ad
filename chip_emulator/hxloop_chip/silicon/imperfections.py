"""Strengths of all imperfections of a chip; 0 switches one off. Every number names its source or says assumed."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from hxloop.kit.strict import Strict
from hxloop.spec import field_sources

_HIGHEST: Final = {"1": 1.0, "mV": 1e3, "pF": 1.0, "us": 100.0, "LSB": 1e3}
"""Largest strength by unit, far outside of what any silicon has: with it, and with all of them, numbers stay finite."""


def _spread(unit: str, source: str, text: str, highest: float | None = None) -> Any:
    most = _HIGHEST[unit] if highest is None else highest
    return Field(0.0, ge=0.0, le=most, description=text, json_schema_extra={"unit": unit, "source": source})


_CALIX = "assumed; calix tests: std after / before calibration"


class Imperfections(Strict):
    """Spreads of a chip: standard deviations (of log-normal factors: of the logarithm), but for what is a probability.

    ``_fixed``: drawn once for a serial number, before calibration. ``_residual``: what the nightly calibration leaves
    (chips that boot calibrated only). ``_trial``: redrawn in every run.
    """

    v_leak_fixed_mv: float = _spread("mV", f"{_CALIX} < 0.30", "offset of the leak potential, per circuit")
    v_reset_fixed_mv: float = _spread("mV", f"{_CALIX} < 0.20", "offset of the reset potential, per circuit")
    v_threshold_fixed_mv: float = _spread("mV", f"{_CALIX} < 0.35", "offset of the threshold, per circuit")
    v_other_fixed_mv: float = _spread("mV", "assumed (as leak)", "offset of the other potentials, per circuit and cell")
    voltage_gain_fixed: float = _spread("1", "assumed", "slope of the voltage curves, log-normal, per circuit and cell")
    leak_conductance_fixed: float = _spread(
        "1", f"{_CALIX} of tau_mem < 0.45", "leak conductance, log-normal, per circuit"
    )
    capacitance_fixed_pf: float = _spread(
        "pF", "assumed (calix measures it per neuron)", "parasitic membrane capacitance, per circuit"
    )
    tau_syn_fixed: float = _spread(
        "1", f"{_CALIX} < 0.20", "synaptic time constants, log-normal, per circuit and sign, independent"
    )
    synaptic_input_fixed: float = _spread(
        "1", "assumed", "transconductance of a synaptic input, log-normal, per circuit and sign"
    )
    synaptic_reference_fixed_mv: float = _spread(
        "mV", "assumed", "reference of a synaptic input (a constant current), per circuit and sign"
    )
    synapse_dac_fixed: float = _spread("1", "assumed", "bias of the synapse DACs, log-normal, per quadrant")
    driver_fixed: float = _spread(
        "1", "fitted (docs/chip.md)", "gain of a synapse row, log-normal, per hemisphere and row"
    )
    synapse_fixed: float = _spread("1", "fitted (docs/chip.md)", "gain of a synapse, log-normal, per row and column")
    weight_dac_fixed: float = _spread(
        "1", "assumed (matching improves with area)", "error of bit b of a synapse's DAC times sqrt(2^b), per bit"
    )
    adaptation_fixed: float = _spread(
        "1", "assumed", "time constant, a and b of the adaptation, log-normal, per circuit, independent"
    )
    exponential_fixed: float = _spread("1", "assumed", "current of the exponential term, log-normal, per circuit")
    coba_fixed: float = _spread("1", "assumed", "modulation of conductance inputs, log-normal, per circuit and sign")
    cadc_gain_fixed: float = _spread("1", "assumed", "slope of a CADC channel, log-normal")
    cadc_offset_fixed_lsb: float = _spread("LSB", "calix test_cadc: offsets std < 20", "offset of a CADC channel")
    madc_gain_fixed: float = _spread("1", "assumed", "slope of the MADC, log-normal")
    madc_offset_fixed_lsb: float = _spread("LSB", "assumed", "offset of the MADC")
    correlation_amplitude_fixed: float = _spread(
        "1", "assumed (calix test: within a factor of 2)", "amplitude of a correlation sensor, log-normal, per synapse"
    )
    correlation_tau_fixed: float = _spread(
        "1", "assumed (calix test: within a factor of 2)", "time constant of a sensor, log-normal, per synapse"
    )
    dead_fixed: float = _spread("1", "assumed", "probability that a circuit never spikes", highest=1.0)
    dead_row_fixed: float = _spread(
        "1", "assumed", "probability that a synapse row passes no events, per hemisphere and row", highest=1.0
    )

    v_leak_residual_mv: float = _spread("mV", "assumed (below one CADC LSB)", "leak potential after calibration")
    v_reset_residual_mv: float = _spread("mV", "assumed (one CADC LSB)", "reset potential after calibration")
    v_threshold_residual_mv: float = _spread(
        "mV", "DelGrad hardware-aware settings: 3 % of 315 mV; fitted (docs/chip.md)", "threshold after calibration"
    )
    v_threshold_residual_mean_mv: float = _spread(
        "mV",
        "fitted (docs/chip.md); DelGrad hardware-aware settings: 5 % of 315 mV",
        "mean error of the threshold after calibration, the same for all circuits and chips: they spike late",
    )
    tau_mem_residual: float = _spread("1", "fitted (docs/chip.md)", "membrane time constant after calibration")
    tau_syn_residual: float = _spread("1", "fitted (docs/chip.md)", "synaptic time constants after calibration")
    synaptic_input_residual: float = _spread("1", "assumed", "synaptic gain after calibration")
    synaptic_reference_residual_mv: float = _spread("mV", "assumed", "synaptic reference after calibration")

    membrane_trial_mv: float = _spread(
        "mV", "assumed (half a CADC LSB)", "standard deviation of the membrane's diffusion, band-limited at 0.512 us"
    )
    threshold_trial_mv: float = _spread(
        "mV",
        "DelGrad hardware-aware settings: 1.5 % of threshold - leak (315 mV)",
        "threshold, redrawn per sample and spike",
    )
    amplitude_trial: float = _spread("1", "assumed", "relative amplitude of a synaptic event, common to its source")
    jitter_trial_us: float = _spread(
        "us",
        "fitted (docs/chip.md): 0.02 tau; DelGrad hardware-aware settings: 0.01 tau",
        "time stamp of a spike, cut at 0.512 us",
    )
    rewrite_trial_codes: float = _spread("LSB", "assumed", "CapMem cells, whenever analog parameters are written")
    drift_trial_mv: float = _spread("mV", "assumed", "slow drift of the threshold over the run time of a trial")
    cadc_trial_lsb: float = _spread("LSB", "assumed", "noise of a CADC reading")
    madc_trial_lsb: float = _spread("LSB", "assumed", "noise of a MADC reading")

    link_loss_trial: float = _spread(
        "1",
        "assumed",
        "probability that an event is lost on the link between host and chip, in either direction, each by itself",
        highest=1.0,
    )

    def sources(self) -> dict[str, tuple[str, str, str]]:
        """Meaning, unit and source of every spread, by field name."""
        return field_sources(type(self))

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest strength allowed, by field name."""
        fields = type(self).model_json_schema()["properties"]
        return {name: (entry["minimum"], entry["maximum"]) for name, entry in fields.items()}

    def scaled(self, factor: float) -> Imperfections:
        """Return all spreads times a factor."""
        return Imperfections(**{name: factor * value for name, value in self.model_dump().items()})
