"""The smallest runs of every kind, for the kernels that they need: `hxloop compile` calls these functions.

All runs of one kind of circuit are in one function, and so in one process: the solver's kernels for them consist of the
same parts, each of which a process compiles once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes.capmem import Cell, Switch
from hxloop.program import Background
from hxloop.result import Readout
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.chip.smallest_run import one_synapse, run_one_synapse

if TYPE_CHECKING:
    from hxloop.program import ChipConfig

_EVERYTHING: Final = Readout(cadc_circuits=(0,), madc_circuit=0, counters=True, correlation=True)


def compressed_inputs() -> None:
    """Circuits whose synaptic inputs pass on less of large currents, as those of `typical`."""
    chip = EmulatedChip("typical", 1)
    _runs_of_all_models(chip, one_synapse(chip))


def separate_rates() -> None:
    """Circuits whose two synaptic currents decay differently, as those of chips with mismatch and nothing else."""
    chip = EmulatedChip("ideal", 1)
    config = one_synapse(chip)
    code = config.neurons.capmem_code.copy()
    code[:, Cell.i_tau_syn_inh] //= 2
    _runs_of_all_models(chip, replace(config, neurons=replace(config.neurons, capmem_code=code)))


def equal_rates() -> None:
    """Circuits whose synaptic currents decay alike, as those of `ideal`; never of neurons with more than leak."""
    chip = EmulatedChip("ideal", 1)
    _runs(chip, one_synapse(chip))


def generators() -> None:
    """Background generators."""
    chip = EmulatedChip("typical", 1)
    config = one_synapse(chip)
    one = np.ones(1, np.uint8)
    background = Background(
        np.zeros(1, np.int16), one, np.full(1, 100, np.int32), one, np.ones(1, np.int64), one - 1, one - 1
    )
    run_one_synapse(chip, replace(config, background=background, background_routes=config.input_routes))


def _runs_of_all_models(chip: EmulatedChip, config: ChipConfig) -> None:
    """Of leaky neurons, and of some that adapt: these stand for all that have no closed form."""
    _runs(chip, config)
    switches = np.full_like(config.neurons.switches, Switch.adaptation)
    _runs(chip, replace(config, neurons=replace(config.neurons, switches=switches)))


def _runs(chip: EmulatedChip, config: ChipConfig) -> None:
    """First spikes, all spikes, and recordings of membranes, counters and correlations."""
    for record in ("first_ticks", "spikes"):
        run_one_synapse(chip, config, record=record)
    run_one_synapse(chip, config, readout=_EVERYTHING)
