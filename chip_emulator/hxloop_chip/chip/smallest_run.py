"""The smallest run, for the kernels that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.program import ChipConfig, Routes, Synapses
from hxloop.spikes import SpikeBatch

if TYPE_CHECKING:
    from hxloop.chip import Chip

_TICKS = 1000


def one_synapse(chip: Chip) -> ChipConfig:
    """One neuron that hears one input, and itself."""
    circuit, label = np.zeros(1, np.int16), np.zeros(1, np.uint8)
    sign = np.zeros((chip.spec.n_hemispheres, chip.spec.n_rows), np.int8)
    sign[0, 0] = 1
    routes = Routes(np.zeros(1, np.int32), np.zeros(1, np.int16), label)
    code = np.full(1, 63.0) if chip.spec.continuous_weights else np.full(1, 63, np.int8)
    return ChipConfig(
        neurons=chip.boot.of(circuit, circuit),
        shared=chip.boot.shared,
        synapses=Synapses(circuit, circuit, label, code),
        row_sign=sign,
        input_routes=routes,
        neuron_routes=routes,
    )


def run_one_synapse(chip: Chip, config: ChipConfig | None = None, **how: Any) -> None:
    """Configure a chip with it, and send nine events."""
    chip.configure(config or one_synapse(chip))
    inputs = SpikeBatch.from_arrays([0] * 9, range(9), [0] * 9, 1)
    chip.run(inputs, duration_ticks=_TICKS, **how)
