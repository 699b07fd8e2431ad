"""Surrogate gradients on emulated chips: what is measured, what the model says, and that it learns."""

from dataclasses import replace

import numpy as np
import pytest
from support.training_parts import make_trainer

import hxloop
from hxloop.codes.neuron_model import NeuronModel
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Batch, Inputs, Observe
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.network.chip_runner import ChipRunner
from hxloop_host.readings.measured_scale import MeasuredScale, modelled_membranes
from hxloop_host.readings.reading_grid import ReadingGrid
from hxloop_host.readouts.readout_registry import READOUTS
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.tasks.yin_yang import generate_yin_yang

pytestmark = pytest.mark.processes

N_SAMPLES, DURATION, TICK_US = 60, 7500, 0.008
SEEN = Observe("all", membranes=("hidden", "output"))
LSB = 4.5 / 315.0  # of the CADC, in units of the threshold


def network(gain_of_hidden=1.0, model=None):
    """A hidden layer whose synapses are stronger than its model weights say."""
    nominal = 315.0 / (30.0 * 5.0)
    return Network(
        12,
        (
            Population("hidden", 9, tau_mem_us=10.0, tau_syn_us=5.0, t_refractory_us=2.0, model=model,
                       synapse_gain_mv_per_us=nominal * gain_of_hidden),
            Population("output", 3, spiking=False, tau_mem_us=20.0, tau_syn_us=6.0),
        ),
        (
            Projection(INPUT, "hidden", copies=2, scale_weights=30.0),
            Projection("hidden", "hidden", scale_weights=30.0),
            Projection("hidden", "output", scale_weights=40.0),
        ),
        output="output",
    )  # fmt: skip


def recorded(chip, net, seed=1):
    readout = READOUTS.find("membrane_cross_entropy")[0]()
    runner = ChipRunner(net, readout, chip, duration_ticks=DURATION, weight_bits=6, observe=SEEN)
    rng = generator(seed, "trains")
    n = int(rng.poisson(N_SAMPLES * 60))
    sample = rng.integers(0, N_SAMPLES, n)
    trains = SpikeBatch.from_arrays(sample, rng.integers(0, 5000, n), rng.integers(0, 12, n), N_SAMPLES)
    weights = [
        rng.normal(mean, std, net.weight_shape(p))
        for p, mean, std in zip(net.projections, (0.08, 0.0, 0.0), (0.15, 0.2, 0.1), strict=True)
    ]
    batch = Batch(Inputs(trains), np.zeros(N_SAMPLES, np.int64), 0, 0, seed)
    return runner.run(batch, weights)


def grid(recording):
    return ReadingGrid(recording.network, 213, TICK_US, recording.delay_ticks)


def measured(*recordings):
    scale = MeasuredScale(12)
    for recording in recordings:
        scale.add(grid(recording), recording)
    return scale.strengths(), scale.thresholds(grid(recordings[0]).threshold.astype(float))


@pytest.fixture(scope="module")
def ideal():
    with hxloop.launch("ideal", serial=1, threads=1) as chip:
        yield chip


@pytest.mark.parametrize("gain", [1.0, 1.3, 0.7])
def test_strengths_and_thresholds_are_measured_as_they_are(gain, ideal):
    recording = recorded(ideal, network(gain))
    strengths, thresholds = measured(recording)
    np.testing.assert_allclose(strengths[:, :9], gain, rtol=0.04)
    np.testing.assert_allclose(strengths[:, 9:], 1.0, rtol=0.04)
    np.testing.assert_allclose(thresholds[:9], 1.0, rtol=0.03)
    assert np.isinf(thresholds[9:]).all()
    # Readings in other units: the threshold is where the neurons spike, not where it is said to be.
    low = replace(recording, membranes={name: 0.8 * v for name, v in recording.membranes.items()})
    np.testing.assert_allclose(measured(low)[1][:9], 0.8, rtol=0.03)


@pytest.mark.parametrize("serial", [1, 2])
def test_on_a_chip_with_mismatch_the_same_is_measured_again(serial):
    """Recordings of other samples agree on which neurons are strong, and which have high thresholds.

    Both differ by more here than a nightly calibration leaves, and than three batches are uncertain by.
    """
    rough = "typical[v_threshold_residual_mv=10,synaptic_input_residual=0.05]"
    with hxloop.launch(rough, serial=serial, threads=1) as chip:
        first, second = (
            measured(*(recorded(chip, network(), seed) for seed in seeds)) for seeds in ((1, 2, 3), (4, 5, 6))
        )
    strengths = np.corrcoef(first[0][:, :9].ravel(), second[0][:, :9].ravel())[0, 1]
    thresholds = np.corrcoef(first[1][:9], second[1][:9])[0, 1]
    assert min(strengths, thresholds) > 0.5
    assert 0.8 < first[0].mean() < 1.2
    assert 0.02 < first[1][:9].std() < 0.2


def test_before_anything_arrived_all_is_nominal(ideal):
    recording = recorded(ideal, network())
    nothing = MeasuredScale(12)
    np.testing.assert_array_equal(nothing.strengths(), 1.0)
    nominal = grid(recording).threshold.astype(float)
    np.testing.assert_array_equal(nothing.thresholds(nominal), nominal)


@pytest.mark.parametrize("model", [None, NeuronModel(tau_adaptation_us=50.0, adaptation_b_na=15.0)])
def test_the_model_says_what_is_read(model, ideal):
    recording = recorded(ideal, network(model=model))
    found = modelled_membranes(grid(recording), recording, recording.weights)
    for name, said in found.items():
        read = recording.membranes[name]
        known = np.isfinite(said) & (np.abs(read) < 1.2)  # beyond, the supply bends membranes
        assert known.mean() > 0.3
        assert np.abs(said - read)[known].std() < 1.5 * LSB < 0.2 * read.std()


def settings(**changes):
    values = load_settings("yin_yang_surrogate").model_dump()
    for section, keys in changes.items():
        values[section] |= keys
    values["training"] |= {"epochs": 3, "batch_size": 40}
    return Settings(**values)


COUNTS = {
    "network": {"populations": [{"name": "hidden", "size": 120}, {"name": "output", "size": 3}]},
    "loss": {"kind": "count_cross_entropy", "scale": 1.0},
}


@pytest.mark.parametrize(
    "changes",
    [{}, {"rule": {"dropout": 0.1, "dropout_runs": 2}}, {"loss": {"score": "mean", "scale": 30.0}}],
    ids=["maximum", "dropout", "mean"],
)
def test_it_learns(changes):
    with hxloop.launch("typical", serial=3, threads=1) as chip:
        trainer = make_trainer(settings(**changes), chip, generate_yin_yang(1500, 1), generate_yin_yang(300, 2))
        for _ in range(3):
            metrics = trainer.epoch(lambda _: None)
    assert metrics.val_accuracy > 0.75
    assert 0.1 < metrics.named["spikes_per_neuron"][0] < 5.0


def test_it_learns_by_spike_counts():
    values = settings().model_dump() | {"loss": COUNTS["loss"]}
    values["network"] |= COUNTS["network"]
    values["network"]["projections"][2] |= {"init_mean": 0.05}
    values["training"] |= {"epochs": 4}
    with hxloop.launch("typical", serial=4, threads=1) as chip:
        trainer = make_trainer(Settings(**values), chip, generate_yin_yang(1500, 1), generate_yin_yang(300, 2))
        accuracies = [trainer.epoch(lambda _: None).val_accuracy for _ in range(4)]
    assert max(accuracies) > 0.6
