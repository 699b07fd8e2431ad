"""The exact reference against the event-driven solver of the tests, and closed forms."""

import numpy as np
import pytest
from scipy.special import lambertw
from support.differences.exact_cases import DURATION, KINDS, MEMBRANES, case, runner
from support.solving.reference import solve

from hxloop.codes.neuron_model import NeuronModel
from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import InvalidInputError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.rule import Inputs, Observe
from hxloop.spec import TEXTBOOK
from hxloop.spikes import SpikeBatch
from hxloop_host.gradients.exact_runner import FINE, ExactRunner
from hxloop_host.placing.mapping import place
from hxloop_host.readouts.readout_registry import READOUTS


@pytest.mark.parametrize("kind", KINDS)
def test_against_the_event_driven_solver(kind):
    """Codes are real numbers there, and stamps those of the chip: every spike is the same, to the tick."""
    compared = 0
    for seed in (1, 2, 3):
        net, weights, batch = case(kind, seed)
        found = runner(net).run(batch, weights)
        placement = place(net, TEXTBOOK, nominal_boot(TEXTBOOK))
        config = placement.configure([w * p.scale_weights for w, p in zip(weights, net.projections, strict=True)])
        expected = solve(config, TEXTBOOK, batch.inputs.spikes, DURATION).spikes
        for name in ("a", "b"):
            sample, neuron, tick = placement.decode_spikes(expected, name)
            np.testing.assert_array_equal(found.spikes[name].sample, sample)
            np.testing.assert_array_equal(found.spikes[name].neuron, neuron)
            np.testing.assert_array_equal(found.spikes[name].tick, tick)
            compared += len(tick)
    assert compared > 100


def test_short_ticks_change_nothing_but_rounding():
    for seed in (1, 2):
        net, weights, batch = case("double", seed)
        coarse = runner(net).run(batch, weights)
        _, _, fine_batch = case("double", seed, FINE)
        fine = runner(net, FINE).run(fine_batch, weights)
        first, stamped = fine.first_times_us("a"), coarse.first_times_us("a")
        np.testing.assert_array_equal(np.isfinite(first), np.isfinite(stamped))
        seen = np.isfinite(first)
        assert 1e-5 < np.abs(first[seen] - stamped[seen]).max() < 0.05


def test_a_single_neuron_is_the_published_closed_form():
    """First spike of one event with equal time constants, by Lambert's W (Goeltz et al. 2021)."""
    point = {"tau_mem_us": 6.0, "tau_syn_us": 6.0}
    net = Network(1, (Population("out", 1, **point),), (Projection(INPUT, "out"),))
    first = READOUTS.find("shift_invariant_mse")[0]()
    inputs = Inputs(SpikeBatch.from_arrays([0], [125 * FINE], [0], 1))
    for weight in (2.8, 3.5, 7.0):
        exact = ExactRunner(net, first, duration_us=60.0).record(inputs, [np.array([[weight]])])
        expected = 1.0 - 6.0 * float(lambertw(-1.0 / weight).real)
        assert exact.first_times_us("out")[0, 0] == pytest.approx(expected, abs=1e-10)
    silent = ExactRunner(net, first, duration_us=60.0).record(inputs, [np.array([[2.7]])])  # the peak is weight / e
    assert np.isinf(silent.first_times_us("out")[0, 0])


def test_what_it_does_not_solve_is_refused():
    model = NeuronModel(tau_adaptation_us=60.0, adaptation_a_ns=40.0, adaptation_b_na=30.0)
    net = Network(1, (Population("out", 1, model=model),), (Projection(INPUT, "out"),))
    with pytest.raises(InvalidInputError, match="beyond leaky integrate-and-fire"):
        ExactRunner(net, MEMBRANES, duration_us=60.0)
    net, weights, batch = case("equal", 1)
    with pytest.raises(InvalidInputError, match="no correlation sensors"):
        runner(net).run(batch, weights, observe=Observe("all", correlation=True))
