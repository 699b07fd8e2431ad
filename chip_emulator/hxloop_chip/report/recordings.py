"""What the converters of one chip show of neurons that integrate input to threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes import nominal
from hxloop.result import Readout
from hxloop_chip.chip.converters import cadc_ticks, madc_ticks
from hxloop_chip.report.specimens import one_input, same_inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop_chip.chip.emulated_chip import EmulatedChip

    Floats = NDArray[np.float64]

N_CIRCUITS: Final = 6
WEIGHT_CODE: Final = 45
DURATION_US: Final = 60.0
INPUT_US: Final = (10.0, 12.0, 14.0, 16.0, 18.0, 38.0, 40.0, 42.0, 44.0, 46.0)


@dataclass(frozen=True, eq=False)
class Recording:
    """Membranes of a few circuits during one sample, as a host would read them.

    Attributes
    ----------
    circuit : int64 [n]
    input_us : float64 [n_events]
    madc_us, madc_mv : float64 [n_reads]
        Of the first circuit, without invalid readings; converted by the nominal curve.
    cadc_us : float64 [n_cadc]
    cadc_mv : float64 [n_cadc, n]
    spike_us : list of float64 [n_spikes]
        Of each circuit.
    v_leak_mv, v_threshold_mv : float64 [n]
        True values.
    """

    circuit: NDArray[np.int64]
    input_us: Floats
    madc_us: Floats
    madc_mv: Floats
    cadc_us: Floats
    cadc_mv: Floats
    spike_us: list[Floats]
    v_leak_mv: Floats
    v_threshold_mv: Floats


def record_membranes(chip: EmulatedChip, v_leak_mv: Floats, v_threshold_mv: Floats) -> Recording:
    """Two bursts of input into the first live circuits.

    Parameters
    ----------
    chip : EmulatedChip
        Gets a new configuration.
    v_leak_mv, v_threshold_mv : float64 [n_circuits]
        True values, for comparison.
    """
    spec = chip.spec
    alive = np.flatnonzero(np.isfinite(v_threshold_mv[: spec.n_columns]))[:N_CIRCUITS]
    chip.configure(one_input(spec, chip.boot, alive.tolist(), WEIGHT_CODE))
    tick = np.rint(np.array(INPUT_US) / spec.tick_us).astype(np.int64)
    duration = round(DURATION_US / spec.tick_us)
    readout = Readout(
        cadc_circuits=tuple(alive.tolist()), cadc_period_ticks=spec.cadc_period_ticks, madc_circuit=int(alive[0])
    )
    result = chip.run(same_inputs(tick.tolist(), 1), duration_ticks=duration, readout=readout)
    valid = slice(spec.madc_invalid_samples, None)
    return Recording(
        circuit=alive,
        input_us=np.asarray(tick * spec.tick_us, np.float64),
        madc_us=madc_ticks(spec, duration)[valid] * spec.tick_us,
        madc_mv=nominal.madc_mv(result.observations.madc[0, valid]),
        cadc_us=np.asarray(cadc_ticks(readout, duration) * spec.tick_us, np.float64),
        cadc_mv=nominal.cadc_mv(result.observations.cadc[0]),
        spike_us=[result.spikes.tick[result.spikes.source == c] * spec.tick_us for c in alive],
        v_leak_mv=v_leak_mv[alive],
        v_threshold_mv=v_threshold_mv[alive],
    )
