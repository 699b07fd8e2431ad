"""Trainings without a task, a directory or a daemon: settings, a chip and samples."""

import numpy as np
from support.places import SHORT

from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.training.assembly import encoded, find_rule, prepared, trainer_of


def few_samples(train=200, validation=40, test=40):
    """A training of Yin-Yang so small that a chip in plain numpy is soon done with it."""
    values = load_settings(SHORT).model_dump()
    values["network"] |= {"sizes": [20, 3], "init_mean": [0.1, 0.45]}
    return Settings(**values | {"data": {"train": train, "validation": validation, "test": test}})


def make_runner(settings, chip, n_features=4, calibration=None, rule=None):
    """Network of an experiment on a chip, ready for its rule."""
    return prepared(settings, chip, n_features, rule=rule, calibration=calibration)[1]


def make_trainer(settings, chip, train, validation, *, seed=3, initial=None, rule=None, calibration=None):
    """Training of a rule, that of the settings if none is given."""
    found, runner = prepared(settings, chip, train.n_inputs, rule=rule, calibration=calibration)
    settings = find_rule(found, settings)[2] if rule is not None else settings
    return trainer_of(settings, found, runner, train, validation, seed=seed, initial=initial)


def inputs_of(settings, runner, data):
    """All samples of a data set as input spikes."""
    return encoded(settings, runner, data).take(slice(None))


def stacked(network, matrices):
    """All rows onto each population as one matrix."""
    return [np.vstack([matrices[k] for k in network.onto(p.name)]) for p in network.populations]
