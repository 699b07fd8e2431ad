"""Compiling all kernels, or loading them, before the first batch."""

from __future__ import annotations

import numpy as np

from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Inputs, Recording, Spikes
from hxloop.spikes import SpikeBatch
from hxloop_host.readings.backward_pass import weight_gradients
from hxloop_host.readings.measured_scale import MeasuredScale
from hxloop_host.readings.reading_grid import ReadingGrid
from hxloop_host.readings.seen import Seen


def small_recording() -> tuple[Recording, Seen]:
    """A network of one neuron with a loop, two readings of it, and derivatives of nothing."""
    network = Network(1, (Population("one", 1),), (Projection(INPUT, "one"), Projection("one", "one")))
    sample, neuron, tick = np.zeros(1, np.int64), np.zeros(1, np.int32), np.ones(1, np.int64)
    recording = Recording(
        network,
        Inputs(SpikeBatch(np.array([0, 1]), tick, neuron)),
        [np.ones((1, 1), np.int8)] * 2,
        [np.ones((1, 1))] * 2,
        tick_us=1.0,
        delay_ticks=1,
        duration_ticks=2,
        spikes={"one": Spikes(sample, neuron, tick)},
        membranes={"one": np.zeros((1, 2, 1), np.float32)},
        membrane_times_us=np.arange(2.0),
    )
    seen = Seen(
        ReadingGrid(network, 1, 1.0, 1), 0.0, np.zeros(1, np.int64), np.ones((1, 1), np.int64), np.zeros((1, 2, 1)),
        np.zeros((1, 1)), [np.ones((1, 1))] * 2, np.ones(1),
    )  # fmt: skip
    return recording, seen


def warm_up() -> None:
    """Take a gradient in a network of one neuron, and measure it."""
    recording, seen = small_recording()
    for band in (0.0, 1.0):
        weight_gradients(
            seen.grid, recording, seen.grad_v, seen.grad_count, surrogate="superspike", steepness=1.0,
            threshold=seen.threshold, band=band,
        )  # fmt: skip
    MeasuredScale(1).add(seen.grid, recording)
