"""Runs that are larger than a daemon announces: refused by their sizes alone, before anything is allocated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hxloop.errors import LimitExceededError
from hxloop.protocol.codec import check_spike_arrays, is_of_configuration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop.protocol.messages import Limits, RunRequest
    from hxloop.protocol.packed_runs import PackedRun
    from hxloop.spec import ChipSpec


def sizes_of(request: RunRequest) -> dict[str, int]:
    """Number of elements of the arrays of spikes that a message announces."""
    return {
        header.name: math.prod(header.shape)
        for header in request.arrays
        if request.base is None or not is_of_configuration(header.name)
    }


def check_run_limits(request: RunRequest | PackedRun, size: Mapping[str, int], limits: Limits, spec: ChipSpec) -> None:
    """Refuse a run by what its message says.

    Parameters
    ----------
    request : RunRequest or PackedRun
    size : dict
        Number of elements of its arrays of spikes.
    limits : Limits
    spec : ChipSpec

    Raises
    ------
    LimitExceededError
        Samples, events, sample length, run length or readings of the converters.
    MalformedMessageError
        Not the arrays of a spike batch.
    """
    check_spike_arrays(size)
    n_samples = max(0, size["offsets"] - 1)
    ticks = request.duration_ticks
    for field, value, limit, unit in (
        ("offsets", n_samples, limits.max_samples, "samples"),
        ("tick", max(size["tick"], size["source"]), limits.max_input_events, "input events"),
        ("duration_ticks", ticks, limits.max_sample_ticks, "ticks a sample"),
        ("duration_ticks", n_samples * ticks, limits.max_run_ticks, "ticks in all samples together"),
        ("readout", n_samples * request.readout.readings_per_sample(ticks, spec), limits.max_readings, "readings"),
    ):
        _refuse_above(limit, value, field, unit)


def check_dense_limits(request: RunRequest | PackedRun, n_samples: int, n_heads: int, limits: Limits) -> None:
    """Refuse a run that answers more for all heads than the limits allow; only who knows the configuration can tell.

    Raises
    ------
    LimitExceededError
    """
    if request.record == "first_ticks":
        n_columns = n_heads if request.neurons is None else len(request.neurons)
        _refuse_above(limits.max_output_events, n_samples * n_columns, "record", "first spikes")
    if request.readout.counters:
        _refuse_above(limits.max_readings, n_samples * n_heads, "readout.counters", "readings")


def _refuse_above(limit: int, value: int, field: str, unit: str) -> None:
    if value > limit:
        raise LimitExceededError(f"{value} {unit}, at most {limit} are allowed", field=field, hint="split the run")
