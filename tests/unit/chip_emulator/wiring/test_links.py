"""Bandwidth limits against closed forms and a queue in exact fractions; faults against Philox written out."""

from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop_chip.silicon.mechanisms.on_links.lossy_links import received
from hxloop_chip.solver.random import STREAM_LINK_IN, STREAM_LINK_OUT
from hxloop_chip.wiring.link_loss import admitted


def one_sample(tick, rate, depth, lane=None, n_lanes=1):
    tick = np.asarray(tick, np.int64)
    lane = np.zeros(len(tick), np.int64) if lane is None else np.asarray(lane, np.int64)
    return admitted(np.array([0, len(tick)]), tick, lane, n_lanes, rate, depth)


def queue(tick, lane, n_lanes, rate, depth):
    """The same rule with fractions, a list for each lane."""
    passed, level, last = [], [Fraction(0)] * n_lanes, [0] * n_lanes
    for t, here in zip(tick, lane, strict=True):
        level[here] = max(Fraction(0), level[here] - rate * (int(t) - last[here]))
        last[here] = int(t)
        fits = level[here] + 1 <= depth
        level[here] += fits
        passed.append(fits)
    return passed


@pytest.mark.parametrize("n_ticks", [1, 2, 10, 333])
@pytest.mark.parametrize(("per_tick", "rate", "depth"), [(2, 1, 5), (3, 2, 64), (7, 3, 512), (5, 1, 1), (4, 3, 3)])
def test_an_overloaded_link_delivers_its_rate_and_its_depth(per_tick, rate, depth, n_ticks):
    """As long as the queue never runs empty, what came out is the rate times the time, and what is left the depth."""
    passed = one_sample(np.repeat(np.arange(n_ticks), per_tick), rate, depth)
    assert passed.sum() == min(n_ticks * per_tick, depth + (n_ticks - 1) * rate)
    assert (~passed).sum() == max(0, n_ticks * (per_tick - rate) - (depth - rate))


@pytest.mark.parametrize(("interval", "rate"), [(1, 1.0), (2, 0.5), (10, 0.1), (3, 1 / 3), (7, 1 / 7)])
def test_a_regular_train_at_exactly_the_rate_loses_nothing(interval, rate):
    assert one_sample(interval * np.arange(100_000), rate, 1).all()


@pytest.mark.parametrize(("interval", "rate", "share"), [(1, 0.5, 2), (1, 0.25, 4), (3, 0.125, 3)])
def test_without_room_to_wait_every_so_many_th_event_passes(interval, rate, share):
    passed = one_sample(interval * np.arange(share * 50), rate, 1)
    np.testing.assert_array_equal(passed, np.arange(share * 50) % share == 0)


@pytest.mark.parametrize("burst", [1, 63, 64, 65, 1000])
def test_a_burst_loses_what_exceeds_the_depth(burst):
    passed = one_sample(np.full(burst, 5), 2.0, 64)
    np.testing.assert_array_equal(passed, np.arange(burst) < 64)


def test_a_queue_that_ran_empty_takes_a_full_burst_again():
    tick = np.concatenate([np.zeros(80), np.full(80, 32), np.full(80, 32 + 31)])
    passed = one_sample(tick, 2.0, 64)
    assert [int(passed[k : k + 80].sum()) for k in (0, 80, 160)] == [64, 64, 62]


def test_arrays_may_be_read_only_as_those_received_from_a_socket_are():
    tick = np.zeros(20, np.int64)
    tick.flags.writeable = False
    assert one_sample(tick, 1.0, 5).sum() == 5


trains = st.integers(1, 4).flatmap(
    lambda n_lanes: st.tuples(
        st.just(n_lanes),
        st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(0, n_lanes - 1)), max_size=60), max_size=4),
        st.sampled_from([Fraction(1, 8), Fraction(1, 2), Fraction(1), Fraction(5, 4), Fraction(3)]),
        st.integers(1, 12),
    )
)


@given(trains)
def test_equals_the_queue_written_out(case):
    n_lanes, samples, rate, depth = case
    samples = [sorted(sample, key=lambda event: event[0]) for sample in samples]
    events = np.array([event for sample in samples for event in sample], np.int64).reshape(-1, 2)
    offsets = np.cumsum([0, *map(len, samples)]).astype(np.int64)
    passed = admitted(offsets, events[:, 0], events[:, 1], n_lanes, float(rate), depth)
    expected = [p for s in samples for p in queue([e[0] for e in s], [e[1] for e in s], n_lanes, rate, depth)]
    np.testing.assert_array_equal(passed, np.array(expected, np.bool_))


@pytest.mark.parametrize("seed", range(4))
def test_lanes_and_samples_do_not_disturb_one_another(seed):
    generator = np.random.default_rng(seed)
    n_samples, n_lanes = 5, 8
    counts = generator.integers(0, 2000, n_samples)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    tick = np.concatenate([np.sort(generator.integers(0, 100, n)) for n in counts])
    lane = generator.integers(0, n_lanes, len(tick))
    passed = admitted(offsets, tick, lane, n_lanes, 1.5, 16)
    assert 0 < passed.sum() < len(tick)
    for begin, end in pairwise(offsets):
        for which in range(n_lanes):
            mine = np.arange(begin, end)[lane[begin:end] == which]
            np.testing.assert_array_equal(passed[mine], one_sample(tick[mine], 1.5, 16))


