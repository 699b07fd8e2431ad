"""Runs that are larger than a daemon's limits: cut into parts, and their results put together again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.result import Observations, RunCounts, RunResult
from hxloop.spikes import SpikeBatch

if TYPE_CHECKING:
    from hxloop.protocol.messages import Limits

_PER_SAMPLE = ("cadc", "madc", "spike_count", "spike_overflow")
_BYTES_PER_EVENT = 12
_BYTES_PER_SAMPLE = 8
_HEADER_BYTES = 4096


def fits(inputs: SpikeBatch, duration_ticks: int, limits: Limits, readings_per_sample: int = 0) -> bool:
    """Whether the daemon accepts all samples of a batch in one part; arguments as for `split`."""
    n_samples, n_spikes = inputs.n_samples, inputs.n_spikes
    n_bytes = _HEADER_BYTES + (n_samples + 1) * _BYTES_PER_SAMPLE + n_spikes * _BYTES_PER_EVENT
    return (
        n_samples <= _longest(duration_ticks, limits, readings_per_sample)
        and n_spikes <= limits.max_input_events
        and n_bytes <= limits.max_message_bytes
    )


def _longest(duration_ticks: int, limits: Limits, readings_per_sample: int) -> int:
    """Samples of a part, as far as events do not matter."""
    by_length = max(1, min(limits.max_samples, limits.max_run_ticks // max(1, duration_ticks)))
    if readings_per_sample:
        by_length = max(1, min(by_length, limits.max_readings // readings_per_sample))
    return by_length


def split(
    inputs: SpikeBatch, duration_ticks: int, limits: Limits, readings_per_sample: int = 0
) -> list[tuple[int, int]]:
    """Parts of a batch that the daemon accepts.

    Parameters
    ----------
    inputs : SpikeBatch
        Input events of all samples, checked (`SpikeBatch.check`) unless they fit in one part.
    duration_ticks : int
        Length of a sample.
    limits : Limits
        Limits of one run.
    readings_per_sample : int
        CADC and MADC readings.

    Returns
    -------
    list of (first, last)
        Samples ``first <= k < last`` of each part, at least one sample each (a batch of none is one part).
    """
    if fits(inputs, duration_ticks, limits, readings_per_sample):
        return [(0, inputs.n_samples)]
    by_length = _longest(duration_ticks, limits, readings_per_sample)
    size = np.arange(inputs.n_samples + 1) * _BYTES_PER_SAMPLE + inputs.offsets * _BYTES_PER_EVENT
    room = limits.max_message_bytes - _HEADER_BYTES
    parts: list[tuple[int, int]] = []
    first = 0
    while first < inputs.n_samples:
        by_events = int(np.searchsorted(inputs.offsets, inputs.offsets[first] + limits.max_input_events, "right")) - 1
        by_bytes = int(np.searchsorted(size, size[first] + room, "right")) - 1
        last = max(first + 1, min(inputs.n_samples, first + by_length, by_events, by_bytes))
        parts.append((first, last))
        first = last
    return parts or [(0, 0)]


def join(results: list[RunResult]) -> RunResult:
    """Result of a run from those of its parts."""
    if len(results) == 1:
        return results[0]
    dense = [result.first_ticks for result in results if result.first_ticks is not None]
    return RunResult(
        spikes=SpikeBatch.concatenate([r.spikes for r in results]),
        observations=_join_observations([r.observations for r in results]),
        first_ticks=np.concatenate(dense) if dense else None,
        **vars(RunCounts.total(results)),
    )


def _join_observations(parts: list[Observations]) -> Observations:
    per_sample = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _PER_SAMPLE}
    return Observations(**per_sample, correlation=parts[0].correlation)
