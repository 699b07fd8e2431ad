"""Threshold: the potential at which a circuit spikes.

What is measured
    The fraction of short samples in which a circuit spikes, at resting potentials that rise through the threshold.
How
    Resting potentials follow from leak codes, whose curve is measured by the CADC with the threshold out of reach. A
    binary search brings every circuit's resting potential to its threshold; there the curve is measured again, because
    cells that hold the same move one another, as they do on the curve and nowhere else. Then 13 levels, 3.75 mV apart,
    show the whole rise of the fraction, whose mean is the threshold (Spearman-Kaerber). A code moves it by 1.875 mV:
    model.
Expected accuracy
    2 mV: 1 mV from counting, the noise of writing, and the membrane's noise, which lets a circuit spike 1 mV early.
Runtime on silicon
    2 s: 96 settings of the analog memory.

References
----------
calix, spiking/neuron_threshold.py (NeuronThresholdCalib); Finney, "Statistical method in biological assay" (1978).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell
from hxloop.kit.brief import brief
from hxloop_calibration.measuring.fits import middle_of_rise
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH, refractory, rest_mv
from hxloop_calibration.measuring.spike_statistics import fraction_spiking
from hxloop_calibration.routine_interface import PotentialRoutine

if TYPE_CHECKING:
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Floats, Values
    from hxloop_calibration.targets import Target

_DURATION_US: Final = 1.0
_ONCE_US: Final = 30.0  # refractory period: a circuit spikes once in a sample, which the link to the host can carry
_COARSE_SAMPLES, _FINE_SAMPLES = 12, 40
_REACH: Final = 128  # codes that the binary search can go from where it starts, and half of it with the last step
_LEVELS: Final = 2 * np.arange(-6, 7)
_CURVE_CODES: Final = 60


@final
class Threshold(PotentialRoutine):
    """See the module."""

    name = "threshold"
    needs = ("cadc",)
    cell = Cell.v_threshold
    text = "threshold"
    tolerance_mv = 15.0

    def measure(self, bench: Bench, target: Target) -> Values:
        """Resting potential at which half of the samples spike."""
        aim = target.neuron.v_threshold_mv
        curve = self._leak_curve(bench, target)
        threshold_mv = nominal.voltage_mv(bench.neurons.capmem_code[:, Cell.v_threshold])
        # Where the threshold should be by the curve of its code; once it was measured, by that.
        expected = self._expected(bench, threshold_mv, aim)
        code = np.rint(curve.code(expected))
        step = _REACH
        while step >= 2:
            step //= 2
            code = code + np.where(self._spiking(bench, code, _COARSE_SAMPLES) > 0.5, -step, step)
        code = np.clip(code, 0, bench.spec.capmem_code_max)
        around = [self._resting(bench, target, code + codes) for codes in (_LEVELS[0], _LEVELS[-1])]
        curve = curve.through(code, 0.5 * (around[0] + around[1]))
        levels = np.clip(code + _LEVELS[:, None], 0, bench.spec.capmem_code_max)
        fractions = np.stack([self._spiking(bench, level, _FINE_SAMPLES) for level in levels])
        found = middle_of_rise(curve.mv(levels.astype(np.float64)), fractions)
        bench.silent |= (fractions == 0).all(axis=0)
        return {"v_threshold_mv": found}

    @staticmethod
    def _expected(bench: Bench, nominal_mv: Floats, aim: float) -> Floats:
        known = bench.known.get("v_threshold_mv")
        if known is None:
            return nominal_mv
        return np.where(np.isfinite(known), known, aim)

    @staticmethod
    def _leak_curve(bench: Bench, target: Target) -> _Line:
        """Resting potential of leak codes, from two levels on both sides of the wanted threshold."""
        middle = float(np.rint(nominal.voltage_code(target.neuron.v_threshold_mv)))
        codes = np.array([middle - _CURVE_CODES, min(middle + _CURVE_CODES, bench.spec.capmem_code_max)])
        low, high = (Threshold._resting(bench, target, code) for code in codes)
        return _Line(codes[0], low, (high - low) / (codes[1] - codes[0]))

    @staticmethod
    def _resting(bench: Bench, target: Target, code: Floats | float) -> Floats:
        cells = {**_below(bench, code), Cell.v_threshold: OUT_OF_REACH}
        return rest_mv(bench, bench.with_cells(cells), target.neuron.tau_mem_us)

    @staticmethod
    def _spiking(bench: Bench, code: Floats, samples: int) -> Floats:
        counter, clock, _ = refractory(bench, _ONCE_US)
        bench.write(bench.with_cells(_below(bench, code), refractory_counter=counter, refractory_clock=clock))
        return fraction_spiking(bench.run(samples, _DURATION_US).spikes, bench.n)

    def systematic(self, bench: Bench, target: Target) -> dict[str, float | Floats]:
        """The absolute scale, and spikes that the membrane's noise brings forward."""
        return {"v_threshold_mv": float(np.hypot(bench.absolute_mv, 0.7))}


def _below(bench: Bench, code: Floats | float) -> dict[Cell, Floats]:
    """Cells of the leak and, below the threshold, the reset potential."""
    codes = bench.neurons.capmem_code
    reset = np.maximum(np.minimum(codes[:, Cell.v_reset], codes[:, Cell.v_threshold] - 1), 0)
    return {Cell.v_leak: np.clip(code, 0, bench.spec.capmem_code_max), Cell.v_reset: reset}


@brief
@dataclass(frozen=True, eq=False)
class _Line:
    """Straight lines, one for each circuit: float64 [n_circuits] or a number."""

    at_code: Floats
    at_mv: Floats
    slope: Floats

    def through(self, code: Floats, mv: Floats) -> _Line:
        """Moved so that these codes have these potentials, where they have any."""
        known = np.isfinite(mv)
        return _Line(np.where(known, code, self.at_code), np.where(known, mv, self.at_mv), self.slope)

    def mv(self, code: Floats) -> Floats:
        """Potentials of codes [..., n_circuits]."""
        return np.asarray(self.at_mv + self.slope * (code - self.at_code))

    def code(self, mv: Floats) -> Floats:
        """Codes of potentials; the middle where there is no line."""
        code = np.asarray(self.at_code + (mv - self.at_mv) / self.slope)
        return np.where(np.isfinite(code), code, self.at_code)