@pytest.mark.parametrize("seed", range(3))
def test_more_bandwidth_or_depth_never_delivers_less(seed):
    tick = np.sort(np.random.default_rng(seed).integers(0, 400, 2000))
    by_rate = [int(one_sample(tick, rate, 8).sum()) for rate in (0.5, 1.0, 2.0, 4.0, 8.0)]
    by_depth = [int(one_sample(tick, 2.0, depth).sum()) for depth in (1, 2, 8, 64, 512, 2000)]
    assert by_rate == sorted(by_rate)
    assert by_depth == sorted(by_depth)
    assert by_depth[-1] == len(tick)


def test_the_textbook_limits_are_none():
    tick = np.zeros(100_000, np.int64)
    for rate, depth in (
        (TEXTBOOK.link_in_per_tick, TEXTBOOK.link_in_depth),
        (TEXTBOOK.padi_per_tick, TEXTBOOK.padi_depth),
        (TEXTBOOK.link_out_per_tick, TEXTBOOK.link_out_depth),
    ):
        assert one_sample(tick, rate, depth).all()


def test_the_link_of_the_datasheet_takes_three_events_a_tick():
    n_ticks = 5000
    passed = one_sample(np.repeat(np.arange(n_ticks), 4), HICANN_X.link_in_per_tick, HICANN_X.link_in_depth)
    assert passed.sum() == 512 + 3 * (n_ticks - 1)


def test_no_events_and_no_samples():
    nothing = np.empty(0, np.int64)
    assert admitted(np.array([0]), nothing, nothing, 1, 1.0, 0).size == 0
    assert admitted(np.array([0, 0, 0]), nothing, nothing, 8, 1.0, 0).size == 0


def philox(counter, key):
    """Philox 4x32-10 (Salmon et al. 2011) on Python integers."""
    low = 2**32 - 1
    for _ in range(10):
        first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = (second >> 32) ^ counter[1] ^ key[0], second & low, (first >> 32) ^ counter[3] ^ key[1], first & low
        key = (key[0] + 0x9E3779B9) & low, (key[1] + 0xBB67AE85) & low
    return counter


def test_philox_here_is_the_published_one():
    pi = [int(word, 16) for word in ["243f6a88", "85a308d3", "13198a2e", "03707344", "a4093822", "299f31d0"]]
    assert [f"{word:08x}" for word in philox(tuple(pi[:4]), tuple(pi[4:]))] == [
        "d16cfe09", "94fdcceb", "5001e420", "24126ea1"
    ]  # fmt: skip


def arrives(sample, tick, name, earlier, share, stream, key):
    counter = name + 2**16 * earlier, tick, sample % 2**32, sample // 2**32 * 2**8 + stream
    return philox(counter, (key % 2**32, key // 2**32))[0] >= share * 2**32


@pytest.mark.parametrize("stream", [STREAM_LINK_IN, STREAM_LINK_OUT])
@pytest.mark.parametrize("first_sample", [0, 2**32 - 2, 2**40])
@pytest.mark.parametrize("seed", range(3))
def test_what_a_faulty_link_loses_is_a_function_of_the_event_alone(seed, first_sample, stream):
    generator = np.random.default_rng(seed)
    counts, key = generator.integers(0, 400, 5), int(generator.integers(2**63))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    tick = np.concatenate([np.sort(generator.choice([0, 1, 2, 70, 2**32 - 1], n)) for n in counts])
    name = generator.choice([0, 1, 5, 65535], len(tick)).astype(np.int32)
    found = received(offsets, tick, name, 0.3, stream, np.uint64(key), first_sample)
    before, expected = Counter(), []
    for k, here in enumerate(zip(np.repeat(np.arange(5), counts).tolist(), tick.tolist(), name.tolist(), strict=True)):
        expected.append(arrives(first_sample + here[0], here[1], here[2], before[here], 0.3, stream, key))
        before[here] += 1
        assert before[here] < 200, k
    np.testing.assert_array_equal(found, expected)
    assert max(before.values()) > 10, "many events of the same tick and name"


@pytest.mark.parametrize("share", [0.0, 1e-3, 0.2, 1.0])
def test_events_are_lost_independently(share):
    """Against the binomial law: all of them, and pairs that are neighbours in any way."""
    n_samples, n_ticks, n_names, n_times = 20, 30, 10, 8
    shape = n_samples, n_ticks, n_names, n_times
    tick = np.broadcast_to(np.arange(n_ticks)[:, None, None], shape).ravel()
    name = np.broadcast_to(np.arange(n_names, dtype=np.int32)[:, None], shape).ravel()
    offsets = np.arange(n_samples + 1) * n_ticks * n_names * n_times
    lost = [
        ~received(offsets, tick, name, share, stream, np.uint64(key), 3).reshape(shape)
        for stream in (STREAM_LINK_IN, STREAM_LINK_OUT)
        for key in (1, 2)
    ]
    for found in lost:
        assert abs(found.mean() - share) <= 4.5 * np.sqrt(share * (1 - share) / found.size)
    pairs = [(lost[0], lost[1]), (lost[0], lost[2])]
    for axis, n in enumerate(shape):
        pairs.append((np.take(lost[0], range(1, n), axis), np.take(lost[0], range(n - 1), axis)))
    for one, other in pairs:
        assert (
            abs((one & other).mean() - share**2) <= 4.5 * np.sqrt(share**2 * (1 - share**2) / one.size) + 1 / one.size
        )


def test_a_faulty_link_without_events():
    nothing = np.empty(0, np.int64)
    assert received(np.zeros(3, np.int64), nothing, nothing.astype(np.int32), 0.5, 48, np.uint64(1), 0).size == 0
