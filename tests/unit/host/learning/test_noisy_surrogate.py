"""Noise on the membranes of the backward model, and a surrogate that narrows."""

from types import SimpleNamespace

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.training_parts import make_trainer

from hxloop.errors import InvalidInputError
from hxloop.rule import Batch, Inputs, Recording
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_host.learning.first_spike.fast_and_deep import FastAndDeep
from hxloop_host.learning.surrogate_gradient.noisy_surrogate import narrowed, with_noise
from hxloop_host.learning.surrogate_gradient.surrogate_rule import SurrogateGradient
from hxloop_host.network.building import build_network
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.tasks.yin_yang import yin_yang


@pytest.mark.parametrize("seed", [1, 2])
def test_membranes_are_noisy_by_shares_of_a_threshold_anew_for_every_batch(seed):
    network = SimpleNamespace(population=lambda name: SimpleNamespace(model_threshold=2.0))
    clean = {"hidden": np.zeros((10, 20, 30), np.float32)}
    recording = Recording(network, Inputs(SpikeBatch.empty(10)), [], [], 0.008, 1, 100, membranes=clean)

    def noise(number, size=0.1):
        batch = Batch(recording.inputs, np.zeros(10, np.int64), 0, number, seed)
        return with_noise(recording, size, batch).membranes["hidden"]

    assert noise(0, 0.0) is clean["hidden"]
    assert noise(0).dtype == np.float32
    assert noise(0).std() == pytest.approx(0.2, rel=0.05)
    np.testing.assert_array_equal(noise(0), noise(0))
    assert not np.array_equal(noise(0), noise(1))


def test_a_surrogate_narrows_to_what_it_is_without():
    assert narrowed(20.0, 0.0, 5.0, 0) == 20.0
    found = [narrowed(20.0, 3.0, 5.0, epoch) for epoch in range(100)]
    assert found[0] == 5.0
    assert found == sorted(found)
    assert found[-1] == pytest.approx(20.0)


@pytest.mark.parametrize("name", ["model_noise", "soften"])
@pytest.mark.parametrize("preset", ["small", "yin_yang_surrogate"])
def test_each_option_changes_a_training_and_0_changes_nothing(preset, name):
    settings, data = load_settings(preset).with_epochs(1), yin_yang("train").take(slice(80))
    kind = FastAndDeep if preset == "small" else SurrogateGradient
    own = {"limits": [1.0, 1.0], "max_dw_norm": 0.0} if preset == "small" else {}  # gradients, not bumps
    network = build_network(settings, 4)
    random = generator(1, "weights")
    begun = [random.normal(0.5, 0.5, network.weight_shape(p)) for p in network.projections]

    def weights(**options):
        rule = kind(settings.rule.model_copy(update=own | options))
        trainer = make_trainer(settings, GridChip(), data, data.take(slice(10)), initial=begun, rule=rule)
        trainer.epoch(lambda _: None)
        return trainer.weights

    plain, zero, changed, again = (weights(**o) for o in ({}, {name: 0.0}, {name: 0.3}, {name: 0.3}))
    assert all(map(np.array_equal, plain, zero))
    assert all(map(np.array_equal, changed, again))
    assert not all(map(np.array_equal, plain, changed))


@pytest.mark.parametrize("kind", [FastAndDeep, SurrogateGradient])
def test_what_they_cannot_be_is_refused(kind):
    own = {"limits": [0.1, 0.1]} if kind is FastAndDeep else {}
    for name in ("model_noise", "soften"):
        for value in (-0.1, float("nan"), 1e9):
            with pytest.raises(InvalidInputError) as caught:
                kind(**own, **{name: value})
            assert caught.value.field == name
