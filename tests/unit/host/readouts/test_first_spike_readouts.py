import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.recordings import network, recording

from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError
from hxloop.rule import Observe
from hxloop.seeds import generator
from hxloop_host.readouts.first_spikes import (
    MISSING_LABEL_LOSS,
    FirstSpikeReadout,
    Margin,
    ShiftInvariantMSE,
    SoftmaxTimes,
    TargetTimesMSE,
    without_keys_of_others,
)

LOSSES = [
    SoftmaxTimes(),
    SoftmaxTimes(xi=0.5, alpha=0.2, beta=2.0),
    ShiftInvariantMSE(delta=0.3),
    Margin(delta=0.3),
    Margin(delta=1.5, alpha=0.2, beta=2.0),
    TargetTimesMSE(t_correct=1.2, t_wrong=1.9),
]
ALL = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: repr(loss.settings))


def batch(seed, missing=0.25):
    g = generator(seed, "losses")
    n_samples, n_classes = int(g.integers(1, 7)), int(g.integers(2, 6))
    times = g.uniform(0.2, 4.0, (n_samples, n_classes))
    times[g.random(times.shape) < missing] = np.inf
    return times, g.integers(0, n_classes, n_samples)


def slow_loss(loss, times, label):
    """One sample, straight from the formulas."""
    if not np.isfinite(times[label]):
        return MISSING_LABEL_LOSS
    own, values = times[label], loss.settings
    spiked = [(n, t) for n, t in enumerate(times) if np.isfinite(t)]
    if isinstance(loss, SoftmaxTimes):
        return np.log(sum(np.exp(-(t - own) / values.xi) for _, t in spiked)) + values.alpha * np.exp(own / values.beta)
    if isinstance(loss, ShiftInvariantMSE):
        return 0.5 * sum((t - own - values.delta * (n != label)) ** 2 for n, t in spiked)
    if isinstance(loss, Margin):
        close = sum(max(0.0, values.delta - (t - own)) ** 2 for n, t in spiked if n != label)
        return 0.5 * close + values.alpha * np.exp(own / values.beta)
    return 0.5 * sum((t - (values.t_correct if n == label else values.t_wrong)) ** 2 for n, t in spiked)


@ALL
@given(seed=st.integers(0, 2**40))
@settings(max_examples=50, deadline=None)
def test_value_is_the_mean_of_the_formula(loss: FirstSpikeReadout, seed):
    times, label = batch(seed)
    expected = np.mean([slow_loss(loss, t, n) for t, n in zip(times, label, strict=True)])
    assert loss.value_and_gradient(times, label)[0] == pytest.approx(expected, rel=1e-12)


@ALL
@given(seed=st.integers(0, 2**40))
@settings(max_examples=50, deadline=None)
def test_gradient_equals_central_differences(loss: FirstSpikeReadout, seed):
    times, label = batch(seed)
    gradient = loss.value_and_gradient(times, label)[1]
    h = 1e-5
    for index in np.ndindex(times.shape):
        if not np.isfinite(times[index]):
            assert gradient[index] == 0
            continue
        moved = []
        for sign in (1, -1):
            shifted = times.copy()
            shifted[index] += sign * h
            moved.append(np.mean([slow_loss(loss, t, n) for t, n in zip(shifted, label, strict=True)]))
        assert gradient[index] == pytest.approx((moved[0] - moved[1]) / (2 * h), rel=1e-6, abs=1e-7)


@ALL
def test_missing_label_is_a_constant_without_gradient(loss: FirstSpikeReadout):
    value, gradient = loss.value_and_gradient(np.array([[np.inf, 1.0, 2.0]]), np.array([0]))
    assert value == MISSING_LABEL_LOSS
    assert (gradient == 0).all()


@ALL
def test_silent_wrong_output_costs_nothing(loss: FirstSpikeReadout):
    times = np.array([[1.0, 2.5, np.inf]])
    value, gradient = loss.value_and_gradient(times, np.array([0]))
    value_without, gradient_without = loss.value_and_gradient(times[:, :2], np.array([0]))
    assert value == pytest.approx(value_without, rel=1e-14)
    np.testing.assert_allclose(gradient[:, :2], gradient_without, rtol=1e-14)
    assert gradient[0, 2] == 0


@ALL
def test_nothing_at_all(loss: FirstSpikeReadout):
    value, gradient = loss.value_and_gradient(np.empty((0, 3)), np.empty(0, np.int64))
    assert value == 0
    assert gradient.shape == (0, 3)
    value, gradient = loss.value_and_gradient(np.full((4, 3), np.inf), np.zeros(4, np.int64))
    assert value == MISSING_LABEL_LOSS
    assert (gradient == 0).all()
    np.testing.assert_array_equal(loss.predict(np.full((4, 3), np.inf)), [-1] * 4)
    np.testing.assert_array_equal(loss.predict(np.empty((0, 3))), [])


@ALL
def test_inputs_stay_as_they_are(loss: FirstSpikeReadout):
    times, label = batch(1)
    before = times.copy(), label.copy()
    loss.value_and_gradient(times, label)
    loss.predict(times)
    np.testing.assert_array_equal(times, before[0])
    np.testing.assert_array_equal(label, before[1])


