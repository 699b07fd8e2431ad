"""Settings for data without a preset: they fit the chip whatever the size of the data, and the kind."""

import numpy as np
import pytest

from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import InvalidInputError
from hxloop.spec import HICANN_X
from hxloop.task import Task
from hxloop_host.network.building import build_network
from hxloop_host.placing.mapping import place
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.tasks.catalog import TASKS
from hxloop_host.tasks.fitted_preset import default_settings, fitted_settings, preset_words


def features(n_inputs, n_classes, n_samples=None):
    label = np.arange(n_samples or 10 * n_classes) % n_classes
    return Task.from_arrays(np.zeros((len(label), n_inputs)), label)


def spikes(n_channels, duration_us, twice=False):
    sample = np.repeat(np.arange(30), 2)
    channel = np.tile([0, 0 if twice else 1], 30)
    time_us = np.tile([0.0, duration_us / 2], 30)
    return Task.from_spikes(sample, channel, time_us, np.arange(30) % 3, n_channels=n_channels, duration_us=duration_us)


@pytest.mark.parametrize("n_classes", [2, 3, 10, 40])
@pytest.mark.parametrize("n_inputs", [1, 2, 4, 5, 8, 15, 16, 17, 64, 127, 128, 129, 200, 255, 256])
def test_they_fit_the_chip(n_inputs, n_classes):
    task = features(n_inputs, n_classes)
    settings = fitted_settings(task)
    task.check(settings)
    task.check_data(settings)
    assert load_settings(settings) == settings
    place(build_network(settings, n_inputs), HICANN_X, nominal_boot(HICANN_X))


@pytest.mark.parametrize("n_channels", [2, 70, 129, 256])
@pytest.mark.parametrize("duration_us", [5.0, 30.0, 1000.0])
def test_they_fit_the_chip_with_spike_trains(n_channels, duration_us):
    task = spikes(n_channels, duration_us)
    settings = fitted_settings(task)
    assert settings.coding.kind == "none"
    assert settings.coding.duration * settings.neuron.tau_syn_us > duration_us
    place(build_network(settings, n_channels), HICANN_X, nominal_boot(HICANN_X))


def test_channels_that_spike_twice_give_their_first_spike_and_that_is_said():
    once, twice = spikes(4, 30.0), spikes(4, 30.0, twice=True)
    assert not fitted_settings(once).coding.first_only
    settings = fitted_settings(twice)
    assert settings.coding.first_only
    assert "first spike of each channel only" in preset_words(twice, settings)
    assert "first spike" not in preset_words(once, fitted_settings(once))


def test_the_length_of_a_training_depends_on_the_samples():
    few, many = (fitted_settings(features(4, 2, n)).training for n in (20, 10**6))
    assert (few.epochs, few.batch_size) == (100, 12)
    assert (many.epochs, many.batch_size) == (1, 100)


def test_presets_come_first_and_codings_are_kept():
    assert default_settings(TASKS["yin-yang"]) == ("quick", "quick")
    task = Task.from_arrays(np.zeros((30, 4)), np.arange(30) % 3, coding="latency")
    name, settings = default_settings(task)
    assert (name, settings.coding.kind) == ("fitted", "latency")
    assert "4-120-3, coding latency" in preset_words(task, settings)


def test_more_inputs_than_such_a_network_has_are_refused():
    with pytest.raises(InvalidInputError, match=r"has 257 inputs.*--preset FILE\.toml"):
        fitted_settings(features(257, 3))
