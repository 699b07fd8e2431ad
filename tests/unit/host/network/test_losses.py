import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.errors import ArrayError, OutOfRangeError
from hxloop.seeds import generator
from hxloop_host.network.losses import (
    MISSING_LABEL_LOSS,
    ShiftInvariantMSE,
    SoftmaxTimes,
    SpikeTimeLoss,
    TargetTimesMSE,
)

LOSSES = [SoftmaxTimes(), SoftmaxTimes(0.5, 0.2, 2.0), ShiftInvariantMSE(0.3), TargetTimesMSE(1.2, 1.9)]
ALL = pytest.mark.parametrize("loss", LOSSES, ids=repr)


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
    own = times[label]
    spiked = [(n, t) for n, t in enumerate(times) if np.isfinite(t)]
    if isinstance(loss, SoftmaxTimes):
        return np.log(sum(np.exp(-(t - own) / loss.xi) for _, t in spiked)) + loss.alpha * np.exp(own / loss.beta)
    if isinstance(loss, ShiftInvariantMSE):
        return 0.5 * sum((t - own - loss.delta * (n != label)) ** 2 for n, t in spiked)
    return 0.5 * sum((t - (loss.t_correct if n == label else loss.t_wrong)) ** 2 for n, t in spiked)


@ALL
@given(seed=st.integers(0, 2**40))
@settings(max_examples=50, deadline=None)
def test_value_is_the_mean_of_the_formula(loss: SpikeTimeLoss, seed):
    times, label = batch(seed)
    expected = np.mean([slow_loss(loss, t, n) for t, n in zip(times, label, strict=True)])
    assert loss.value_and_gradient(times, label)[0] == pytest.approx(expected, rel=1e-12)


@ALL
@given(seed=st.integers(0, 2**40))
@settings(max_examples=50, deadline=None)
def test_gradient_equals_central_differences(loss: SpikeTimeLoss, seed):
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
def test_missing_label_is_a_constant_without_gradient(loss: SpikeTimeLoss):
    value, gradient = loss.value_and_gradient(np.array([[np.inf, 1.0, 2.0]]), np.array([0]))
    assert value == MISSING_LABEL_LOSS
    assert (gradient == 0).all()


@ALL
def test_silent_wrong_output_costs_nothing(loss: SpikeTimeLoss):
    times = np.array([[1.0, 2.5, np.inf]])
    value, gradient = loss.value_and_gradient(times, np.array([0]))
    value_without, gradient_without = loss.value_and_gradient(times[:, :2], np.array([0]))
    assert value == pytest.approx(value_without, rel=1e-14)
    np.testing.assert_allclose(gradient[:, :2], gradient_without, rtol=1e-14)
    assert gradient[0, 2] == 0


@ALL
def test_nothing_at_all(loss: SpikeTimeLoss):
    value, gradient = loss.value_and_gradient(np.empty((0, 3)), np.empty(0, np.int64))
    assert value == 0
    assert gradient.shape == (0, 3)
    value, gradient = loss.value_and_gradient(np.full((4, 3), np.inf), np.zeros(4, np.int64))
    assert value == MISSING_LABEL_LOSS
    assert (gradient == 0).all()
    np.testing.assert_array_equal(loss.predict(np.full((4, 3), np.inf)), [-1] * 4)
    np.testing.assert_array_equal(loss.predict(np.empty((0, 3))), [])


@ALL
def test_inputs_stay_as_they_are(loss: SpikeTimeLoss):
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
    loss = ShiftInvariantMSE(0.3)
    value, gradient = loss.value_and_gradient(times, label)
    assert loss.value_and_gradient(times + 7.0, label)[0] == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(gradient.sum(axis=1), 0.0, atol=1e-14)


def test_first_spike_wins():
    times = np.array([[2.0, 1.0, np.inf], [1.0, 1.0, 3.0], [np.inf, np.inf, 9.0], [np.nan, 4.0, np.inf]])
    for loss in LOSSES[:3]:
        predicted = loss.predict(times)
        np.testing.assert_array_equal(predicted, [1, 0, 2, 1])
        assert predicted.dtype == np.int64


def test_output_nearest_to_the_target_wins():
    times = np.array([[1.5, 2.4, 1.95], [np.inf, 5.0, np.inf], [np.inf] * 3])
    np.testing.assert_array_equal(TargetTimesMSE(1.9, 1.6).predict(times), [2, 1, -1])


def test_bad_arguments_are_named():
    loss = ShiftInvariantMSE()
    with pytest.raises(ArrayError, match="t_out"):
        loss.value_and_gradient(np.ones(3), np.zeros(3, np.int64))
    with pytest.raises(ArrayError, match="label"):
        loss.value_and_gradient(np.ones((3, 2)), np.zeros(2, np.int64))
    with pytest.raises(ArrayError, match="label"):
        loss.value_and_gradient(np.ones((3, 2)), np.zeros(3))
    for wrong in (-1, 2):
        with pytest.raises(OutOfRangeError, match="label"):
            loss.value_and_gradient(np.ones((3, 2)), np.full(3, wrong))
    with pytest.raises(OutOfRangeError, match="xi"):
        SoftmaxTimes(xi=0.0)
    with pytest.raises(OutOfRangeError, match="delta"):
        ShiftInvariantMSE(np.nan)
    with pytest.raises(OutOfRangeError, match="t_wrong"):
        TargetTimesMSE(1.0, -1.0)