def test_softmax_survives_times_far_apart():
    value, gradient = SoftmaxTimes(alpha=1e-9).value_and_gradient(np.array([[400.0, 1.0]]), np.array([1]))
    assert value == pytest.approx(0.0, abs=1e-8)
    value, gradient = SoftmaxTimes(alpha=1e-300).value_and_gradient(np.array([[400.0, 1.0]]), np.array([0]))
    assert value == pytest.approx(399.0 / 0.2, rel=1e-9)
    np.testing.assert_allclose(gradient, [[5.0, -5.0]], rtol=1e-9)


def test_shift_invariant_loss_is():
    times, label = batch(3, missing=0.0)
    loss = ShiftInvariantMSE(delta=0.3)
    value, gradient = loss.value_and_gradient(times, label)
    assert loss.value_and_gradient(times + 7.0, label)[0] == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(gradient.sum(axis=1), 0.0, atol=1e-14)


def test_first_spike_wins():
    times = np.array([[2.0, 1.0, np.inf], [1.0, 1.0, 3.0], [np.inf, np.inf, 9.0], [np.nan, 4.0, np.inf]])
    for loss in LOSSES[:5]:
        predicted = loss.predict(times)
        np.testing.assert_array_equal(predicted, [1, 0, 2, 1])
        assert predicted.dtype == np.int64


def test_output_nearest_to_the_target_wins():
    times = np.array([[1.5, 2.4, 1.95], [np.inf, 5.0, np.inf], [np.inf] * 3])
    np.testing.assert_array_equal(TargetTimesMSE(t_correct=1.9, t_wrong=1.6).predict(times), [2, 1, -1])


def test_bad_arguments_are_named():
    loss = ShiftInvariantMSE()
    with pytest.raises(ArrayError, match="scores"):
        loss.value_and_gradient(np.ones(3), np.zeros(3, np.int64))
    with pytest.raises(ArrayError, match="label"):
        loss.value_and_gradient(np.ones((3, 2)), np.zeros(2, np.int64))
    with pytest.raises(ArrayError, match="label"):
        loss.value_and_gradient(np.ones((3, 2)), np.zeros(3))
    for wrong in (-1, 2):
        with pytest.raises(OutOfRangeError, match="label"):
            loss.value_and_gradient(np.ones((3, 2)), np.full(3, wrong))
    with pytest.raises(InvalidInputError, match="xi"):
        SoftmaxTimes(xi=0.0)
    with pytest.raises(InvalidInputError, match="delta"):
        ShiftInvariantMSE(delta=np.nan)
    with pytest.raises(InvalidInputError, match="t_wrong"):
        TargetTimesMSE(t_correct=1.0, t_wrong=-1.0)


@ALL
def test_scores_are_first_spikes_of_the_output_in_its_time_constant(loss: FirstSpikeReadout):
    ticks = np.array([[750.0, np.inf], [1.0, 3749.0]])
    found = recording(first_ticks={"out": ticks, "hidden": np.zeros((2, 3))})
    scores = loss.scores(found)
    assert scores.tolist() == [[750 * (0.008 / 12.0), np.inf], [0.008 / 12.0, 3749 * (0.008 / 12.0)]]
    assert (loss.score_name, loss.score_unit) == ("t_out", "tau_syn")
    gradient = np.array([[1.0, 0.0], [0.5, -0.5]])
    np.testing.assert_array_equal(loss.derivative(found, gradient), gradient)
    with pytest.raises(ArrayError, match="no first spikes of 'out'"):
        loss.scores(recording(first_ticks={"hidden": np.zeros((2, 3))}))


@ALL
def test_only_first_spikes_of_the_output_come_back(loss: FirstSpikeReadout):
    assert loss.observe(network()) == Observe("first", ("out",))


def test_times_that_no_sample_has_are_refused():
    """The output's tau_syn is 12 us: 60 us are five of them."""
    for loss, field in (
        (ShiftInvariantMSE(delta=5.0), "loss.delta"),
        (Margin(delta=5.0), "loss.delta"),
        (Margin(beta=0.0999), "loss.beta"),
        (TargetTimesMSE(t_correct=5.0), "loss.t_correct"),
        (TargetTimesMSE(t_wrong=5.0), "loss.t_wrong"),
        (SoftmaxTimes(beta=0.0999), "loss.beta"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            loss.check(network(), 60.0)
        assert caught.value.field == field
        loss.check(network(), 60.1 if field != "loss.beta" else 59.9)
    with pytest.raises(InvalidInputError, match="does not spike") as caught:
        SoftmaxTimes().check(network(spiking=False), 60.0)
    assert caught.value.field == "loss.kind"


def test_files_of_before_hold_keys_of_all_three():
    old = {"delta": 0.2, "xi": 0.2, "alpha": 0.005, "beta": 1.0, "t_correct": 1.6, "t_wrong": 1.9}
    keys = {"shift_invariant_mse": {"delta"}, "softmax_times": {"xi", "alpha", "beta"},
            "target_times_mse": {"t_correct", "t_wrong"}}  # fmt: skip
    for kind, own in keys.items():
        found = without_keys_of_others(kind, {"kind": kind, **old, "more": 1})
        assert found == {"kind": kind, "more": 1} | {key: old[key] for key in own}
    assert without_keys_of_others("count_mse", {"kind": "count_mse", **old}) == {"kind": "count_mse", **old}
