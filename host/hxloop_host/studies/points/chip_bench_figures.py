"""What a chip shows on the bench, as the public tests of BrainScaleS-2 measure it: spreads, thresholds, rates, sensors.

Everything is read through the chip's own converters and spikes, by routines of the calibration, with the codes the chip
would be trained with. Nothing is kept: the codes are what they were afterwards.

References
----------
calix, tests/hw/py (test_neuron_distribution, test_neuron_threshold_calibration, test_neuron_spiking, test_correlation,
test_cadc_calibration); haldls, tests/hw/stadls (test-event, test-background_source).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.stats import trimboth

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell
from hxloop.program import Background, ChipConfig, Routes, Synapses
from hxloop.result import Readout
from hxloop.seeds import bench_trial_seed
from hxloop.spikes import SpikeBatch
from hxloop_calibration.measuring.chip_bench import Bench
from hxloop_calibration.measuring.converter_readings import CADC_HIGH, CADC_LOW, CadcScale
from hxloop_calibration.measuring.fits import psp_peak_us
from hxloop_calibration.measuring.membrane_measurements import refractory
from hxloop_calibration.routines.cadc import Cadc
from hxloop_calibration.routines.correlation import Correlation
from hxloop_calibration.routines.gain import NAMES as GAINS
from hxloop_calibration.routines.gain import Gain
from hxloop_calibration.routines.leak import Leak
from hxloop_calibration.routines.rates import NAME as RATE
from hxloop_calibration.routines.rates import Rates
from hxloop_calibration.routines.reset import Reset
from hxloop_calibration.routines.tau_mem import TauMem
from hxloop_calibration.routines.tau_syn import TauSyn
from hxloop_calibration.routines.threshold import Threshold
from hxloop_calibration.search import ModelBased
from hxloop_calibration.targets import CorrelationTarget, RateTarget, Target, start_codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.chip import Chip
    from hxloop.codes.boot import BootSettings, OperatingPoint
    from hxloop.program import NeuronCodes, SharedCodes

    Floats = NDArray[np.float64]

_RATE_KHZ, _REFRACTORY_US = 100.0, 2.0
_CUT: Final = 0.05
"""Share of the circuits that is cut off at each end before a spread is taken."""
_FAR_LSB: Final = 8.0
_EVENTS, _EVERY_US = 1000, 0.08
_PERIOD_TICKS, _GENERATED = 1000, 1000
_EQUALISED: Final = {
    "v_leak_mv": (Leak(), (Cell.v_leak,)),
    "v_reset_mv": (Reset(), (Cell.v_reset,)),
    "v_threshold_mv": (Threshold(), (Cell.v_threshold,)),
    "tau_mem_us": (TauMem(), (Cell.i_leak,)),
    "tau_syn_us": (TauSyn(), (Cell.i_tau_syn_exc, Cell.i_tau_syn_inh)),
}
"""Cells that are set to their median to see what the parameters were without a calibration."""


def measure_chip(chip: Chip, boot: BootSettings, point: OperatingPoint, begin_s: float) -> dict[str, float]:
    """Measure a chip.

    Parameters
    ----------
    chip : Chip
    boot : BootSettings
        Codes it would be trained with: those it boots with, or those of a calibration.
    point : OperatingPoint
        Operating point of the training.
    begin_s : float
        Chip time at which the measurements begin.

    Returns
    -------
    dict of str to float
        By the keys of `hxloop_host.studies.trust.published_figures.FIGURES`; NaN for what cannot be measured.

    Raises
    ------
    HxloopError
        As the chip's runs.
    """
    target = Target(neuron=point, rates=RateTarget(rate_khz=_RATE_KHZ), correlation=CorrelationTarget())
    codes = start_codes(target, boot, chip.spec)
    bench = Bench(chip, codes, begin_s=begin_s)
    bench.shared = boot.shared
    bench.known |= Cadc().measure(bench, target)
    found = {"cadc_std_lsb": float(np.nanstd(bench.known["cadc_lsb"]))}
    found |= _spreads(bench, target)
    v = bench.known["v_threshold_mv"]
    far = np.abs(v - np.nanmedian(v)) > _FAR_LSB * nominal.CADC_MV_PER_LSB
    found["thresholds_far"] = float(np.mean(far | ~np.isfinite(v)))
    found |= _responses(bench, target)
    found |= _sensors(bench, target)
    found |= _rates(bench, target)
    found["events_back"] = _events_back(bench)
    found["background_off"] = _background_off(chip, codes, boot.shared)
    return found


def _spreads(bench: Bench, target: Target) -> dict[str, float]:
    """Standard deviation over the circuits by that with the median of their codes; both without the ends.

    Read as the published bounds were: readings of all channels mean the same, whatever is known about the channels.
    """
    own, known_scale = bench.neurons, bench.cadc_scale
    bench.cadc_scale = _as_read(bench)
    for routine, _ in _EQUALISED.values():
        bench.known |= routine.measure(bench, target)
    found = {}
    for routine, cells in _EQUALISED.values():
        same = np.full(bench.n, int(np.median(own.leak_range)), own.leak_range.dtype)
        codes = {cell: np.rint(np.median(own.capmem_code[:, cell])) for cell in cells}
        bench.keep(codes, **({"leak_range": same} if Cell.i_leak in cells else {}))
        for name, values in routine.measure(bench, target).items():
            found[f"{name}_ratio"] = _spread(bench.known[name]) / _spread(values)
        bench.neurons = own
    bench.cadc_scale = known_scale
    return found


def _as_read(bench: Bench) -> CadcScale:
    every = np.ones(bench.n)
    return CadcScale(
        every * float(nominal.cadc_mv(0.0)), every * nominal.CADC_MV_PER_LSB, every * CADC_LOW, every * CADC_HIGH
    )


def _spread(values: Floats) -> float:
    return float(np.std(trimboth(values[np.isfinite(values)], _CUT)))


def _responses(bench: Bench, target: Target) -> dict[str, float]:
    """Height of the response to one event at weight code 1 and the time to its peak, with their spreads."""
    bench.known |= Gain().measure(bench, target)
    tau_mem, tau_syn = bench.known["tau_mem_us"], bench.known["tau_syn_exc_us"]
    good = np.isfinite(tau_mem + tau_syn + bench.known[GAINS[0]])
    pairs = list(zip(tau_mem[good], tau_syn[good], strict=True))
    height = bench.known[GAINS[0]][good] * np.array([psp_peak_us(m, s) for m, s in pairs])
    rise = np.array([_time_to_peak_us(m, s) for m, s in pairs])
    return {
        "psp_mv": float(np.median(height)), "psp_spread": _spread(height) / float(np.median(height)),
        "psp_rise_us": float(np.median(rise)), "psp_rise_spread": _spread(rise) / float(np.median(rise)),
    }  # fmt: skip


def _time_to_peak_us(tau_mem_us: float, tau_syn_us: float) -> float:
    log = np.log(tau_mem_us / tau_syn_us)
    return float(tau_syn_us if abs(log) < 1e-6 else log / (1.0 / tau_syn_us - 1.0 / tau_mem_us))


def _sensors(bench: Bench, target: Target) -> dict[str, float]:
    """Percentiles 30 and 70 of time constant and amplitude of single sensors by their target; share that decays."""
    assert target.correlation is not None
    routine = Correlation()
    routine.find(bench, target, ModelBased(2))  # a median to 2 %, of spreads that are larger by far
    drops, spike_us = routine.drops(bench, target)
    positive = np.maximum(drops, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        log, w = np.log(positive), positive**2
        log[~np.isfinite(log)] = 0.0
        at = np.broadcast_to(spike_us[:, None, :], drops.shape)
        at = np.where(np.isfinite(at), at, 0.0)
        total = w.sum(axis=0)
        mean_t, mean_log = (w * at).sum(axis=0) / total, (w * log).sum(axis=0) / total
        slope = (w * (at - mean_t) * (log - mean_log)).sum(axis=0) / (w * (at - mean_t) ** 2).sum(axis=0)
        ratios = np.stack([-1.0 / slope / target.correlation.tau_us,
                           np.exp(mean_log - slope * mean_t) / target.correlation.amplitude_lsb])  # fmt: skip
    percentiles = np.nanpercentile(np.where(np.isfinite(ratios), ratios, np.nan).reshape(2, -1), (30.0, 70.0), axis=1)
    return {
        "sensors_low": float(percentiles.min()),
        "sensors_high": float(percentiles.max()),
        "sensors_causal": float(np.mean((drops[0] > 0.0) & (drops[0] > drops[-1]))),
    }


def _rates(bench: Bench, target: Target) -> dict[str, float]:
    """Shares of circuits whose rate is high and low enough, once leaks above thresholds were set to one rate."""
    counter, clock, _ = refractory(bench, _REFRACTORY_US)
    bench.keep({}, refractory_counter=counter, refractory_clock=clock)
    routine = Rates()
    routine.find(bench, target, None)
    rate = routine.measure(bench, target)[RATE] / _RATE_KHZ
    return {"rates_above": float(np.mean(rate > 0.9)), "rates_below": float(np.mean(rate < 1.15))}


def _events_back(bench: Bench) -> float:
    """Share of events, one every 80 ns, that reach the chip, times that of spikes at that rate that come back.

    The chip has no direct way back from its input; the spikes are those of circuits that `_rates` made regular.
    """
    duration_us = _EVENTS * _EVERY_US
    tick = np.rint(np.arange(_EVENTS) * _EVERY_US / bench.spec.tick_us).astype(np.int64)
    zero = np.zeros(_EVENTS, np.int64)
    bench.write(bench.neurons, bench.stimulus.uniform(0, 0))
    sending = round(1e3 / _RATE_KHZ / _EVERY_US)
    some = tuple(range(0, bench.n, bench.n // sending))[:sending]
    result = bench.run(SpikeBatch.from_arrays(zero, tick, zero, 1), duration_us, neurons=some)
    back = result.spikes.n_spikes
    there = 1.0 - result.lost_in / _EVENTS
    return there * (back / (back + result.lost_out) if back else 0.0)


def _background_off(chip: Chip, neurons: NeuronCodes, shared: SharedCodes) -> float:
    """Relative deviation of the events of regular generators from what their period says."""
    n = chip.spec.n_background
    zero, none = np.zeros(n, np.uint8), np.empty(0, np.int16)
    every = Background(
        np.arange(n, dtype=np.int16), zero, np.full(n, _PERIOD_TICKS, np.int32), zero, np.arange(n), zero, zero
    )
    config = ChipConfig(
        neurons, shared, Synapses(none, none, none.astype(np.uint8), none.astype(np.int8)),
        np.zeros((chip.spec.n_hemispheres, chip.spec.n_rows), np.int8), Routes.none(), Routes.none(), every,
    )  # fmt: skip
    result = chip.run(
        SpikeBatch.empty(1), duration_ticks=_PERIOD_TICKS * _GENERATED, trial_seed=bench_trial_seed(),
        first_sample=0, readout=Readout(), neurons=(0,), config=config,
    )  # fmt: skip
    return abs(result.events_in / (n * _GENERATED) - 1.0)
