"""Beginnings on a chip: what they reach, that they are the same again, and what they leave as it was."""

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.places import SHORT
from support.training_parts import make_trainer

from hxloop.errors import InvalidInputError
from hxloop.rule import Batch, Observe
from hxloop.seeds import generator
from hxloop_host.beginnings.drawn import Drawn
from hxloop_host.beginnings.fluctuations import Fluctuations
from hxloop_host.beginnings.inflow import in_order
from hxloop_host.beginnings.spikes_in_window import SpikesInWindow
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.tasks.yin_yang import generate_yin_yang
from hxloop_host.training.chosen_beginning import beginning_of, with_beginning

TRAIN, VALIDATION = generate_yin_yang(150, 5), generate_yin_yang(10, 6)


def settings(network=None, **beginning):
    values = load_settings(SHORT).model_dump()
    values["network"] = network or values["network"] | {"sizes": [10, 3], "init_std": [0.4, 0.4]}
    return Settings(**(values | {"beginning": beginning} if beginning else values))


def trainer_with(seed=3, network=None, **beginning):
    given = settings(network, **beginning)
    said = []
    trainer = make_trainer(given, GridChip(), TRAIN, VALIDATION, seed=seed)
    trainer.begin(said.append)
    return trainer, said


def first_times(trainer):
    """After the beginning, of other samples: first spikes in tau_syn."""
    runner = trainer.runner
    batch = Batch(trainer._inputs.take(np.arange(100, 150)), np.zeros(50, np.int64), 0, 0, 99)
    ticks = runner.run(batch, trainer.weights, observe=Observe("first")).first_ticks
    return {name: values * runner.spec.tick_us / 6.0 for name, values in ticks.items()}


@pytest.mark.parametrize("seed", [1, 2])
def test_first_spikes_lie_in_the_window(seed):
    drawn = first_times(trainer_with(seed)[0])
    assert np.isfinite(drawn["output"]).mean() < 0.5  # what the beginning is for
    trainer, said = trainer_with(seed, kind="first_spikes", samples=60, probes=16)
    times = first_times(trainer)
    assert np.isfinite(times["output"]).mean() > 0.9
    hidden = np.sort(times["hidden"], axis=0)[25]
    assert np.isfinite(hidden).mean() >= 0.9
    assert np.ptp(hidden[np.isfinite(hidden)]) > 0.7  # neurons stay different
    assert len(said) == 2
    assert "probe runs" in said[0]
    assert trainer.begun_with.chip_time_s > 0.0


@pytest.mark.parametrize("seed", [1, 2])
def test_delays_stay_as_drawn(seed):
    given = load_settings("yin_yang_delays").model_copy(
        update={"beginning": SpikesInWindow.Settings(samples=30, probes=6)}
    )
    said, drawn = [], given.model_copy(update={"beginning": Drawn.Settings()})
    found, before = (
        make_trainer(one, GridChip(), generate_yin_yang(40, 5), VALIDATION, seed=seed) for one in (given, drawn)
    )
    for trainer in (found, before):
        trainer.begin(said.append)
    same = [np.array_equal(a, b) for a, b in zip(found.weights, before.weights, strict=True)]
    assert same == [network_of(found).holds_delays(p) for p in network_of(found).projections]
    assert [text.split(":")[0] for text in said] == ["beginning of hidden", "beginning of output"]


def network_of(trainer):
    return trainer.runner.network


def test_the_same_seed_begins_with_the_same_weights():
    one, again, other = (trainer_with(seed, kind="first_spikes", samples=20, probes=4)[0] for seed in (1, 1, 2))
    assert all(map(np.array_equal, one.weights, again.weights))
    assert not all(map(np.array_equal, one.weights, other.weights))
    one.begin()  # has no effect any more
    assert all(map(np.array_equal, one.weights, again.weights))


GENERAL = {
    "populations": [{"name": "hidden", "size": 8}, {"name": "output", "size": 3}],
    "projections": [
        {"source": "input", "target": "hidden", "copies": 3, "init_std": 0.4, "density": 0.6},
        {"source": "bias", "target": "hidden", "bias_time_us": 3.0, "copies": 2, "init_std": 0.4},
        {"source": "hidden", "target": "output", "sign": "dale", "inhibitory": 0.25, "init_mean": 0.3, "init_std": 0.2},
    ],
}


@pytest.mark.parametrize("kind", ["first_spikes", "fluctuations"])
def test_masks_signs_and_limits_are_kept(kind):
    trainer, _ = trainer_with(1, GENERAL, kind=kind, samples=30)
    network = trainer.runner.network
    for projection, weights in zip(network.projections, trainer.weights, strict=True):
        low, high = network.limits(projection, trainer.runner.spec.weight_code_max)
        assert ((weights >= low) & (weights <= high)).all()
        assert weights.any()


def test_without_the_section_nothing_runs_and_weights_are_those_of_the_rule():
    trainer, said = trainer_with(4)
    drawn = trainer.rule.begin(trainer.runner.network, 4)
    trainer.runner.clip(drawn)
    assert all(map(np.array_equal, trainer.weights, drawn))
    assert said == []
    assert trainer.begun_with.chip_time_s == 0.0
    assert "beginning" not in settings().model_dump()
    assert "beginning" not in with_beginning(settings(kind="fluctuations"), "drawn").model_dump()


