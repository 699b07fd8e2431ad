"""Five data sets of the kind people have, and what a small perceptron makes of them.

Three of features (clusters of points, and two moons), two of spike trains (bursts at times and channels of a class,
and rates of a class), all in the range and the time that `hxloop.Task` takes.
"""

from typing import Any

import numpy as np

from hxloop.task import Task

NAMES = ("moons", "clusters", "many_classes", "bursts", "rates")
BINS = 10
"""Of a spike train, for the perceptron."""


def people_task(name: str, n_samples: int = 0, seed: int = 0) -> Task:
    """One of `NAMES`."""
    random = np.random.default_rng([seed, NAMES.index(name)])
    maker, usual = {
        "moons": (_moons, 1500),
        "clusters": (_clusters, 3000),
        "many_classes": (_many_classes, 4000),
        "bursts": (_bursts, 2000),
        "rates": (_rates, 2000),
    }[name]
    return maker(random, n_samples or usual)


def _moons(random: np.random.Generator, n: int) -> Task:
    """Two half circles in each other."""
    label = np.arange(n) % 2
    angle = np.pi * random.random(n)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points[label == 1] = [1.0, 0.5] - points[label == 1]
    return _of_points(points + random.normal(0.0, 0.15, points.shape), label, "moons")


def _clusters(random: np.random.Generator, n: int) -> Task:
    """Ten classes of three clusters each in 20 features."""
    label = random.integers(0, 10, n)
    centres = random.normal(size=(10, 3, 20))
    points = centres[label, random.integers(0, 3, n)] + random.normal(0.0, 0.9, (n, 20))
    return _of_points(points, label, "clusters")


def _many_classes(random: np.random.Generator, n: int) -> Task:
    """40 classes in 64 features."""
    label = np.arange(n) % 40
    points = random.normal(size=(40, 64))[label] + random.normal(0.0, 1.8, (n, 64))
    return _of_points(points, label, "many_classes")


def _of_points(points: np.ndarray, label: np.ndarray, name: str) -> Task:
    low, high = points.min(axis=0), points.max(axis=0)
    return Task.from_arrays((points - low) / (high - low), label, name=name)


def _bursts(random: np.random.Generator, n: int) -> Task:
    """Ten classes of four bursts each, in 32 channels over 200 us: jittered, some missing, among random spikes."""
    duration_us, n_channels, n_bursts = 200.0, 32, 4
    label = random.integers(0, 10, n)
    channels = np.array([random.choice(n_channels, n_bursts, replace=False) for _ in range(10)])
    begins = random.uniform(10.0, 170.0, (10, n_bursts))
    sample, channel, time_us = [], [], []
    for k in range(n):
        for burst in range(n_bursts):
            if random.random() < 0.1:
                continue
            begin = begins[label[k], burst] + random.normal(0.0, 4.0)
            times = begin + np.sort(random.uniform(0.0, 12.0, random.integers(4, 9)))
            sample += [k] * len(times)
            channel += [channels[label[k], burst]] * len(times)
            time_us += times.tolist()
        stray = random.poisson(20)
        sample += [k] * stray
        channel += random.integers(0, n_channels, stray).tolist()
        time_us += random.uniform(0.0, duration_us, stray).tolist()
    return _of_trains(np.array(sample), np.array(channel), np.array(time_us), label, n_channels, duration_us, "bursts")


def _rates(random: np.random.Generator, n: int) -> Task:
    """Five classes of rates in 64 channels over 100 us."""
    duration_us, n_channels = 100.0, 64
    label = random.integers(0, 5, n)
    expected = random.gamma(4.0, 0.6, (5, n_channels))[label] * random.lognormal(0.0, 0.8, (n, n_channels))
    counts = random.poisson(expected)
    where = np.repeat(np.arange(counts.size), counts.ravel())
    sample, channel = np.divmod(where, n_channels)
    time_us = random.uniform(0.0, duration_us, len(where))
    return _of_trains(sample, channel, time_us, label, n_channels, duration_us, "rates")


def _of_trains(
    sample: np.ndarray, channel: np.ndarray, time_us: np.ndarray, label: np.ndarray, n_channels: int,
    duration_us: float, name: str,
) -> Task:  # fmt: skip
    time_us = np.clip(time_us, 0.0, 0.999 * duration_us)
    order = np.lexsort((time_us, sample))
    return Task.from_spikes(
        sample[order], channel[order], time_us[order], label, n_channels=n_channels, duration_us=duration_us, name=name
    )


def perceptron_accuracy(task: Task, seed: int = 0) -> float:
    """Test accuracy of scikit-learn's perceptron with 100 hidden neurons, on features or binned counts."""
    from sklearn.neural_network import MLPClassifier

    (x, label), (x_test, label_test) = (_table(task, split) for split in ("train", "test"))
    scale = x.std(axis=0) + 1e-9
    network = MLPClassifier(hidden_layer_sizes=(100,), max_iter=400, early_stopping=False, random_state=seed)
    network.fit(x / scale, label)
    return float(network.score(x_test / scale, label_test))


def _table(task: Task, split: Any) -> tuple[np.ndarray, np.ndarray]:
    data = task.loaded(split)
    if data.trains is None:
        return data.features, data.label
    trains = data.trains
    bins = np.minimum(trains.time_us * (BINS / trains.duration_us), BINS - 1).astype(int)
    counts = np.zeros((trains.n_samples, trains.n_channels, BINS))
    np.add.at(counts, (trains.sample, trains.channel, bins), 1.0)
    return counts.reshape(trains.n_samples, -1), data.label
