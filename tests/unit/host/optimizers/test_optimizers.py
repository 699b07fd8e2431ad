"""Optimisers against their equations, one number at a time, and what all of them promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError
from hxloop.seeds import generator
from hxloop_host.optimizers.adam import Adam
from hxloop_host.optimizers.adamw import AdamW
from hxloop_host.optimizers.optimizer import Optimizer, OptimizerSettings
from hxloop_host.optimizers.optimizer_registry import OPTIMIZERS
from hxloop_host.optimizers.schedules import Constant, Cosine, StepDecay
from hxloop_host.optimizers.sgd import SGD
from hxloop_host.optimizers.smorms3 import SMORMS3


def textbook_adam(w, gradients, rates, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0):
    """Algorithm 1 of Kingma & Ba; with a decay, the program of Loshchilov & Hutter that shrinks the weight first."""
    m = v = 0.0
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        w *= 1 - rate * weight_decay
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w -= rate * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + epsilon)
    return w


def textbook_momentum(w, gradients, rates, momentum=0.0):
    """Polyak's heavy ball at a constant rate: ``w_next = w - rate g + momentum (w - w_before)``."""
    before = w
    for g, rate in zip(gradients, rates, strict=True):
        w, before = w - rate * g + momentum * (w - before), w
    return w


def textbook_nesterov(w, gradients, rates, momentum=0.0):
    """Sutskever et al., eq. 3 and 4 (the velocity holds the rate), seen from where the gradient is taken.

    With ``seen = theta + momentum v``: ``v' = momentum v - rate g(seen)``, ``theta' = theta + v'``.
    """
    theta, v = w, 0.0
    for g, rate in zip(gradients, rates, strict=True):
        v = momentum * v - rate * g
        theta += v
    return theta + momentum * v


def textbook_smorms3(w, gradients, rates, epsilon=1e-16):
    """Funk's page, line by line."""
    mem, g1, g2 = 1.0, 0.0, 0.0
    for g, rate in zip(gradients, rates, strict=True):
        r = 1 / (mem + 1)
        g1 = (1 - r) * g1 + r * g
        g2 = (1 - r) * g2 + r * g**2
        w -= g * min(rate, g1 * g1 / (g2 + epsilon)) / (math.sqrt(g2) + epsilon)
        mem = 1 + mem * (1 - g1 * g1 / (g2 + epsilon))
    return w


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e200])
@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_long_gradients_are_made_as_long_as_allowed(name, scale):
    """As torch's clip_grad_norm_: all arrays together, and only if they are longer."""
    g, (kind, _) = generator(3, "clip", name), OPTIMIZERS.find(name)
    gradients = [scale * g.standard_normal(shape) for shape in ((4, 3), (3, 2))]
    length = scale * float(np.linalg.norm(np.concatenate([x.ravel() / scale for x in gradients])))
    for limit in (0.5, 2.0):
        found, expected = ([np.ones((4, 3)), np.ones((3, 2))] for _ in range(2))
        clipped = kind(learning_rate=0.1, schedule="constant", clip_norm=limit)
        plain = kind(learning_rate=0.1, schedule="constant")
        for _ in range(3):
            clipped.step(found, gradients)
            plain.step(expected, [x * min(1.0, limit / length) for x in gradients])
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
    zero = kind(learning_rate=0.1, schedule="constant", clip_norm=1.0)
    still = [np.ones(3)]
    zero.step(still, [np.zeros(3)])
    assert np.isfinite(still[0]).all()


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_steps_of_some_parameters_are_longer(name):
    """A factor makes the change longer, not the gradient, of which Adam would not care."""
    g, (kind, _) = generator(4, "factors", name), OPTIMIZERS.find(name)
    gradients = [g.standard_normal((3, 2)), g.standard_normal(4)]
    given, plain = ([np.zeros((3, 2)), np.zeros(4)] for _ in range(2))
    one, other = (kind(learning_rate=0.1, schedule="constant") for _ in range(2))
    one.step(given, gradients, [1.0, 5.0])
    other.step(plain, gradients)
    np.testing.assert_array_equal(given[0], plain[0])
    np.testing.assert_allclose(given[1], 5.0 * plain[1], rtol=1e-15)
    assert given[1].all()


