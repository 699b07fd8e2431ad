"""Every spike of the emulated `ideal` chip is that of the exact reference, within a tick; and so are its membranes."""

import numpy as np
import pytest
from support.differences.exact_cases import DURATION, KINDS, MEMBRANES, case, runner, times_by_neuron

from hxloop.rule import Observe
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_host.network.chip_runner import ChipRunner


@pytest.mark.parametrize("kind", KINDS)
def test_against_the_emulated_ideal_chip(kind):
    net, weights, batch = case(kind, 5)
    chip = ChipRunner(
        net, MEMBRANES, EmulatedChip("ideal", 1), duration_ticks=DURATION, weight_bits=0,
        observe=Observe("all", counters=True),
    )  # fmt: skip
    codes = [np.clip(w, -0.9, 0.9) for w in weights]  # what 63 codes of 1 reach, and more, is another matter
    measured, found = chip.run(batch, codes), runner(net, observe=Observe("all", counters=True)).run(batch, codes)
    for name in ("a", "b"):
        for mine, theirs in zip(times_by_neuron(found, name), times_by_neuron(measured, name), strict=True):
            assert len(mine) == len(theirs)
            assert np.abs(mine - theirs).max(initial=0) <= 1
        np.testing.assert_array_equal(found.counts[name], measured.counts[name])
    np.testing.assert_allclose(found.membrane_times_us, measured.membrane_times_us)
    # One LSB of the CADC is 4.5 mV of the 315 mV between leak and threshold; it reads from 0 to 255 LSB.
    inside = np.abs(measured.membranes["out"]) < 0.8
    assert inside.mean() > 0.3
    assert np.abs(found.membranes["out"] - measured.membranes["out"])[inside].max() < 1.6 * 4.5 / 315.0
