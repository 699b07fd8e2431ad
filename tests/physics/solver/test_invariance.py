"""Results do not depend on how a batch is computed: threads, splitting, order and what is recorded."""

import numpy as np
import pytest
from support.solving.networks import build_network, draw_plan
from support.solving.single import side_by_side

from hxloop.seeds import generator
from hxloop.spec import HICANN_X
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.emulated_chip import EmulatedChip

DURATION = 4000
N_SAMPLES = 23


@pytest.fixture(scope="module")
def case():
    rng = generator(3, "invariance")
    config = side_by_side(
        300, spec=HICANN_X, gain_mv_per_us=rng.uniform(0.7, 2.0, 300), code_exc=rng.integers(20, 64, 300),
        tau_mem_us=10.0, tau_exc_us=10.0, tau_inh_us=10.0,
    )  # fmt: skip
    n = 12 * N_SAMPLES
    sample, tick = rng.integers(1, N_SAMPLES, n), rng.integers(0, DURATION, n)
    burst = (sample % 3 == 0) & (tick % 2 == 0)
    tick[burst] = 1000 + tick[burst] % 64  # many events in a step; sample 0 has none and is over at once
    inputs = SpikeBatch.from_arrays(sample, tick, (rng.random(n) < 0.3).astype(int), N_SAMPLES)
    return config, inputs


def noisy(case, threads=1, name="typical"):
    chip = EmulatedChip(name, 4, threads)
    chip.configure(case[0])
    return chip


def same(a: SpikeBatch, b: SpikeBatch) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("offsets", "tick", "source"))


@pytest.fixture(scope="module")
def whole(case):
    result = noisy(case).run(case[1], duration_ticks=DURATION, trial_seed=9, first_sample=100)
    assert result.spikes.n_spikes > 1000
    return result


def test_the_case_has_dense_steps_and_an_empty_sample(case):
    inputs = case[1]
    _, per_step = np.unique(inputs.sample * 1000 + inputs.tick // 64, return_counts=True)
    assert (per_step >= 4).sum() >= 3
    assert (per_step == 1).sum() > 100
    assert inputs.offsets[1] == 0


@pytest.mark.parametrize("samples_per_chunk", [1, 2, 5, N_SAMPLES])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_and_sizes_of_chunks(case, whole, threads, samples_per_chunk):
    chip = noisy(case, threads)
    chip._runner._sample_s = 0.04 / samples_per_chunk
    sizes = []
    progress = (lambda done, total: sizes.append(done)) if threads == 3 else None
    again = chip.run(case[1], duration_ticks=DURATION, trial_seed=9, first_sample=100, progress=progress)
    assert same(again.spikes, whole.spikes)
    assert (again.events_in, again.events_out, again.events_lost) == (
        whole.events_in,
        whole.events_out,
        whole.events_lost,
    )


@pytest.mark.parametrize("cuts", [(1,), (7, 8, 20), tuple(range(1, N_SAMPLES))])
def test_splitting_a_batch(case, whole, cuts):
    chip = noisy(case)
    parts = [
        chip.run(case[1].part(a, b), duration_ticks=DURATION, trial_seed=9, first_sample=100 + a).spikes
        for a, b in zip((0, *cuts), (*cuts, N_SAMPLES), strict=True)
    ]
    assert same(SpikeBatch.concatenate(parts), whole.spikes)


def test_order_of_runs(case, whole):
    chip = noisy(case)
    late = chip.run(case[1].part(10, N_SAMPLES), duration_ticks=DURATION, trial_seed=9, first_sample=110).spikes
    early = chip.run(case[1].part(0, 10), duration_ticks=DURATION, trial_seed=9, first_sample=100).spikes
    assert same(SpikeBatch.concatenate([early, late]), whole.spikes)


def test_recording_first_spikes_drops_the_others_only(case):
    """Without queues: stamps wait for those before them, and fewer spikes make others wait less."""
    chip = noisy(case, name="typical[event_wait_fixed=0]")
    whole = chip.run(case[1], duration_ticks=DURATION, trial_seed=9, first_sample=100)
    first = chip.run(case[1], duration_ticks=DURATION, trial_seed=9, first_sample=100, record="first_spikes")
    spikes = whole.spikes
    _, index = np.unique(spikes.sample * 1000 + spikes.source, return_index=True)  # spikes are in order of time
    index.sort()
    expected = SpikeBatch.from_arrays(spikes.sample[index], spikes.tick[index], spikes.source[index], N_SAMPLES)
    assert same(first.spikes, expected)
    assert first.spikes.n_spikes < spikes.n_spikes
    assert first.spikes.n_spikes <= first.events_out < whole.events_out  # samples end when all neurons have spiked


def test_another_trial_is_another_noise_and_the_same_trial_the_same(case, whole):
    chip = noisy(case)
    other = chip.run(case[1], duration_ticks=DURATION, trial_seed=10, first_sample=100).spikes
    assert not same(other, whole.spikes)
    assert same(chip.run(case[1], duration_ticks=DURATION, trial_seed=9, first_sample=100).spikes, whole.spikes)


def test_a_recurrent_network_split_and_threaded():
    plan = draw_plan(3, 12)
    assert plan.recurrent
    network = build_network(plan, 3, 12)
    runs = []
    for threads in (1, 2):
        chip = EmulatedChip("ideal", 1, threads)
        chip.configure(network.config)
        runs.append(chip.run(network.inputs, duration_ticks=plan.duration_ticks).spikes)
        halves = [
            chip.run(network.inputs.part(a, b), duration_ticks=plan.duration_ticks, first_sample=a).spikes
            for a, b in ((0, 2), (2, 4))
        ]
        runs.append(SpikeBatch.concatenate(halves))
    assert runs[0].n_spikes > 0
    assert all(same(run, runs[0]) for run in runs)


def test_counters_and_chip_time(case, whole):
    assert whole.events_in == case[1].n_spikes
    assert whole.events_out == whole.spikes.n_spikes
    assert whole.chip_time_us == pytest.approx(N_SAMPLES * DURATION * HICANN_X.tick_us)
    assert whole.circuit_time_us == pytest.approx(len(case[0].neurons.circuit) * whole.chip_time_us)
