"""Strengths of all imperfections of a chip; 0 switches one off. Every number names its source or says assumed."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from hxloop.spec import field_sources


def _spread(unit: str, source: str, text: str) -> Any:
    return Field(0.0, ge=0.0, description=text, json_schema_extra={"unit": unit, "source": source})


class Imperfections(BaseModel):
    """Spreads of a chip: ``_fixed`` drawn once for a serial number, ``_trial`` redrawn in every run."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    v_leak_fixed_mv: float = _spread(
        "mV", "assumed (below one CADC LSB after calibration)", "leak potential, per circuit"
    )
    v_reset_fixed_mv: float = _spread("mV", "assumed (one CADC LSB after calibration)", "reset potential, per circuit")
    v_threshold_fixed_mv: float = _spread(
        "mV",
        "assumed (4 % of threshold - leak; authors' hardware-aware settings of DelGrad: 3 %)",
        "threshold, per circuit",
    )
    tau_mem_fixed: float = _spread(
        "1", "assumed (calibrated silicon: a few %)", "membrane time constant, log-normal, per circuit"
    )
    tau_syn_fixed: float = _spread(
        "1",
        "assumed (calibrated silicon: a few %)",
        "synaptic time constants, log-normal, per circuit and sign, independent",
    )
    synaptic_input_fixed: float = _spread(
        "1",
        "assumed (with driver and synapse: 10 % in all)",
        "gain of a synaptic input, log-normal, per circuit and sign",
    )
    driver_fixed: float = _spread("1", "assumed", "gain of a synapse row, log-normal, per hemisphere and row")
    synapse_fixed: float = _spread(
        "1",
        "assumed (with driver and synaptic input: 10 % in all)",
        "gain of a synapse, log-normal, per row and column",
    )
    membrane_trial_mv: float = _spread(
        "mV", "assumed (half a CADC LSB)", "standard deviation of the membrane's diffusion, band-limited at 0.512 us"
    )
    threshold_trial_mv: float = _spread(
        "mV",
        "DelGrad hardware-aware settings: 1.5 % of threshold - leak (315 mV)",
        "threshold, redrawn per sample and spike",
    )
    amplitude_trial: float = _spread("1", "assumed", "relative amplitude of a synaptic event, common to its row")
    jitter_trial_us: float = _spread(
        "us",
        "DelGrad hardware-aware settings: 0.01 tau",
        "time stamp of a spike, cut at 0.512 us",
    )

    def sources(self) -> dict[str, tuple[str, str, str]]:
        """Meaning, unit and source of every spread, by field name."""
        return field_sources(type(self))

    def scaled(self, factor: float) -> Imperfections:
        """Return all spreads times a factor."""
        return Imperfections(**{name: factor * value for name, value in self.model_dump().items()})
