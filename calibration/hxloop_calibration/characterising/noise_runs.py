"""What changes from trial to trial: cells, converters, membranes, stamps and thresholds of a chip that is levelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell
from hxloop.result import Readout
from hxloop_calibration.characterising.variances import known_mean
from hxloop_calibration.measuring.membrane_measurements import (
    OUT_OF_REACH,
    burst,
    burst_cells,
    burst_weights,
    refractory,
    voltage_code,
)  # fmt: skip
from hxloop_calibration.measuring.spike_statistics import first_ticks, fraction_spiking

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes
    from hxloop_calibration.measuring.chip_bench import Bench

    Floats = NDArray[np.float64]
    Arrays = dict[str, NDArray[Any]]

_REST_MV: Final = 600.0
_WRITES, _WRITE_SAMPLES, _WRITE_US = 16, 16, 36.0
_CADC_SAMPLES, _CADC_US = 16, 60.0
_MADC_CIRCUITS, _MADC_SAMPLES, _MADC_US = 48, 2, 40.0
_MEMBRANE_SAMPLES, _MEMBRANE_US, _SETTLED_US = 16, 200.0, 36.0
_LAGS: Final = (1, 2, 3)
_STAMP_SAMPLES, _STAMP_US, _REFRACTORY_US = 64, 8.0, 16.0
_RISE_CODES: Final = 3 * np.arange(-9, 10)
_RISE_SAMPLES, _RISE_WRITES, _RISE_US, _ONCE_US = 60, 2, 1.0, 30.0


def at_rest(bench: Bench) -> NeuronCodes:
    """Codes of a membrane that rests: no input, threshold out of reach."""
    off = {Cell.i_gm_exc: 0, Cell.i_gm_inh: 0, Cell.v_reset: 0, Cell.v_threshold: OUT_OF_REACH}
    return bench.with_cells({**off, Cell.v_leak: voltage_code(_REST_MV)})


def rewritten(bench: Bench) -> Arrays:
    """Resting potentials with the same codes, written again and again."""
    found = []
    for _ in range(_WRITES):
        bench.write(at_rest(bench))
        mv = bench.cadc_mv(bench.run(_WRITE_SAMPLES, _WRITE_US, bench.cadc())).mean(axis=1)
        found.append(mv.reshape(2, -1, bench.n).mean(axis=1))
    return {"noise/rest_mv": np.stack(found)}


def converter_noise(bench: Bench) -> Arrays:
    """Scatter of readings of one potential.

    CADC: all channels of a quadrant read the same membrane at the same time, so what differs is theirs. MADC: in the
    time between two readings a membrane hardly moves.
    """
    quadrant = bench.quadrant
    heads = np.array([np.flatnonzero(quadrant == q)[0] for q in range(bench.spec.n_quadrants)])
    rest = at_rest(bench)
    merged = {"head": heads[quadrant].astype(np.int16)}
    bench.write(bench.with_cells({Cell(k): rest.capmem_code[:, k] for k in range(len(Cell))}, **merged))
    lsb = bench.run(_CADC_SAMPLES, _CADC_US, bench.cadc()).observations.cadc.reshape(-1, bench.n).astype(np.float64)
    variance = np.empty(bench.n)
    for q in range(bench.spec.n_quadrants):
        own = lsb[:, quadrant == q]
        own = own - own.mean(axis=0)
        common = own.mean(axis=1, keepdims=True)
        left = own - common * (own * common).sum(axis=0) / (common**2).sum()  # slopes of channels differ
        reads, channels = own.shape
        variance[quadrant == q] = (left**2).sum(axis=0) / ((reads - 2) * (1.0 - 1.0 / channels))
    bench.write(rest)
    steps = []
    for circuit in np.linspace(0, bench.n - 1, _MADC_CIRCUITS).astype(int):
        seen = bench.run(_MADC_SAMPLES, _MADC_US, Readout(madc_circuit=int(circuit))).observations.madc
        steps.append(np.mean(np.diff(seen[:, bench.spec.madc_invalid_samples :].astype(np.float64), axis=1) ** 2) / 2.0)
    return {"noise/cadc_variance_lsb2": variance, "noise/madc_variance_lsb2": np.array(steps)}


def membrane_noise(bench: Bench, tau_mem_us: Floats) -> Arrays:
    """Autocovariance of membranes at rest; the CADC's own noise is not in it."""
    bench.write(at_rest(bench))
    readout = bench.cadc()
    period_us = readout.cadc_period_ticks * bench.spec.tick_us
    mv = bench.cadc_mv(bench.run(_MEMBRANE_SAMPLES, _MEMBRANE_US, readout))[:, int(_SETTLED_US / period_us) :]
    mv = mv - mv.mean(axis=(0, 1))
    # The mean is that of these readings: it takes its own variance with it.
    own = 2.0 * tau_mem_us / (mv.shape[0] * mv.shape[1] * period_us)
    lags = [(mv[:, k:] * mv[:, :-k]).mean(axis=(0, 1)) for k in _LAGS]
    return {
        "noise/membrane_covariance_mv2": np.stack(lags) / (1.0 - own),
        "noise/membrane_lag_us": np.array(_LAGS) * period_us,
        "noise/membrane_tau_us": tau_mem_us,
    }


