"""Nominal transfer curves: what the codes of a circuit mean on a chip without mismatch, and the way back.

The curves are part of the datasheet, so host and calibration may use them; how a circuit deviates from them is hidden
in the chip. `SOURCES` says for each curve what is published and what is assumed. A current acts on the membrane as
current over capacitance: 1 nA / 1 pF = 1 mV/us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes.units import TICK_US

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

V_OFFSET_MV: Final = 18.75
V_MV_PER_CODE: Final = 1.875
CAPACITANCE_INTRINSIC_PF: Final = 0.1
CAPACITANCE_PF_PER_CODE: Final = 2.2 / 63
LEAK_NS_PER_CODE: Final = 1.5
TAU_SYN_US_CODE: Final = 306.0
GM_NS_PER_CODE: Final = 4.0
DAC_MV_PER_CODE: Final = 1.15 * 2.3 / (250 * 4.0e-3 * 800)
SHIFT_MV_PER_CODE: Final = 0.1
SHIFT_CODE_ZERO: Final = 511.0
OFFSET_NA_PER_CODE: Final = 0.05
ADAPT_TAU_US_CODE: Final = 10_000.0
ADAPT_A_NS_PER_CODE: Final = 0.5
ADAPT_B_NA_PER_CODE: Final = 0.05
EXP_NA_PER_CODE: Final = 0.02
EXP_SLOPE_MV: Final = 35.0
COBA_PER_MV_CODE: Final = 1e-5
TRIGGER_US: Final = 2.0
CADC_MV_PER_LSB: Final = 4.5
CADC_LSB_AT_ZERO_MV: Final = 20.0 - 150.0 / 4.5
CADC_OFFSET_CODE: Final = 500.0
CADC_SLOPE_CODE: Final = 500.0
CADC_LSB_PER_OFFSET_CODE: Final = 0.5
MADC_RANGE_MV: Final = 1200.0
MADC_CODE_MAX: Final = 1023
CORRELATION_TAU_US_CODE: Final = 1250.0
CORRELATION_LSB_PER_CODE: Final = 0.002
CORRELATION_BASELINE_LSB: Final = 200.0

SOURCES: Final[dict[str, tuple[str, str, str]]] = {
    "voltage": ("18.75 + 1.875 code", "mV", "calix cadc_calib_target.h: codes 70..550 are 0.15..1.05 V"),
    "capacitance": (
        "0.1 + 2.2 code / 63",
        "pF",
        "calix: 2.2 pF at 63; haldls: 2.3 pF with parasitic",
    ),
    "leak conductance": (
        "1.5 code x {1/8, 1, 8}",
        "nS",
        "assumed: covers 0.5..60 us; ranges: haldls neuron.h",
    ),
    "tau_mem": ("capacitance / leak conductance", "us", "circuit"),
    "tau_syn": ("306 / code", "us", "assumed: covers 0.3..30 us"),
    "transconductance": ("4 code", "nS", "assumed"),
    "synapse step": (
        "0.0033 weight_code x i_synapse_dac",
        "mV at the synaptic input",
        "assumed: 1.15 mV/us per weight code at gm 250, DAC 800, 2.3 pF",
    ),
    "synaptic reference": ("0.1 (code - 511)", "mV at the synaptic input", "assumed"),
    "offset current": ("0.05 code", "nA", "assumed"),
    "tau_adaptation": ("10000 / code", "us", "assumed"),
    "adaptation a": ("0.5 code", "nS", "assumed"),
    "adaptation b": ("0.05 code", "nA", "assumed"),
    "exponential": ("0.02 code exp((V - v_exp) / 35 mV)", "nA", "assumed (subthreshold slope of a transistor)"),
    "conductance modulation": ("1e-5 code", "1/mV", "assumed"),
    "refractory clock": ("8 ns x 2^scale", "us", "haldls: 250 MHz / 2^(scale + 1)"),
    "delay": (
        "2 us + refractory period",
        "us",
        "Goeltz et al., Nat. Commun. 16 (2025), published code: counter / 8 + 2 us, for counters 50..250",
    ),
    "CADC": ("20 + (V - 150) / 4.5", "LSB", "calix cadc_calib_target.h: 0.15..1.05 V are read as 20..220"),
    "CADC ramp": (
        "(CADC - 0.5 (v_cadc_offset - 500)) 500 / i_cadc_slope",
        "LSB",
        "assumed; a higher or steeper ramp reads less, as in calix cadc.py",
    ),
    "MADC": ("1023 V / 1200", "LSB", "assumed: 10 bit over the 1.2 V that the input passes (brainscales2-demos)"),
    "correlation time constant": (
        "1250 / code",
        "us",
        "assumed: covers calix's 2..30 us; 5 us, its default, at the boot code",
    ),
    "correlation per pair": (
        "0.002 code exp(-dt / tau)",
        "CADC LSB",
        "assumed: covers calix's 0.2..2; 0.5, its default, at the boot code",
    ),
    "correlation baseline": ("200", "CADC LSB", "assumed; calix: not below 120, drops measured up to 160"),
}
"""Formula, unit and source of every curve."""


def voltage_mv(code: ArrayLike) -> Floats:
    """Potential of a voltage cell."""
    return V_OFFSET_MV + V_MV_PER_CODE * np.asarray(code, np.float64)


def voltage_code(v_mv: ArrayLike) -> Floats:
    """Inverse of `voltage_mv`, not rounded."""
    return (np.asarray(v_mv, np.float64) - V_OFFSET_MV) / V_MV_PER_CODE


def capacitance_pf(code: ArrayLike) -> Floats:
    """Membrane capacitance with its parasitic part."""
    return CAPACITANCE_INTRINSIC_PF + CAPACITANCE_PF_PER_CODE * np.asarray(code, np.float64)


def leak_conductance_ns(code: ArrayLike, leak_range: ArrayLike) -> Floats:
    """Leak conductance; `leak_range` as in `hxloop.codes.capmem.LeakRange`."""
    return LEAK_NS_PER_CODE * np.asarray(code, np.float64) * 8.0 ** (np.asarray(leak_range, np.float64) - 1.0)


def tau_syn_us(code: ArrayLike) -> Floats:
    """Synaptic time constant."""
    with np.errstate(divide="ignore"):
        return TAU_SYN_US_CODE / np.asarray(code, np.float64)


def transconductance_us(code: ArrayLike) -> Floats:
    """Transconductance of a synaptic input in microsiemens (1 uS x 1 mV = 1 nA)."""
    return 1e-3 * GM_NS_PER_CODE * np.asarray(code, np.float64)


def synapse_step_mv(dac_code: ArrayLike) -> Floats:
    """Step at the synaptic input that one event at weight code 1 causes."""
    return DAC_MV_PER_CODE * np.asarray(dac_code, np.float64)


def reference_shift_mv(code: ArrayLike) -> Floats:
    """Shift of the synaptic input's reference; it causes a constant current."""
    return SHIFT_MV_PER_CODE * (np.asarray(code, np.float64) - SHIFT_CODE_ZERO)


