"""Gradients of all spikes on emulated chips: the closed form is what the chip does, and it learns."""

import numpy as np
import pytest
from support.hard_reset import recorded
from support.training_parts import make_trainer

import hxloop
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Batch, Inputs, Observe
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.network.chip_runner import ChipRunner
from hxloop_host.readouts.readout_registry import READOUTS
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.tasks.yin_yang import generate_yin_yang

pytestmark = pytest.mark.processes

N, DURATION = 12, 5000


@pytest.fixture(scope="module")
def ideal():
    with hxloop.launch("ideal", serial=1, threads=1) as chip:
        yield chip


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("refractory_us", "reset_mv"), [(2.0, 420.0), (0.5, 350.0), (5.0, 460.0)])
def test_the_closed_form_with_its_hard_reset_is_what_the_ideal_chip_does(refractory_us, reset_mv, seed, ideal):
    """Spikes are stamped with the tick in which they fell, and cause others that much later."""
    point = {"tau_mem_us": 20.0, "tau_syn_us": 10.0, "t_refractory_us": refractory_us, "v_reset_mv": reset_mv}
    net = Network(
        10, (Population("hidden", 12, **point), Population("output", 3, **point)),
        (Projection(INPUT, "hidden", scale_weights=60.0), Projection("hidden", "output", scale_weights=60.0)),
    )  # fmt: skip
    rng = generator(seed, "trains")
    n = rng.poisson(2.0, (N, 10))
    sample, channel = np.divmod(np.repeat(np.arange(n.size), n.ravel()), 10)
    trains = SpikeBatch.from_arrays(sample, rng.integers(0, 3000, len(sample)), channel, N)
    weights = [rng.normal(0.2, 0.25, (10, 12)), rng.normal(0.15, 0.1, (12, 3))]
    readout = READOUTS.find("count_mse")[0]()
    runner = ChipRunner(net, readout, ideal, duration_ticks=DURATION, weight_bits=6, observe=Observe("all"))
    measured = runner.run(Batch(Inputs(trains), np.zeros(N, np.int64), 0, 0, 1), weights)
    model = recorded(
        net, trains, measured.weights, tick_us=measured.tick_us, delay_ticks=measured.delay_ticks,
        duration_ticks=DURATION,
    )  # fmt: skip
    assert measured.spikes["hidden"].counts(N, 12).max() >= 3
    for population in net.populations:
        found = [s.spikes[population.name] for s in (measured, model)]
        counts = [s.counts(N, population.size) for s in found]
        same = counts[0] == counts[1]
        assert same.mean() > 0.95  # the others just reach their thresholds, or just do not
        ticks = [
            s.tick[order][same[s.sample[order], s.neuron[order]]]
            for s in found for order in [np.lexsort((s.tick, s.neuron, s.sample))]
        ]  # fmt: skip
        assert len(ticks[0]) > 5
        late = ticks[0] - ticks[1]
        assert -0.5 < np.median(late) < 1.5
        assert np.mean(np.abs(late) < 3.0) > 0.95


def settings(epochs, loss=None):
    values = load_settings("yin_yang_multi_spike").model_dump()
    values["training"] |= {"epochs": epochs, "batch_size": 40}
    return Settings(**(values | ({"loss": loss} if loss else {})))


COUNTS = {"kind": "count_mse", "count_correct": 10.0, "count_wrong": 2.0}


@pytest.mark.parametrize("loss", [None, COUNTS], ids=["first spikes", "counts"])
def test_it_learns(loss):
    with hxloop.launch("typical", serial=103, threads=1) as chip:
        trainer = make_trainer(settings(3, loss), chip, generate_yin_yang(800, 1), generate_yin_yang(200, 2))
        metrics = [trainer.epoch(lambda _: None) for _ in range(3)]
    assert max(one.val_accuracy for one in metrics) > 0.55
    named = metrics[-1].named
    assert named["spikes_per_neuron"][0] > 0.2
    assert max(named["unexplained_fraction"]) < 0.3
