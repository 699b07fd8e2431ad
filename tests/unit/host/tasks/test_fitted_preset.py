"""Settings for data without a preset: they fit the chip whatever the size of the data, and the kind."""

import re

import numpy as np
import pytest

from hxloop.errors import InvalidInputError
from hxloop.spec import HICANN_X
from hxloop.task import Task
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.tasks.catalog import TASKS
from hxloop_host.tasks.fitted_preset import FITS, default_settings, fitted_settings, preset_words
from hxloop_host.training.assembly import check_training
from hxloop_host.training.choice import Named


def features(n_inputs, n_classes, n_samples=None):
    label = np.arange(n_samples or 10 * n_classes) % n_classes
    return Task.from_arrays(np.zeros((len(label), n_inputs)), label)


def spikes(n_channels, duration_us, twice=False):
    sample = np.repeat(np.arange(30), 2)
    channel = np.tile([0, 0 if twice or n_channels == 1 else 1], 30)
    time_us = np.tile([0.0, duration_us / 2], 30)
    return Task.from_spikes(sample, channel, time_us, np.arange(30) % 3, n_channels=n_channels, duration_us=duration_us)


@pytest.mark.parametrize("rule", FITS)
@pytest.mark.parametrize("n_classes", [2, 10, 40, 100])
@pytest.mark.parametrize("n_inputs", [1, 2, 5, 15, 16, 17, 64, 127, 128, 129, 255, 256, 257, 500, 512])
def test_they_fit_the_chip(n_inputs, n_classes, rule):
    task = features(n_inputs, n_classes)
    settings = fitted_settings(task, rule)
    task.check(settings)
    task.check_data(settings)
    assert load_settings(settings) == settings
    check_training(settings, HICANN_X, n_inputs)


@pytest.mark.parametrize("rule", FITS)
@pytest.mark.parametrize("n_channels", [1, 2, 70, 129, 256, 400])
@pytest.mark.parametrize("duration_us", [0.5, 5.0, 30.0, 1000.0, 1e5])
def test_they_fit_the_chip_with_spike_trains(n_channels, duration_us, rule):
    task = spikes(n_channels, duration_us)
    settings = fitted_settings(task, rule)
    assert settings.coding.kind == "none"
    assert settings.coding.duration * settings.neuron.tau_syn_us > duration_us
    check_training(settings, HICANN_X, n_channels)


def test_first_spike_learning_is_given_the_first_spike_of_each_channel_and_that_is_said():
    once, twice = spikes(4, 30.0), spikes(4, 30.0, twice=True)
    assert not fitted_settings(once).coding.first_only
    settings = fitted_settings(twice)
    assert settings.coding.first_only
    assert "first spike of each channel only" in preset_words(twice, settings)
    assert "first spike" not in preset_words(once, fitted_settings(once))
    all_of_them = default_settings(twice)[1]
    assert (all_of_them.rule.kind, all_of_them.coding.first_only) == ("surrogate", False)


@pytest.mark.parametrize("rule", FITS)
def test_the_length_of_a_training_depends_on_the_samples(rule):
    few, many = (fitted_settings(features(4, 2, n), rule).training for n in (20, 10**6))
    assert few.epochs >= 60
    assert many.epochs <= 2
    assert few.batch_size <= 12
    assert many.batch_size == 100


@pytest.mark.parametrize(("duration_us", "recurrent"), [(20.0, False), (190.0, False), (1000.0, True)])
def test_long_spike_trains_are_remembered_by_slow_neurons_and_recurrence(duration_us, recurrent):
    settings = fitted_settings(spikes(30, duration_us), "surrogate")
    assert settings.neuron.tau_mem_us == min(60.0, max(6.0, duration_us / 10))
    assert ("hidden->hidden" in [p.name for p in settings.network.projections]) == recurrent
    reads = settings.duration_us / settings.loss.period_us
    assert 10 <= reads <= 150
    assert settings.loss.period_us == settings.rule.period_us


@pytest.mark.parametrize(("rule", "fits_us", "long_us"), [("fast_and_deep", 90.0, 200.0), ("surrogate", 5e3, 1e4)])
def test_samples_that_neurons_forget_are_told_of(rule, fits_us, long_us):
    for duration_us, told in ((fits_us, False), (long_us, True)):
        task = spikes(4, duration_us)
        assert ("which forget early spikes" in preset_words(task, fitted_settings(task, rule))) == told


