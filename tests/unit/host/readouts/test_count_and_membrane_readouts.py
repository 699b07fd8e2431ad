"""Readouts of counts and membranes: scores, answers, gradients against central differences of the plain formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.recordings import network, recording

from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError
from hxloop.readout import Readout, ReadoutSettings
from hxloop.rule import Observe, Spikes
from hxloop.seeds import generator
from hxloop_host.readouts.membrane_scores import MembraneCrossEntropy, MembraneMSE
from hxloop_host.readouts.readout_registry import READOUTS
from hxloop_host.readouts.spike_counts import CountCrossEntropy, CountMSE

PERIOD_US, LENGTH_US = 2.0, 60.0  # of the readings, and of the samples of `recording`
SCORES = {
    "max": max,
    "mean": lambda trace: sum(trace) / len(trace),
    "last": lambda trace: trace[-1],
    "sum": sum,
    "peak": lambda trace: max(trace[1:]) if len(trace) > 1 else trace[0],
    "weighted": lambda trace: sum(
        v * np.exp(-k * PERIOD_US / LENGTH_US) * (PERIOD_US / LENGTH_US if len(trace) > 1 else 1.0)
        for k, v in enumerate(trace)
    ),
}
COUNTING = [CountCrossEntropy(scale=0.3), CountMSE(count_correct=6.0, count_wrong=1.0)]
SAMPLING = [
    kind(score=score, **values)
    for kind, values in ((MembraneCrossEntropy, {"scale": 2.5}), (MembraneMSE, {"v_correct": 0.8, "v_wrong": -0.3}))
    for score in SCORES
]
COUNTS = pytest.mark.parametrize("readout", COUNTING, ids=lambda r: r.settings.kind)
MEMBRANES = pytest.mark.parametrize("readout", SAMPLING, ids=lambda r: f"{r.settings.kind}-{r.settings.score}")
ALL = pytest.mark.parametrize("readout", COUNTING + SAMPLING, ids=lambda r: repr(r.settings))


def slow_loss(readout, scores, label):
    """One sample, straight from the formulas."""
    values = readout.settings
    if isinstance(readout, CountCrossEntropy | MembraneCrossEntropy):
        return -np.log(np.exp(values.scale * scores[label]) / sum(np.exp(values.scale * x) for x in scores))
    correct, wrong = (
        (values.count_correct, values.count_wrong)
        if isinstance(readout, CountMSE)
        else (values.v_correct, values.v_wrong)
    )
    return sum(0.5 * (x - (correct if n == label else wrong)) ** 2 for n, x in enumerate(scores))


def mean_loss(readout, scores, label):
    return np.mean([slow_loss(readout, row, n) for row, n in zip(scores, label, strict=True)])


def differences(function, values, h=1e-5):
    found = np.zeros(values.shape)
    for index in np.ndindex(values.shape):
        moved = []
        for sign in (1, -1):
            shifted = values.copy()
            shifted[index] += sign * h
            moved.append(function(shifted))
        found[index] = (moved[0] - moved[1]) / (2 * h)
    return found


def drawn(seed):
    g = generator(seed, "scores")
    n_samples, n_classes = int(g.integers(1, 6)), int(g.integers(2, 6))
    return g.normal(1.0, 2.0, (n_samples, n_classes)), g.integers(0, n_classes, n_samples)


@ALL
@given(seed=st.integers(0, 2**40))
@hypothesis_settings(max_examples=25, deadline=None)
def test_loss_and_gradient_are_those_of_the_formula(readout, seed):
    scores, label = drawn(seed)
    value, gradient = readout.value_and_gradient(scores, label)
    assert value == pytest.approx(mean_loss(readout, scores, label), rel=1e-12)
    expected = differences(lambda x: mean_loss(readout, x, label), scores)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


@MEMBRANES
@given(seed=st.integers(0, 2**40))
@hypothesis_settings(max_examples=15, deadline=None)
def test_derivative_by_every_reading_is_that_of_the_whole_loss(readout, seed):
    g = generator(seed, "traces")
    n_samples, n_reads, size = (int(g.integers(1, 4)) for _ in range(3))
    # Eighths are exact in float32, and no two readings of a neuron are nearer than the step of the differences.
    traces = np.stack(
        [[g.permutation(n_reads) / 8.0 + g.integers(-3, 3) / 16.0 for _ in range(size)] for _ in range(n_samples)]
    ).transpose(0, 2, 1)
    label = g.integers(0, size, n_samples)

    def loss(values):
        scores = [[SCORES[readout.settings.score](values[s, :, n]) for n in range(size)] for s in range(n_samples)]
        return mean_loss(readout, np.array(scores), label)

    times_us = np.arange(n_reads) * PERIOD_US
    found = recording(n_samples, size, membranes={"out": traces.astype(np.float32)}, membrane_times_us=times_us)
    value, gradient = readout.value_and_gradient(readout.scores(found), label)
    assert value == pytest.approx(loss(traces), rel=1e-12)
    derivative = readout.derivative(found, gradient)
    assert derivative.dtype == np.float64
    np.testing.assert_allclose(derivative, differences(loss, traces), rtol=1e-6, atol=1e-8)


def test_scores_of_membranes():
    traces = np.array([[[0.0, 3.0], [2.0, 1.0], [1.0, -1.0]]], np.float32)
    expected = {"max": [2.0, 3.0], "mean": [1.0, 1.0], "last": [1.0, -1.0], "sum": [3.0, 3.0]}
    for score, values in expected.items():
        readout = MembraneMSE(score=score)
        scores = readout.scores(recording(1, membranes={"out": traces}))
        assert scores.tolist() == [values]
        assert scores.dtype == np.float64
        assert readout.observe(network()) == Observe("none", membranes=("out",))
    assert MembraneMSE(period_us=4.0).observe(network(spiking=False)).membrane_period_us == 4.0


def test_the_first_of_equal_maxima_gets_the_gradient():
    traces = np.array([[[1.0], [5.0], [5.0]]], np.float32)
    found = MembraneMSE(score="max").derivative(recording(1, 1, membranes={"out": traces}), np.array([[2.0]]))
    assert found.ravel().tolist() == [0.0, 2.0, 0.0]


def test_a_peak_below_the_first_reading_still_has_a_gradient():
    """Of a maximum, all would be at the first reading, which no weight ever moves."""
    traces = np.array([[[0.0], [-3.0], [-2.0]]], np.float32)
    found, gradient = recording(1, 1, membranes={"out": traces}), np.array([[2.0]])
    assert MembraneMSE(score="max").derivative(found, gradient).ravel().tolist() == [2.0, 0.0, 0.0]
    readout = MembraneMSE(score="peak")
    assert readout.scores(found).tolist() == [[-2.0]]
    assert readout.derivative(found, gradient).ravel().tolist() == [0.0, 0.0, 2.0]


@pytest.mark.parametrize("weight_tau", [0.2, 1.0])
def test_a_weighted_score_is_an_integral(weight_tau):
    """Of a membrane that stays at 1, that of exp(-t/T) / T: 1 - exp(-duration / T), to the width of a reading."""
    n_reads = 6000
    found = recording(
        1, 1, membranes={"out": np.ones((1, n_reads, 1), np.float32)},
        membrane_times_us=np.arange(n_reads) * LENGTH_US / n_reads,
    )  # fmt: skip
    score = MembraneMSE(score="weighted", weight_tau=weight_tau).scores(found)
    assert score[0, 0] == pytest.approx(1.0 - np.exp(-1.0 / weight_tau), rel=1e-3)


@COUNTS
def test_spikes_are_counted(readout):
    spikes = Spikes(
        np.array([0, 0, 0, 2, 2], np.int64), np.array([1, 1, 0, 2, 2], np.int32), np.array([3, 9, 9, 0, 5], np.int64)
    )
    found = recording(3, 3, spikes={"out": spikes})
    scores = readout.scores(found)
    assert scores.tolist() == [[1, 2, 0], [0, 0, 0], [0, 0, 2]]
    assert readout.predict(scores).tolist() == [1, -1, 2]
    gradient = np.ones((3, 3))
    np.testing.assert_array_equal(readout.derivative(found, gradient), gradient)
    assert readout.observe(network()) == Observe("all", ("out",))


def test_counters_are_counts():
    readout = CountMSE(count="counters")
    counts = np.array([[255, 3]], np.int64)
    scores = readout.scores(recording(1, counts={"out": counts}))
    assert (scores.tolist(), scores.dtype) == ([[255.0, 3.0]], np.float64)
    assert readout.observe(network()) == Observe("none", counters=True)


def test_highest_score_answers_and_the_lower_of_equals():
    scores = np.array([[-2.0, -1.0, -3.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0], [np.nan, -5.0, np.nan]])
    assert MembraneMSE().predict(scores).tolist() == [1, 0, 0, 1]
    counts = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 7.0]])
    assert CountMSE().predict(counts).tolist() == [-1, 0, 1]
    for readout in (*COUNTING, *SAMPLING):
        assert readout.predict(np.empty((0, 3))).tolist() == []
        assert readout.predict(np.empty((2, 0))).tolist() == [-1, -1]
        assert readout.predict(counts).dtype == np.int64


@ALL
def test_nothing_at_all_and_very_much(readout):
    value, gradient = readout.value_and_gradient(np.empty((0, 3)), np.empty(0, np.int64))
    assert (value, gradient.shape) == (0.0, (0, 3))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value, gradient = readout.value_and_gradient(np.array([[1e6, -1e6, 0.0], [255.0, 0.0, 0.0]]), np.array([1, 0]))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@ALL
def test_bad_arguments_are_named(readout):
    for scores, label, error, name in (
        (np.ones(3), np.zeros(3, np.int64), ArrayError, "scores"),
        (np.ones((3, 2, 1)), np.zeros(3, np.int64), ArrayError, "scores"),
        (np.ones((3, 2)), np.zeros(2, np.int64), ArrayError, "label"),
        (np.ones((3, 2)), np.zeros(3), ArrayError, "label"),
        (np.ones((3, 2)), np.full(3, -1), OutOfRangeError, "label"),
        (np.ones((3, 2)), np.full(3, 2), OutOfRangeError, "label"),
    ):
        with pytest.raises(error, match=name):
            readout.value_and_gradient(scores, label)


@ALL
def test_inputs_stay_as_they_are(readout):
    scores, label = drawn(1)
    before = scores.copy()
    readout.value_and_gradient(scores, label)
    readout.predict(scores)
    np.testing.assert_array_equal(scores, before)


def test_what_was_not_recorded_is_named():
    for readout, what in (
        (CountMSE(), "spikes"),
        (CountMSE(count="counters"), "counters"),
        (MembraneMSE(), "membranes"),
    ):
        with pytest.raises(ArrayError, match=f"no {what} of 'out'"):
            readout.scores(recording())
    for traces in (np.empty((2, 0, 2), np.float32), np.empty((2, 2), np.float32)):
        with pytest.raises(ArrayError, match="membranes"):
            MembraneMSE().scores(recording(membranes={"out": traces}))
    found = recording(2, 2, membranes={"out": np.zeros((2, 4, 2), np.float32)})
    for shape in ((2, 3), (2,), (2, 4, 2), ()):
        with pytest.raises(ArrayError, match="gradient"):
            MembraneMSE().derivative(found, np.zeros(shape))


def test_networks_and_samples_that_cannot_be_read_so_are_refused():
    for readout in COUNTING:
        readout.check(network(), 60.0)
        with pytest.raises(InvalidInputError, match="'out' does not spike") as caught:
            readout.check(network(spiking=False), 60.0)
        assert caught.value.field == "loss.kind"
    for spiking in (True, False):
        MembraneMSE(period_us=60.0).check(network(spiking=spiking), 60.0)
    with pytest.raises(InvalidInputError, match="no reading") as caught:
        MembraneMSE(period_us=60.0).check(network(), 59.0)
    assert caught.value.field == "loss.period_us"


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        (CountMSE, {"count_correct": 1.0, "count_wrong": 1.0}, "count_correct"),
        (CountMSE, {"count_wrong": -1.0}, "count_wrong"),
        (CountMSE, {"count": "spike"}, "count"),
        (CountCrossEntropy, {"scale": 0.0}, "scale"),
        (MembraneMSE, {"v_correct": -1.0}, "v_correct"),
        (MembraneMSE, {"score": "first"}, "score"),
        (MembraneMSE, {"weight_tau": 0.0}, "weight_tau"),
        (MembraneCrossEntropy, {"scale": float("nan")}, "scale"),
        (MembraneCrossEntropy, {"period_us": 1.0}, "period_us"),
    ],
)
def test_settings_out_of_range_are_refused(kind, values, field):
    with pytest.raises(InvalidInputError) as caught:
        kind(**values)
    assert caught.value.field == field


@pytest.mark.parametrize("name", READOUTS.names())
def test_every_name_finds_its_class(name):
    kind, _ = READOUTS.find(name)
    assert issubclass(kind, Readout)
    assert issubclass(kind.Settings, ReadoutSettings)
    assert kind().settings.kind == name
    assert all(info.description for info in kind.Settings.model_fields.values())
    assert kind.reference
    assert kind.summary


def test_readouts_without_all_methods_are_refused(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from hxloop.readout import Readout\nclass Half(Readout):\n    def observe(self, network): ...\n")
    with pytest.raises(InvalidInputError, match="all its methods"):
        READOUTS.find(f"{file}:Half", own_code=True)