CASES = {
    "adam": (Adam, textbook_adam, {}),
    "adam, other decays": (Adam, textbook_adam, {"beta1": 0.5, "beta2": 0.9, "epsilon": 0.1}),
    "adamw": (AdamW, textbook_adam, {"weight_decay": 0.3}),
    "sgd": (SGD, textbook_momentum, {}),
    "momentum": (SGD, textbook_momentum, {"momentum": 0.9}),
    "nesterov": (SGD, textbook_nesterov, {"momentum": 0.9, "nesterov": True}),
    "smorms3": (SMORMS3, textbook_smorms3, {}),
    "smorms3, another epsilon": (SMORMS3, textbook_smorms3, {"epsilon": 1e-3}),
}
ALL = pytest.mark.parametrize("kind", [Adam, AdamW, SGD, SMORMS3])


def walk(optimizer, parameters, gradients, first=0):
    for k, step in enumerate(gradients, start=first):
        optimizer.start_epoch(k // 10)
        optimizer.step(parameters, step)


@pytest.mark.parametrize("name", CASES)
def test_each_equals_its_textbook_number_by_number(name):
    kind, textbook, values = CASES[name]
    g = generator(0, "optimizers", name)
    start = [g.normal(size=(3, 4)), g.normal(size=5)]
    gradients = [[g.normal(0.2, 1.0, (3, 4)), g.normal(size=5)] for _ in range(40)]
    decays = "momentum" not in values  # the textbooks of momentum have one rate
    optimizer = kind(learning_rate=0.01, schedule="step", step_epochs=2, gamma=0.5 if decays else 1.0, **values)
    rates = [0.01 * (0.5 if decays else 1.0) ** (k // 10 // 2) for k in range(40)]
    parameters = [p.copy() for p in start]
    walk(optimizer, parameters, gradients)
    known = {key: value for key, value in values.items() if key != "nesterov"}
    if kind is AdamW:
        known = {"weight_decay": 0.01} | known
    for which in (0, 1):
        for index in np.ndindex(start[which].shape):
            expected = textbook(start[which][index], [step[which][index] for step in gradients], rates, **known)
            assert parameters[which][index] == pytest.approx(expected, rel=1e-11)


@ALL
def test_each_finds_a_minimum(kind):
    target, w = np.array([1.0, -2.0, 0.5]), [np.zeros(3)]
    optimizer = kind(
        learning_rate=0.05, schedule="cosine", epochs=400, **({"weight_decay": 0.0} if kind is AdamW else {})
    )
    for epoch in range(400):
        optimizer.start_epoch(epoch)
        optimizer.step(w, [2 * (w[0] - target)])
    np.testing.assert_allclose(w[0], target, atol=1e-3)


def test_weight_decay_pulls_to_zero_whatever_the_size_of_the_gradient():
    w = [np.array([1.0, 1.0])]
    AdamW(learning_rate=0.1, weight_decay=0.5).step(w, [np.array([0.0, 1e6])])
    np.testing.assert_allclose(w[0], [0.95, 0.85])


def test_first_step_of_adam_is_the_learning_rate():
    w = [np.zeros(3)]
    Adam(learning_rate=0.01).step(w, [np.array([5.0, -1e-3, 0.0])])
    np.testing.assert_allclose(w[0], [-0.01, 0.01, 0.0], rtol=1e-4)


def test_adam_has_the_bits_of_its_first_version():
    """Trainings of before are to be repeated, and resumed, to the last bit."""
    g = generator(5, "adam bits")
    w, m, v = [g.normal(size=(4, 3))], np.zeros((4, 3)), np.zeros((4, 3))
    expected, optimizer = w[0].copy(), Adam(learning_rate=0.05, schedule="cosine", floor=0.02, epochs=7)
    power1 = power2 = 1.0
    for epoch in range(2):
        optimizer.start_epoch(epoch)
        gradient = g.normal(size=(4, 3))
        optimizer.step(w, [gradient])
        power1, power2 = power1 * 0.9, power2 * 0.999
        m = m + (1.0 - 0.9) * (gradient - m)
        v = v + (1.0 - 0.999) * (gradient * gradient - v)
        rate = 0.05 * (0.02 + (1.0 - 0.02) * 0.5 * (1.0 + math.cos(math.pi * (epoch / 7))))
        expected = expected - rate * (m / (1.0 - power1)) / (np.sqrt(v / (1.0 - power2)) + 1e-8)
        np.testing.assert_array_equal(w[0], expected)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("done", [0, 1, 17])
def test_restored_state_continues_bit_by_bit(name, done):
    kind, _, values = CASES[name]
    g = generator(1, "optimizer state", name)
    gradients = [[g.normal(size=(2, 3)), g.normal(size=4)] for _ in range(30)]
    through = [np.ones((2, 3)), np.ones(4)]
    optimizer, resumed = (kind(learning_rate=0.02, schedule="cosine", epochs=3, **values) for _ in range(2))
    walk(optimizer, through, gradients[:done])
    state, halfway = optimizer.state(), [w.copy() for w in through]
    walk(optimizer, through, gradients[done:], first=done)
    resumed.load_state(state)
    walk(resumed, halfway, gradients[done:], first=done)
    for a, b in zip(through, halfway, strict=True):
        np.testing.assert_array_equal(a, b)
    assert optimizer.state().keys() == resumed.state().keys()
    for name_, array in optimizer.state().items():
        np.testing.assert_array_equal(array, resumed.state()[name_])


@ALL
def test_state_is_a_copy_and_of_two_kinds_of_numbers(kind):
    optimizer = kind(learning_rate=0.02)
    optimizer.step([np.zeros(2)], [np.ones(2)])
    state = optimizer.state()
    assert {str(values.dtype) for name, values in state.items() if name != "steps"} == {"float64"}
    assert (state["steps"], state["steps"].dtype) == (1, np.int64)
    for values in state.values():
        values[...] = 7
    assert all((values != 7).all() for values in optimizer.state().values())


@ALL
def test_states_that_are_not_its_own_are_refused_and_change_nothing(kind):
    optimizer, w = kind(learning_rate=0.02), [np.zeros(2), np.zeros(3)]
    optimizer.step(w, [np.ones(2), np.ones(3)])
    own = optimizer.state()
    slot = next(name for name in own if name.endswith(".1")).removesuffix(".1")
    wrong = [
        {},
        {name: values for name, values in own.items() if name != "steps"},
        {name: values for name, values in own.items() if name != f"{slot}.0"},
        own | {"more": np.zeros(2)},
        own | {f"{slot}.2": np.zeros(2), f"{slot}.3": np.zeros(2), "third.0": np.zeros(2)},
        own | {"steps": np.array(-1)},
        own | {"steps": np.array(1.0)},
        own | {"steps": np.array([1, 2])},
    ]
    if len(optimizer.memory) > 1:
        wrong.append(own | {f"{slot}.1": np.zeros(4)})
    for state in wrong:
        with pytest.raises(ArrayError, match="optimizer state"):
            optimizer.load_state(state)
    for name, values in optimizer.state().items():
        np.testing.assert_array_equal(values, own[name])


def test_the_state_of_another_optimizer_is_refused():
    for kind in (SGD, SMORMS3):
        optimizer = kind(learning_rate=0.1)
        optimizer.step([np.zeros(2)], [np.ones(2)])
        with pytest.raises(ArrayError, match=r"first\.0"):
            Adam(learning_rate=0.1).load_state(optimizer.state() | {"first.0": np.zeros(2)})


@ALL
def test_shapes_that_change_are_refused_and_nothing_moves(kind):
    optimizer = kind(learning_rate=0.02)
    optimizer.step([np.zeros(2)], [np.ones(2)])
    before = optimizer.state()
    for parameters, gradients in (
        ([np.zeros(2)], [np.ones(3)]),
        ([np.zeros(3)], [np.ones(3)]),
        ([], []),
        ([np.zeros(2)], []),
        ([np.zeros(2), np.zeros(2)], [np.zeros(2), np.zeros(2)]),
        ([np.zeros((2, 1))], [np.zeros((2, 1))]),
    ):
        with pytest.raises(ArrayError, match="gradients"):
            optimizer.step(parameters, gradients)
        assert all((values == 0).all() for values in parameters)
    resumed = kind(learning_rate=0.02)
    resumed.load_state(before)
    with pytest.raises(ArrayError, match="gradients"):
        resumed.step([np.zeros(3)], [np.ones(3)])
    assert optimizer.state()["steps"] == resumed.state()["steps"] == 1


@ALL
@given(st.lists(st.sampled_from([0.0, 1e-300, -1e-150, 1e-9, -1.0, 1e6]), min_size=1, max_size=8))
@hypothesis_settings(max_examples=50, deadline=None)
def test_any_gradient_leaves_finite_weights(kind, gradients):
    optimizer, w = kind(learning_rate=1e3), [np.ones(1)]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for gradient in gradients:
            optimizer.step(w, [np.array([gradient])])
    assert np.isfinite(w[0]).all()


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf, 1e4])
@ALL
def test_learning_rates_that_are_none_are_refused(kind, rate):
    with pytest.raises(InvalidInputError, match="learning_rate"):
        kind(learning_rate=rate)


def test_schedules():
    assert [Constant().factor(k) for k in (0, 7)] == [1.0, 1.0]
    assert [StepDecay(20, 0.95).factor(k) for k in (0, 19, 20, 45)] == [1.0, 1.0, 0.95, 0.95**2]
    cosine = Cosine(100, 0.1)
    assert cosine.factor(0) == 1.0
    assert cosine.factor(50) == pytest.approx(0.55)
    assert cosine.factor(100) == cosine.factor(150) == pytest.approx(0.1)
    falling = [cosine.factor(k) for k in range(101)]
    assert falling == sorted(falling, reverse=True)
    with pytest.raises(OutOfRangeError, match="step_epochs"):
        StepDecay(0, 0.9)
    with pytest.raises(OutOfRangeError, match="epochs"):
        Cosine(0)


def test_the_settings_choose_the_schedule():
    values = {"learning_rate": 0.2, "floor": 0.1, "gamma": 0.5, "step_epochs": 25}
    rates = {}
    for schedule in ("step", "cosine", "constant"):
        optimizer = SGD(**values, schedule=schedule, epochs=100)
        optimizer.start_epoch(50)
        rates[schedule] = optimizer.current_rate
    assert rates == {"step": pytest.approx(0.05), "cosine": pytest.approx(0.11), "constant": 0.2}
    with pytest.raises(InvalidInputError, match="epochs"):
        SGD(**values, schedule="cosine")


def test_settings_of_another_optimizer_are_refused():
    with pytest.raises(InvalidInputError, match="SGDSettings"):
        SGD(Adam.Settings(learning_rate=0.1))
    with pytest.raises(InvalidInputError, match="SGDSettings"):
        SGD(SGD.Settings(learning_rate=0.1), learning_rate=0.2)


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_name_finds_its_class(name):
    kind, _ = OPTIMIZERS.find(name)
    assert issubclass(kind, Optimizer)
    assert issubclass(kind.Settings, OptimizerSettings)
    assert kind.Settings(learning_rate=0.1).kind == name
    assert all(info.description for info in kind.Settings.model_fields.values())
    assert kind.reference
    assert kind.summary


def test_the_base_class_is_no_optimizer(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from hxloop_host.optimizers.optimizer import Optimizer\n")
    with pytest.raises(InvalidInputError, match="subclass of Optimizer"):
        OPTIMIZERS.find(f"{file}:Optimizer", own_code=True)


def test_an_optimizer_of_the_users_needs_one_method(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\n"
        "from hxloop_host.optimizers.optimizer import Optimizer\n"
        "class SignOf(Optimizer):\n"
        "    memory = {'mean': 0.0}\n"
        "    def change(self, parameter, gradient, step, mean):\n"
        "        mean += 0.5 * (gradient - mean)\n"
        "        return self.current_rate * np.sign(mean)\n"
    )
    kind, source = OPTIMIZERS.find(f"{file}:SignOf", own_code=True)
    assert source.is_own
    optimizer, w = kind(learning_rate=0.25), [np.zeros(2)]
    for gradient in ([2.0, -1.0], [-1.0, -1.0], [-3.0, 4.0]):
        optimizer.step(w, [np.array(gradient)])
    np.testing.assert_array_equal(w[0], [0.0, 0.25])  # means 1, 0, -1.5 and -0.5, -0.75, 1.625


def test_the_hint_names_no_option_that_there_is_not():
    with pytest.raises(InvalidInputError, match=r"hxloop\.optimizers") as caught:
        OPTIMIZERS.find("mine.py:Mine")
    assert "--optimizer" not in str(caught.value)
    with pytest.raises(InvalidInputError, match=r"adam.*hxloop\.optimizers"):
        OPTIMIZERS.find("adan")
