"""A chip for tests of the service: no physics, no numba, results that depend on everything they should depend on."""

from __future__ import annotations

import time
import zlib

import numpy as np

from hxloop.chip import ChipIdentity
from hxloop.errors import InvalidInputError, OutOfRangeError, RunCancelledError
from hxloop.program import ChipConfig, NeuronParameters, Routes, RunResult, Synapses
from hxloop.spec import HICANN_X
from hxloop.spikes import SpikeBatch

SLOW_SEED = 10**6
"""Trial seeds from here on make every sample take ``(seed - SLOW_SEED)`` ms."""
BROKEN_SEED = 999
"""This trial seed makes the chip raise what no chip should."""


class FakeChip:
    """Answers every input spike with one spike of the first neuron, a seed- and weight-dependent delay later."""

    def __init__(self, chip="typical", serial=1, threads=1):
        if chip not in ("ideal", "typical", "rough"):
            raise InvalidInputError(f"unknown chip {chip!r}", field="chip", hint="known: ideal, typical, rough")
        self.spec = HICANN_X
        self.identity = ChipIdentity(chip=chip, serial=serial, spec=self.spec.name, model="fake")
        self._config = None

    def warm_up(self):
        pass

    def configure(self, config):
        codes = config.synapses.weight_code
        if (np.abs(codes.astype(int)) > 63).any():
            k = int((np.abs(codes.astype(int)) > 63).argmax())
            raise OutOfRangeError(f"{codes[k]} is outside -63..63", field=f"synapses.weight_code[{k}]")
        self._config = config
        return config.sha256()

    def run(self, inputs, *, duration_ticks, trial_seed=0, first_sample=0, record="spikes", progress=None):
        inputs.check("inputs", duration_ticks=duration_ticks, n_sources=self.spec.n_input_channels)
        if trial_seed == BROKEN_SEED:
            raise KeyError("a bug of the chip")
        for done in range(inputs.n_samples):
            if trial_seed >= SLOW_SEED:
                time.sleep((trial_seed - SLOW_SEED) * 1e-3)
                if progress is not None and progress(done, inputs.n_samples):
                    raise RunCancelledError(f"cancelled after {done} samples")
        weights = zlib.crc32(self._config.synapses.weight_code.tobytes())
        delay = 1 + (weights + trial_seed + first_sample) % 97
        tick = inputs.tick + delay
        source = np.full(inputs.n_spikes, self._config.neurons.head[0], np.int32)
        spikes = SpikeBatch(inputs.offsets.copy(), tick, source)
        chip_time_us = inputs.n_samples * duration_ticks * self.spec.tick_us
        return RunResult(spikes, inputs.n_spikes, inputs.n_spikes, 0, chip_time_us, 1.0, 1e-6 * chip_time_us)


def small_config(weight_code=(20,), n_input=1):
    """One neuron, `n_input` input channels on as many rows."""
    codes = np.resize(np.asarray(weight_code, np.int8), n_input)
    rows = np.arange(n_input, dtype=np.int16)
    circuit = np.zeros(1, np.int16)
    of = [np.array([value]) for value in (360.0, 360.0, 675.0, 6.0, 6.0, 6.0, 1.0, 1.0)]
    row_sign = np.zeros((2, 256), np.int8)
    row_sign[0, :n_input] = 1
    labels = np.zeros(n_input, np.uint8)
    routes = Routes(np.arange(n_input, dtype=np.int32), np.zeros(n_input, np.int16), rows, labels)
    nowhere = Routes(np.empty(0, np.int32), np.empty(0, np.int16), np.empty(0, np.int16), np.empty(0, np.uint8))
    return ChipConfig(
        NeuronParameters(circuit, circuit, *of),
        Synapses(np.zeros(n_input, np.int16), rows, labels, codes),
        row_sign,
        routes,
        nowhere,
    )


def small_inputs(n_samples=3, n_spikes=4, seed=0):
    """Spikes of channel 0 at ticks that the seed chooses."""
    generator = np.random.default_rng(seed)
    sample = np.repeat(np.arange(n_samples), n_spikes)
    return SpikeBatch.from_arrays(sample, generator.integers(0, 900, sample.size), np.zeros_like(sample), n_samples)
