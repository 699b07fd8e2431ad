"""A chip for tests of the service: no physics, no numba, results that depend on everything they should depend on."""

from __future__ import annotations

import time
import zlib

import numpy as np
from support.solving.codes import neuron_codes

from hxloop.chip import ChipIdentity
from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import InvalidInputError, OutOfRangeError, RunCancelledError
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop.result import Observations, Readout, RunResult
from hxloop.spec import HICANN_X
from hxloop.spikes import SpikeBatch

SLOW_SEED = 10**6
"""Trial seeds from here on make every sample take ``(seed - SLOW_SEED)`` ms."""
BROKEN_SEED = 999
"""This trial seed makes the chip raise what no chip should."""
NAMES = ("ideal", "typical", "rough", "uncalibrated")


class FakeChip:
    """Answers every input spike with one spike of the first neuron, a seed- and weight-dependent delay later."""

    def __init__(self, chip="typical", serial=1, threads=1):
        if chip.partition("[")[0] not in NAMES:
            raise InvalidInputError(f"unknown chip {chip!r}", field="chip", hint="known: " + ", ".join(NAMES))
        self.spec = HICANN_X
        self.identity = ChipIdentity(chip=chip, serial=serial, spec=self.spec.name, model="fake")
        self.boot = nominal_boot(self.spec)
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

    def run(
        self,
        inputs,
        *,
        duration_ticks,
        trial_seed=0,
        first_sample=0,
        record="spikes",
        neurons=None,
        readout=None,
        config=None,
        progress=None,
        stop_words=None,
    ):
        if config is not None:
            self.configure(config)
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
        if neurons is not None:
            if self._config.neurons.head[0] not in neurons and neurons:
                raise InvalidInputError(f"circuit {neurons[0]} is not a configured head", field="neurons[0]")
            spikes = spikes.select(np.isin(spikes.source, neurons))
        first_ticks = None
        if record == "first_ticks":
            columns = self._config.neurons.head[:1] if neurons is None else np.array(neurons)
            spikes, first_ticks = SpikeBatch.empty(inputs.n_samples), spikes.first_ticks(columns.astype(np.int64))
        chip_time_us = inputs.n_samples * duration_ticks * self.spec.tick_us
        return RunResult(
            spikes,
            events_in=inputs.n_spikes,
            events_out=inputs.n_spikes,
            lost_in=delay,
            lost_out=trial_seed % 5,
            lost_late=first_sample % 7,
            synaptic_events=2 * inputs.n_spikes,
            cadc_reads=0,
            madc_reads=0,
            chip_time_us=chip_time_us,
            circuit_time_us=chip_time_us,
            emulation_time_us=1.0,
            energy_j_estimate=1e-6 * chip_time_us,
            observations=self._observe(inputs, duration_ticks, delay, readout or Readout()),
            first_ticks=first_ticks,
        )

    def _observe(self, inputs, duration_ticks, delay, readout):
        """Readings count up from the delay; the spike counter is right."""

        def counting(shape, dtype):
            return (delay + np.arange(np.prod(shape))).astype(dtype).reshape(shape)

        n = inputs.n_samples
        cadc = (n, -(-duration_ticks // readout.cadc_period_ticks), len(readout.cadc_circuits))
        madc = (n, -(-duration_ticks * 4 // 17) if readout.madc_circuit is not None else 0)
        counts = np.minimum(np.diff(inputs.offsets), 255).astype(np.uint8)[:, None]
        none = Observations.none()
        return Observations(
            cadc=counting(cadc, np.uint8) if readout.cadc_circuits else none.cadc,
            madc=counting(madc, np.int16) % 1024 if madc[1] else none.madc,
            spike_count=counts if readout.counters else none.spike_count,
            spike_overflow=(np.diff(inputs.offsets)[:, None] > 255).astype(np.uint8)
            if readout.counters
            else none.spike_overflow,
            correlation=counting((2, len(self._config.synapses.row)), np.uint8)
            if readout.correlation
            else none.correlation,
        )


def small_config(weight_code=(20,), n_input=1):
    """One neuron, `n_input` input channels on as many drivers, of which each uses its first row."""
    codes = np.resize(np.asarray(weight_code, np.int8), n_input)
    drivers = np.arange(n_input, dtype=np.int16)
    row_sign = np.zeros((2, 256), np.int8)
    row_sign[0, 2 * drivers] = 1
    labels = np.zeros(n_input, np.uint8)
    return ChipConfig(
        neuron_codes((0,)),
        nominal_boot(HICANN_X).shared,
        Synapses(np.zeros(n_input, np.int16), 2 * drivers, labels, codes),
        row_sign,
        Routes(np.arange(n_input, dtype=np.int32), drivers, labels),
        Routes.none(),
    )


def small_inputs(n_samples=3, n_spikes=4, seed=0):
    """Spikes of channel 0 at ticks that the seed chooses."""
    generator = np.random.default_rng(seed)
    sample = np.repeat(np.arange(n_samples), n_spikes)
    return SpikeBatch.from_arrays(sample, generator.integers(0, 900, sample.size), np.zeros_like(sample), n_samples)