def offset_current_na(code: ArrayLike) -> Floats:
    """Constant current into the membrane."""
    return OFFSET_NA_PER_CODE * np.asarray(code, np.float64)


def tau_adaptation_us(code: ArrayLike) -> Floats:
    """Time constant of the adaptation current."""
    with np.errstate(divide="ignore"):
        return ADAPT_TAU_US_CODE / np.asarray(code, np.float64)


def adaptation_a_ns(code: ArrayLike) -> Floats:
    """Subthreshold adaptation."""
    return ADAPT_A_NS_PER_CODE * np.asarray(code, np.float64)


def adaptation_b_na(code: ArrayLike) -> Floats:
    """Step of the adaptation current at a spike."""
    return ADAPT_B_NA_PER_CODE * np.asarray(code, np.float64)


def exponential_na(code: ArrayLike) -> Floats:
    """Exponential term at V = v_exp."""
    return EXP_NA_PER_CODE * np.asarray(code, np.float64)


def coba_per_mv(code: ArrayLike) -> Floats:
    """Modulation of a synaptic input: its current is multiplied by this times (reversal potential - V)."""
    return COBA_PER_MV_CODE * np.asarray(code, np.float64)


def correlation_tau_us(code: ArrayLike) -> Floats:
    """Time constant of the correlation sensors."""
    with np.errstate(divide="ignore"):
        return CORRELATION_TAU_US_CODE / np.asarray(code, np.float64)


def correlation_lsb(code: ArrayLike) -> Floats:
    """What a pair without delay adds to a correlation sensor, in LSB of the CADC."""
    return CORRELATION_LSB_PER_CODE * np.asarray(code, np.float64)


def refractory_us(counter: ArrayLike, scale: ArrayLike) -> Floats:
    """Refractory period of a counter value at a clock scale 0..15."""
    return TICK_US * np.asarray(counter, np.float64) * 2.0 ** np.asarray(scale, np.float64)


def delay_us(counter: ArrayLike, scale: ArrayLike) -> Floats:
    """From an event at a delay neuron to its spike: the event lifts it to its threshold, its refractory period follows.

    Holds for neurons that one event at the largest weight code takes `TRIGGER_US` to make spike.
    """
    return TRIGGER_US + refractory_us(counter, scale)


def cadc_lsb(
    v_mv: ArrayLike, offset_code: ArrayLike = CADC_OFFSET_CODE, slope_code: ArrayLike = CADC_SLOPE_CODE
) -> Floats:
    """Reading of the CADC before rounding.

    The CADC counts until a ramp crosses the potential: `offset_code` moves the start of the ramp, `slope_code` is its
    speed (codes below 1 count as 1), so both lower the reading.
    """
    above_start = CADC_LSB_AT_ZERO_MV + np.asarray(v_mv, np.float64) / CADC_MV_PER_LSB
    above_start = above_start - CADC_LSB_PER_OFFSET_CODE * (np.asarray(offset_code, np.float64) - CADC_OFFSET_CODE)
    return np.asarray(above_start * (CADC_SLOPE_CODE / np.maximum(np.asarray(slope_code, np.float64), 1.0)))


def cadc_mv(lsb: ArrayLike) -> Floats:
    """Potential that reads `lsb` with the nominal ramp; inverse of `cadc_lsb`."""
    return CADC_MV_PER_LSB * (np.asarray(lsb, np.float64) - CADC_LSB_AT_ZERO_MV)


def madc_lsb(v_mv: ArrayLike) -> Floats:
    """Reading of the MADC before rounding; the multiplexer before it passes no more than 1.2 V."""
    return MADC_CODE_MAX / MADC_RANGE_MV * np.clip(np.asarray(v_mv, np.float64), 0.0, MADC_RANGE_MV)


def madc_mv(lsb: ArrayLike) -> Floats:
    """Potential that reads `lsb`, or difference of potentials; inverse of `madc_lsb` below 1.2 V."""
    return np.asarray(lsb, np.float64) * MADC_RANGE_MV / MADC_CODE_MAX
