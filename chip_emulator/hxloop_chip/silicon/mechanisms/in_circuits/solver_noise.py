"""Noise inside the solver's kernels: what they do with these strengths is in `hxloop_chip.solver`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength
from hxloop_chip.solver import layout as at

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hxloop.spec import ChipSpec
    from hxloop_chip.silicon.imperfections import Imperfections

_TABLE = "temporal"


class SolverNoise(Mechanism):
    """Noise of membranes, thresholds, synaptic amplitudes and time stamps, and slow drift."""

    reference = "docs/chip.md; Gillespie, Phys. Rev. E 54, 2084 (1996)"
    strengths: ClassVar = {
        "membrane_trial_mv": Strength(
            "mV",
            "assumed (half a CADC LSB)",
            "standard deviation of the membrane's diffusion, band-limited at 0.512 us",
            "dV = - V dt / tau_mem + s sqrt(2 / tau_mem) dW",
            _TABLE,
        ),
        "threshold_trial_mv": Strength(
            "mV",
            "DelGrad hardware-aware settings: 1.5 % of threshold - leak (315 mV)",
            "threshold, redrawn per sample and spike",
            "V_threshold + x",
            _TABLE,
        ),
        "amplitude_trial": Strength(
            "1", "assumed", "relative amplitude of a synaptic event, common to its source", "step (1 + x)", _TABLE
        ),
        "jitter_trial_us": Strength(
            "us",
            "fitted (docs/chip.md): 0.02 tau; DelGrad hardware-aware settings: 0.01 tau",
            "time stamp of a spike, cut at 0.512 us",
            "stamp + x, -0.512 .. 0.512 us",
            _TABLE,
        ),
    }

    def in_solver(self, s: Imperfections, sigmas: NDArray[np.float64], spec: ChipSpec) -> None:
        """Strengths in the solver's units."""
        sigmas[at.SIGMA_THRESHOLD] = s.threshold_trial_mv
        sigmas[at.SIGMA_AMPLITUDE] = s.amplitude_trial
        sigmas[at.SIGMA_JITTER] = s.jitter_trial_us / spec.tick_us
        sigmas[at.SIGMA_MEMBRANE] = s.membrane_trial_mv


class ThresholdDrift(Mechanism):
    """Slow drift over the run time of a trial."""

    reference = "docs/chip.md"
    strengths: ClassVar = {
        "drift_trial_mv": Strength(
            "mV",
            "assumed",
            "slow drift of the threshold over the run time of a trial",
            "V_threshold + s d(t)",
            _TABLE,
        )
    }

    def in_solver(self, s: Imperfections, sigmas: NDArray[np.float64], spec: ChipSpec) -> None:
        """Strength in mV."""
        sigmas[at.SIGMA_DRIFT] = s.drift_trial_mv
