"""Recordings that are larger than what a run may return are made in several runs, and are the same."""

import numpy as np
import pytest

from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Inputs, Observe
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip import membrane_reads
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_host.network.chip_runner import ChipRunner
from hxloop_host.readouts.readout_registry import READOUTS
from hxloop_host.training import scoring

N_SAMPLES, DURATION, READS = 23, 2100, 10
EVERYTHING = Observe("all", membranes=("hidden", "output"), counters=True, correlation=True)
NETWORK = Network(
    12,
    (Population("hidden", 9, t_refractory_us=1.0), Population("output", 3, spiking=False)),
    tuple(
        Projection(*ends, scale_weights=30.0)
        for ends in ((INPUT, "hidden"), ("hidden", "hidden"), ("hidden", "output"))
    ),
    output="output",
)


class SmallMemory(EmulatedChip):
    """A chip that stores few reads, and tells how many runs it made."""

    def __init__(self, serial, max_reads):
        super().__init__("typical", serial, threads=2)
        self._spec = self._spec.model_copy(update={"cadc_max_reads": max_reads})
        self.runs = 0

    def run(self, *arguments, **how):
        self.runs += 1
        return super().run(*arguments, **how)


def recorder(serial, max_reads):
    chip = SmallMemory(serial, max_reads)
    readout = READOUTS.find("membrane_cross_entropy")[0]()
    return chip, ChipRunner(NETWORK, readout, chip, duration_ticks=DURATION, weight_bits=6)


def samples(seed):
    rng = generator(seed, "trains")
    sample = np.repeat(np.arange(N_SAMPLES), 40)
    tick, source = rng.integers(0, 1800, sample.size), rng.integers(0, 12, sample.size)
    return Inputs(SpikeBatch.from_arrays(sample, tick, source, N_SAMPLES))


def codes(seed):
    rng = generator(seed, "codes")
    return [rng.integers(-20, 24, NETWORK.weight_shape(p)).astype(np.int8) for p in NETWORK.projections]


@pytest.mark.parametrize(("serial", "clock_s"), [(1, None), (4, None), (4, 3.0)])
def test_a_batch_of_too_many_reads_is_split(serial, clock_s, monkeypatch):
    found = []
    for max_reads in (N_SAMPLES * READS, 7 * READS + 3):
        chip, runner = recorder(serial, max_reads)
        if clock_s is not None:
            runner.start_clock(clock_s)
        found.append(runner.record(samples(serial), codes(serial), 5, observe=EVERYTHING))
        assert chip.runs == -(-N_SAMPLES // (max_reads // READS))
        monkeypatch.setattr(membrane_reads, "_BLOCK", 2 * READS * 12)  # the chip converts after two samples, too
    whole, parts = found
    assert whole.spikes["hidden"].tick.size > 100
    for name in ("hidden", "output"):
        np.testing.assert_array_equal(whole.membranes[name], parts.membranes[name])
    for name in ("sample", "neuron", "tick"):
        np.testing.assert_array_equal(getattr(whole.spikes["hidden"], name), getattr(parts.spikes["hidden"], name))
    np.testing.assert_array_equal(whole.first_ticks["hidden"], parts.first_ticks["hidden"])
    np.testing.assert_array_equal(whole.counts["hidden"], parts.counts["hidden"])


def test_a_test_set_of_too_many_reads_is_split():
    inputs, label = samples(2), generator(2, "labels").integers(0, 3, N_SAMPLES)
    scores = []
    for max_reads in (204_800, 5 * READS):
        chip, runner = recorder(2, max_reads)
        scores.append(scoring.score(runner, codes(2), inputs, label, 8))
        assert chip.runs == -(-N_SAMPLES * READS // max_reads)
    whole, parts = scores
    np.testing.assert_array_equal(whole.scores, parts.scores)
    assert whole.scores.std(axis=0).min() > 0
    assert (whole.accuracy, whole.loss, whole.silent_fraction) == (parts.accuracy, parts.loss, parts.silent_fraction)
