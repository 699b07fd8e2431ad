import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.errors import ArrayError, OutOfRangeError
from hxloop.seeds import generator
from hxloop_host.network.weight_codes import clip_weights, dequantise, quantise
from hxloop_host.training.optimizers import Adam, Constant, Cosine, StepDecay


def textbook_adam(parameter, gradients, rates, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Algorithm 1 of Kingma & Ba for one number, in plain Python."""
    m = v = 0.0
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        parameter = parameter - rate * m_hat / (math.sqrt(v_hat) + epsilon)
    return parameter


def test_adam_equals_the_textbook_number_by_number():
    g = generator(0, "adam")
    start = [g.normal(size=(3, 4)), g.normal(size=5)]
    gradients = [[g.normal(size=(3, 4)), g.normal(size=5)] for _ in range(30)]
    parameters = [p.copy() for p in start]
    optimizer = Adam(0.01, StepDecay(2, 0.5))
    rates = []
    for k, step in enumerate(gradients):
        optimizer.start_epoch(k // 10)
        rates.append(0.01 * 0.5 ** (k // 10 // 2))
        optimizer.step(parameters, step)
    for which in (0, 1):
        for index in np.ndindex(start[which].shape):
            expected = textbook_adam(start[which][index], [step[which][index] for step in gradients], rates)
            assert parameters[which][index] == pytest.approx(expected, rel=1e-12)


def test_adam_finds_a_minimum():
    target, w = np.array([1.0, -2.0, 0.5]), [np.zeros(3)]
    optimizer = Adam(0.05, Cosine(400))
    for epoch in range(400):
        optimizer.start_epoch(epoch)
        optimizer.step(w, [2 * (w[0] - target)])
    np.testing.assert_allclose(w[0], target, atol=1e-3)


def test_first_step_is_the_learning_rate():
    w = [np.zeros(3)]
    Adam(0.01).step(w, [np.array([5.0, -1e-3, 0.0])])
    np.testing.assert_allclose(w[0], [-0.01, 0.01, 0.0], rtol=1e-4)


def test_restored_state_continues_bit_by_bit():
    g = generator(1, "adam state")
    gradients = [[g.normal(size=(2, 3)), g.normal(size=4)] for _ in range(12)]
    through = [np.ones((2, 3)), np.ones(4)]
    optimizer = Adam(0.02)
    for step in gradients[:5]:
        optimizer.step(through, step)
    state, halfway = optimizer.state(), [w.copy() for w in through]
    for step in gradients[5:]:
        optimizer.step(through, step)
    resumed = Adam(0.02)
    resumed.load_state(state)
    for step in gradients[5:]:
        resumed.step(halfway, step)
    for a, b in zip(through, halfway, strict=True):
        np.testing.assert_array_equal(a, b)
    for name, array in optimizer.state().items():
        np.testing.assert_array_equal(array, resumed.state()[name])


def test_fresh_state_can_be_restored_too():
    optimizer = Adam(0.02)
    optimizer.load_state(Adam(0.02).state())
    w = [np.zeros(2)]
    optimizer.step(w, [np.ones(2)])
    assert (w[0] < 0).all()


def test_incomplete_state_and_wrong_shapes_are_refused():
    optimizer = Adam(0.02)
    optimizer.step([np.zeros(2)], [np.ones(2)])
    state = optimizer.state()
    del state["second.0"]
    with pytest.raises(ArrayError, match="optimizer state"):
        optimizer.load_state(state)
    for parameters, gradients in (([np.zeros(2)], [np.ones(3)]), ([np.zeros(3)], [np.ones(3)]), ([], [])):
        with pytest.raises(ArrayError, match="gradients"):
            optimizer.step(parameters, gradients)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_learning_rates_that_are_none_are_refused(rate):
    with pytest.raises(OutOfRangeError, match="learning_rate"):
        Adam(rate)


def test_schedules():
    assert [Constant().factor(k) for k in (0, 7)] == [1.0, 1.0]
    assert [StepDecay(20, 0.95).factor(k) for k in (0, 19, 20, 45)] == [1.0, 1.0, 0.95, 0.95**2]
    cosine = Cosine(100, 0.1)
    assert cosine.factor(0) == 1.0
    assert cosine.factor(50) == pytest.approx(0.55)
    assert cosine.factor(100) == cosine.factor(150) == pytest.approx(0.1)
    falling = [cosine.factor(k) for k in range(101)]
    assert falling == sorted(falling, reverse=True)
    optimizer = Adam(0.2, cosine)
    optimizer.start_epoch(50)
    assert optimizer.current_rate == pytest.approx(0.11)
    with pytest.raises(OutOfRangeError, match="step_epochs"):
        StepDecay(0, 0.9)
    with pytest.raises(OutOfRangeError, match="epochs"):
        Cosine(0)


@given(st.lists(st.floats(-5, 5), max_size=20), st.sampled_from([30.0, 17.5, 1.0]), st.sampled_from([1, 31, 63, 127]))
@settings(max_examples=100, deadline=None)
def test_codes_are_nearest_and_in_range(weights, scale, code_max):
    codes = quantise(np.array(weights), scale, code_max)
    assert codes.dtype == np.int8
    assert codes.tolist() == [max(-code_max, min(code_max, round(w * scale))) for w in weights]
    inside = np.abs(np.array(weights)) * scale <= code_max
    assert (np.abs(dequantise(codes, scale) - np.array(weights))[inside] <= 0.5 / scale + 1e-12).all()


def test_codes_that_cannot_be_are_refused():
    with pytest.raises(OutOfRangeError, match="code_max"):
        quantise(np.zeros(2), 30.0, 128)
    for bad in (np.nan, np.inf):
        with pytest.raises(OutOfRangeError, match="weights"):
            quantise(np.array([0.0, bad]), 30.0, 63)


def test_clipping_in_place():
    w = np.array([-3.0, -2.1, 0.3, 2.2])
    clip_weights(w, 2.1)
    np.testing.assert_array_equal(w, [-2.1, -2.1, 0.3, 2.1])
