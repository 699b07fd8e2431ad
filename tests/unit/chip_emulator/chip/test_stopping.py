"""The chip in this process: a run is stopped inside a sample, threads take turns, and callbacks are refused."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.chips.fake_chip import small_config

from hxloop.errors import InvalidInputError, RunCancelledError, SessionError
from hxloop.result import Readout
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip import membrane_reads, observing
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.worker.shared_words import make_board, map_board

CONFIG = small_config((63,), n_input=40)
LONG_TICKS = 4_000_000_000
"""One sample of 32 s of chip time with an event in its last tick, so that it cannot end early: seconds of work."""


@pytest.fixture(scope="module")
def chip():
    made = EmulatedChip("typical", 1, 2)
    made.warm_up()
    return made


def spikes(n_samples, last_tick):
    rng = np.random.default_rng(1)
    sample = np.repeat(np.arange(n_samples), 50)
    tick = rng.integers(0, 5000, sample.size)
    return SpikeBatch.from_arrays(
        np.append(sample, n_samples - 1), np.append(tick, last_tick), np.append(rng.integers(0, 40, sample.size), 0),
        n_samples,
    )  # fmt: skip


def test_a_run_stops_in_the_middle_of_its_only_sample(chip):
    chip.configure(CONFIG)
    descriptor, board = make_board()
    ours, theirs = board.stop_words, map_board(descriptor).stop_words
    os.close(descriptor)
    theirs[1] = 7
    pressed = []

    def press():
        pressed.append(time.monotonic())
        ours[0] = 7

    ours[0] = 6  # a stop that came too late for the job before is none for this one
    threading.Timer(0.3, press).start()
    with pytest.raises(RunCancelledError):
        chip.run(spikes(1, LONG_TICKS - 1), duration_ticks=LONG_TICKS, stop_words=theirs)
    assert 0.0 < time.monotonic() - pressed[0] < 0.2
    theirs[1] = 8
    assert chip.run(spikes(2, 9000), duration_ticks=10_000, stop_words=theirs).events_in == 101


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (membrane_reads, "cadc_codes"),
        (membrane_reads, "madc_codes"),
        (observing, "spike_counts"),
        (observing, "routed"),
    ],
)
def test_a_run_stops_while_its_read_outs_are_made(monkeypatch, module, name):
    chip = EmulatedChip("typical", 1, 1)
    chip.configure(CONFIG)
    inputs = spikes(40, 9000)
    everything = Readout(cadc_circuits=(0,), cadc_period_ticks=213, madc_circuit=0, counters=True, correlation=True)
    whole = chip.run(inputs, duration_ticks=10_000, readout=everything).observations
    monkeypatch.setattr(observing, "_BLOCK", 40)
    monkeypatch.setattr(membrane_reads, "_BLOCK", 40)
    divided = chip.run(inputs, duration_ticks=10_000, readout=everything).observations
    for item, array in vars(whole).items():
        np.testing.assert_array_equal(getattr(divided, item), array)
    words, made = np.array([0, 1]), []
    make = getattr(module, name)

    def and_stop(*arguments):
        made.append(name)
        words[0] = 1
        return make(*arguments)

    monkeypatch.setattr(module, name, and_stop)
    with pytest.raises(RunCancelledError):
        chip.run(inputs, duration_ticks=10_000, readout=everything, stop_words=words)
    assert made == [name], "the first block is the last one"


def test_threads_take_turns(chip):
    configs, inputs = [small_config((code,), n_input=40) for code in (63, 55, 40)], spikes(40, 9000)

    def run(k):
        found = chip.run(inputs, duration_ticks=10_000, trial_seed=k, config=configs[k % 3]).spikes
        return found.offsets.tolist(), found.tick.tolist()

    alone = [run(k) for k in range(9)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(9))) == alone
    assert len({str(found) for found in alone}) == 9


def test_a_callback_of_a_run_cannot_use_the_chip(chip):
    chip.configure(CONFIG)
    said = []

    def progress(done, total):
        for use in (lambda: chip.configure(CONFIG), lambda: chip.run(spikes(1, 9), duration_ticks=100)):
            with pytest.raises(SessionError, match="very thread"):
                use()
        said.append(done)
        return True

    with pytest.raises(RunCancelledError):
        chip.run(spikes(20_000, 9000), duration_ticks=200_000, progress=progress)
    assert len(said) == 1


def test_numbers_of_neurons_beyond_all_integers(chip):
    chip.configure(CONFIG)
    for number in (2**63, 2**100, -(2**63) - 1, 511):
        with pytest.raises(InvalidInputError, match=rf"neurons\[1\].*{number} is not a configured head"):
            chip.run(spikes(1, 9), duration_ticks=6000, neurons=(0, number))
