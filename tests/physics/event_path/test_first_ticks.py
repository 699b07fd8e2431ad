"""First spikes as a dense array are the first spikes, whatever else a run loses, reads or records."""

from dataclasses import replace

import numpy as np
import pytest
from support.solving.single import side_by_side

from hxloop.errors import InvalidInputError
from hxloop.result import Readout
from hxloop.seeds import generator
from hxloop.spikes import NO_SPIKE, SpikeBatch
from hxloop_chip.chip.emulated_chip import EmulatedChip

LOSSY = "typical[link_loss_trial=0.3]"
DURATION = 3000


def inputs(n_samples=6, seed=1):
    """Samples between silent and busy."""
    rng = generator(seed, "first ticks")
    sample = np.repeat(np.arange(n_samples), 5 * np.arange(n_samples))
    return SpikeBatch.from_arrays(sample, rng.integers(0, DURATION, len(sample)), np.zeros_like(sample), n_samples)


def run(chip, record, n_neurons=12, serial=1, batch=None, **options):
    emulated = EmulatedChip(chip, serial)
    emulated.configure(side_by_side(n_neurons))
    return emulated.run(batch or inputs(), duration_ticks=DURATION, record=record, trial_seed=serial, **options)


def expected(spikes, columns):
    """Of the spikes of a run, one after the other."""
    first = np.full((spikes.n_samples, len(columns)), NO_SPIKE, np.uint32)
    for sample, tick, source in zip(spikes.sample[::-1], spikes.tick[::-1], spikes.source[::-1], strict=True):
        if source in columns:
            first[sample, list(columns).index(source)] = tick
    return first


@pytest.mark.parametrize("neurons", [None, (), (4,), (9, 2, 4)])
@pytest.mark.parametrize("readout", [None, Readout(counters=True)])
@pytest.mark.parametrize(("chip", "serial"), [("typical", 1), ("rough", 3), (LOSSY, 2)])
def test_dense_first_spikes_are_the_first_spikes(chip, serial, readout, neurons):
    chosen = {"neurons": neurons, "readout": readout, "serial": serial}
    sparse, dense = (run(chip, record, **chosen) for record in ("first_spikes", "first_ticks"))
    assert (sparse.first_ticks, dense.first_ticks.dtype) == (None, np.uint32)
    assert dense.spikes.n_spikes == 0 and dense.spikes.n_samples == 6
    found = dense.first_ticks
    np.testing.assert_array_equal(found, expected(sparse.spikes, range(12) if neurons is None else neurons))
    assert neurons == () or 0 < (found == NO_SPIKE).sum() < found.size
    assert (dense.events_out, dense.lost_out, dense.lost_late) == (sparse.events_out, sparse.lost_out, sparse.lost_late)
    np.testing.assert_array_equal(dense.observations.spike_count, sparse.observations.spike_count)


def test_an_overloaded_link_loses_them_as_it_loses_others():
    """All 512 neurons are alike, and twice as many spikes in one tick are too many: counters keep later ones, too."""
    busy = SpikeBatch.from_arrays(np.zeros(200, int), np.linspace(0, 2000, 200).astype(int), np.zeros(200, int), 1)
    sparse, dense = (
        run("typical[all=0]", record, 512, batch=busy, readout=Readout(counters=True))
        for record in ("first_spikes", "first_ticks")
    )
    np.testing.assert_array_equal(dense.first_ticks, expected(sparse.spikes, range(512)))
    assert dense.lost_out == sparse.lost_out


@pytest.mark.parametrize("neurons", [(3,), (0, 1, 0), (0, 2)])
def test_columns_are_heads_and_each_comes_once(neurons):
    """Circuit 2 is merged into neuron 0."""
    config = side_by_side(3)
    emulated = EmulatedChip("typical", 1)
    emulated.configure(replace(config, neurons=replace(config.neurons, head=np.array([0, 1, 0], np.int16))))
    with pytest.raises(InvalidInputError) as caught:
        emulated.run(inputs(), duration_ticks=DURATION, record="first_ticks", neurons=neurons)
    assert caught.value.field == f"neurons[{len(neurons) - 1}]"
