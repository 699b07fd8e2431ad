import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.codes.units import TICK_US
from hxloop.errors import ArrayError, OutOfRangeError
from hxloop.spikes import DTYPES, SpikeBatch
from hxloop_host.network.coding import TimeCoding

TAU_US = 6.0


def test_values_become_times_in_the_window():
    times = TimeCoding().times(np.array([[0.0, 1.0, 0.5, np.nan]]))
    np.testing.assert_allclose(times, [[0.15, 2.0, 1.075, np.inf, 0.9]], rtol=1e-14)
    assert TimeCoding(bias_time=None).times(np.zeros((3, 2))).shape == (3, 2)
    assert TimeCoding().n_inputs(4) == 5
    assert TimeCoding(bias_time=None).n_inputs(4) == 4


def test_spikes_are_the_times_on_the_clock():
    times = np.array([[0.0101, 2.0, np.inf], [0.4, np.nan, 0.1]])
    batch = TimeCoding.spikes(times, TAU_US, TICK_US)
    batch.check("inputs", duration_ticks=1501, n_sources=3)
    assert batch.offsets.tolist() == [0, 2, 4]
    assert batch.tick.tolist() == [8, 1500, 75, 300]  # 0.0101 x 750 = 7.575
    assert batch.source.tolist() == [0, 1, 2, 0]


@given(seed=st.integers(0, 2**30), tau_us=st.sampled_from([6.0, 10.0, 1.3]))
@settings(max_examples=50, deadline=None)
def test_times_on_grid_are_what_the_chip_gets(seed, tau_us):
    g = np.random.Generator(np.random.Philox(key=seed))
    times = g.uniform(0, 3, (4, 5))
    times[g.random(times.shape) < 0.2] = np.inf
    on_grid = TimeCoding.on_grid(times, tau_us, TICK_US, 10**6)
    batch = TimeCoding.spikes(times, tau_us, TICK_US)
    received = np.full(times.shape, np.inf)
    received[batch.sample, batch.source] = batch.tick * TICK_US / tau_us
    np.testing.assert_allclose(on_grid, received, rtol=1e-14)
    np.testing.assert_array_equal(np.isinf(on_grid), np.isinf(times))
    finite = np.isfinite(times)
    assert np.abs(on_grid[finite] - times[finite]).max() <= 0.5 * TICK_US / tau_us * (1 + 1e-9)
    np.testing.assert_allclose(TimeCoding.on_grid(on_grid, tau_us, TICK_US, 10**6), on_grid, rtol=1e-14)


def test_spikes_are_sorted_by_time_then_source():
    g = np.random.default_rng(5)
    ticks = g.integers(0, 9, (20, 30)).astype(float)
    ticks[g.random(ticks.shape) < 0.3] = np.nan
    ticks[[0, 7, 19]] = np.inf
    sample, source = np.nonzero(np.isfinite(ticks))
    expected = SpikeBatch.from_arrays(sample, ticks[sample, source], source, 20)
    batch = TimeCoding.spikes(ticks * TICK_US / TAU_US, TAU_US, TICK_US)
    for name, dtype in DTYPES.items():
        assert getattr(batch, name).dtype == dtype
        np.testing.assert_array_equal(getattr(batch, name), getattr(expected, name))


def test_silence_is_allowed():
    batch = TimeCoding.spikes(np.full((3, 2), np.inf), TAU_US, TICK_US)
    assert batch.n_samples == 3
    assert batch.n_spikes == 0


def test_bad_arguments_are_named():
    with pytest.raises(OutOfRangeError, match="times"):
        TimeCoding.spikes(np.array([[-0.1]]), TAU_US, TICK_US)
    with pytest.raises(OutOfRangeError, match="t_late"):
        TimeCoding(t_early=1.0, t_late=0.5)
    with pytest.raises(OutOfRangeError, match="bias_time"):
        TimeCoding(bias_time=-0.1)
    with pytest.raises(OutOfRangeError, match="t_early"):
        TimeCoding(t_early=np.nan)
    with pytest.raises(ArrayError, match="features"):
        TimeCoding().times(np.zeros(4))


@given(ticks=st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=20), duration=st.integers(1, 5000))
@settings(max_examples=200, deadline=None)
def test_times_outside_of_the_sample_are_mirrored_at_its_ends(ticks, duration):
    """A walk that turns round at tick 0 and behind the last tick ends at the same place."""
    last = duration - 1
    period = [*range(last), last, *range(last, 0, -1)]
    expected = [period[abs(t) % len(period)] for t in ticks]
    found = TimeCoding.on_grid(np.array([ticks]) * TICK_US / TAU_US, TAU_US, TICK_US, duration)
    np.testing.assert_allclose(found[0] * TAU_US / TICK_US, expected, atol=1e-6)


def test_times_in_the_sample_are_not_touched_and_silence_stays():
    times = np.array([[0.0, 1.0, np.inf, np.nan, 4.9999, 5.0, -0.3]])
    found = TimeCoding.on_grid(times, TAU_US, TICK_US, 3750)
    np.testing.assert_array_equal(found[0, :4], [0.0, 1.0, np.inf, np.inf])
    np.testing.assert_allclose(found[0, 4:] * 750, [3749, 3749, 225])


@pytest.mark.parametrize("value", [-0.1, 1.1, np.inf])
def test_values_outside_0_to_1_are_refused(value):
    with pytest.raises(OutOfRangeError, match=r"features\[1,0\]"):
        TimeCoding().times(np.array([[0.5, np.nan], [value, 0.5]]))
