"""Search algorithms against curves whose solution is known."""

import numpy as np
import pytest

from hxloop.seeds import generator
from hxloop_calibration.search import (
    SEARCHES,
    Binary,
    Inverse,
    Linear,
    ModelBased,
    NoisyBinary,
    Problem,
    Proportional,
    Straight,
)

N = 300


def problem(kind, seed, noise=0.0, target=None, low=0, high=1022):
    """A curve per instance with offset and gain of its own, what it is searched with, and its exact solution."""
    rng = generator(seed, "search", kind)
    gain, offset = np.exp(rng.normal(0, 0.2, N)), rng.normal(0, 30, N)
    slope = 1.9 * gain**0.1
    curve, function, solve, aim = {
        "straight": (Straight(1.9), lambda c: 20 + slope * c + offset, lambda t: (t - 20 - offset) / slope, 700.0),
        "falling": (Straight(-1.9), lambda c: 2000 - 1.9 * c + offset, lambda t: (2000 + offset - t) / 1.9, 900.0),
        "proportional": (Proportional(), lambda c: 0.004 * c * gain, lambda t: t / 0.004 / gain, 1.5),
        "inverse": (Inverse(), lambda c: 3e3 * gain / np.maximum(c, 0.5), lambda t: 3e3 * gain / t, 8.0),
    }[kind]
    goal = np.full(N, aim if target is None else target)
    calls = []

    def measure(code):
        assert code.dtype == np.int64 and code.min() >= low and code.max() <= high
        calls.append(code)
        values = function(code.astype(float))
        return values + noise * rng.standard_normal(N)

    start = np.full(N, 400)
    return Problem(measure, start, goal, low, high, curve, generator(seed, "draws")), solve(goal), calls


@pytest.mark.parametrize("kind", ["straight", "falling", "proportional", "inverse"])
@pytest.mark.parametrize("name", sorted(SEARCHES))
@pytest.mark.parametrize("seed", [1, 2])
def test_every_algorithm_finds_the_code_next_to_the_solution(kind, name, seed):
    search = Linear(1, 1000) if name == "linear" else SEARCHES[name]
    task, exact, calls = problem(kind, seed, low=1)
    found = search.find(task)
    inside = (exact > 2) & (exact < 1021)
    # For an inverse curve the nearest value is not the nearest code, so a whole code is allowed.
    assert np.abs(found.code - exact)[inside].max() <= 1.0
    assert not found.at_edge[inside].any()
    assert (calls[0] == 400).all()
    assert found.first.shape == (N,)


@pytest.mark.parametrize("name", ["model", "binary", "noisy-binary"])
def test_targets_out_of_range_end_at_the_edge_and_say_so(name):
    for target, edge in ((1e4, 1022), (-1e4, 1)):
        task, _, _ = problem("straight", 3, target=target, low=1)
        found = SEARCHES[name].find(task)
        assert (found.code == edge).all() and found.at_edge.all()


def test_the_mean_of_predictions_beats_a_single_noisy_one():
    errors = []
    for steps in (2, 12):
        task, exact, _ = problem("straight", 4, noise=10.0)
        errors.append(np.std(ModelBased(steps).find(task).code - exact))
    assert errors[1] < 0.5 * errors[0]


def test_noisy_binary_starts_at_scattered_codes_that_depend_on_the_seed_only():
    firsts = []
    for seed in (5, 5, 6):
        task, _, calls = problem("straight", seed)
        NoisyBinary().find(task)
        firsts.append(calls[1])
    assert len(np.unique(firsts[0])) > 5 and np.ptp(firsts[0]) <= 10
    assert (firsts[0] == firsts[1]).all() and (firsts[0] != firsts[2]).any()


def test_binary_takes_as_many_steps_as_the_range_has_bits():
    task, _, calls = problem("straight", 7)
    Binary().find(task)
    assert len(calls) == 1 + 10 + 2


def test_what_cannot_be_measured_keeps_its_code():
    task, _, _ = problem("straight", 8)
    nothing = Problem(lambda code: np.full(N, np.nan), task.start, task.target, 0, 1022, task.curve, task.rng)
    for search in SEARCHES.values():
        found = search.find(nothing)
        assert np.isnan(found.first).all() and not found.at_edge.any()
    assert (ModelBased().find(nothing).code == 400).all()


def test_linear_search_gives_up_after_its_steps():
    task, _, calls = problem("straight", 9, target=1e4)
    found = Linear(4, 10).find(task)
    assert len(calls) == 11 and (found.code == 440).all()
