"""Drivers that have just been busy drive less: closed forms, sums event by event, and chips."""

import numpy as np
import pytest
from support.solving.bare_solver import make_circuit, make_inputs, make_trial, make_watch, solve
from support.solving.single import events, side_by_side

from hxloop.codes import nominal
from hxloop.result import Readout
from hxloop.seeds import generator
from hxloop.spec import HICANN_X
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.imperfections import Imperfections
from hxloop_chip.silicon.mechanisms.in_synapses.driver_depletion import RECOVERY_US
from hxloop_chip.silicon.mismatch import Mismatch
from hxloop_chip.solver.depletion import make_drivers

TAU, SHARE, FOREVER = 600.0, 0.3, 1e12
DURATION = 6000  # more than a frame of the solver


def summing(n_sources, drivers, both_signs=False):
    """One neuron per source that neither leaks nor spikes and whose currents last for ever: its slope adds up steps."""
    weights = np.zeros((2, n_sources, n_sources))
    weights[0] = np.eye(n_sources)
    if both_signs:
        weights[1] = 0.5 * np.eye(n_sources)
    return make_circuit(
        weights, tau_mem=FOREVER, tau_exc=FOREVER, tau_inh=2 * FOREVER, threshold=1e9, drivers=drivers,
    )  # fmt: skip


def worth(circuit, train, n_sources, event_by_event=False):
    """What the events of each source were worth in all, from slopes at the end of the run."""
    watch = make_watch(1, DURATION, neuron=np.arange(n_sources), period=50)
    trial = make_trial(DURATION, event_by_event=event_by_event)
    solve(circuit, make_inputs(train), trial, watch)
    return (watch.cadc[0, -1] - watch.cadc[0, -2]) / 50


def drivers_of(*lists, share=SHARE, n_drivers=8):
    """Drivers of each source."""
    first = np.cumsum([0, *map(len, lists)])
    return make_drivers(first, np.concatenate(lists).astype(np.int64), np.broadcast_to(share, n_drivers).copy(), TAU)


def expected(train, lists, share, n_sources):
    """The same by the definition, event by event."""
    x, before, total = np.zeros(len(share)), 0, np.zeros(n_sources)
    for tick, source in sorted(train):
        x *= np.exp(-(tick - before) / TAU)
        total[source] += 1 - x[lists[source]].mean()
        x[lists[source]] += share[lists[source]] * (1 - x[lists[source]])
        before = tick
    return total


@pytest.mark.parametrize("period", [1, 40, 64, 150])
def test_a_regular_train_is_a_geometric_series(period):
    n = 9
    left = np.exp(-period / TAU)
    x, total = 0.0, 0.0
    for _ in range(n):
        total += 1 - x
        x = (x + SHARE * (1 - x)) * left
    steady = SHARE * left / (1 - (1 - SHARE) * left)  # where this ends
    closed = n - steady * (n - (1 - ((1 - SHARE) * left) ** n) / (1 - (1 - SHARE) * left))
    assert total == pytest.approx(closed)
    train = [(3 + k * period, 0) for k in range(n)]
    assert worth(summing(1, drivers_of([2])), train, 1)[0] == pytest.approx(closed, rel=1e-4)


