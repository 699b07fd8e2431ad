"""Train on data of one's own: arrays, spike trains, and a file of them.

Run with ``python examples/my_data.py``.
"""

import tempfile
from pathlib import Path

import numpy as np

import hxloop

rng = np.random.default_rng(1)
n_samples, n_features, n_classes = 600, 4, 3
label = rng.integers(0, n_classes, n_samples)  # classes count from 0
centres = np.array([[0.2, 0.4, 0.8, 0.5], [0.8, 0.3, 0.5, 0.3], [0.5, 0.8, 0.3, 0.7]])
features = np.clip(centres[label] + rng.normal(0.0, 0.08, (n_samples, n_features)), 0.0, 1.0)

# 1. Features 0..1 become one spike each; the settings are fitted to the size of the data.
task = hxloop.Task.from_arrays(features, label, class_names=["red", "green", "blue"], name="clouds")

# 2. Or spike trains: one entry a spike, sorted by sample and time, in hardware time (1 us is 1 ms of biology).
time_us = 2.0 + 16.0 * features
order = np.argsort(time_us, axis=1)
spikes = hxloop.Task.from_spikes(
    np.repeat(np.arange(n_samples), n_features),
    order.ravel(),
    np.take_along_axis(time_us, order, axis=1).ravel(),
    label,
    n_channels=n_features,
    duration_us=20.0,
    name="trains",
)

with tempfile.TemporaryDirectory() as folder, hxloop.launch(chip="typical", serial=1) as chip:
    # 3. The same arrays in a file: `hxloop train data.npz` does as much.
    file = Path(folder, "data.npz")
    np.savez(file, train_features=features, train_label=label)
    for what in (task, spikes, file):
        run = hxloop.train(what, chip=chip, epochs=20, out=Path(folder, f"run of {what.name}"))
        print(f"{what.name}: {100 * run.test_accuracy:.1f} % of the test samples are right")
    # A run remembers its data by a digest. Those of a file are found again; arrays must be given again.
    again = hxloop.evaluate(run, chip="typical", serial=2)
    print(f"on another chip: {100 * again.test_accuracy:.1f} %")
