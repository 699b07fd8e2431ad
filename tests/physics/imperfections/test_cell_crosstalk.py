"""Crosstalk of analog cells: against sums written out one by one, seen by a converter, and allowed for at night."""

from dataclasses import replace

import numpy as np
import pytest
from support.solving.single import events, side_by_side

from hxloop.codes import nominal
from hxloop.codes.boot import OperatingPoint
from hxloop.codes.capmem import Cell
from hxloop.codes.operating_point import nominal_boot
from hxloop.result import Readout
from hxloop.spec import HICANN_X
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.circuits import true_circuits
from hxloop_chip.silicon.imperfections import Imperfections
from hxloop_chip.silicon.mismatch import Mismatch

SERIALS = (3, 104)
PULL, CROWDING = 0.02, 4.0
BOTH = Imperfections(crosstalk_neighbour_fixed=PULL, crosstalk_crowding_fixed_codes=CROWDING)
ARRAY = [
    *("v_leak", "v_reset", "v_threshold", "e_reversal_exc", "e_reversal_inh", "v_adapt_leak", "v_exp", ""),
    *(
        "i_leak",
        "",
        "i_tau_syn_exc",
        "i_coba_exc",
        "i_shift_exc",
        "i_gm_exc",
        "i_tau_syn_inh",
        "i_coba_inh",
        "i_shift_inh",
    ),
    *("i_gm_inh", "i_adapt_tau", "i_adapt_a", "i_adapt_b", "i_exp", "i_offset"),
]


def written(circuits, seed):
    """Circuits with codes near one another, so that some of a cell are within 3 codes."""
    rng = np.random.default_rng(seed)
    neurons = nominal_boot(HICANN_X).of(circuits.astype(np.int16), circuits.astype(np.int16))
    spread = rng.integers(-9, 10, neurons.capmem_code.shape)
    return replace(neurons, capmem_code=np.clip(neurons.capmem_code + spread, 0, 1022).astype(np.int16))


