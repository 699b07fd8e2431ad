"""Arguments of a run, checked for whoever sends them on to a chip."""

from __future__ import annotations

from typing import Any, Final, get_args

import numpy as np

from hxloop.kit import arguments
from hxloop.program import ChipConfig
from hxloop.result import Readout, Recording
from hxloop.seeds import SEED_MAX
from hxloop.spikes import SpikeBatch

DURATION_MAX: Final = 2**40
"""Most ticks of a sample that can be asked for; what a chip can run is in its datasheet."""
NOTHING: Final = Readout()
"""To be observed beside spikes, where nothing else is asked for."""
SAMPLE_MAX: Final = 2**62
"""Largest number of a sample within its trial."""


def check_run(
    inputs: object,
    *,
    duration_ticks: object,
    trial_seed: object,
    first_sample: object,
    record: object,
    neurons: object,
    readout: object,
    config: object,
) -> dict[str, Any]:
    """Arguments of `Chip.run` as a caller gave them, in plain types; for whoever sends them on.

    Returns
    -------
    dict
        ``duration_ticks``, ``trial_seed``, ``first_sample``, ``record``, ``neurons`` and ``readout``.

    Raises
    ------
    InvalidInputError, OutOfRangeError, ArrayError
        Naming the argument.
    """
    arguments.of_type(inputs, "inputs", SpikeBatch, "a SpikeBatch")
    arguments.optional(arguments.of_type, config, "config", kind=ChipConfig, takes="a ChipConfig")
    heads = arguments.optional(arguments.whole_numbers, neurons, "neurons", dtype=np.int64)
    return {
        "duration_ticks": arguments.whole_number(duration_ticks, "duration_ticks", lowest=1, highest=DURATION_MAX),
        "trial_seed": arguments.whole_number(trial_seed, "trial_seed", highest=SEED_MAX),
        "first_sample": arguments.whole_number(first_sample, "first_sample", highest=SAMPLE_MAX),
        "record": arguments.one_of(record, "record", get_args(Recording)),
        "neurons": None if heads is None else tuple(heads.tolist()),
        "readout": arguments.optional(arguments.of_type, readout, "readout", kind=Readout, takes="a Readout")
        or NOTHING,
    }
