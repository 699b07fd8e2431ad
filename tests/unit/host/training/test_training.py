"""Training on a chip that is not the emulator: forward times, gradients, batches, learning."""

from dataclasses import replace

import numpy as np
import pytest
from support.chips.grid_chip import STEP_TICKS, GridChip
from support.training_parts import inputs_of, make_runner, make_trainer, stacked

from hxloop.errors import OutOfRangeError
from hxloop.spikes import SpikeBatch
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.spike_times.backward import arrivals, first_times, weight_gradients
from hxloop_host.spike_times.closed_form import FirstSpikeLayer
from hxloop_host.tasks.yin_yang import generate_yin_yang
from hxloop_host.training.scoring import score


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
    rule={"limits": [0.3, 0.3, 0.3]},
)  # fmt: skip


def trainer(settings, chip=None, seed=3, n_train=60, n_validation=20):
    samples = generate_yin_yang(n_train, 5), generate_yin_yang(n_validation, 6)
    return make_trainer(settings, chip or GridChip(), *samples, seed=seed)


def recorded(settings, chip=None, n=10, seed=1, parts=1):
    """A trainer, and what its network does with samples."""
    one = trainer(settings, chip)
    inputs = inputs_of(settings, one.runner, generate_yin_yang(n, seed))
    return one, one.runner.record(inputs, one.runner.codes(one.weights), 1, parts=parts)


def test_one_clock_for_all_layers():
    one, recording = recorded(BIASED)
    times = recording.inputs.ticks * recording.tick_us / 6.0
    assert times.shape == (10, 6)
    network, t_out = one.runner.network, first_times(recording)
    t_in = [np.hstack([arrivals(recording, k) for k in network.onto(p.name)]) for p in network.populations]
    assert [t.shape for t in t_in] == [(10, 10), (10, 21), (10, 9)]
    delay = one.runner.spec.routing_delay_ticks * one.runner.spec.tick_us / 6.0
    np.testing.assert_allclose(t_in[0], np.hstack([np.repeat(times[:, :4], 2, axis=1), times[:, [4, 4]]]))
    np.testing.assert_allclose(t_in[1], np.repeat(t_out["hidden1"] + delay, 3, axis=1))
    np.testing.assert_allclose(t_in[2], np.hstack([t_out["hidden2"] + delay, times[:, [5] * 4]]))
    assert np.isfinite(t_out["output"]).any()


def test_answers_are_the_first_spikes_of_the_label_layer():
    one, recording = recorded(BIASED)
    readout, network = one.runner.readout, one.runner.network
    only = one.runner.record(
        recording.inputs, recording.codes, 1, observe=readout.observe(network), parts=3
    )  # fmt: skip
    assert list(only.first_ticks) == ["output"]
    assert np.isfinite(only.first_ticks["output"]).any()
    np.testing.assert_array_equal(readout.scores(only), first_times(recording)["output"])


def test_the_chip_does_what_the_closed_form_says():
    """An independent chip without spread, given the mapped weights, spikes when the model does (to its grid)."""
    one, recording = recorded(BIASED, GridChip(spread_mv=0.0, noise_mv=0.0), n=40, seed=2)
    network, layer = one.runner.network, FirstSpikeLayer(1, BIASED.neuron.model_threshold)
    step = STEP_TICKS * one.runner.spec.tick_us / 6.0
    for population, codes in zip(network.populations, stacked(network, recording.codes), strict=True):
        t_in = np.hstack([arrivals(recording, k) for k in network.onto(population.name)])
        expected, t_out = layer.times(t_in, codes / 30.0), first_times(recording)[population.name]
        both = np.isfinite(expected) & np.isfinite(t_out)
        assert both.mean() > 0.5
        assert np.median(np.abs(expected - t_out)[both]) < 3 * step
        assert (np.isfinite(expected) != np.isfinite(t_out)).mean() < 0.05


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
    settings = changed("small", rule={"limits": [1.0, 0.05]})
    stuck = trainer(settings, EarlyChip())
    assert stuck.runner.placement.circuits("output").tolist() == [30, 31, 32]
    stuck.weights[1][:] = 0.1
    before = [w.copy() for w in stuck.weights]
    metrics = stuck.epoch(lambda done: None)
    assert metrics.named["bump_fraction"][1] == 1.0
    assert metrics.gradient_steps == 0
    np.testing.assert_array_equal(stuck.weights[0], before[0])
    assert (stuck.weights[1] > before[1]).all()


