"""Random manifolds and store-recall: what spike times tell, and what counts and single steps do not."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from hxloop.errors import HxloopError
from hxloop_host.tasks.catalog import TASKS
from hxloop_host.tasks.randman import SPAN_US, Manifolds, manifold_task, randman
from hxloop_host.tasks.store_recall import DURATION_US, GROUP_SIZE, N_STEPS, N_STORE, STEP_US, store_recall


def times_of(data):
    """float64 [n, inputs] of data in which every input spikes once."""
    trains = data.trains
    times = np.full((data.n_samples, trains.n_channels), np.nan)
    times[trains.sample, trains.channel] = trains.time_us
    return times


def nearest(train, test):
    """Class of the nearest training sample."""
    return train[1][cKDTree(train[0]).query(test[0])[1]]


@pytest.mark.parametrize("manifolds", [Manifolds(), Manifolds(n_inputs=20, n_classes=3, dimension=2, seed=5)])
def test_times_tell_classes_apart_and_counts_tell_nothing(manifolds):
    train, test = randman(manifolds, "train"), randman(manifolds, "test")
    for data in (train, test):
        counts = np.bincount(data.trains.sample * manifolds.n_inputs + data.trains.channel)
        assert counts.size == data.n_samples * manifolds.n_inputs and (counts == 1).all()
        assert np.ptp(np.bincount(data.label)) <= 1
    found = nearest((times_of(train), train.label), (times_of(test), test.label))
    assert np.mean(found == test.label) > 0.97


def test_manifolds_are_curves_as_the_formula_says():
    """A Fourier series, by hand, of one input; and a curve: neighbours in x are neighbours in time."""
    manifolds = Manifolds(n_inputs=3, n_classes=2, alpha=1.5, seed=2)
    x = np.linspace(0, 1, 2001)[:, None]
    times = manifolds.times(1, x)
    assert times.shape == (2001, 3) and times.min() >= 0 and times.max() <= 1
    assert np.ptp(times, axis=0) == pytest.approx(1.0, abs=0.02)
    # Fitted by least squares with any amplitudes, frequencies taken from the definition: nothing is left over.
    from hxloop.seeds import generator

    _, stretch, _ = generator(2, "randman", "class", 1).random((3, 3, 1, 16))
    inner = (times[:, 0] > 0.01) & (times[:, 0] < 0.99)  # not clipped
    turns = 2 * np.pi * x[inner] * np.arange(1, 17) * stretch[0, 0]
    basis = np.hstack([np.sin(turns), np.cos(turns), np.ones((inner.sum(), 1))])
    solution, *_ = np.linalg.lstsq(basis, times[inner, 0], rcond=None)
    assert np.abs(basis @ solution - times[inner, 0]).max() < 1e-9
    assert not np.array_equal(times, manifolds.times(0, x))


def test_smoothness_is_alpha():
    def wiggles(alpha):
        times = Manifolds(n_inputs=50, alpha=alpha).times(0, np.linspace(0, 1, 500)[:, None])
        return np.abs(np.diff(times, axis=0)).sum(axis=0).mean()

    assert wiggles(0.5) > 2 * wiggles(2.0) > 2 * wiggles(4.0) > 1.5


def test_manifolds_are_drawn_once_for_all():
    data = TASKS["randman"].loaded("test")
    assert data.label[:10].tolist() == [7, 5, 2, 8, 8, 1, 7, 9, 7, 5]
    assert data.trains.channel[:5].tolist() == [10, 26, 11, 2, 8]
    assert data.trains.time_us[:3] == pytest.approx([0.0079559, 1.66187163, 4.97472998])
    recalled = TASKS["store_recall"].loaded("test")
    assert "".join(map(str, recalled.label[:20])) == "00010110000111011010"
    assert recalled.trains.time_us[:3] == pytest.approx([0.43976584, 0.60014608, 0.67736501])
    assert 0.99 * SPAN_US < TASKS["randman"].loaded("train").trains.latest_us <= SPAN_US
    mine = manifold_task("mine", Manifolds(n_inputs=30, seed=1))
    assert (mine.n_inputs, mine.loaded("test").n_inputs) == (30, 30)
    splits = [times_of(TASKS["randman"].loaded(split)) for split in ("train", "validation", "test")]
    assert cKDTree(splits[0]).query(splits[2])[0].min() > 0  # no sample twice


@pytest.mark.parametrize(
    ("what", "words"),
    [({"n_inputs": 0}, "n_inputs"), ({"dimension": 1.5}, "dimension"), ({"alpha": -1}, "alpha")],
)
def test_impossible_manifolds_are_refused(what, words):
    with pytest.raises(HxloopError, match=words):
        Manifolds(**what)


def active_groups(data):
    """bool [n, step, group]: which groups were active, read from the spikes."""
    trains = data.trains
    step, group = (trains.time_us // STEP_US).astype(int), trains.channel // GROUP_SIZE
    counts = np.zeros((data.n_samples, N_STEPS, 4), int)
    np.add.at(counts, (trains.sample, step, group), 1)
    assert counts[counts > 0].min() > 10  # a group is active or not
    return counts > 0


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_answer_is_the_value_at_the_store_cue_and_nowhere_else(split):
    data = store_recall(split)
    active = active_groups(data)
    assert np.bincount(data.label).tolist() == [data.n_samples // 2] * 2
    values, store, recall = active[:, :, :2], active[:, :, 2], active[:, :, 3]
    assert (values.sum(axis=2)[:, :-1] == 1).all() and not values[:, -1].any()
    assert (recall == (np.arange(N_STEPS) == N_STEPS - 1)).all()
    assert (store.sum(axis=1) == 1).all()
    at = store.argmax(axis=1)
    assert np.array_equal(np.unique(at), np.arange(N_STORE))
    shown = values[:, :-1, 1]  # value B in each step
    assert np.array_equal(shown[np.arange(len(at)), at], data.label == 1)
    # The last value, which a network without memory still knows, is as good as a coin.
    agreement = np.mean(shown[:, -1] == (data.label == 1))
    assert abs(agreement - 0.5) < 4 * 0.5 / np.sqrt(data.n_samples)


def test_between_store_and_recall_everything_of_6_us_is_forgotten():
    pause_us = DURATION_US - STEP_US - N_STORE * STEP_US
    assert pause_us > 10 * 6.0
    trains = store_recall("train").trains
    at_recall = trains.time_us >= DURATION_US - STEP_US
    assert set(trains.channel[at_recall] // GROUP_SIZE) == {3}
    # Counts of whole samples say little: each value is in about half of the steps.
    data = store_recall("train")
    values = active_groups(data)[:, :-1, 1].sum(axis=1)
    by_count = np.mean((values > 4) == (data.label == 1))
    assert by_count < 0.7
