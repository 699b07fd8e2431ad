"""A recurrent network of a settings file, trained in the loop; what a rule cannot train is refused by name."""

import re

import numpy as np
import pytest
from support import own_network

import hxloop
from hxloop.errors import InvalidInputError
from hxloop.rule import Observe, Rule, RuleSettings, Update
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_host.network.building import build_network
from hxloop_host.settings.experiment_settings import Settings


class Perturbed(Rule):
    """Pushes all weights at random, and those onto the readout down their gradient: no weight stays within limits."""

    Settings = RuleSettings

    def observe(self, network):
        return Observe("none", counters=True)

    def step(self, runner, batch, weights):
        found = runner.run(batch, weights)
        scores = runner.readout.scores(found)
        loss, gradient = runner.readout.value_and_gradient(scores, batch.label)
        rng = batch.generator("push")
        new = [w + rng.normal(0.0, 0.3, w.shape) for w in weights]
        for k in runner.network.onto(runner.network.output):
            source = runner.network.projections[k].source
            new[k] = weights[k] - 0.3 * found.counts[source].T @ gradient
        return Update(loss, runner.readout.predict(scores), weights=new)


def settings():
    values = own_network.settings().model_dump()
    values["loss"] = {"kind": "membrane_cross_entropy"}
    values["training"] |= {"epochs": 2, "batch_size": 20}
    values["data"] = {"train": 60, "validation": 20, "test": 20}
    return Settings(**values)


def test_it_trains_within_signs_and_masks(tmp_path):
    run = hxloop.train(
        "yin-yang", preset=settings(), rule=Perturbed(), chip=EmulatedChip("typical", 1), out=tmp_path / "run"
    )
    assert 0.0 <= run.test_accuracy <= 1.0
    network = build_network(settings(), 4)
    loaded = hxloop.load_run(tmp_path / "run")
    for projection, weights, codes in zip(network.projections, loaded.weights, loaded.codes, strict=True):
        low, high = network.limits(projection, 63)
        assert ((low <= weights) & (weights <= high)).all(), projection.name
        assert not codes[~network.connected(projection)].any()
        if projection.signs is not None:
            assert (codes * projection.signs[:, None] >= 0).all()
        assert np.ptp(weights) > 0.1


SPIKING = own_network.NETWORK.replace("spiking = false", "")
ALIKE = re.sub(r"tau_(mem|syn)_us = .*\n", "", SPIKING)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (own_network.NETWORK, "'answer' does not spike, but shift_invariant_mse reads spikes"),
        (SPIKING, "first-spike learning needs tau_mem_us equal to, or twice, tau_syn_us"),
        (ALIKE, "'exc' drives itself"),
    ],
)
def test_what_fast_and_deep_cannot_train_is_refused_by_name(tmp_path, network, message):
    with pytest.raises(InvalidInputError, match=message):
        hxloop.train("yin-yang", preset=own_network.settings(network), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
