"""Neuron models as codes of the heads, read back through the nominal curves."""

import numpy as np
import pytest

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell, Switch
from hxloop.codes.neuron_model import NeuronModel
from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import InvalidInputError, OutOfRangeError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop_host.placing.mapping import place

FULL = NeuronModel(
    tau_adaptation_us=100.0,
    adaptation_a_ns=-50.0,
    adaptation_b_na=10.0,
    exponential_na=4.0,
    v_exp_mv=600.0,
    reversal_exc_mv=1200.0,
    reversal_inh_mv=200.0,
)


def codes(model, spec=HICANN_X, n_inputs=4, **changes):
    population = Population("p", 3, 6.0, 6.0, 1.0, 420.0, 420.0, 735.0, 0.5, model=model, **changes)
    network = Network(n_inputs, (population,), (Projection(INPUT, "p"),))
    return place(network, spec, nominal_boot(spec)).wiring.neurons


@pytest.mark.parametrize("spec", [HICANN_X, TEXTBOOK], ids=["codes", "continuous"])
def test_every_term_comes_back_from_its_codes(spec):
    found = codes(FULL, spec)
    cell, rounding = found.capmem_code.astype(float), 0.0 if spec is TEXTBOOK else 0.5
    assert (found.switches == int(
        Switch.adaptation | Switch.adapt_a_negative | Switch.exponential | Switch.coba_exc | Switch.coba_inh
    )).all()  # fmt: skip
    for column, curve, wanted in (
        (Cell.i_adapt_tau, nominal.tau_adaptation_us, 100.0),
        (Cell.i_adapt_a, nominal.adaptation_a_ns, 50.0),
        (Cell.i_adapt_b, nominal.adaptation_b_na, 10.0),
        (Cell.v_adapt_leak, nominal.voltage_mv, 420.0),
        (Cell.i_exp, nominal.exponential_na, 4.0),
        (Cell.v_exp, nominal.voltage_mv, 600.0),
        (Cell.e_reversal_exc, nominal.voltage_mv, 1200.0),
        (Cell.e_reversal_inh, nominal.voltage_mv, 200.0),
    ):
        low, high = sorted((curve(cell[0, column] - rounding), curve(cell[0, column] + rounding)))
        assert low - 1e-9 <= wanted <= high + 1e-9, column
    # at the middle of leak and threshold a conductance input is as strong as a current one
    for column, distance_mv in ((Cell.i_coba_exc, 1200.0 - 577.5), (Cell.i_coba_inh, 577.5 - 200.0)):
        assert nominal.coba_per_mv(cell[0, column]) * distance_mv == pytest.approx(1.0, rel=0.004)


def test_without_a_model_nothing_is_switched_on():
    assert not codes(None).switches.any()
    assert not codes(NeuronModel()).switches.any()


def test_heads_of_merged_neurons_carry_the_terms_of_all_circuits():
    one = codes(NeuronModel(tau_adaptation_us=100.0, adaptation_b_na=5.0), circuits_per_neuron=1)
    two = codes(NeuronModel(tau_adaptation_us=100.0, adaptation_b_na=5.0), circuits_per_neuron=2)
    own = two.head == two.circuit
    assert (two.switches[own] == int(Switch.adaptation)).all()
    assert not two.switches[~own].any()
    np.testing.assert_array_equal(two.capmem_code[own, Cell.i_adapt_b], 2 * one.capmem_code[:, Cell.i_adapt_b])


@pytest.mark.parametrize(
    ("values", "error", "field"),
    [
        ({"adaptation_b_na": 1.0}, InvalidInputError, "tau_adaptation_us"),
        ({"tau_adaptation_us": 0.0}, InvalidInputError, "tau_adaptation_us"),
        ({"exponential_na": -1.0}, InvalidInputError, "exponential_na"),
        *(
            ({name: value}, InvalidInputError, name)
            for name in ("tau_adaptation_us", "adaptation_a_ns", "exponential_na", "v_exp_mv", "reversal_inh_mv")
            for value in ("1", True, float("nan"), float("inf"), 1e300)
        ),
        ({"reversal_exc_mv": 500.0}, InvalidInputError, "reversal_exc_mv"),
        ({"reversal_inh_mv": 600.0}, InvalidInputError, "reversal_inh_mv"),
        ({"tau_adaptation_us": 100.0, "adaptation_b_na": 100.0}, OutOfRangeError, "p.capmem_code[0] (i_adapt_b)"),
        ({"reversal_exc_mv": 580.0}, OutOfRangeError, "p.capmem_code[0] (i_coba_exc)"),
    ],
)
def test_refusals(values, error, field):
    with pytest.raises(error) as caught:
        codes(NeuronModel(**values))
    assert caught.value.field == field
