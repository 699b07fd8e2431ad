"""A chip that checks what it is sent and answers with spikes drawn at random: for tests of what the host bears."""

from __future__ import annotations

import numpy as np
from support.chips.run_counters import counts

from hxloop.chip import ChipIdentity
from hxloop.codes.operating_point import nominal_boot
from hxloop.result import RunResult
from hxloop.seeds import generator
from hxloop.spec import HICANN_X
from hxloop.spikes import SpikeBatch


class RandomChip:
    """Every neuron spikes at most once in a sample, any time; the share of silent ones is drawn for each run."""

    def __init__(self, spec=HICANN_X, *, silent=None):
        self.spec = spec
        self.identity = ChipIdentity(chip="random", serial=1, spec=spec.name, model="random-1")
        self.boot = nominal_boot(spec)
        self._silent = silent
        self._heads = None

    def configure(self, config):
        assert np.isfinite(config.synapses.weight_code).all()
        self._heads = np.unique(config.neurons.head)
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
    ):
        if config is not None:
            self.configure(config)
        inputs.check("inputs", duration_ticks=duration_ticks, n_sources=self.spec.n_input_channels)
        rng = generator(trial_seed, first_sample)
        shape = (inputs.n_samples, len(self._heads))
        silent = rng.choice([0.0, 0.1, 1.0]) if self._silent is None else self._silent
        sample, neuron = np.nonzero(rng.random(shape) >= silent)
        tick = rng.integers(0, duration_ticks, len(sample))
        spikes = SpikeBatch.from_arrays(sample, tick, self._heads[neuron], inputs.n_samples)
        if neurons is not None:
            spikes = spikes.select(np.isin(spikes.source, neurons))
        first_ticks = None
        if record == "first_ticks":
            columns = self._heads if neurons is None else np.array(neurons)
            spikes, first_ticks = SpikeBatch.empty(inputs.n_samples), spikes.first_ticks(columns.astype(np.int64))
        chip_time_us = inputs.n_samples * duration_ticks * self.spec.tick_us
        return RunResult(
            spikes, first_ticks=first_ticks, **counts(inputs.n_spikes, len(tick), chip_time_us=chip_time_us)
        )