def stamps(bench: Bench) -> Arrays:
    """Stamps of a spike that a burst causes: the membrane takes 0.1 us from rest through the threshold.

    Circuits that share an event output spike in turn, in runs of their own: no stamp waits for another. The events of a
    burst wait for one another on their way in, now longer and now shorter; circuits that spike at once have that in
    common, and it is taken off.
    """
    counter, clock, _ = refractory(bench, _REFRACTORY_US)
    n_columns = bench.spec.n_columns
    turn = np.arange(bench.n) // n_columns * n_columns + np.arange(bench.n) % (n_columns // bench.spec.n_event_outputs)
    threshold = bench.neurons.capmem_code[:, Cell.v_threshold]
    weights, batch = burst_weights(bench), burst(bench, _STAMP_SAMPLES)
    found = np.full((_STAMP_SAMPLES, bench.n), np.nan)
    for now in np.unique(turn):
        mine = turn == now
        cells = {**burst_cells(), Cell.v_threshold: np.where(mine, threshold, OUT_OF_REACH)}
        bench.write(bench.with_cells(cells, refractory_counter=counter, refractory_clock=clock), weights)
        ticks = first_ticks(bench.run(batch, _STAMP_US).spikes, bench.n)
        found[:, mine] = _of_their_own(np.where(np.isfinite(ticks), ticks, np.nan)[:, mine])
    return {"noise/stamp_us": found * bench.spec.tick_us}


def _of_their_own(ticks: Floats) -> Floats:
    """Ticks [n_samples, n_circuits] without what all have in common in a sample; each varies as much as before."""
    mean = known_mean(ticks)
    n = np.isfinite(ticks).sum(axis=1, keepdims=True)
    left = ticks - mean
    common = known_mean(left, 1)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(n > 1, mean + (left - common) * np.sqrt(n / (n - 1.0)), ticks))


def rise_codes(bench: Bench, threshold_mv: Floats, rest_mv: Floats) -> Floats:
    """Leak codes [levels, n_circuits] that take the resting potential through the threshold.

    Parameters
    ----------
    bench : Bench
    threshold_mv, rest_mv : float64 [n_circuits]
        Measured with the codes there are. NaN where nothing can be said of the circuit, and in the result then.
    """
    away = np.rint((threshold_mv - rest_mv) / nominal.V_MV_PER_CODE)
    codes = bench.neurons.capmem_code[:, Cell.v_leak] + away + _RISE_CODES[:, None]
    inside = (codes >= 0).all(axis=0) & (codes <= bench.spec.capmem_code_max).all(axis=0)
    return np.where(inside, codes, np.nan)


def rises(bench: Bench, codes: Floats) -> Arrays:
    """Share of samples with a spike at the levels of `rise_codes`."""
    counter, clock, _ = refractory(bench, _ONCE_US)
    curves = np.empty((_RISE_WRITES, *codes.shape))
    for curve in curves:
        for k, code in enumerate(codes):
            neurons = bench.with_cells({Cell.v_leak: code}, refractory_counter=counter, refractory_clock=clock)
            bench.write(neurons)
            curve[k] = fraction_spiking(bench.run(_RISE_SAMPLES, _RISE_US).spikes, bench.n)
    return {
        "noise/rise_level_mv": np.asarray(nominal.voltage_mv(codes)),
        "noise/rise_fraction": np.where(np.isfinite(codes), curves, np.nan),
        "noise/rise_samples": np.array([_RISE_SAMPLES]),
    }
