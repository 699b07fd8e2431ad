"""Correlation sensors: amplitude and time constant of each."""

from __future__ import annotations

from typing import ClassVar

from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength


class SensorSpread(Mechanism):
    """Factors of causal and acausal sensors; `Mismatch` draws them when they are first asked for: they are many."""

    reference = "calix tests of the correlation sensors"
    strengths: ClassVar = {
        "correlation_amplitude_fixed": Strength(
            "1",
            "assumed (calix test: within a factor of 2)",
            "amplitude of a correlation sensor, log-normal, per synapse",
            "eta exp(x)",
            "fixed_readout",
        ),
        "correlation_tau_fixed": Strength(
            "1",
            "assumed (calix test: within a factor of 2)",
            "time constant of a sensor, log-normal, per synapse",
            "tau exp(x)",
            "fixed_readout",
        ),
    }
