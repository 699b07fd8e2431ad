"""`hxloop.gradcheck` on ideal: what is exact passes, what is wrong by a thousandth does not."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import hxloop
from hxloop.errors import InvalidInputError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Inputs, Rule, Update
from hxloop.spikes import SpikeBatch
from hxloop_host.gradients.central_differences import Differences, central_differences
from hxloop_host.gradients.exact_runner import FINE, ExactRunner
from hxloop_host.learning.first_spike.fast_and_deep import FastAndDeep, FastAndDeepSettings
from hxloop_host.readouts.readout_registry import READOUTS

QUICK = {"seeds": 2, "coordinates": 6, "report": []}


class Settings(FastAndDeepSettings):
    limits: list[float] = [0.5, 0.5]  # noqa: RUF012  (pydantic copies it)
    max_dw_norm: float = 0.0


class Same(Rule):
    """Fast & Deep under another name; subclasses spoil it."""

    Settings = Settings
    exact = True

    def __init__(self, settings=None, **values):
        super().__init__(settings, **values)
        self.inner = FastAndDeep(FastAndDeepSettings(**self.settings.model_dump()))

    def check(self, network, readout):
        self.inner.check(network, readout)

    def observe(self, network):
        return self.inner.observe(network)

    def begin(self, network, seed):
        return self.inner.begin(network, seed)

    def spoil(self, gradients):
        return gradients

    def step(self, runner, batch, weights):
        update = self.inner.step(runner, batch, weights)
        return replace(update, gradients=update.gradients and self.spoil(list(update.gradients)))


class Slightly(Same):
    def spoil(self, gradients):
        return [gradients[0], 1.001 * gradients[1]]


class Forgotten(Same):
    def spoil(self, gradients):
        kept = np.arange(gradients[0].size).reshape(gradients[0].shape) % 5 > 0
        return [np.where(kept, gradients[0], 0.0), gradients[1]]


def test_an_exact_rule_passes_whatever_the_seed():
    for seed in (0, 1):
        found = hxloop.gradcheck(Same, seed=seed, **QUICK)
        assert found.passed, found.rows
        assert {row.network for row in found.rows} == {"layers, tau_mem = 2 tau_syn", "layers, equal constants"}
        assert all(row.compared > 0 and row.cosine > 0.999_999 for row in found.rows)


@pytest.mark.parametrize(("kind", "projection"), [(Slightly, "output weights"), (Forgotten, "input weights")])
def test_a_wrong_rule_is_found_out(kind, projection):
    found = hxloop.gradcheck(kind, seeds=1, coordinates=40, report=[])
    assert found.passed is False
    assert {row.projection for row in found.failed} == {projection}


def test_a_rule_that_makes_no_claim_is_told_how_far_it_points():
    class Humble(Slightly):
        exact = False

    found = hxloop.gradcheck(Humble, **QUICK)
    assert found.passed is None
    assert all(row.cosine > 0.99 for row in found.rows)


def test_a_rule_that_gives_weights_is_judged_by_its_step():
    class Stepping(Same):
        exact = False

        def step(self, runner, batch, weights):
            update = super().step(runner, batch, weights)
            if update.gradients is None:
                return Update(update.loss, update.answers)
            new = [w - 0.3 * g for w, g in zip(weights, update.gradients, strict=True)]
            return Update(update.loss, update.answers, weights=new)

    found = hxloop.gradcheck(Stepping, **QUICK)
    assert all(row.cosine > 0.99 for row in found.rows)


def test_refusals_name_what_is_wrong():
    class Picky(Same):
        def check(self, network, readout):
            raise InvalidInputError("not with me", field="network")

    with pytest.raises(InvalidInputError, match=r"none of the small networks.*not with me"):
        hxloop.gradcheck(Picky, **QUICK)
    with pytest.raises(InvalidInputError, match="no rule"):
        hxloop.gradcheck("no_such_rule", **QUICK)
    with pytest.raises(InvalidInputError) as caught:
        hxloop.gradcheck(Same, trials=1, report=[])
    assert caught.value.field == "trials"


def test_differences_of_a_known_function():
    weights = [np.array([[0.3, -1.2], [0.7, 2.0]])]
    places = np.argwhere(np.ones((2, 2), bool))

    def loss_of(matrices):
        w = matrices[0]
        return float(np.sin(3.0 * w).sum() + w[0, 0] * w[1, 1] ** 3), np.array([int(w[1, 0] > 0.7001)])

    found = Differences(places, *np.array(list(central_differences(loss_of, weights, 0, places))).T)
    expected = 3.0 * np.cos(3.0 * weights[0]) + [[2.0**3, 0.0], [0.0, 0.3 * 3.0 * 2.0**2]]
    np.testing.assert_array_equal(found.trusted, [True, True, False, True])  # a spike came within the third step
    sure = found.trusted
    np.testing.assert_allclose(found.values[sure], expected.ravel()[sure], rtol=1e-9)


def test_a_kink_is_not_trusted():
    weights = [np.array([[0.3, 1.0]])]
    places = np.argwhere(np.ones((1, 2), bool))

    def loss_of(matrices):
        return float(np.abs(matrices[0][0, 0] - 0.3001) + matrices[0][0, 1]), np.zeros(1, np.int64)

    found = Differences(places, *np.array(list(central_differences(loss_of, weights, 0, places))).T)
    np.testing.assert_array_equal(found.trusted, [False, True])


@dataclass(frozen=True)
class Relay(Population):
    """A population as networks with delays have it."""

    relay: bool = True


def test_relays_pass_spikes_on_later():
    """A relay's spike is its event's, later by the delay; what comes meanwhile is not heard."""
    point = {"tau_mem_us": 6.0, "tau_syn_us": 6.0, "t_refractory_us": 30.0}
    net = Network(
        2,
        (Relay("late", 2), Population("out", 1, **point)),
        (Projection(INPUT, "late", mask=np.eye(2, dtype=bool)), Projection("late", "out")),
    )
    first = READOUTS.find("shift_invariant_mse")[0]()
    ticks = np.array([125, 250, 625]) * FINE  # 1, 2, 5 us
    inputs = Inputs(SpikeBatch.from_arrays([0, 0, 0], ticks, [0, 1, 0], 1))
    times = {}
    for delay in (9.0, 9.5, 10.0):
        runner = ExactRunner(net, first, duration_us=60.0)
        found = runner.record(
            inputs, [np.diag([delay, 8.25]), np.array([[3.0], [3.0]])], observe=hxloop.Observe("all")
        )  # fmt: skip
        late = found.spikes["late"]
        assert len(late.tick) == 2  # the event at 5 us finds the relay busy
        np.testing.assert_allclose(np.sort(late.tick) * found.tick_us, sorted([1.0 + delay, 10.25]), atol=1e-9)
        times[delay] = found.first_times_us("out")[0, 0]
    assert times[9.0] < times[9.5] < times[10.0]
