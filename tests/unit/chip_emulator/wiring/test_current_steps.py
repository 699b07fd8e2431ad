"""What weight codes are worth: bit by bit, delivery by delivery; and the rows of weights that come of it."""

import numpy as np
import pytest
from support.solving.bare_solver import make_circuit

from hxloop.seeds import generator
from hxloop_chip.solver import layout as at
from hxloop_chip.solver.edges.weights_kernel import are_sound, fill_current_steps
from hxloop_chip.solver.packing import WIRED, wired_as, with_weights


@pytest.mark.parametrize("n_bits", [0, 6])
def test_current_steps_are_sums_over_deliveries_and_bits(n_bits):
    rng = generator(5, "current steps", n_bits)
    n_synapses, n_deliveries, shape = 40, 200, (5, 6)
    code = rng.integers(-63, 64, n_synapses).astype(np.float64)
    code[:5] = 0.0
    if not n_bits:
        code += 0.25  # where codes are worth themselves they need not be whole
    bits, gain = rng.random((n_bits, n_synapses)), rng.random(n_synapses)
    synapse, place = rng.integers(0, n_synapses, n_deliveries), rng.integers(0, 2 * np.prod(shape), n_deliveries)
    steps = np.full((2, *shape), np.nan)
    fill_current_steps(code, bits, gain, synapse, place, np.tile([0, shape[1]], (shape[0], 1)), steps)
    expected = np.zeros(2 * np.prod(shape))
    for s, p in zip(synapse, place, strict=True):
        magnitude = abs(code[s])
        if n_bits:
            magnitude = sum(bits[b, s] for b in range(n_bits) if f"{int(magnitude):06b}"[::-1][b] == "1")
        expected[p] += magnitude * gain[s]
    np.testing.assert_allclose(steps.ravel(), expected, rtol=1e-14)
    assert (expected > 0).mean() > 0.5


@pytest.mark.parametrize("rates", [(700.0, 800.0), (800.0, 800.0)], ids=["apart", "equal"])
def test_rows_of_weights_are_those_of_the_steps_whatever_the_circuit_had_before(rates):
    rng, n_sources, n = generator(6, "rows of weights"), 9, at.BLOCK + 20
    reach = np.sort(rng.integers(0, n + 1, (n_sources, 2)), axis=1)
    reach[:3] = [0, n], [3, 9], [at.BLOCK, n]
    source_id = np.arange(n_sources, dtype=np.uint64) + 100
    known = make_circuit(rng.random((2, n_sources, n)), tau_exc=rates[0], tau_inh=rates[1])._replace(
        weights=np.empty(0, np.float32)
    )
    for chance in ((0.5, 0.0), (0.5, 0.0), (0.0, 0.5), (0.1, 0.1), (0.6, 0.6)):
        inside = (np.arange(n) >= reach[:, :1]) & (np.arange(n) < reach[:, 1:])
        steps = [np.where(inside, (rng.random(inside.shape) < p) * rng.random(inside.shape), 0.0) for p in chance]
        beyond = [np.where(inside, step, np.nan) for step in steps]
        known = with_weights(known, *beyond, source_id, reach)
        blocks = known.weights.reshape(-1, len(known.row_id), at.BLOCK)
        weights = blocks.transpose(1, 0, 2).reshape(len(known.row_id), -1)
        assert not weights[:, n:].any()
        assert known.hears.shape[1] == len(known.kind) == len(weights)
        for source, (first, second) in enumerate(known.rows):
            used = [first] if second < 0 else [first, second]
            assert (known.row_id[used] == source_id[source]).all()
            total = weights[used, :n].sum(axis=0, dtype=np.float64)
            np.testing.assert_allclose(total, steps[0][source] - steps[1][source], rtol=1e-6, atol=1e-7)
            for row in used:
                signs = {at.EXC: 1, at.INH: -1}.get(known.kind[row], 0)
                assert rates[0] == rates[1] or signs == 0 or (weights[row] * signs >= 0).all()
                for block, heard in enumerate(known.hears[known.block_class, row]):
                    here = slice(block * at.BLOCK, (block + 1) * at.BLOCK)
                    assert heard or not weights[row, here].any()
            if rates[0] != rates[1]:  # then both signs onto one neuron stay apart
                assert (second >= 0) == ((steps[0][source] > 0) & (steps[1][source] > 0)).any()
                up = np.maximum(weights[used, :n], 0.0).sum(axis=0)
                np.testing.assert_allclose(up, steps[0][source], rtol=1e-6)


def test_all_that_weights_set_goes_along_to_a_circuit_of_another_temperature():
    rng = generator(7, "fields of weights")
    cold, warm = (make_circuit(rng.random((2, 3, 5)) * s, tau_mem=t) for s, t in ((1.0, 700.0), (0.0, 710.0)))
    other = with_weights(warm, *rng.random((2, 9, 5)), np.arange(9, dtype=np.uint64) + 3, np.tile([0, 5], (9, 1)))
    changed = {name for name in at.Circuit._fields if getattr(other, name) is not getattr(warm, name)}
    assert changed == set(WIRED)
    moved = wired_as(cold, other)
    assert all(getattr(moved, name) is getattr(other if name in WIRED else cold, name) for name in at.Circuit._fields)


SOUND = [([3, -4, 0], [1, -1, 1]), ([63, -63], [1, -1]), ([5, -5], [0, 0]), ([], [])]
UNSOUND = [([64, 0], [1, 1]), ([0, -64], [1, -1]), ([1, 1], [1, -1]), ([-1], [1]), ([np.nan], [1])]


@pytest.mark.parametrize(("code", "sign"), SOUND + UNSOUND)
def test_codes_are_sound_within_their_range_and_with_the_sign_of_their_row(code, sign):
    sound = are_sound(np.array(code, np.float64), np.array(sign, np.int8), 63.0)
    assert sound == ((code, sign) in SOUND)
