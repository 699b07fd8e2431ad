"""What a rule may observe, all of it in one run on an emulated chip, against independent computation."""

import numpy as np
import pytest
from support.solving.reference import solve

import hxloop
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Batch, Inputs, Observe
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.network.chip_runner import ChipRunner
from hxloop_host.readouts.readout_registry import READOUTS

pytestmark = pytest.mark.processes

N_SAMPLES, DURATION, TICK_US = 6, 7500, 0.008
LSB = 4.5 / 315.0  # of the CADC, in units of the threshold
EVERYTHING = Observe("all", membranes=("hidden", "output"), counters=True, correlation=True)

NETWORK = Network(
    12,
    (
        Population("hidden", 9, tau_mem_us=10.0, tau_syn_us=5.0, t_refractory_us=2.0),
        Population("output", 3, spiking=False, tau_mem_us=20.0, tau_syn_us=6.0),
    ),
    (
        Projection(INPUT, "hidden", copies=2, scale_weights=30.0),
        Projection("hidden", "hidden", scale_weights=30.0),
        Projection("hidden", "output", scale_weights=40.0),
    ),
    output="output",
)


def samples(seed=1):
    rng = generator(seed, "trains")
    n = rng.poisson(5 * 12, N_SAMPLES)
    sample = np.repeat(np.arange(N_SAMPLES), n)
    order = SpikeBatch.from_arrays(sample, rng.integers(0, 5000, n.sum()), rng.integers(0, 12, n.sum()), N_SAMPLES)
    return Batch(Inputs(order), np.zeros(N_SAMPLES, np.int64), 0, 0, 7)


def weights(seed=1):
    rng = generator(seed, "weights")
    shapes = [NETWORK.weight_shape(p) for p in NETWORK.projections]
    return [
        rng.normal(mean, std, shape) for mean, std, shape in zip((0.15, 0.0, 0.0), (0.2, 0.2, 0.1), shapes, strict=True)
    ]


@pytest.fixture(scope="module")
def ideal():
    with hxloop.launch("ideal", serial=1, threads=1) as chip:
        readout = READOUTS.find("membrane_cross_entropy")[0]()
        runner = ChipRunner(NETWORK, readout, chip, duration_ticks=DURATION, weight_bits=6, observe=EVERYTHING, parts=2)
        yield runner, runner.run(samples(), weights())


def arrivals(recording, projection, sample):
    """Row and time in us of every event at the synapses of a projection."""
    if projection.source == INPUT:
        events = recording.inputs.spikes.part(sample, sample + 1)
        source, tick = events.source, events.tick
    else:
        spikes = recording.spikes[projection.source]
        mine = spikes.sample == sample
        source, tick = spikes.neuron[mine], spikes.tick[mine] + recording.delay_ticks
    rows = (source[:, None] * projection.copies + np.arange(projection.copies)).ravel()
    return rows, np.repeat(tick, projection.copies) * TICK_US


def membrane(recording, population, sample, neuron, times_us):
    """Membrane in units of model weight, begun anew after each refractory period."""
    mem, syn = population.tau_mem_us, population.tau_syn_us

    def kernel(t):
        t = np.maximum(t, 0.0)
        return mem / (mem - syn) * (np.exp(-t / mem) - np.exp(-t / syn))

    when, drive = [], []
    for k in recording.network.onto(population.name):
        rows, at = arrivals(recording, recording.network.projections[k], sample)
        when.append(at)
        drive.append(recording.weights[k][rows, neuron])
    when, drive = np.concatenate(when), np.concatenate(drive)
    fired = []
    if population.spiking:
        spikes = recording.spikes[population.name]
        fired = spikes.tick[(spikes.sample == sample) & (spikes.neuron == neuron)] * TICK_US
    values, sure = np.empty(len(times_us)), np.ones(len(times_us), bool)
    for k, t in enumerate(times_us):
        before = [spike for spike in fired if spike <= t]
        begun = before[-1] + population.t_refractory_us if before else 0.0
        sure[k] = all(min(abs(t - s), abs(t - s - population.t_refractory_us)) > 0.1 for s in fired)
        if t < begun:
            values[k] = 0.0
            continue
        held = drive[when <= begun] @ np.exp(-(begun - when[when <= begun]) / syn)
        values[k] = held * kernel(t - begun) + drive[when > begun] @ kernel(t - when[when > begun])
    return values, sure


