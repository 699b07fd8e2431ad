"""What weight codes are worth: bit by bit, delivery by delivery."""

import numpy as np
import pytest

from hxloop.seeds import generator
from hxloop_chip.solver.edges.weights_kernel import add_current_steps


@pytest.mark.parametrize("n_bits", [0, 6])
def test_current_steps_are_sums_over_deliveries_and_bits(n_bits):
    rng = generator(5, "current steps", n_bits)
    n_synapses, n_deliveries, n_places = 40, 200, 30
    code = rng.integers(-63, 64, n_synapses).astype(np.float64)
    code[:5] = 0.0
    if not n_bits:
        code += 0.25  # where codes are worth themselves they need not be whole
    bits, gain = rng.random((n_synapses, n_bits)), rng.random(n_synapses)
    synapse, place = rng.integers(0, n_synapses, n_deliveries), rng.integers(0, n_places, n_deliveries)
    steps = np.zeros((2, n_places))
    add_current_steps(code, bits, gain, synapse, place, steps)
    expected = np.zeros((2, n_places))
    for s, p in zip(synapse, place, strict=True):
        magnitude = abs(code[s])
        if n_bits:
            magnitude = sum(bits[s, b] for b in range(n_bits) if f"{int(magnitude):06b}"[::-1][b] == "1")
        expected[0 if code[s] >= 0 else 1, p] += magnitude * gain[s]
    np.testing.assert_allclose(steps, expected, rtol=1e-14)
    assert (expected > 0).any(axis=1).all()
