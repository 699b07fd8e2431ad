"""Tasks of the program: where they are from, and that they are the published ones."""

import hashlib

import numpy as np
import pytest

from hxloop.errors import DataError
from hxloop_host.tasks.catalog import REGISTRY, TASKS, find_task


def test_tasks_of_the_program_say_where_they_are_from():
    for name in REGISTRY.built_in:
        task = find_task(name)
        assert task.name == name
        assert task.source and task.licence and task.reference and task.presets and len(task.n_samples) == 3
        assert task.source_record() == {}


def test_digits_are_the_published_ones_split_once_for_all():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    task, parts = TASKS["digits"], []
    for split, size in zip(("train", "validation", "test"), task.n_samples, strict=True):
        data = task.load(split)
        assert data.n_samples == size
        parts.append(data)
    ink = np.concatenate([np.nan_to_num(16 - 16 * data.features, nan=0.0) for data in parts])
    label = np.concatenate([data.label for data in parts])
    # Digits in the test set of Alpaydin and Kaynak, from its documentation.
    assert np.bincount(label).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert ink.shape == (1797, 64) and ink.min() == 0 and ink.max() == 16
    assert np.isnan(parts[0].features).any()
    order = "".join(map(str, parts[2].label[:20]))
    assert hashlib.sha256(order.encode()).hexdigest()[:8] == "fb3bcc38"


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    TASKS["digits"].load.cache_clear()
    with pytest.raises(DataError, match=r"pip install 'hxloop\[data\]'"):
        TASKS["digits"].load("train")
