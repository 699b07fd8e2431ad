"""Training on a chip that is not the emulator: forward times, gradients, batches, learning."""

from dataclasses import replace

import numpy as np
import pytest
from support.chips.grid_chip import STEP_TICKS, GridChip

from hxloop.errors import OutOfRangeError
from hxloop.spikes import SpikeBatch
from hxloop_host.learning.first_spike.closed_form import FirstSpikeLayer
from hxloop_host.network.chip_network import ChipNetwork, Forward
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.tasks.yin_yang import generate_yin_yang
from hxloop_host.training.trainer import Trainer, build_loss, score


def changed(preset="small", **sections):
    settings = load_settings(preset)
    sections["training"] = {"evaluate_every": 1} | sections.get("training", {})
    return settings.model_copy(
        update={name: getattr(settings, name).model_copy(update=values) for name, values in sections.items()}
    )


BIASED = changed(
    "paper",
    network={
        "sizes": [7, 5, 3], "copies": [2, 3, 1], "bias_copies": [2, 0, 4], "bias_times": [0.9, 0.0, 1.4],
        "init_mean": [0.7, 0.5, 1.2], "init_std": [0.1, 0.1, 0.2],
    },
    silence={"limits": [0.3, 0.3, 0.3]},
)  # fmt: skip


def trainer(settings, chip=None, seed=3, n_train=60, n_validation=20):
    network = ChipNetwork(settings, chip or GridChip(), 4)
    return Trainer(settings, network, generate_yin_yang(n_train, 5), generate_yin_yang(n_validation, 6), seed=seed)


def test_one_clock_for_all_layers():
    network = trainer(BIASED).network
    codes = network.codes(trainer(BIASED).weights)
    network.configure(codes)
    times = network.on_grid(network.input_times(generate_yin_yang(10, 1).features))
    assert times.shape == (10, 6)
    forward = network.run(times, 1)
    assert [t.shape for t in forward.t_in] == [(10, 10), (10, 21), (10, 9)]
    delay = network.chip.spec.routing_delay_ticks * network.chip.spec.tick_us / 6.0
    np.testing.assert_allclose(forward.t_in[0], np.hstack([np.repeat(times[:, :4], 2, axis=1), times[:, [4, 4]]]))
    np.testing.assert_allclose(forward.t_in[1], np.repeat(forward.t_out[0] + delay, 3, axis=1))
    np.testing.assert_allclose(forward.t_in[2], np.hstack([forward.t_out[1] + delay, times[:, [5] * 4]]))
    assert np.isfinite(forward.t_out[2]).any()


def test_answers_are_the_first_spikes_of_the_label_layer():
    network = trainer(BIASED).network
    network.configure(network.codes(trainer(BIASED).weights))
    times = network.on_grid(network.input_times(generate_yin_yang(10, 1).features))
    answers = network.answers(times, 1, parts=3)
    assert np.isfinite(answers).any()
    np.testing.assert_array_equal(answers, network.run(times, 1).t_out[-1])


def test_the_chip_does_what_the_closed_form_says():
    """An independent chip without spread, given the mapped weights, spikes when the model does (to its grid)."""
    network = trainer(BIASED, GridChip(spread_mv=0.0, noise_mv=0.0)).network
    codes = network.codes(trainer(BIASED).weights)
    network.configure(codes)
    forward = network.run(network.on_grid(network.input_times(generate_yin_yang(40, 2).features)), 1)
    rule = FirstSpikeLayer(1, BIASED.neuron.model_threshold)
    step = STEP_TICKS * network.chip.spec.tick_us / 6.0
    for k in range(3):
        expected = rule.times(forward.t_in[k], codes[k] / 30.0)
        both = np.isfinite(expected) & np.isfinite(forward.t_out[k])
        assert both.mean() > 0.5
        assert np.median(np.abs(expected - forward.t_out[k])[both]) < 3 * step
        assert (np.isfinite(expected) != np.isfinite(forward.t_out[k])).mean() < 0.05


class EarlyChip(GridChip):
    """Its label neurons all spike at one time, whatever their weights: with weak ones, earlier than any model would."""

    def run(self, inputs, **options):
        result = super().run(inputs, **options)
        spikes = result.spikes
        labels = np.arange(30, 33)
        keep = ~np.isin(spikes.source, labels)
        sample = np.concatenate([spikes.sample[keep], np.repeat(np.arange(inputs.n_samples), 3)])
        tick = np.concatenate([spikes.tick[keep], np.full(3 * inputs.n_samples, 3000)])
        source = np.concatenate([spikes.source[keep], np.tile(labels, inputs.n_samples)])
        return replace(result, spikes=SpikeBatch.from_arrays(sample, tick, source, inputs.n_samples))


def test_a_label_layer_that_the_model_thinks_silent_gets_out_of_it():
    """Spikes that the model cannot explain have no gradient and are no silence: training must not stop there."""
    settings = changed("small", silence={"limits": [1.0, 0.05]})
    stuck = trainer(settings, EarlyChip())
    assert stuck.network.placement.circuits("output").tolist() == [30, 31, 32]
    stuck.weights[1][:] = 0.1
    before = [w.copy() for w in stuck.weights]
    metrics = stuck.epoch(lambda done: None)
    assert metrics.bump_fraction[1] == 1.0
    assert metrics.gradient_steps == 0
    np.testing.assert_array_equal(stuck.weights[0], before[0])
    assert (stuck.weights[1] > before[1]).all()