def expected(neurons, mismatch):
    """What the cells hold, one by one."""
    codes = neurons.capmem_code.astype(float)
    held = codes.copy()
    place = [(c // 256, c % 256 >= 128) for c in neurons.circuit.tolist()]
    for k, circuit in enumerate(neurons.circuit.tolist()):
        others = [j for j in range(len(codes)) if j != k and place[j] == place[k]]
        for at, name in ((k, name) for k, name in enumerate(ARRAY) if name):
            cell = Cell[name]
            for side, near in ((0, at - 1), (1, at + 1)):
                if 0 <= near < len(ARRAY) and ARRAY[near]:
                    pull = mismatch.deviation("cell_pull")[side, cell, circuit]
                    held[k, cell] += pull * (codes[k, Cell[ARRAY[near]]] - codes[k, cell])
            same = sum(abs(codes[j, cell] - codes[k, cell]) <= 3 for j in others)
            held[k, cell] += mismatch.deviation("cell_crowding_codes")[cell, circuit] * same / (len(others) + 1)
    return np.maximum(held, np.minimum(codes, 1.0))


@pytest.mark.parametrize("serial", SERIALS)
@pytest.mark.parametrize("n", [1, 40])
def test_cells_hold_what_the_sums_say(serial, n):
    mismatch = Mismatch(HICANN_X, BOTH, serial)
    circuits = np.random.default_rng(serial).permutation(512)[:n]
    neurons = written(circuits, serial)
    held = mismatch.held(neurons, nominal_boot(HICANN_X).shared)
    np.testing.assert_allclose(held, expected(neurons, mismatch), rtol=1e-12)
    assert np.abs(held - neurons.capmem_code).max() > 2


def test_pulls_and_shifts_are_as_large_as_said():
    chips = [Mismatch(HICANN_X, BOTH, serial) for serial in range(1, 11)]
    for name, spread in (("cell_pull", PULL), ("cell_crowding_codes", CROWDING)):
        x = np.array([c.deviation(name) for c in chips]) / spread
        assert abs(x.mean()) < 4.5 / np.sqrt(x.size)
        assert abs(x.std() - 1) < 4.5 / np.sqrt(2 * x.size)
        assert abs(np.mean(x**4) - 3) < 4.5 * np.sqrt(96 / x.size)
        assert len(np.unique(x[:, ..., :3])) == x[:, ..., :3].size


def test_crowds_need_neighbours_that_hold_the_same():
    only = Mismatch(HICANN_X, Imperfections(crosstalk_crowding_fixed_codes=CROWDING), 5)
    boot = nominal_boot(HICANN_X)
    every = np.arange(512, dtype=np.int16)
    x = only.deviation("cell_crowding_codes")[Cell.v_leak]
    codes = boot.of(every, every).capmem_code.copy()
    place = np.arange(512) % 128
    beside = np.where(
        (place == 0) | (place == 127), 1, 2
    )  # with a step of 2, only the next circuits are within 3 codes
    for step, near in ((0, 127), (2, beside), (4, 0)):
        moved = codes.copy()
        moved[:, Cell.v_leak] += (step * place).astype(np.int16)
        shift = only.held(replace(boot.of(every, every), capmem_code=moved), boot.shared) - moved
        np.testing.assert_allclose(shift[:, Cell.v_leak], x * near / 128, atol=1e-9)


@pytest.mark.parametrize("serial", SERIALS)
def test_a_membrane_moves_with_the_cell_beside_its_leak(serial):
    chip = EmulatedChip("uncalibrated[all=0,crosstalk_neighbour_fixed=0.05]", serial)
    readout, rest = Readout(madc_circuit=2), []
    for step in (0, 250):
        config = side_by_side(4, spec=HICANN_X)
        codes = config.neurons.capmem_code.copy()
        codes[:, Cell.v_reset] -= np.int16(100 - step)
        chip.configure(replace(config, neurons=replace(config.neurons, capmem_code=codes)))
        rest.append(chip.run(events([]), duration_ticks=6000, readout=readout).observations.madc[0, 300:].mean())
    moved_mv = chip.mismatch.deviation("cell_pull")[1, Cell.v_leak, 2] * 250 * nominal.V_MV_PER_CODE
    assert abs(moved_mv) > 4
    assert rest[1] - rest[0] == pytest.approx(moved_mv / float(nominal.madc_mv(1)), abs=1.1)


def test_noise_of_writing_comes_on_top():
    noisy = BOTH.model_copy(update={"rewrite_trial_codes": 0.5})
    alone = Mismatch(HICANN_X, Imperfections(rewrite_trial_codes=0.5), 7)
    chip, shared = Mismatch(HICANN_X, noisy, 7), nominal_boot(HICANN_X).shared
    neurons = written(np.arange(60), 1)
    noise = alone.held(neurons, shared, noisy=True) - neurons.capmem_code
    np.testing.assert_allclose(chip.held(neurons, shared, noisy=True) - chip.held(neurons, shared), noise, atol=1e-12)
    np.testing.assert_array_equal(alone.held(neurons, shared), neurons.capmem_code)
    assert 0.45 < noise.std() < 0.55


@pytest.mark.parametrize("serial", SERIALS)
def test_a_nightly_calibration_allows_for_it(serial):
    residuals = ",".join(f"{name}=0" for name in Imperfections.model_fields if "_residual" in name)
    crosstalk = "crosstalk_neighbour_fixed=0.01,crosstalk_crowding_fixed_codes=4"
    target, left = OperatingPoint(), {}
    for more in ("", f",{crosstalk}"):
        chip = EmulatedChip(f"typical[{residuals}{more}]", serial)
        codes = chip.boot.neurons.capmem_code
        for cells in (None, codes.astype(float)):
            found = true_circuits(chip.boot.neurons, chip.boot.shared, chip.mismatch, chip.spec, cells)
            left[more, cells is None] = np.array(
                [
                    np.std(found.v_leak_mv - target.v_leak_mv),
                    np.std(found.v_threshold_mv - target.v_threshold_mv),
                    np.std(found.step_na[0] / found.capacitance_pf / target.synapse_gain_mv_per_us),
                    np.std(found.tau_syn_us[1] / target.tau_syn_us),
                ]
            )
    rounding, allowed, ignored = left["", True], left[f",{crosstalk}", True], left[f",{crosstalk}", False]
    assert (allowed < 1.15 * rounding).all(), (allowed, rounding)
    assert (ignored > 1.5 * allowed).all(), (ignored, allowed)