def membrane_trace(tau_mem, tau_syn, rate, weights, seed, dt=0.1, n=400_000):
    """Membrane of one neuron in model units under Poisson inputs, by exact exponential steps of its two states."""
    g = generator(seed, "shots")
    drive = (g.poisson(rate * dt, (n, len(weights))) @ weights) / tau_syn
    fast, slow = np.exp(-dt / tau_syn), np.exp(-dt / tau_mem)
    i, v, trace = 0.0, 0.0, np.empty(n)
    for k in range(n):
        v = v * slow + i * (slow - fast) / (1.0 / tau_syn - 1.0 / tau_mem)
        i = i * fast + drive[k]
        trace[k] = v
    return trace[n // 10 :]


@pytest.mark.parametrize(("tau_mem", "tau_syn", "seed"), [(10.0, 5.0, 1), (20.0, 4.0, 2)])
def test_membranes_wander_as_far_as_is_wanted(tau_mem, tau_syn, seed):
    """Membranes of simulated neurons under Poisson inputs have the mean and deviation that were asked for."""
    values = load_settings(SHORT).model_dump()
    values["neuron"] |= {"tau_mem_us": tau_mem, "tau_syn_us": tau_syn, "t_refractory_us": 1.0}
    values["network"] = {
        "populations": [{"name": "output", "size": 3}],
        "projections": [{"source": "input", "target": "output", "copies": 15, "init_std": 0.1}],
    }
    values |= {"rule": {"kind": "surrogate"}, "loss": {"kind": "count_mse"}}
    trainer = make_trainer(Settings(**values), GridChip(), TRAIN, VALIDATION, seed=seed)
    runner, inputs = trainer.runner, trainer._inputs.take(slice(None))
    batch = Batch(inputs, TRAIN.label, 0, 0, seed)
    [weights] = Fluctuations(mean=0.2, xi=2.0).begin(runner, trainer.weights, batch, lambda _: None)
    duration_us = runner.duration_ticks * runner.spec.tick_us
    rates = np.repeat(np.bincount(inputs.spikes.source, minlength=4) / (len(TRAIN.label) * duration_us), 15)
    theta = runner.network.populations[0].model_threshold
    mean = weights.T @ rates * tau_mem  # of what was drawn: 60 weights have a mean of their own
    spread = np.sqrt((weights**2).T @ rates * tau_mem**2 / (2 * (tau_mem + tau_syn)))
    trace = membrane_trace(tau_mem, tau_syn, rates, weights[:, 0], seed)
    assert trace.mean() == pytest.approx(mean[0], abs=0.1 * theta)
    assert trace.std() == pytest.approx(spread[0], rel=0.1)
    assert spread.mean() / theta == pytest.approx(0.8 / 2.0, rel=0.15)
    of_one = rates.sum() * tau_mem / theta
    error = 4 * weights.std() / np.sqrt(weights.size)  # of the mean of what was drawn
    assert weights.mean() * of_one == pytest.approx(0.2, abs=error * of_one)


def test_silent_inputs_leave_weights_as_they_were_drawn():
    trainer, _ = trainer_with(1)
    inputs = trainer._inputs.take(np.arange(0))
    empty = Batch(inputs, np.zeros(0, np.int64), 0, 0, 1)
    for beginning in (Fluctuations(), SpikesInWindow(probes=2)):
        found = beginning.begin(trainer.runner, trainer.weights, empty, lambda _: None)
        assert all(np.isfinite(matrix).all() for matrix in found)
    found = Fluctuations().begin(trainer.runner, trainer.weights, empty, lambda _: None)
    assert all(map(np.array_equal, found, trainer.weights))


def test_populations_come_after_what_drives_them():
    projections = [("b", "c"), ("a", "b"), ("input", "a"), ("c", "a")]
    network = {
        "populations": [{"name": name, "size": 2} for name in "cba"],
        "projections": [{"source": s, "target": t, "init_std": 0.1} for s, t in projections],
    }
    values = load_settings(SHORT).model_dump() | {"rule": {"kind": "surrogate"}, "loss": {"kind": "count_mse"}}
    loop = make_trainer(Settings(**(values | {"network": network})), GridChip(), TRAIN, VALIDATION).runner.network
    assert in_order(loop) == ["c", "a", "b"]  # a loop: the first of the network begins
    network["projections"].pop()
    chain = make_trainer(Settings(**(values | {"network": network})), GridChip(), TRAIN, VALIDATION).runner.network
    assert in_order(chain) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kind": "first_spikes", "window": [1.0, 0.5]}, "beginning.window"),
        ({"kind": "first_spikes", "share": [0.9, 0.1]}, "beginning.share"),
        ({"kind": "first_spikes", "probes": 0}, "beginning.probes"),
        ({"kind": "fluctuations", "alpha": 0.0}, "beginning.alpha"),
        ({"kind": "drawn", "samples": 3}, "beginning.samples"),
        ({"kind": "drown"}, "beginning.kind"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given, field):
    with pytest.raises(InvalidInputError) as caught:
        settings(**given)
    assert caught.value.field == field


def test_an_output_that_does_not_spike_has_no_first_spikes():
    network = {
        "populations": [{"name": "output", "size": 3, "spiking": False}],
        "projections": [{"source": "input", "target": "output", "init_std": 0.1}],
    }
    values = load_settings(SHORT).model_dump() | {"network": network}
    values |= {"rule": {"kind": "surrogate"}, "loss": {"kind": "membrane_cross_entropy"}}
    trainer = make_trainer(Settings(**values), GridChip(), TRAIN, VALIDATION)
    chosen = with_beginning(Settings(**values), "first_spikes")
    with pytest.raises(InvalidInputError) as caught:
        beginning_of(chosen, trainer.runner.network)
    assert caught.value.field == "beginning.kind"