def test_gradients_through_copies_biases_and_layers():
    one, measured = recorded(BIASED, n=6, seed=4)
    network, data = one.runner.network, generate_yin_yang(6, 4)
    layer, loss = FirstSpikeLayer(1, BIASED.neuron.model_threshold), one.runner.readout

    def forward(weights):
        ticks = {}
        for population in network.populations:
            seen = replace(measured, weights=weights, first_ticks=ticks)
            t_in = np.hstack([arrivals(seen, k) for k in network.onto(population.name)])
            rows = np.vstack([weights[k] for k in network.onto(population.name)])
            ticks[population.name] = layer.times(t_in, rows) * (6.0 / measured.tick_us)
        return replace(measured, weights=weights, first_ticks=ticks)

    def value(weights):
        return loss.value_and_gradient(loss.scores(forward(weights)), data.label)

    weights = measured.weights
    found = weight_gradients(forward(weights), value(weights)[1], None)
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
    assert metrics.named["bump_fraction"] == (1.0, 0.0)
    assert metrics.gradient_steps == 0
    np.testing.assert_allclose(silent.weights[0], before[0] + 0.0005 * (1 + 2 + 4))
    np.testing.assert_array_equal(silent.weights[1], before[1])
    free = trainer(changed(rule={"limits": [1.0, 1.0]}, training={"batch_size": 20}))
    assert free.epoch(lambda batch: None).gradient_steps == 3


def test_weights_are_clipped_to_what_the_chip_has():
    wild = trainer(changed(network={"init_std": [5.0, 5.0]}, training={"batch_size": 20}))
    wild.epoch(lambda batch: None)
    assert max(np.abs(w).max() for w in wild.weights) == pytest.approx(63 / 30)


def test_networks_that_share_a_chip_do_not_run_on_each_others_weights():
    chip = GridChip()
    one, other = trainer(BIASED, chip), trainer(BIASED, chip, seed=4)
    inputs = inputs_of(BIASED, one.runner, generate_yin_yang(10, 1))
    alone = trainer(BIASED)
    expected = alone.runner.record(inputs, alone.runner.codes(alone.weights), 1)
    for two in (one, other, one):
        seen = two.runner.record(inputs, two.runner.codes(two.weights), 1)
    for name, ticks in expected.first_ticks.items():
        np.testing.assert_array_equal(seen.first_ticks[name], ticks)


def test_batches_count_what_the_chip_used():
    one = trainer(changed(training={"batch_size": 20}))
    batches = []
    metrics = one.epoch(batches.append)
    assert batches == [1, 2, 3]
    assert metrics.use.events_in == (60 + 20) * 4
    assert metrics.use.chip_time_s == pytest.approx(80 * 30e-6)
    assert metrics.use.energy_j_estimate == pytest.approx(80 * 30e-6 * 0.175)


def test_it_learns_on_a_chip_nobody_told_it_about():
    few_batches = changed("paper", optimizer={"learning_rate": 0.01, "schedule": "constant"})
    one = trainer(few_batches, GridChip(spread_mv=20.0), n_train=400, n_validation=20)
    test = generate_yin_yang(300, 9)
    inputs = inputs_of(few_batches, one.runner, test)
    before = score(one.runner, one.runner.codes(one.weights), inputs, test.label, 1).accuracy
    for _ in range(8):
        one.epoch(lambda batch: None)
    after = score(one.runner, one.runner.codes(one.weights), inputs, test.label, 1).accuracy
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
        make_runner(load_settings("small"), chip)


@pytest.mark.parametrize("seed", [3, 8])
def test_weights_do_not_depend_on_inputs_being_made_ahead(monkeypatch, seed):
    found = []
    for worth in (0, 1e9):
        monkeypatch.setattr("hxloop_host.training.trainer.WORTH_A_THREAD", worth)
        one = trainer(changed("paper", training={"batch_size": 25}, coding={"jitter": 0.2}), seed=seed)
        found.append([one.epoch(lambda done: None) for _ in range(2)] and one.weights)
    for with_thread, without in zip(*found, strict=True):
        np.testing.assert_array_equal(with_thread, without)
