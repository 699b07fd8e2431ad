"""Responses to events of single synapses: what rows, synapses, weights and single events contribute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.codes.capmem import Cell
from hxloop.program import Routes, Synapses
from hxloop.result import Readout
from hxloop.spikes import SpikeBatch
from hxloop_calibration.measuring.fits import amplitude, psp
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH, voltage_code
from hxloop_calibration.measuring.stimulus import INH, N_GROUPS, Stimulus, events

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop_calibration.measuring.chip_bench import Bench

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

WEIGHT_CODES: Final = (63, 32, 31)
"""All bits; and two neighbours without a common bit, of which a DAC that errs shows most."""
_SAMPLES: Final = 16
_REST_MV: Final = 600.0
_APART_US, _BEFORE_US, _FIRST_US = 48.0, 5.0, 10.0
_LOSS_SAMPLES, _LOSS_EVENTS, _LOSS_APART_US = 20, 100, 2.0


@dataclass(frozen=True, eq=False)
class SingleRows(Stimulus):
    """Every row listens to a channel of its own; all circuits have a synapse on it."""

    @property
    def n_rows(self) -> int:
        """Rows of a hemisphere in use, both signs."""
        return 2 * self.rows

    def routes(self) -> Routes:
        """Channel k goes to row k, in all hemispheres."""
        own = np.repeat(self.drivers[0], 2)
        everywhere = np.arange(self.spec.n_hemispheres)[:, None] * self.spec.n_drivers + own
        channel = np.broadcast_to(np.arange(self.n_rows), everywhere.shape)
        return Routes(
            channel.ravel().astype(np.int32),
            everywhere.ravel().astype(np.int16),
            (channel % 2).ravel().astype(np.uint8),
        )

    def synapses(self, codes: Ints) -> Synapses:
        """Synapses of all circuits on all rows, ordered by row; `codes` [1]: their weight code."""
        k = np.arange(self.n_rows)[:, None]
        shape = (self.n_rows, self.spec.n_circuits)
        row = 2 * self.drivers[0][k // 2] + k % 2
        sign = np.where(k % 2 == INH, -1, 1)
        parts = (np.arange(self.spec.n_circuits), row, k % 2, sign * codes[0])
        circuit, rows, label, weight = (np.broadcast_to(part, shape).ravel() for part in parts)
        return Synapses(circuit.astype(np.int16), rows.astype(np.int16), label.astype(np.uint8), weight.astype(np.int8))


def single_synapses(bench: Bench, tau_mem_us: Floats, tau_syn_us: float) -> dict[str, NDArray[Any]]:
    """Slopes that single events cause in all circuits, [weights, samples, rows, circuits].

    Parameters
    ----------
    bench : Bench
        All circuits about as wanted; the CADC is known.
    tau_mem_us : float64 [n_circuits]
    tau_syn_us : float
        Errors of both act on all rows of a circuit alike.
    """
    several, rows = bench.stimulus, SingleRows(bench.spec)
    bench.stimulus = rows
    cells = {Cell.v_leak: voltage_code(_REST_MV), Cell.v_reset: 0, Cell.v_threshold: OUT_OF_REACH}
    bench.write(bench.with_cells(cells), np.array(WEIGHT_CODES[:1]))
    found = []
    for code in WEIGHT_CODES:
        bench.reweight(np.array([code]))
        found.append(_responses(bench, rows, tau_mem_us, tau_syn_us))
    sent, lost = _lost(bench, rows)
    bench.stimulus = several
    return {
        "synapses/amplitude_mv_per_us": np.stack(found).astype(np.float32),
        "synapses/weight_code": np.array(WEIGHT_CODES),
        "synapses/averaged": np.array([N_GROUPS * several.rows]),
        "events/sent": np.array([sent]),
        "events/lost": np.array([lost]),
    }


def _responses(bench: Bench, rows: SingleRows, tau_mem_us: Floats, tau_syn_us: float) -> Floats:
    readout = bench.cadc()
    period = readout.cadc_period_ticks
    at = np.array([bench.ticks(_FIRST_US + k * _APART_US) for k in range(rows.n_rows)])
    ticks = at + max(1, period // _SAMPLES) * np.arange(_SAMPLES)[:, None]
    duration_us = _FIRST_US + rows.n_rows * _APART_US
    seen = bench.run(events(range(rows.n_rows), ticks, _SAMPLES), duration_us, readout).observations.cadc
    found = np.empty((_SAMPLES, rows.n_rows, bench.n))
    before, after = bench.ticks(_BEFORE_US), bench.ticks(_APART_US - _BEFORE_US)
    assert bench.cadc_scale is not None
    for k in range(rows.n_rows):
        first, stop = -(-(at[k] - before) // period), (at[k] + after) // period
        mv = bench.cadc_scale.mv(seen[:, first:stop])
        t_us = np.asarray((np.arange(first, stop) * period - ticks[:, k : k + 1]) * bench.spec.tick_us, np.float64)
        shape = psp(t_us[:, None, :], tau_mem_us[None, :, None], tau_syn_us)
        y = np.moveaxis(mv, 2, 1)
        flat = (_SAMPLES * bench.n, -1)
        slope = amplitude(shape.reshape(flat), y.reshape(flat), np.isfinite(y).reshape(flat).astype(np.float64))[1]
        found[:, k] = slope.reshape(_SAMPLES, bench.n) * (-1.0 if k % 2 == INH else 1.0)
    return found


def _lost(bench: Bench, rows: SingleRows) -> tuple[int, int]:
    """Events sent and lost, so few at a time that nothing is overloaded."""
    bench.reweight(np.array([0]))
    tick = bench.ticks(_LOSS_APART_US) * (1 + np.arange(_LOSS_EVENTS))[:, None] + np.arange(rows.n_rows)
    sample, tick, channel = np.broadcast_arrays(
        np.arange(_LOSS_SAMPLES)[:, None, None], tick[None], np.arange(rows.n_rows)
    )
    batch = SpikeBatch.from_arrays(sample.ravel(), tick.ravel(), channel.ravel(), _LOSS_SAMPLES)
    result = bench.run(batch, _LOSS_APART_US * (_LOSS_EVENTS + 3), Readout())
    return result.events_in, result.lost_in
