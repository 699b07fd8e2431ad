"""Presets of tasks in time: whole samples, networks that fit the chip, and what they are about."""

import numpy as np
import pytest

from hxloop.codes.operating_point import nominal_boot
from hxloop.spec import HICANN_X
from hxloop_host.network.building import build_network
from hxloop_host.placing.mapping import place
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.tasks.catalog import TASKS

IN_TIME = ["shd70", "nmnist", "randman", "store_recall"]


def placed(preset, task):
    network = build_network(load_settings(preset), TASKS[task].n_inputs)
    return network, place(network, HICANN_X, nominal_boot(HICANN_X))


@pytest.mark.parametrize("name", IN_TIME)
def test_samples_are_whole_and_networks_fit_the_chip(name):
    settings, task = load_settings(name), TASKS[name]
    assert task.presets[0] == name
    assert task.duration_us <= settings.duration_us < task.duration_us + 3 * 1.7
    network, on_chip = placed(name, name)
    taken = np.concatenate([on_chip.allocations[p.name].circuits.ravel() for p in network.populations])
    assert np.unique(taken).size == taken.size <= 512


def test_the_memory_of_store_recall_outlasts_its_pause():
    network, on_chip = placed("store_recall", "store_recall")
    hidden = network.population("hidden")
    assert hidden.model.tau_adaptation_us > 68 and hidden.model.adaptation_b_na > 0
    assert all(p.source != p.target for p in network.projections)  # no loop could be the memory instead
    assert on_chip.allocations["hidden"].circuits.shape == (40, 1)


def test_speech_has_a_loop():
    network, _ = placed("shd70", "shd70")
    assert any(p.source == p.target for p in network.projections)


def test_rates_of_ink():
    settings = load_settings("mnist16_rate")
    assert settings.coding.kind == "rate" and settings.coding.inverted
    assert settings.loss.kind.startswith("count")
    placed("mnist16_rate", "mnist16")
