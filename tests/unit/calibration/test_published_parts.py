"""Parts of the published routines that need no chip: fits of one recording, searches with a target per circuit."""

from types import SimpleNamespace

import numpy as np
import pytest

from hxloop.codes.capmem import Cell
from hxloop.seeds import generator
from hxloop_calibration.routines.published.cell_search import FALLING, RISING, keep_apart, search_cell
from hxloop_calibration.routines.published.exponential_fits import tau_us
from hxloop_calibration.routines.published.lsb_readings import scattered

N = 200


class PaperBench:
    """Codes of circuits, and nothing that would be measured."""

    def __init__(self, seed):
        self.n, self.spec = N, SimpleNamespace(capmem_code_max=1022)
        self.seed = seed
        self.neurons = SimpleNamespace(capmem_code=np.full((N, len(Cell)), 300, np.int16))

    def rng(self, *path):
        return generator(self.seed, *path)

    def keep(self, cells):
        for cell, code in cells.items():
            self.neurons.capmem_code[:, cell] = code


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("tau", "upwards"), [(1.5, True), (6.0, False), (12.0, True)])
def test_time_constants_of_recordings_are_found_from_their_beginnings_on(seed, tau, upwards):
    rng = generator(seed, "recordings")
    true = tau * np.exp(rng.normal(0.0, 0.3, N))
    time_us = 4.0 + 0.27 * np.arange(int(8.0 * 2.0 * tau / 0.27))
    begin = rng.integers(3, 12, N)
    since = time_us - time_us[begin][:, None]
    height = 150.0 if upwards else -300.0
    traces = 500.0 + height * np.where(since >= 0, np.exp(-np.maximum(since, 0.0) / true[:, None]), rng.random())
    found = tau_us(time_us, traces + rng.normal(0.0, 1.0, traces.shape), begin)
    assert np.abs(found / true - 1.0).max() < 0.1
    assert abs(np.median(found / true) - 1.0) < 0.005


def test_time_constants_stay_within_what_the_published_fit_allows():
    time_us = np.arange(100.0)
    flat = np.full((2, 100), 300.0)
    flat[1] += np.linspace(0.0, 50.0, 100)
    found = tau_us(time_us, flat, np.array([0, 0]))
    assert ((found >= 0.1) & (found <= 100.0)).all()


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("curve", [RISING, FALLING])
def test_every_circuit_has_a_target_of_its_own_and_the_best_of_the_last_six_codes_is_kept(seed, curve):
    bench, rng = PaperBench(seed), generator(seed, "goals")
    exact = rng.uniform(5.0, 540.0, N)
    sign = 1.0 if curve is RISING else -1.0
    measured = []

    def read():
        code = bench.neurons.capmem_code[:, Cell.v_leak].astype(float)
        values = sign * code + rng.normal(0.0, 3.0, N)
        measured.append((code, values))
        return values

    found = search_cell(bench, Cell.v_leak, sign * exact, read, curve, 550)
    codes, values = (np.stack(part) for part in zip(*measured[-6:], strict=True))
    best = np.abs(values - sign * exact).argmin(axis=0)
    np.testing.assert_array_equal(found.code, codes[best, np.arange(N)])
    np.testing.assert_array_equal(bench.neurons.capmem_code[:, Cell.v_leak], found.code)
    assert np.abs(found.code - exact).max() < 15.0 and not found.at_edge.any()
    assert len(measured) == 1 + 10 + 3  # where it stood; ten halvings of 550 codes, two more, and one for the scatter


def test_scalars_are_scattered_and_stay_codes():
    for code, low, high in ((70, 65, 75), (3, 1, 8), (1020, 1015, 1022)):
        found = scattered(PaperBench(5), code, "test")
        assert (found.min(), found.max()) == (low, high)


def test_thresholds_stay_above_resets():
    bench = PaperBench(6)
    bench.keep({Cell.v_reset: np.linspace(0, 1022, N).astype(np.int16), Cell.v_threshold: 200})
    keep_apart(bench)
    codes = bench.neurons.capmem_code
    assert (codes[:, Cell.v_threshold] > codes[:, Cell.v_reset]).all() and codes.max() <= 1022
    assert (codes[:30, Cell.v_threshold] == 200).all()