def test_presets_come_first_and_codings_are_kept():
    assert default_settings(TASKS["yin-yang"]) == ("quick", "quick")
    task = Task.from_arrays(np.zeros((30, 4)), np.arange(30) % 3, coding="latency")
    name, settings = default_settings(task)
    assert (name, settings.coding.kind) == ("fitted", "latency")
    assert "4-120-3, coding latency" in preset_words(task, settings)
    assert fitted_settings(task, "surrogate").coding.kind == "latency"


@pytest.mark.parametrize(("n_inputs", "n_classes", "text"), [
    (513, 3, r"has 513 inputs.*principal components.*--preset FILE\.toml"),
    (300, 450, r"450 classes leave no room.*--preset FILE\.toml"),
])  # fmt: skip
def test_what_such_a_network_has_no_room_for_is_refused(n_inputs, n_classes, text):
    for rule in FITS:
        with pytest.raises(InvalidInputError, match=text):
            fitted_settings(features(n_inputs, n_classes), rule)


@pytest.mark.parametrize(
    ("name", "rule", "expected"),
    [
        ("yin-yang", "surrogate", "yin_yang_surrogate"),
        ("yin-yang", "eventprop", "yin_yang_eventprop"),
        ("shd70", "eventprop", "shd70_eventprop"),
        ("yin-yang", "fast_and_deep", "quick"),
        ("yin-yang", None, "quick"),
        ("mnist16", "surrogate", "mnist16_surrogate"),
        ("digits", "fast_and_deep", "digits"),
    ],
)
def test_a_rule_that_is_named_has_the_tasks_preset_for_it(name, rule, expected):
    label, choices = Named(TASKS[name], rule, None).choices(None)
    assert label == expected
    assert [choice.settings for choice in choices] == [load_settings(expected)]


def test_without_a_preset_for_the_rule_settings_are_fitted():
    pytest.importorskip("sklearn")
    label, choices = Named(TASKS["digits"], "surrogate", None).choices(None)
    assert (label, choices[0].settings.rule.kind) == ("fitted", "surrogate")


@pytest.mark.parametrize(
    ("name", "rule", "loss"),
    [("yin-yang", "fptt", "membrane_cross_entropy"), ("digits", "eprop", "membrane_cross_entropy")],
)
def test_a_rule_that_cannot_train_with_the_tasks_settings_has_fitted_ones(name, rule, loss):
    pytest.importorskip("sklearn")
    label, choices = Named(TASKS[name], rule, None).choices(None)
    found = choices[0].settings
    assert (label, found.rule.kind, found.loss.kind) == ("fitted", rule, loss)


@pytest.mark.parametrize(
    ("name", "rule", "where", "made", "field"),
    [
        ("yin-yang", "desire", "preset 'quick'", "mnist16_desire (task mnist16)", "loss.kind"),
        ("digits", "multi_spike", "preset 'digits'", "mnist16_multi_spike (task mnist16)", "neuron.tau_mem_us"),
        ("digits", "delays", "preset 'digits'", "yin_yang_delays (task yin-yang)", "rule.limits"),
        ("", "desire", "settings fitted to the data", "mnist16_desire (task mnist16)", "network.output.spiking"),
    ],
)
def test_where_no_settings_suit_a_rule_presets_that_do_are_named(name, rule, where, made, field):
    pytest.importorskip("sklearn")
    task = TASKS[name] if name else features(5, 3)
    with pytest.raises(InvalidInputError) as caught:
        Named(task, rule, None).choices(None)
    assert caught.value.field == field
    assert where in caught.value.message
    assert made in caught.value.hint
    copied = re.search(r"copy (\S+\.toml)", caught.value.hint).group(1)
    assert load_settings(copied).rule.kind == rule


def test_an_unknown_rule_is_told_before_any_settings_are_fitted():
    with pytest.raises(InvalidInputError, match="no rule is called 'dezire'") as caught:
        Named(TASKS["yin-yang"], "dezire", None).choices(None)
    assert "made for it" not in str(caught.value)


@pytest.mark.parametrize("name", ["yin-yang", ""])
@pytest.mark.parametrize("rule", ["desire", "fptt", "fast_and_deep"])
def test_what_is_wrong_whatever_the_rule_is_told_as_without_one(name, rule):
    task = TASKS[name] if name else features(5, 3)
    for steps in ("shove", "channel_jitter"):  # unknown; not for features
        with pytest.raises(InvalidInputError) as alone:
            Named(task, None, steps).choices(None)
        with pytest.raises(InvalidInputError) as caught:
            Named(task, rule, steps).choices(None)
        assert str(caught.value) == str(alone.value)
