"""The one pass over sound events says yes exactly where checks and links, one after the other, let everything pass."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hxloop.errors import HxloopError
from hxloop.spikes import SpikeBatch
from hxloop_chip.solver.edges.intake import take_in
from hxloop_chip.wiring.link_loss import admitted
from hxloop_chip.wiring.synapses import Fanout

N_CHANNELS, DURATION = 6, 40
FIRST = np.array([0, 1, 2, 4, 5, 5, 6])  # channel 4 drives nothing, channel 2 drives two sources
SOURCE = np.array([2, 0, 1, 3, 4, 5])
BUS = np.array([0, 1, 1, 0, 2, 2])
REACH = np.array([7, 1, 20, 300, 0, 4000])


def taken(batch, link, lane, named=True):
    offsets = np.empty(batch.offsets.size, np.int64)
    tick, source = np.empty((2, 2 * batch.n_spikes), np.int64)
    event = np.full(2 * batch.n_spikes if named else 0, -1)
    arrays = batch.offsets, batch.tick, batch.source
    n, reached = take_in(*arrays, DURATION, FIRST, SOURCE, BUS, REACH, 3, link, lane, offsets, tick, source, event)
    return None if n < 0 else (offsets, tick[:n], source[:n], event[:n], reached)


def expected(batch, link, lane):
    try:
        batch.check("inputs", duration_ticks=DURATION, n_sources=N_CHANNELS)
    except HxloopError:
        return None
    if (batch.source == 4).any():
        return None
    event, source = Fanout(FIRST, SOURCE).expand(batch.source.astype(np.int64))
    nothing = np.zeros(batch.n_spikes, np.int64)
    passes = admitted(batch.offsets, batch.tick, nothing, 1, link[0], int(link[1]))
    offsets, tick = np.searchsorted(event, batch.offsets), batch.tick[event]
    on_bus = admitted(offsets, tick, BUS[source], 3, lane[0], int(lane[1]))
    return (offsets, tick, source, event, REACH[source].sum()) if passes.all() and on_bus.all() else None


events = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, DURATION), st.integers(-1, N_CHANNELS)), max_size=12)
sound = st.lists(st.tuples(st.integers(0, 2), st.integers(0, DURATION - 1), st.integers(0, 3)), max_size=30)
queues = st.tuples(st.sampled_from([0.25, 0.5, 1.0, 2.0]), st.integers(1, 8).map(float))


@given(st.one_of(events, sound), queues, queues, st.booleans())
def test_one_pass_agrees_with_all_the_others(drawn, link, lane, in_order):
    sample, tick, source = np.array(drawn, np.int64).reshape(-1, 3).T
    batch = SpikeBatch.from_arrays(sample, tick, source, 3)
    if not in_order:
        batch = SpikeBatch(batch.offsets, batch.tick[::-1].copy(), batch.source)
    found, wanted = taken(batch, link, lane), expected(batch, link, lane)
    assert (found is None) == (wanted is None)
    if wanted is not None:
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
        unnamed = taken(batch, link, lane, named=False)
        for k in (0, 1, 2, 4):
            np.testing.assert_array_equal(unnamed[k], wanted[k])


@pytest.mark.parametrize("offsets", [[], [1, 2], [0, 1], [0, 2, 1, 2], [0, 3, 2], [0, -1, 2]])
def test_offsets_that_partition_nothing_are_left_to_the_checks(offsets):
    batch = SpikeBatch(np.array(offsets, np.int64), np.array([3, 4]), np.array([0, 1], np.int32))
    assert taken(batch, (1.0, 8.0), (1.0, 8.0)) is None
