"""Codes for wanted values, decoded again by the published curves."""

from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest

from hxloop.codes import nominal
from hxloop.codes.boot import BootSettings, OperatingPoint
from hxloop.codes.capmem import CAPMEM_CODE_MAX, Cell, LeakRange, QuadrantCell, Switch
from hxloop.codes.operating_point import Wanted, codes_for, nominal_boot
from hxloop.errors import OutOfRangeError
from hxloop.network import Population
from hxloop.spec import HICANN_X, TEXTBOOK

N = 40
CURRENTS = (Cell.i_leak, Cell.i_tau_syn_exc, Cell.i_tau_syn_inh, Cell.i_gm_exc, Cell.i_gm_inh)


def wanted(seed=0, n=N, **same):
    """Values from all over the datasheet of HICANN-X; every third circuit is merged with the one before."""
    rng = np.random.default_rng(seed)
    values = {}
    for item in fields(Wanted):
        if item.name in {"circuit", "head"}:
            continue
        low, high = getattr(HICANN_X, item.name.replace("_exc", "").replace("_inh", ""))
        low = max(low, 1e-2 * high)
        values[item.name] = np.exp(rng.uniform(np.log(low), np.log(high), n))
    circuit = rng.permutation(512)[:n].astype(np.int16)
    head = circuit.copy()
    head[2::3] = circuit[1::3][: len(head[2::3])]
    return Wanted(circuit, head, **(values | {name: np.full(n, value) for name, value in same.items()}))


def decode(neurons, shared, shift=0.0):
    """Physical values at the codes, or beside them; independent of how the codes were found."""
    code = neurons.capmem_code + shift
    capacitance_pf = nominal.capacitance_pf(neurons.capacitance_code)
    step_mv = nominal.synapse_step_mv(shared.quadrant_code[0, QuadrantCell.i_synapse_dac])
    return {
        "v_leak_mv": nominal.voltage_mv(code[:, Cell.v_leak]),
        "v_reset_mv": nominal.voltage_mv(code[:, Cell.v_reset]),
        "v_threshold_mv": nominal.voltage_mv(code[:, Cell.v_threshold]),
        "tau_mem_us": 1e3 * capacitance_pf / nominal.leak_conductance_ns(code[:, Cell.i_leak], neurons.leak_range),
        "tau_syn_exc_us": nominal.tau_syn_us(code[:, Cell.i_tau_syn_exc]),
        "tau_syn_inh_us": nominal.tau_syn_us(code[:, Cell.i_tau_syn_inh]),
        "t_refractory_us": nominal.refractory_us(
            neurons.refractory_counter + shift, shared.clock_scale[0, neurons.refractory_clock]
        ),
        "synapse_gain_mv_per_us": nominal.transconductance_us(code[:, Cell.i_gm_exc]) * step_mv / capacitance_pf,
    }


