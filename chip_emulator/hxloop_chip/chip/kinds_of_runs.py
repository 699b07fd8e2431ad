"""The smallest runs of every kind, for the kernels that they need: `hxloop compile` calls these functions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hxloop.program import Background
from hxloop.result import Readout
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.chip.smallest_run import one_synapse, run_one_synapse


def ordinary_runs() -> None:
    """First spikes and all spikes, of chips with and without weights in steps."""
    for chip in _chips():
        for record in ("first_ticks", "spikes"):
            run_one_synapse(chip, record=record)


def recordings() -> None:
    """Membranes, counters and correlations."""
    for chip in _chips():
        run_one_synapse(chip, readout=Readout(cadc_circuits=(0,), madc_circuit=0, counters=True, correlation=True))


def generators() -> None:
    """Background generators."""
    chip = _chips()[0]
    config = one_synapse(chip)
    one = np.ones(1, np.uint8)
    background = Background(
        np.zeros(1, np.int16), one, np.full(1, 100, np.int32), one, np.ones(1, np.int64), one - 1, one - 1
    )
    run_one_synapse(chip, replace(config, background=background, background_routes=config.input_routes))


def _chips() -> list[EmulatedChip]:
    return [EmulatedChip(name, 1) for name in ("typical", "ideal")]
