"""A standard stimulus, and when every circuit answers it: whatever drifts, moves these times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes.calibration_table import DriftStamp
from hxloop_calibration.measuring.spike_statistics import first_ticks
from hxloop_calibration.measuring.stimulus import EXC, events

if TYPE_CHECKING:
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.targets import Target

_WRITES, _SAMPLES = 4, 32
_EVENT_US: Final = 4.0
_STRENGTH: Final = 1.6  # times what lifts a circuit as wanted to its threshold: all spike, and not at once
_TAUS: Final = 4.0


def stamp(bench: Bench, target: Target, limit_us: float) -> DriftStamp:
    """Mean first spike of every circuit after one common volley, with the codes there are.

    Parameters
    ----------
    bench : Bench
    target : Target
    limit_us : float
        See `DriftStamp`.
    """
    n = target.neuron
    # For equal time constants the peak of a response is tau / e; others are near enough.
    code = _STRENGTH * np.e * (n.v_threshold_mv - n.v_leak_mv) / (n.synapse_gain_mv_per_us * n.tau_syn_us)
    weights = bench.stimulus.uniform(min(code, bench.stimulus.most), 0)
    batch = events(bench.stimulus.channels(EXC), np.array(bench.ticks(_EVENT_US)), _SAMPLES)
    means = []
    for _ in range(_WRITES):
        bench.write(bench.neurons, weights)
        result = bench.run(batch, _EVENT_US + _TAUS * max(n.tau_mem_us, n.tau_syn_us))
        ticks = first_ticks(result.spikes, bench.n)
        count = np.isfinite(ticks).sum(axis=0)
        total = np.where(np.isfinite(ticks), ticks, 0.0).sum(axis=0) * bench.spec.tick_us
        enough = count > _SAMPLES // 2
        means.append(np.where(enough, total / np.maximum(count, 1) - _EVENT_US, np.nan))
    # Every writing of the codes is a little different, so the scatter is that from writing to writing.
    times = np.stack(means)
    return DriftStamp(times.mean(axis=0), times.std(axis=0, ddof=1) / np.sqrt(_WRITES), limit_us)


def rms_change_us(before: DriftStamp, now: DriftStamp) -> float:
    """Root mean square of the changes, less what the scatter of both explains; 0 if it explains all.

    The largest 2 % are left out: a single circuit does not make a table expire.
    """
    change = now.spike_time_us - before.spike_time_us
    expected = now.scatter_us**2 + before.scatter_us**2
    both = np.isfinite(change) & np.isfinite(expected)
    if not both.any():
        return float("inf")
    excess = np.sort(change[both] ** 2 - expected[both])
    return float(np.sqrt(max(0.0, excess[: max(1, round(0.98 * len(excess)))].mean())))