@pytest.mark.parametrize("seed", range(5))
def test_real_codes_mean_exactly_what_was_wanted(seed):
    target = OperatingPoint(tau_mem_us=3.0 + seed, v_leak_mv=400.0 + 10 * seed)
    boot, values = nominal_boot(TEXTBOOK, target), wanted(seed)
    found = decode(codes_for(values, boot, TEXTBOOK), boot.shared)
    for name, value in found.items():
        np.testing.assert_allclose(value, getattr(values, name), rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("seed", range(5))
def test_whole_codes_are_the_nearest(seed):
    boot, values = nominal_boot(HICANN_X), wanted(seed)
    neurons = codes_for(values, boot, HICANN_X)
    assert neurons.capmem_code.dtype == np.int16
    below, above = decode(neurons, boot.shared, -0.5001), decode(neurons, boot.shared, 0.5001)
    for name, low in below.items():
        value, high = getattr(values, name), above[name]
        # Currents are scaled from codes that were rounded themselves: half a code of those, relative, on top.
        slack = 0.0 if name.startswith(("v_", "t_ref")) else ROUNDING
        assert (np.minimum(low, high) * (1 - slack) <= value).all(), name
        assert (value <= np.maximum(low, high) * (1 + slack)).all(), name


ROUNDING = 0.5 / 51  # the smallest of the nominal codes: 306 / 6 us


def test_the_operating_point_itself_is_not_moved():
    boot = nominal_boot(HICANN_X)
    point = boot.target
    same = {
        n: getattr(point, n) for n in ("v_leak_mv", "v_reset_mv", "v_threshold_mv", "tau_mem_us", "t_refractory_us")
    }
    values = wanted(
        tau_syn_exc_us=point.tau_syn_us, tau_syn_inh_us=point.tau_syn_us,
        synapse_gain_mv_per_us=point.synapse_gain_mv_per_us, **same,
    )  # fmt: skip
    neurons = codes_for(values, boot, HICANN_X)
    np.testing.assert_array_equal(neurons.circuit, values.circuit)
    np.testing.assert_array_equal(neurons.head, values.head)
    for item in fields(neurons):
        if item.name not in {"circuit", "head"}:
            array = getattr(neurons, item.name)
            np.testing.assert_array_equal(array, np.repeat(getattr(boot.neurons, item.name), N, axis=0), item.name)


def uneven(spread=15, seed=3):
    """Boot settings as calibration leaves them."""
    nominal_settings = nominal_boot(HICANN_X)
    circuits = np.arange(512, dtype=np.int16)
    each = nominal_settings.of(circuits, circuits)
    code = each.capmem_code.copy()
    moved = [Cell.v_leak, Cell.v_reset, Cell.v_threshold, *CURRENTS]
    code[:, moved] += np.random.default_rng(seed).integers(-spread, spread + 1, (512, len(moved))).astype(np.int16)
    return BootSettings(nominal_settings.target, replace(each, capmem_code=code), nominal_settings.shared)


def test_what_calibration_corrected_stays_corrected():
    boot = uneven()
    values = wanted(v_leak_mv=450.0, v_threshold_mv=700.0, tau_mem_us=4.0, tau_syn_exc_us=9.0, tau_syn_inh_us=3.0,
                    synapse_gain_mv_per_us=0.8)  # fmt: skip
    neurons, before = codes_for(values, boot, HICANN_X), boot.neurons.capmem_code[values.circuit]
    moved = neurons.capmem_code - before
    assert (moved[:, Cell.v_leak] == 16).all()  # 30 mV of 1.875 mV
    assert np.isin(moved[:, Cell.v_threshold], [-18, -19]).all()  # -35 mV
    factor = {
        Cell.i_leak: 6.0 / 4.0, Cell.i_tau_syn_exc: 6.0 / 9.0, Cell.i_tau_syn_inh: 6.0 / 3.0,
        Cell.i_gm_exc: 0.8 / 1.15, Cell.i_gm_inh: 0.8 / 1.15,
    }  # fmt: skip
    for cell, by in factor.items():
        assert np.abs(neurons.capmem_code[:, cell] - by * before[:, cell]).max() <= 0.5 + 1e-9, cell.name
    untouched = [c for c in Cell if c not in {Cell.v_leak, Cell.v_reset, Cell.v_threshold, *CURRENTS}]
    np.testing.assert_array_equal(neurons.capmem_code[:, untouched], before[:, untouched])


def test_circuits_at_the_edge_keep_the_last_code():
    boot = uneven()
    neurons = codes_for(wanted(synapse_gain_mv_per_us=4.7), boot, HICANN_X)
    codes = neurons.capmem_code[:, Cell.i_gm_exc]
    assert codes.max() == CAPMEM_CODE_MAX
    assert codes.min() < CAPMEM_CODE_MAX


def test_what_no_circuit_reaches_is_refused_by_name():
    for boot in (nominal_boot(HICANN_X), uneven()):
        with pytest.raises(OutOfRangeError, match=r"needs the code 10[78]\d, outside 0\.\.1022") as caught:
            codes_for(wanted(synapse_gain_mv_per_us=4.95), boot, HICANN_X)
        assert caught.value.field == "capmem_code[0] (i_gm_exc)"
        with pytest.raises(OutOfRangeError, match="refractory_counter"):
            codes_for(wanted(t_refractory_us=33.0), boot, HICANN_X)


def test_slow_membranes_use_the_divided_leak():
    boot = nominal_boot(HICANN_X)
    tau_us = np.array([60.0, 30.0, 6.0, 1.6, 1.4, 0.5])
    neurons = codes_for(replace(wanted(n=6), tau_mem_us=tau_us), boot, HICANN_X)
    names = [LeakRange(r).name for r in neurons.leak_range]
    assert names == ["divided", "divided", "normal", "normal", "multiplied", "multiplied"]
    assert neurons.capmem_code[:, Cell.i_leak].min() >= 50
    np.testing.assert_allclose(decode(neurons, boot.shared)["tau_mem_us"], tau_us, rtol=0.015)


def test_long_refractory_periods_use_the_slow_clock():
    boot = nominal_boot(HICANN_X)
    t_us = np.array([0.04, 2.04, 2.05, 32.0])
    neurons = codes_for(replace(wanted(n=4), t_refractory_us=t_us), boot, HICANN_X)
    assert neurons.refractory_clock.tolist() == [0, 0, 1, 1]
    assert neurons.refractory_counter.tolist() == [5, 255, 16, 250]


def test_boot_settings_of_some_circuits():
    boot = uneven()
    some, head = np.array([300, 7, 7 + 256], np.int16), np.array([300, 7, 7], np.int16)
    found = boot.of(some, head)
    np.testing.assert_array_equal(found.capmem_code, boot.neurons.capmem_code[some])
    np.testing.assert_array_equal(found.head, head)
    alike = nominal_boot(HICANN_X).of(some, head)
    assert (alike.capmem_code == alike.capmem_code[0]).all()
    np.testing.assert_array_equal(alike.circuit, some)


def test_nominal_codes_without_rounding_mean_the_target():
    target = OperatingPoint(tau_syn_us=7.0, synapse_gain_mv_per_us=0.9, t_refractory_us=5.0)
    boot = nominal_boot(TEXTBOOK, target)
    found = decode(boot.neurons, boot.shared)
    for name, value in target.model_dump().items():
        for key in (name, name.replace("tau_syn", "tau_syn_exc"), name.replace("tau_syn", "tau_syn_inh")):
            if key in found:
                np.testing.assert_allclose(found[key], value, rtol=1e-12, err_msg=key)


def test_one_column_for_every_cell_and_one_bit_for_every_switch():
    boot = nominal_boot(HICANN_X)
    assert boot.neurons.capmem_code.shape == (1, len(Cell))
    assert [int(c) for c in Cell] == list(range(len(Cell)))
    assert boot.shared.quadrant_code.shape == (HICANN_X.n_quadrants, len(QuadrantCell))
    assert int(sum(Switch)) == 2 ** len(Switch) - 1 <= 255
    assert CAPMEM_CODE_MAX == 2**10 - 2


def test_an_operating_point_is_taken_from_whatever_has_its_values():
    values = {name: 1.0 + k for k, name in enumerate(OperatingPoint.model_fields)}
    population = Population("p", 3, **values)
    assert population.point.model_dump() == OperatingPoint.of(SimpleNamespace(**values, other=7)).model_dump() == values
    with pytest.raises(AttributeError):
        OperatingPoint.of(SimpleNamespace(tau_mem_us=1.0))


def test_wanted_values_are_those_of_the_point_but_for_what_is_named():
    point, circuit = OperatingPoint(tau_syn_us=5.0), np.array([3, 1], np.int16)
    found = Wanted.at(point, circuit, v_leak_mv=np.array([400.0, 410.0]), tau_syn_inh_us=7.0)
    np.testing.assert_array_equal(found.head, circuit)
    expected = {
        "v_leak_mv": [400.0, 410.0], "v_reset_mv": [420.0] * 2, "v_threshold_mv": [735.0] * 2, "tau_mem_us": [6.0] * 2,
        "tau_syn_exc_us": [5.0] * 2, "tau_syn_inh_us": [7.0] * 2, "t_refractory_us": [16.0] * 2,
        "synapse_gain_mv_per_us": [1.15] * 2,
    }  # fmt: skip
    for name, values in expected.items():
        np.testing.assert_array_equal(getattr(found, name), values, err_msg=name)
        assert getattr(found, name).dtype == np.float64 and getattr(found, name).flags.writeable
    both = Wanted.at(point, circuit, circuit[::-1], tau_syn_us=8.0)
    assert both.head.tolist() == [1, 3] and {*both.tau_syn_exc_us, *both.tau_syn_inh_us} == {8.0}
    with pytest.raises(TypeError):
        Wanted.at(point, circuit, tau_mem=3.0)