@pytest.mark.parametrize("name", ["hidden", "output"])
def test_membranes_are_those_of_the_model(name, ideal):
    _, recording = ideal
    population = NETWORK.population(name)
    times = recording.membrane_times_us
    assert recording.membranes[name].shape == (N_SAMPLES, len(times), population.size)
    assert len(times) == int(DURATION * TICK_US / 1.7) + 1
    furthest, seen, compared = 0.0, [], 0
    for sample in range(N_SAMPLES):
        for neuron in range(population.size):
            expected, sure = membrane(recording, population, sample, neuron, times)
            read = recording.membranes[name][sample, :, neuron]
            sure &= np.abs(expected) < 1.5  # what the CADC and the supply leave
            compared += sure.sum()
            furthest = max(furthest, np.abs(read - expected)[sure].max())
            seen.append(expected[sure])
    assert compared > 0.8 * recording.membranes[name].size
    assert np.concatenate(seen).std() > 10 * LSB
    assert furthest < 1.5 * LSB


def test_spikes_counters_and_first_spikes_are_of_one_run(ideal):
    runner, recording = ideal
    config = runner.placement.configure(recording.codes)
    expected = solve(config, runner.spec, recording.inputs.spikes, DURATION)
    sample, neuron, tick = runner.placement.decode_spikes(expected.spikes, "hidden")
    spikes = recording.spikes["hidden"]
    assert len(tick) > 50
    np.testing.assert_array_equal(spikes.sample, sample)
    np.testing.assert_array_equal(spikes.neuron, neuron)
    assert np.abs(spikes.tick - tick).max() <= 1
    counts = np.zeros((N_SAMPLES, 9), np.int64)
    np.add.at(counts, (spikes.sample, spikes.neuron), 1)
    np.testing.assert_array_equal(recording.counts["hidden"], counts)
    first = np.full((N_SAMPLES, 9), np.inf)
    np.minimum.at(first, (spikes.sample, spikes.neuron), spikes.tick.astype(float))
    np.testing.assert_array_equal(recording.first_ticks["hidden"], first)
    assert recording.spikes.keys() == recording.counts.keys() == {"hidden"}


def test_correlation_is_that_of_the_spikes(ideal):
    """Pairs of neighbours, as docs/readout.md has them, straight from the definition."""
    _, recording = ideal
    hidden = recording.spikes["hidden"]
    for k, projection in enumerate(NETWORK.projections[:2]):
        shape = NETWORK.weight_shape(projection)
        found = recording.correlation[k]
        assert found.shape == (2, *shape)
        pairs = np.zeros((2, *shape))
        for sample in range(N_SAMPLES):
            rows, at = arrivals(recording, projection, sample)
            for neuron in range(shape[1]):
                post = hidden.tick[(hidden.sample == sample) & (hidden.neuron == neuron)] * TICK_US
                for row in np.unique(rows):
                    pairs[:, row, neuron] += neighbours(at[rows == row], post)
        signed = recording.codes[k] != 0
        assert signed.sum() > 20
        for sign in (0, 1):
            told, expected = found[sign][signed], pairs[sign][signed]
            assert expected.std() > 0
            # Two rows, in two runs of half the batch, each rounded to LSB.
            assert np.abs(told - 0.5 * 2 * expected).max() <= 2.0, (projection.name, sign)


def neighbours(pre, post, tau_us=5.0):
    return of_latest(pre, post, tau_us), of_latest(post, pre, tau_us)


def of_latest(events, others, tau_us):
    """Each of the others with the latest event since the one before it."""
    total, before = 0.0, -np.inf
    for t in np.sort(others):
        between = events[(events < t) & (events > before)]
        total += np.exp(-(t - between.max()) / tau_us) if len(between) else 0.0
        before = t
    return total
