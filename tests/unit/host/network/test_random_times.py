"""Noise never leaves the sample, and a training that stands still says so."""

import numpy as np
import pytest
from support.chips.random_chip import RandomChip
from support.listeners import Heard
from support.places import SHORT

from hxloop.progress import silent
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.training.experiment import train


def tiny(**changes):
    tree = load_settings(SHORT).model_dump()
    tree["network"] |= {"sizes": [5, 3], "copies": [2, 1], "bias_copies": [1, 1]}
    tree["training"] |= {"epochs": 3, "batch_size": 20, "evaluate_every": 3}
    tree["data"] |= {"train": 60, "validation": 10, "test": 10}
    for section, values in changes.items():
        tree[section] |= values
    return Settings(**tree)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("duration", "jitter"), [(2.1, 0.5), (5.0, 5.0), (2.0001, 2.0)])
def test_strong_jitter_trains_for_many_epochs(duration, jitter, seed, tmp_path):
    """The chip refuses every time outside of the sample."""
    settings = tiny(
        coding={"duration": duration, "jitter": jitter},
        network={"bias_times": [0.0, duration - 1e-9]},
        training={"epochs": 12, "evaluate_every": 12},
    )
    run = train(preset=settings, chip=RandomChip(), seed=seed, out=tmp_path / "run", report=silent)
    assert len(run.metrics) == 12


def test_jitter_is_spread_over_the_sample_and_piles_up_nowhere():
    """A uniform time stays uniform when it is mirrored: no tick has more than its share."""
    from hxloop_host.coding.clock_grid import to_ticks

    rng = np.random.default_rng(3)
    times = rng.uniform(0.0, 2.0, (400, 500)) + rng.normal(0.0, 1.0, (400, 500))
    ticks = to_ticks(times, 6.0, 0.008, 1500)
    share = np.bincount(ticks.astype(int).ravel(), minlength=1500) / ticks.size * 1500
    assert share[[0, -1]].max() < 1.5  # cut off, the first and the last tick would have about 300 times their share
    assert share.reshape(15, 100).mean(axis=1) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("silence", "silent", "warned"),
    [
        ({"bump": 0.0, "limits": [1.0, 1.0]}, 1.0, True),
        ({"bump": 0.0, "limits": [0.1, 0.1]}, 1.0, True),
        ({"bump": 0.1, "limits": [1.0, 1.0]}, 1.0, True),
        ({"bump": 0.1, "limits": [0.1, 0.1]}, 1.0, False),
        ({"bump": 0.0, "limits": [1.0, 1.0]}, 0.1, False),
    ],
)
def test_outputs_that_stay_silent_for_ever_are_told_in_the_first_epoch(silence, silent, warned, tmp_path):
    listener = Heard()
    train(preset=tiny(rule=silence), chip=RandomChip(silent=silent), out=tmp_path / "run", report=listener)
    told = [text for text in listener.messages if "epoch 1 moved no weight: no output spiked" in text]
    assert len(told) == warned
    assert all("rule.bump" in text for text in told)
