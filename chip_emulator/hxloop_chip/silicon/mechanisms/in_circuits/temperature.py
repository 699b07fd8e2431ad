"""Temperature: thresholds and time constants of circuits move with that of the laboratory."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from hxloop.kit.exponential import exp_of
from hxloop.seeds import generator
from hxloop_chip.silicon.mechanisms.in_circuits.correlated_mismatch import between
from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from hxloop_chip.silicon.circuits import Circuits
    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws
    from hxloop_chip.silicon.mismatch import Mismatch

PERIOD_US: Final = 600e6
"""Chip time between independent values of a laboratory's temperature (assumed: ten minutes)."""

CELL_US: Final = 10e6
"""Chip time over which it is held constant."""

STEP_K: Final = 0.1
"""Temperatures are rounded to it, so that circuits need not be made anew all the time."""

_TABLE: Final = "temperature"


class Temperature(Mechanism):
    """A chip is calibrated at one temperature and works at others, which walk slowly in chip time.

    The walk is a function of trial and chip time: within a trial (a chip that stays switched on) it is one walk; other
    trials are other hours.
    """

    reference = "docs/chip.md; Vittoz, Fellrath, IEEE J. Solid-State Circuits 12, 224 (1977)"
    strengths: ClassVar = {
        "threshold_temperature_fixed_mv_per_k": Strength(
            "mV/K",
            "assumed; a transistor's threshold moves by 0.5 to 2 mV/K, of which a comparator keeps a part",
            "coefficient of the threshold, per circuit",
            "V_threshold + x dT",
            _TABLE,
        ),
        "threshold_temperature_mean_fixed_mv_per_k": Strength(
            "mV/K",
            "assumed, as above",
            "coefficient of the threshold, the same for all circuits and chips: warm ones spike early",
            "V_threshold - s dT",
            _TABLE,
        ),
        "tau_mem_temperature_fixed_per_k": Strength(
            "1/K", "assumed", "coefficient of the membrane time constant, per circuit", "tau_mem exp(x dT)", _TABLE
        ),
        "tau_mem_temperature_mean_fixed_per_k": Strength(
            "1/K",
            "weak inversion: a conductance is bias current over kT / q, 1 / 300 K (Vittoz, Fellrath 1977)",
            "coefficient of the membrane time constant, the same for all circuits and chips",
            "tau_mem exp(s dT)",
            _TABLE,
        ),
        "tau_syn_temperature_fixed_per_k": Strength(
            "1/K",
            "assumed",
            "coefficient of the synaptic time constants, per circuit and sign",
            "tau_syn exp(x dT)",
            _TABLE,
        ),
        "tau_syn_temperature_mean_fixed_per_k": Strength(
            "1/K",
            "weak inversion, as for tau_mem",
            "coefficient of the synaptic time constants, the same for all circuits and chips",
            "tau_syn exp(s dT)",
            _TABLE,
        ),
        "temperature_trial_k": Strength(
            "K",
            "assumed; haldls test-tmp112 allows a chip 15..45 C",
            "standard deviation of the laboratory's temperature from that of the nightly calibration",
            "dT = s w(t), in steps of 0.1 K",
            _TABLE,
        ),
    }
    deviations: ClassVar = {
        "threshold_mv_per_k": ("mV/K", "temperature coefficient of the threshold (circuit)"),
        "tau_mem_per_k": ("1/K", "temperature coefficient of the membrane time constant (circuit)"),
        "tau_syn_per_k": ("1/K", "that of the synaptic time constants (excitatory and inhibitory, circuit)"),
    }

    def drawn(self, s: Imperfections, draws: SiliconDraws, before: Mismatch) -> Mapping[str, object]:
        """Coefficients, common part included."""
        n = draws.spec.n_circuits
        threshold = draws.offset("threshold_temperature", s.threshold_temperature_fixed_mv_per_k, n)
        tau_mem = draws.offset("tau_mem_temperature", s.tau_mem_temperature_fixed_per_k, n)
        tau_syn = draws.offset("tau_syn_temperature", s.tau_syn_temperature_fixed_per_k, 2, n)
        return {
            "threshold_mv_per_k": threshold - s.threshold_temperature_mean_fixed_mv_per_k,
            "tau_mem_per_k": tau_mem + s.tau_mem_temperature_mean_fixed_per_k,
            "tau_syn_per_k": tau_syn + s.tau_syn_temperature_mean_fixed_per_k,
        }

    def at_temperature(
        self, s: Imperfections, circuits: Circuits, circuit: NDArray[np.int64], silicon: Mismatch, kelvin: float
    ) -> Circuits:
        """Thresholds, leak conductances and synaptic time constants."""
        mv, mem, syn = map(silicon.deviation, ("threshold_mv_per_k", "tau_mem_per_k", "tau_syn_per_k"))
        return replace(
            circuits,
            v_threshold_mv=circuits.v_threshold_mv + kelvin * mv[circuit],
            leak_ns=circuits.leak_ns * exp_of(-kelvin * mem[circuit]),
            tau_syn_us=circuits.tau_syn_us * exp_of(kelvin * syn[:, circuit]),
        )


class Spell(NamedTuple):
    """Samples ``first <= k < last`` of a run that find the same temperature, in K above that of the calibration."""

    first: int
    last: int
    kelvin: float


def spells(
    sigma_k: float, key: np.uint64, first_sample: int, n_samples: int, duration_ticks: int, tick_us: float
) -> Iterator[Spell]:
    """Temperatures of the samples of a run; that of a sample depends on its number in the trial only.

    Parameters
    ----------
    sigma_k : float
        Standard deviation.
    key : uint64
        Of chip and trial.
    first_sample : int
        Number, within the trial, of the first of the samples.
    n_samples, duration_ticks : int
    tick_us : float
    """
    cell_ticks = round(CELL_US / tick_us)
    sample, end = first_sample, first_sample + n_samples
    while sample < end:
        cell = sample * duration_ticks // cell_ticks
        last = min(end, -(-(cell + 1) * cell_ticks // duration_ticks))
        yield Spell(
            sample - first_sample, last - first_sample, round(deviation_k(sigma_k, key, cell) / STEP_K) * STEP_K
        )
        sample = last


def deviation_k(sigma_k: float, key: np.uint64, cell: int) -> float:
    """Temperature in a cell of chip time, before it is rounded: normal values on a lattice, interpolated."""
    n_cells = round(PERIOD_US / CELL_US)
    point, place = divmod(cell, n_cells)
    return sigma_k * float(between(_at_point(int(key), point), _at_point(int(key), point + 1), place / n_cells))


@lru_cache(maxsize=64)  # a run and the next one lie between the same points
def _at_point(key: int, point: int) -> float:
    return float(generator(key, "temperature", point).standard_normal())
