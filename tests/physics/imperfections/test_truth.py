"""A chip without temporal noise spikes as its hidden truth says; the truth is put together here from the document."""

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.solving.comparison import compare
from support.solving.decode import decode
from support.solving.reference import solve, wire
from support.solving.single import events, side_by_side

from hxloop.codes.capmem import Cell
from hxloop.seeds import generator
from hxloop.spec import HICANN_X
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.presets import TYPICAL

if TYPE_CHECKING:
    from hxloop_chip.silicon.mismatch import Mismatch

ELSEWHERE = ("input_compression", "input_headroom", "driver_depletion", "crosstalk", "event_wait", "_trial")
"""Effects beyond the transfer curves, which have tests of their own."""
FROZEN = ",".join(f"{name}=0" for name in type(TYPICAL).model_fields if any(part in name for part in ELSEWHERE))
INPUTS = events([(100, 0), (400, 1), (1200, 0), (2900, 0)], [(5, 1), (500, 0), (501, 0)])


def random_config(rng, n=512):
    return side_by_side(
        n,
        code_exc=rng.integers(30, 64, n),
        code_inh=rng.integers(0, 64, n),
        gain_mv_per_us=rng.uniform(2.0, 3.5, n),
        tau_mem_us=rng.uniform(3.0, 15.0, n),
        tau_inh_us=9.0,
        v_reset_mv=420.0,
    )


def bent(config, truth):
    """Physical values of the circuits, as docs/chip.md says that mismatch changes them."""
    circuit = config.neurons.circuit.astype(int)
    values = decode(config, HICANN_X)
    capacitance_pf = 2.3 + truth.capacitance_pf[circuit]
    leak_ns = 1e3 * 2.3 / values.tau_mem_us * truth.leak_conductance[circuit]
    for name, cell in (("v_leak_mv", 0), ("v_reset_mv", 1), ("v_threshold_mv", 2)):
        nominal = getattr(values, name)
        setattr(values, name, nominal * truth.voltage_gain[cell, circuit] + truth.voltage_offset_mv[cell, circuit])
    gm_us = 4e-3 * config.neurons.capmem_code[:, [Cell.i_gm_exc, Cell.i_gm_inh]].T * truth.synaptic_input[:, circuit]
    current_na = gm_us[0] * truth.synaptic_reference_mv[0, circuit] - gm_us[1] * truth.synaptic_reference_mv[1, circuit]
    values.v_leak_mv = values.v_leak_mv + 1e3 * current_na / leak_ns
    values.tau_mem_us = 1e3 * capacitance_pf / leak_ns
    quadrant = 2 * (circuit // 256) + (circuit % 256 >= 128)
    factor = truth.synapse_dac[quadrant] * 2.3 / capacitance_pf
    for k, sign in enumerate(("exc", "inh")):
        tau, gain = f"tau_syn_{sign}_us", f"gain_{sign}_mv_per_us"
        setattr(values, tau, getattr(values, tau) * truth.tau_syn[k, circuit])
        setattr(values, gain, getattr(values, gain) * factor * truth.synaptic_input[k, circuit])
    return values


def true_weights(config, truth):
    circuit, row = config.synapses.circuit.astype(int), config.synapses.row.astype(int)
    place = circuit // 256, row, circuit % 256
    code = config.synapses.weight_code.astype(int)
    bit = (np.abs(code)[:, None] >> np.arange(6)) & 1
    worth = (bit * truth.weight_bits(*place)).sum(axis=1)
    return np.sign(code) * worth * truth.synapse(*place) * truth.driver[place[0], row]


@pytest.mark.parametrize("serial", [11, 12, 400])
def test_the_chip_behaves_as_its_truth_says(serial):
    config = random_config(generator(serial, "behaves"))
    chip = EmulatedChip(
        f"uncalibrated[{FROZEN},v_threshold_fixed_mv=20,tau_syn_fixed=0.1,synaptic_reference_fixed_mv=1]", serial
    )
    truth: Mismatch = chip.mismatch
    chip.configure(config)
    found = chip.run(INPUTS, duration_ticks=6000).spikes
    true = config.with_weight_codes(true_weights(config, truth))
    wiring = wire(true, HICANN_X, bent(config, truth))
    tally = compare(found, solve(true, HICANN_X, INPUTS, 6000, wiring=wiring))
    assert tally.exact, tally
    assert tally.compared > 800
    assert not compare(found, solve(config, HICANN_X, INPUTS, 6000)).exact


def test_dead_circuits_never_spike():
    config = random_config(generator(3, "dead"))
    chip = EmulatedChip(f"uncalibrated[{FROZEN},dead_fixed=0.3]", 3)
    chip.configure(config)
    spiked = np.unique(chip.run(INPUTS, duration_ticks=6000).spikes.source)
    dead = np.flatnonzero(chip.mismatch.dead)
    assert len(dead) > 100
    assert not np.isin(spiked, dead).any()
    assert len(spiked) > 150


def test_writing_other_analog_parameters_rewrites_the_cells():
    chip = EmulatedChip("typical[all=0,rewrite_trial_codes=1]", 3)
    rng = generator(1, "rewrite")
    one, other = random_config(rng), random_config(rng)
    held = [
        chip.mismatch.held(c.neurons, c.shared, noisy=True) - c.neurons.capmem_code
        for c in (one, one.with_weight_codes(one.synapses.weight_code // 2), other)
    ]
    np.testing.assert_array_equal(held[0], held[1])  # weights are not in the analog memory
    n = held[0].size
    assert abs(held[0].std() - 1) < 4.5 / np.sqrt(2 * n)
    assert abs(np.mean(held[0] * held[2])) < 4.5 / np.sqrt(n)