@pytest.mark.parametrize("event_by_event", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_sources_share_drivers_and_take_the_mean_of_several(seed, event_by_event):
    rng, n = generator(seed, "drivers"), 6
    lists = [np.sort(rng.permutation(8)[: rng.integers(1, 4)]) for _ in range(n)]
    share = rng.uniform(0.0, 0.6, 8)
    tick = np.sort(np.concatenate([rng.integers(0, 5800, 150), np.repeat(rng.integers(0, 5800, 9), 4)]))
    train = list(zip(tick.tolist(), rng.integers(0, n, tick.size).tolist(), strict=True))
    circuit = summing(n, drivers_of(*lists, share=share))
    by_hand = expected(train, lists, share, n)
    assert (by_hand < 0.9 * np.bincount([s for _, s in train], minlength=n)).any()
    np.testing.assert_allclose(worth(circuit, train, n, event_by_event), by_hand, rtol=2e-4, atol=1e-4)


def test_a_source_with_two_rows_spends_its_driver_once():
    drivers, train = drivers_of([0], [1]), [(k * 30, k % 2) for k in range(12)]
    one, two = (worth(summing(2, drivers, signs), train, 2) for signs in (False, True))
    np.testing.assert_allclose(two, one / 2, rtol=1e-4)


def test_samples_know_nothing_of_one_another():
    rng = generator(4, "drivers")
    trains = [[(int(t), int(s)) for t, s in rng.integers(0, [5900, 3], (90, 2))] for _ in range(6)]
    circuit = summing(3, drivers_of([0, 1], [1], [2]))
    inputs, trial = make_inputs(*trains), make_trial(DURATION)
    whole, parts = (make_watch(6, DURATION, neuron=[0, 1, 2], period=50) for _ in range(2))
    solve(circuit, inputs, trial, whole)
    for part in ((0, 1), (1, 3), (3, 6)):
        solve(circuit, inputs, trial, parts, part)
    assert np.array_equal(whole.cadc, parts.cadc)
    assert np.ptp(whole.cadc[:, -1]) > 0


def test_spreads_are_as_said():
    strengths = Imperfections(driver_depletion_fixed=0.02, driver_depletion_spread_fixed=0.3)
    drawn = [Mismatch(HICANN_X, strengths, serial).deviation("driver_depletion") for serial in range(1, 21)]
    x = np.log(np.array(drawn) / 0.02) / 0.3
    assert x.shape == (20, HICANN_X.n_hemispheres * HICANN_X.n_drivers)
    assert abs(x.mean()) < 4.5 / np.sqrt(x.size)
    assert abs(x.std() - 1) < 4.5 / np.sqrt(2 * x.size)
    assert np.abs(np.corrcoef(x)[np.triu_indices(20, 1)]).max() < 5.5 / np.sqrt(x.shape[1])


@pytest.mark.parametrize("also", ["", ",temperature_trial_k=3,threshold_temperature_fixed_mv_per_k=0.1"])
@pytest.mark.parametrize("serial", [1, 6])
def test_both_rows_of_a_driver_on_a_chip_are_spent_together(serial, also):
    # Channel 0 excites over row 0 and channel 1 inhibits over row 1 of driver 0.
    chip = EmulatedChip(
        f"uncalibrated[all=0,driver_depletion_fixed=0.2,driver_depletion_spread_fixed=0.3{also}]", serial
    )
    share, low = chip.mismatch.deviation("driver_depletion")[0], []
    chip.configure(side_by_side(1, v_threshold_mv=1000.0, code_exc=0))
    gap_ticks = 100
    for busy in (0, 6):
        train = [(1500, 0)] * busy + [(1500 + gap_ticks, 1)]
        run = chip.run(events(train), duration_ticks=3000, readout=Readout(madc_circuit=0))
        v_mv = nominal.madc_mv(run.observations.madc[0, HICANN_X.madc_invalid_samples :])
        low.append(v_mv[:20].mean() - v_mv.min())
    spent = (1 - (1 - share) ** 6) * np.exp(-gap_ticks * HICANN_X.tick_us / RECOVERY_US)
    assert low[0] > 100
    assert low[1] / low[0] == pytest.approx(1 - spent, abs=0.02)


def test_a_spread_of_nothing_is_nothing():
    found = []
    for loss, spread in ((0.0, 0.0), (0.0, 0.5), (0.1, 0.5)):
        chip = EmulatedChip(f"typical[driver_depletion_fixed={loss},driver_depletion_spread_fixed={spread}]", 5)
        chip.configure(side_by_side(20, gain_mv_per_us=np.linspace(0.5, 1.5, 20)))
        found.append(chip.run(events([(k * 100, 0) for k in range(12)]), duration_ticks=2500).spikes)
    none, spread, some = found
    assert np.array_equal(none.tick, spread.tick)
    assert some.n_spikes < none.n_spikes
