"""Fixed-pattern mismatch: its statistics over many serials, its independence, and that it reaches the circuits."""

from dataclasses import replace

import numpy as np
import pytest
from support.comparison import compare
from support.reference import solve
from support.single import events, side_by_side

from chip_emulator.chip import EmulatedChip
from chip_emulator.mismatch import Mismatch
from chip_emulator.presets import CHIPS, TYPICAL
from chip_emulator.settings import Imperfections
from hxloop.seeds import generator
from hxloop.spec import HICANN_X

SERIALS = range(1, 25)
OFFSETS = ("v_leak_mv", "v_reset_mv", "v_threshold_mv")
FACTORS = ("tau_mem", "tau_syn", "synaptic_input", "driver")
FIXED = {name: value for name, value in TYPICAL.model_dump().items() if "_fixed" in name}


def spread_of(name: str) -> str:
    return f"{name.removesuffix('_mv')}_fixed_mv" if name in OFFSETS else f"{name}_fixed"


@pytest.fixture(scope="module")
def silicon():
    return [Mismatch(HICANN_X, TYPICAL, serial) for serial in SERIALS]


@pytest.mark.parametrize("name", [*OFFSETS, *FACTORS])
def test_mean_and_spread_over_serials(silicon, name):
    values = np.array([getattr(chip, name).ravel() for chip in silicon])
    deviation = values if name in OFFSETS else np.log(values)
    spread, n = getattr(TYPICAL, spread_of(name)), deviation.size
    assert spread > 0
    assert abs(deviation.mean()) < 4.5 * spread / np.sqrt(n)
    assert abs(deviation.std() / spread - 1) < 4.5 / np.sqrt(2 * n)
    # normal: a kurtosis of 3 (its standard error is sqrt(24 / n))
    assert abs(np.mean((deviation / spread) ** 4) - 3) < 4.5 * np.sqrt(96 / n)
    # chips share nothing
    between = np.corrcoef(deviation)[np.triu_indices(len(silicon), 1)]
    assert np.abs(between).max() < 5.5 / np.sqrt(deviation.shape[1])


def test_synapses_over_serials():
    every = [a.ravel() for a in np.indices((2, 64, 64))]
    logs = np.log([Mismatch(HICANN_X, TYPICAL, serial).synapse(*every) for serial in list(SERIALS)[:20]])
    assert abs(logs.mean()) < 4.5 * TYPICAL.synapse_fixed / np.sqrt(logs.size)
    assert abs(logs.std() / TYPICAL.synapse_fixed - 1) < 4.5 / np.sqrt(2 * logs.size)


def test_mechanisms_do_not_follow_one_another(silicon):
    per_circuit = [
        ("v_leak_mv",),
        ("v_reset_mv",),
        ("v_threshold_mv",),
        ("tau_mem",),
        *((f, s) for f in FACTORS[1:3] for s in (0, 1)),
    ]
    columns = [
        np.concatenate([getattr(c, k[0])[k[1]] if k[1:] else getattr(c, k[0]) for c in silicon]) for k in per_circuit
    ]
    correlation = np.corrcoef(columns)[np.triu_indices(len(columns), 1)]
    assert np.abs(correlation).max() < 4.5 / np.sqrt(len(columns[0]))


def test_same_serial_same_chip_and_another_serial_another():
    one, again, other = (Mismatch(HICANN_X, TYPICAL, serial) for serial in (7, 7, 8))
    for name in (*OFFSETS, *FACTORS):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
        assert not np.any(getattr(one, name) == getattr(other, name))


@pytest.mark.parametrize("changed", FIXED)
def test_changing_one_mechanism_leaves_the_others(changed):
    before = Mismatch(HICANN_X, TYPICAL, 3)
    after = Mismatch(HICANN_X, TYPICAL.model_copy(update={changed: 0.5 * FIXED[changed]}), 3)
    place = np.arange(100), np.arange(100)
    for name in (*OFFSETS, *FACTORS):
        a, b = getattr(before, name), getattr(after, name)
        if spread_of(name) == changed:
            np.testing.assert_allclose(b if name in OFFSETS else np.log(b), 0.5 * (a if name in OFFSETS else np.log(a)))
        else:
            np.testing.assert_array_equal(a, b)
    a, b = (m.synapse(np.zeros(100, int), *place) for m in (before, after))
    np.testing.assert_allclose(np.log(b), np.log(a) * (0.5 if changed == "synapse_fixed" else 1.0))


def test_rough_is_the_same_silicon_twice_as_strong():
    typical, rough = (Mismatch(*CHIPS[name], 5) for name in ("typical", "rough"))
    np.testing.assert_allclose(rough.v_threshold_mv, 2 * typical.v_threshold_mv)
    np.testing.assert_allclose(rough.driver, typical.driver**2)


def test_ideal_has_none():
    chip = Mismatch(*CHIPS["ideal"], 5)
    assert all((getattr(chip, name) == 0).all() for name in OFFSETS)
    assert all((getattr(chip, name) == 1).all() for name in FACTORS)


def test_the_chip_behaves_as_its_mismatch_says(monkeypatch):
    """Without temporal noise a chip must spike like the reference with the true values of every circuit."""
    only_fixed = Imperfections(**FIXED)
    monkeypatch.setitem(CHIPS, "frozen", (HICANN_X, only_fixed))
    rng, n = generator(1, "behaves"), 512
    nominal = side_by_side(
        n,
        code_exc=rng.integers(30, 64, n),
        code_inh=rng.integers(0, 64, n),
        gain_mv_per_us=4.0,
        tau_inh_us=9.0,
        v_reset_mv=420.0,
    )
    truth = Mismatch(HICANN_X, only_fixed, 11)
    circuit = nominal.synapses.circuit.astype(np.int64)
    row = nominal.synapses.row.astype(np.int64)
    hemisphere, column = circuit // 256, circuit % 256
    code = nominal.synapses.weight_code * truth.synapse(hemisphere, row, column) * truth.driver[hemisphere, row]
    code = code * truth.synaptic_input[row, circuit]  # row 0 is excitatory, row 1 inhibitory
    neurons = nominal.neurons
    true = replace(
        nominal.with_weight_codes(code),
        neurons=replace(
            neurons,
            v_leak_mv=neurons.v_leak_mv + truth.v_leak_mv,
            v_reset_mv=neurons.v_reset_mv + truth.v_reset_mv,
            v_threshold_mv=neurons.v_threshold_mv + truth.v_threshold_mv,
            tau_mem_us=neurons.tau_mem_us * truth.tau_mem,
            tau_syn_exc_us=neurons.tau_syn_exc_us * truth.tau_syn[0],
            tau_syn_inh_us=neurons.tau_syn_inh_us * truth.tau_syn[1],
        ),
    )
    inputs = events([(100, 0), (400, 1), (1200, 0), (2900, 0)], [(5, 1), (500, 0), (501, 0)])
    chip = EmulatedChip("frozen", 11)
    chip.configure(nominal)
    found = chip.run(inputs, duration_ticks=6000).spikes
    tally = compare(found, solve(true, HICANN_X, inputs, 6000))
    assert tally.exact, tally
    assert tally.compared > 1500
    assert not compare(found, solve(nominal, HICANN_X, inputs, 6000)).exact
