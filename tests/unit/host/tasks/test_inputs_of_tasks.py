"""How the inputs of a task lie to each other: pixels of a picture, channels in a row."""

import numpy as np
import pytest

import hxloop
from hxloop.errors import HxloopError
from hxloop_host.tasks.catalog import TASKS


def test_pixels_are_numbered_row_by_row():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from sklearn.datasets import load_digits

    task = TASKS["digits"]
    rows, columns = task.grid
    seen = 16 - 16 * np.nan_to_num(task.load("train").features[0].reshape(rows, columns), nan=1.0)
    assert any(np.array_equal(seen, image) for image in load_digits().images)
    assert TASKS["yin-yang"].grid is None


def test_tasks_of_your_own_may_say_so():
    features, label = np.zeros((4, 6)), [0, 1, 0, 1]
    rest = {"validation_features": features, "validation_label": label, "test_features": features, "test_label": label}
    assert hxloop.Task.from_arrays(features, label, grid=[2, 3], **rest).grid == (2, 3)
    assert hxloop.Task.from_arrays(features, label, **rest).grid is None
    trains = ([0, 1], [0, 1], [1.0, 1.0], [0, 1])
    spikes = {"n_channels": 4, "duration_us": 5.0, "validation": trains, "test": trains}
    assert hxloop.Task.from_spikes(*trains, grid=(2, 2), **spikes).grid == (2, 2)
    assert hxloop.Task.from_spikes(*trains, ordered_channels=True, **spikes).ordered_channels is True
    assert hxloop.Task.from_spikes(*trains, **spikes).ordered_channels is False


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ((2, 4), "grid: 2 x 4 pixels are 8, but there are 6 inputs"),
        (6, "grid: must be"),
        ((6,), "grid: must be"),
        ((1.5, 4), r"grid\[0\]"),
        ((0, 6), r"grid\[0\]"),
    ],
)
def test_grids_of_another_size_are_refused(grid, words):
    with pytest.raises(HxloopError, match=words):
        hxloop.Task.from_arrays(np.zeros((8, 6)), [0, 1] * 4, grid=grid)
