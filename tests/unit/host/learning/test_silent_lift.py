"""Silent neurons are lifted along the derivative of their membranes, beside gradients and never instead of them."""

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.places import SHORT
from support.training_parts import make_trainer

from hxloop.errors import ArrayError
from hxloop.seeds import generator
from hxloop_host.learning.first_spike.fast_and_deep import FastAndDeep
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.spike_times.silent_lift import SilentLift
from hxloop_host.tasks.yin_yang import generate_yin_yang


def membrane(t_in, w, t, ratio):
    """Of one sample at time t: Euler steps of the two equations of a neuron, float64 [n_neurons]."""
    dt = 2e-3
    v, i, order = np.zeros(w.shape[1]), np.zeros(w.shape[1]), np.argsort(t_in)
    coming = [(t_in[k], k) for k in order if np.isfinite(t_in[k])]
    for step in range(round(t / dt)):
        while coming and coming[0][0] < (step + 0.5) * dt:
            i = i + w[coming.pop(0)[1]]
        v, i = v + dt * (i - v / ratio), i - dt * i
    return v


@pytest.mark.parametrize("ratio", [1, 2])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_gradient_is_that_of_the_membrane_when_the_others_spiked(seed, ratio):
    g = generator(seed, "lift")
    t_in = g.uniform(0.0, 2.0, (1, 5))
    t_in[0, 2] = np.inf
    times = np.array([[np.inf, 2.2, 2.6, 3.0]])
    w = g.normal(0.3, 0.3, (5, 4))
    lift = np.array([[0.5, 0.0, 0.0, 0.0]])
    found = SilentLift((0.0,), 2.0, 0.0).gradient(t_in, times, lift, ratio)
    more = SilentLift((0.0,), 2.0, 0.0, 6.0)
    np.testing.assert_array_equal(more.gradient(t_in, times, lift, ratio), found)
    np.testing.assert_allclose(more.gradient(t_in, times, lift, ratio, wanted=True), 3.0 * found, rtol=1e-14)
    numeric = np.zeros_like(w)
    for k in range(5):
        more, less = w.copy(), w.copy()
        more[k, 0] += 0.1
        less[k, 0] -= 0.1
        change = membrane(t_in[0], more, 2.6, ratio) - membrane(t_in[0], less, 2.6, ratio)
        numeric[k] = -2.0 * 0.5 * change / 0.2
    np.testing.assert_allclose(found, numeric, atol=3e-3)
    assert (found[2] == 0.0).all()
    assert (found[:, 1:] == 0.0).all()


def test_who_is_lifted():
    hidden = np.array([[1.0, np.inf, np.inf], [1.0, 2.0, np.inf], [1.0, 2.0, np.inf], [1.0, 2.0, np.inf]])
    output = np.array([[2.0, np.inf], [np.inf, 2.0], [2.0, np.inf], [np.inf, np.inf]])
    label = np.array([0, 0, 1, 1])
    lifter = SilentLift((0.5, 0.5), 1.0, 0.5)
    first, second = lifter.lifts([hidden, output], 1, label, all_silent=False)
    assert first.tolist() == [[0, 0, 1]] * 4  # a quarter silent is below the limit, and tells samples apart
    assert second.tolist() == [[0, 0], [1, 0], [0, 1], [0, 1]]  # label outputs that were silent
    every = lifter.lifts([hidden, output], 1, label, all_silent=True)[1]
    assert every.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    loud = np.ones_like(hidden)
    lifter.lifts([loud, output], 1, label, all_silent=False)
    again = np.where(np.arange(4)[:, None] == 0, np.inf, loud)
    found = lifter.lifts([again, output], 1, label, all_silent=False)[0]
    assert (found == 0).all()  # the mean falls by half a batch: 1, 1/2, 3/8


@pytest.mark.parametrize("silent", [0, 1])
def test_nothing_is_infinite_whatever_is_silent(silent):
    """Nothing arrives, or nobody spikes; both are usual in a first batch."""
    t_in, times = np.full((3, 4), np.inf if silent else 0.5), np.full((3, 2), np.inf)
    found = SilentLift((0.0,), 1.0, 0.0).gradient(t_in, times, np.ones((3, 2)), 1)
    assert np.isfinite(found).all()
    assert (found <= 0.0).all()
    assert found.any() if not silent else not found.any()
    empty = SilentLift((0.0,), 1.0, 0.0).lifts([np.empty((0, 2))], 0, np.empty(0, np.int64), all_silent=False)
    assert empty[0].shape == (0, 2)


def test_state_goes_on_and_a_foreign_one_is_refused():
    one, other = SilentLift((0.1, 0.1), 1.0, 0.9), SilentLift((0.1, 0.1), 1.0, 0.9)
    assert one.state() == {}
    batches = [[np.where(generator(k, "s").random((5, 3)) < 0.5, np.inf, 1.0)] * 2 for k in range(4)]
    label = np.zeros(5, np.int64)
    for batch in batches[:2]:
        one.lifts(batch, 1, label, all_silent=False)
    other.load_state(one.state())
    for batch in batches[2:]:
        for a, b in zip(*(lifter.lifts(batch, 1, label, all_silent=False) for lifter in (one, other)), strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ArrayError):
        other.load_state({"last_layer": np.array(0)})


def settings(**rule):
    values = load_settings(SHORT).model_dump()
    values["network"] |= {"sizes": [12, 3], "init_mean": [0.1, 0.1]}
    values["rule"] |= {"limits": [0.5, 0.05]} | rule
    return Settings(**values)


def test_a_silent_network_comes_to_life_and_every_batch_takes_its_step():
    trainer = make_trainer(settings(silent="lift"), GridChip(), generate_yin_yang(400, 5), generate_yin_yang(30, 6))
    first = trainer.epoch(lambda _: None)
    assert first.gradient_steps == trainer.n_batches
    assert first.named["bump_fraction"] == (0.0, 0.0)
    assert all(share > 0 for share in first.named["lifted_fraction"])
    for _ in range(3):
        last = trainer.epoch(lambda _: None)
    assert last.named["silent_fraction"][1] < 0.5 < first.named["silent_fraction"][1]


def test_bumping_knows_nothing_of_lifts():
    bump, lift = FastAndDeep(limits=[0.1]), FastAndDeep(limits=[0.1], silent="lift")
    assert "lifted_fraction" not in [column.name for column in bump.columns]
    assert [column.name for column in lift.columns][-1] == "lifted_fraction"
    assert set(bump.state()) == {"last_layer", "increment"}
