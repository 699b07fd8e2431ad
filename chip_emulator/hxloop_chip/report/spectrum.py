"""Power spectrum of the membrane noise, measured with the MADC, beside its closed form.

The noise current is held constant over macro-steps of T, so the membrane is white noise of density 2 T s^2 (one-sided;
s: `neurons.membrane_shift_mv`) through the hold, sinc^2(f T), and the membrane, 1 / (1 + (2 pi f tau)^2).
Below 1 / T that is the Lorentzian of an Ornstein-Uhlenbeck process, 4 sigma^2 tau / (1 + (2 pi f tau)^2). The
converter adds a floor: its noise and its rounding, spread evenly up to half the sample rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.signal import welch

from hxloop.codes import nominal
from hxloop.result import Readout
from hxloop.spikes import SpikeBatch
from hxloop_chip.report.specimens import one_input
from hxloop_chip.solver import layout as at
from hxloop_chip.wiring.neurons import membrane_shift_mv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop_chip.chip.emulated_chip import EmulatedChip
    from hxloop_chip.silicon.imperfections import Imperfections

    Floats = NDArray[np.float64]

DURATION_US: Final = 2000.0
SKIPPED_US: Final = 60.0
N_SAMPLES: Final = 8
_SEGMENT = 8192


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One-sided power spectral densities over frequency.

    Attributes
    ----------
    circuit : int
    tau_mem_us, sigma_mv : float
        True time constant, standard deviation of the diffusion.
    f_mhz : float64 [n]
    measured, expected, diffusion, floor : float64 [n]
        mV^2 / MHz: MADC readings; closed form with the floor; unlimited diffusion; the converter's part.
    std_mv, expected_std_mv : float
        Of the readings: measured, and from the closed forms.
    """

    circuit: int
    tau_mem_us: float
    sigma_mv: float
    f_mhz: Floats
    measured: Floats
    expected: Floats
    diffusion: Floats
    floor: Floats
    std_mv: float
    expected_std_mv: float


def membrane_spectrum(chip: EmulatedChip, circuit: int, tau_mem_us: float, imperfections: Imperfections) -> Spectrum:
    """Spectrum of a resting membrane.

    Parameters
    ----------
    chip : EmulatedChip
        Gets a new configuration.
    circuit : int
    tau_mem_us : float
        Its true time constant.
    imperfections : Imperfections
        Of the chip.
    """
    spec = chip.spec
    chip.configure(one_input(spec, chip.boot, [circuit], 0))
    readout = Readout(madc_circuit=circuit)
    silence = SpikeBatch.from_arrays([], [], [], N_SAMPLES)
    madc = chip.run(silence, duration_ticks=round(DURATION_US / spec.tick_us), readout=readout).observations.madc
    period_us = spec.madc_period_ticks * spec.tick_us
    mv_per_lsb = float(nominal.madc_mv(1))
    v_mv = mv_per_lsb / chip.mismatch.madc_gain * madc[:, round(SKIPPED_US / period_us) :]
    f_mhz, measured = welch(v_mv, 1.0 / period_us, nperseg=_SEGMENT, detrend="constant", axis=1)
    f_mhz, measured = f_mhz[1:], measured.mean(axis=0)[1:]
    sigma = imperfections.membrane_trial_mv
    floor_mv2 = (mv_per_lsb / chip.mismatch.madc_gain) ** 2 * (imperfections.madc_trial_lsb**2 + 1.0 / 12.0)
    floor = np.full_like(f_mhz, 2.0 * period_us * floor_mv2)
    held = held_diffusion(f_mhz, tau_mem_us, sigma, spec.tick_us)
    return Spectrum(
        circuit=circuit,
        tau_mem_us=tau_mem_us,
        sigma_mv=sigma,
        f_mhz=f_mhz,
        measured=measured,
        expected=held + floor,
        diffusion=lorentzian(f_mhz, tau_mem_us, sigma),
        floor=floor,
        std_mv=float(v_mv.std()),
        expected_std_mv=float(np.hypot(sigma, np.sqrt(floor_mv2))),
    )


def lorentzian(f_mhz: Floats, tau_us: float, sigma_mv: float) -> Floats:
    """One-sided density of an Ornstein-Uhlenbeck process, mV^2 / MHz."""
    return np.asarray(4.0 * sigma_mv**2 * tau_us / (1.0 + (2.0 * np.pi * f_mhz * tau_us) ** 2))


def held_diffusion(f_mhz: Floats, tau_us: float, sigma_mv: float, tick_us: float) -> Floats:
    """One-sided density with the noise current held over macro-steps, mV^2 / MHz."""
    step_us = at.STEP_TICKS * tick_us
    shift_mv = membrane_shift_mv(np.array(tick_us / tau_us), sigma_mv)
    hold = np.sinc(f_mhz * step_us) ** 2
    return np.asarray(2.0 * step_us * shift_mv**2 * hold / (1.0 + (2.0 * np.pi * f_mhz * tau_us) ** 2))