def test_gradients_through_copies_biases_and_layers():
    network = trainer(BIASED).network
    codes = network.codes(trainer(BIASED).weights)
    weights = [c / 30.0 for c in codes]
    rule, loss = FirstSpikeLayer(1, BIASED.neuron.model_threshold), build_loss(BIASED.loss)
    data = generate_yin_yang(6, 4)
    times = network.on_grid(network.input_times(data.features))
    delay = network.chip.spec.routing_delay_ticks * network.chip.spec.tick_us / 6.0

    def forward(matrices):
        t_in, t_out, arrival = [], [], times[:, :4]
        for layer, w in zip(network.layers, matrices, strict=True):
            t_in.append(layer.arrivals(arrival, times))
            t_out.append(rule.times(t_in[-1], w))
            arrival = t_out[-1] + delay
        return Forward(t_in, t_out)

    def value(matrices):
        return loss.value_and_gradient(forward(matrices).t_out[-1], data.label)

    network.settings = changed("paper", optimizer={"max_dw_norm": 0.0})
    found = network.gradients(forward(weights), codes, value(weights)[1])
    rng, step, compared = np.random.default_rng(0), 1e-6, 0
    for k, matrix in enumerate(weights):
        for row, column in zip(rng.integers(0, matrix.shape[0], 12), rng.integers(0, matrix.shape[1], 12), strict=True):
            up, down = [w.copy() for w in weights], [w.copy() for w in weights]
            up[k][row, column] += step
            down[k][row, column] -= step
            numeric = (value(up)[0] - value(down)[0]) / (2 * step)
            assert found[k][row, column] == pytest.approx(numeric, rel=1e-4, abs=1e-7)
            compared += abs(numeric) > 1e-4
    assert compared > 8


def test_split_batches_train_the_same_weights():
    results = []
    for parts in (1, 3):
        chip = GridChip()
        one = trainer(changed(training={"batch_size": 20, "batch_split": parts}), chip)
        one.epoch(lambda batch: None)
        results.append(one)
        assert chip.runs == 3 * parts + 1
    for a, b in zip(results[0].weights, results[1].weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert results[0].metrics[0].loss == results[1].metrics[0].loss


def test_a_batch_either_bumps_or_steps():
    silent = trainer(changed(network={"init_mean": [0.0, 0.0], "init_std": [0.0, 0.0]}, training={"batch_size": 20}))
    before = [w.copy() for w in silent.weights]
    metrics = silent.epoch(lambda batch: None)
    assert metrics.bump_fraction == (1.0, 0.0)
    assert metrics.gradient_steps == 0
    np.testing.assert_allclose(silent.weights[0], before[0] + 0.0005 * (1 + 2 + 4))
    np.testing.assert_array_equal(silent.weights[1], before[1])
    free = trainer(changed(silence={"limits": [1.0, 1.0]}, training={"batch_size": 20}))
    assert free.epoch(lambda batch: None).gradient_steps == 3


def test_weights_are_clipped_to_what_the_chip_has():
    wild = trainer(changed(network={"init_std": [5.0, 5.0]}, training={"batch_size": 20}))
    wild.epoch(lambda batch: None)
    assert max(np.abs(w).max() for w in wild.weights) == pytest.approx(63 / 30)


def test_networks_that_share_a_chip_do_not_run_on_each_others_weights():
    chip = GridChip()
    one, other = trainer(BIASED, chip), trainer(BIASED, chip, seed=4)
    times = one.network.on_grid(one.network.input_times(generate_yin_yang(10, 1).features))
    alone = trainer(BIASED)
    alone.network.configure(alone.network.codes(alone.weights))
    expected = alone.network.run(times, 1)
    for two in (one, other, one):
        two.network.configure(two.network.codes(two.weights))
    seen = one.network.run(times, 1)
    for a, b in zip(seen.t_out, expected.t_out, strict=True):
        np.testing.assert_array_equal(a, b)


def test_batches_count_what_the_chip_used():
    one = trainer(changed(training={"batch_size": 20}))
    batches = []
    metrics = one.epoch(batches.append)
    assert batches == [1, 2, 3]
    assert metrics.events_in == (60 + 20) * 4
    assert metrics.chip_time_s == pytest.approx(80 * 30e-6)
    assert metrics.energy_j_estimate == pytest.approx(80 * 30e-6 * 0.175)


def test_it_learns_on_a_chip_nobody_told_it_about():
    few_batches = changed("paper", optimizer={"learning_rate": 0.01, "schedule": "constant"})
    one = trainer(few_batches, GridChip(spread_mv=20.0), n_train=400, n_validation=20)
    test = generate_yin_yang(300, 9)
    before = score(one.network, one.network.codes(one.weights), test, one.loss, 1).accuracy
    for _ in range(8):
        one.epoch(lambda batch: None)
    after = score(one.network, one.network.codes(one.weights), test, one.loss, 1).accuracy
    assert after > max(0.6, before + 0.1)


def test_best_weights_are_kept_when_asked_for():
    one = trainer(changed(training={"batch_size": 20, "select": "best"}))
    for _ in range(3):
        one.epoch(lambda batch: None)
    assert one.best_accuracy == max(m.val_accuracy for m in one.metrics)
    assert one.selected() is one.best_weights


def test_evaluation_only_when_it_is_due():
    one = trainer(changed(training={"batch_size": 20, "evaluate_every": 2, "epochs": 3}))
    known = [np.isfinite(one.epoch(lambda batch: None).val_accuracy) for _ in range(3)]
    assert known == [False, True, True]


def test_samples_longer_than_the_chip_runs_are_refused():
    chip = GridChip()
    chip.spec = chip.spec.model_copy(update={"max_run_ticks": 1000})
    with pytest.raises(OutOfRangeError, match=r"coding\.duration"):
        ChipNetwork(load_settings("small"), chip, 4)
