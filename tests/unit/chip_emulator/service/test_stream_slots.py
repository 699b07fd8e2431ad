"""Sessions on streams as the supervisor sees them: slots, cancels, sums, and what is left when a worker is lost."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from support.daemons.worker_bench import new_board

from hxloop.errors import OverloadedError, SessionError
from hxloop.protocol.messages import Limits
from hxloop.result import COUNTS
from hxloop_chip.service.ledger import LedgerBook
from hxloop_chip.service.sessions import EVICTABLE_S, SessionTable
from hxloop_chip.service.stream_board import MOST_AHEAD, MOST_SLOTS
from hxloop_chip.service.stream_slots import StreamSlots

LIMITS = Limits(max_sessions=2, session_idle_s=100)


@pytest.fixture
def slots():
    return StreamSlots(new_board())


@pytest.fixture
def table():
    return SessionTable(LIMITS)


def test_a_session_keeps_its_slot_and_no_two_share_one(slots, table):
    a, b = table.open("a", 0.0), table.open("b", 0.0)
    assert slots.attach(a) == slots.attach(a) == a.slot
    assert slots.attach(b) != a.slot


def test_what_went_over_the_data_socket_stays_there(slots, table):
    session = table.open("a", 0.0)
    session.use_up(1)
    with pytest.raises(SessionError):
        slots.attach(session)
    assert session.slot is None


def test_there_are_slots_for_as_many_sessions_as_a_daemon_announces(slots):
    assert Limits().max_sessions <= MOST_SLOTS
    table = SessionTable(Limits(max_sessions=1000))
    for _ in range(MOST_SLOTS):
        slots.attach(table.open("a", 0.0))
    with pytest.raises(OverloadedError):
        slots.attach(table.open("a", 0.0))


def test_slots_of_sessions_that_are_dropped_are_freed_and_used_again(slots, table):
    old, other = table.open("old", 0.0), table.open("other", 0.0)
    slot = slots.attach(old)
    slots.board.use_up(slot, 7)
    slots.board.cancel(slot, 8)
    slots.attach(other)
    slots.sweep(table)
    assert not slots.freed
    other.last_seen_s = EVICTABLE_S + 1
    new = table.open("new", EVICTABLE_S + 1)  # the table is full: the one that was silent for longest goes
    slots.sweep(table)
    assert list(slots.freed) == [slot]
    assert slots.attach(new) == slot
    assert slots.board.last_sequence(slot) == 0 and not slots.board.is_cancelled(slot, 8)


def test_requests_and_long_runs_are_signs_of_life(slots, table):
    a, b = table.open("a", 0.0), table.open("b", 0.0)
    for session in (a, b):
        slots.attach(session)
    assert not slots.notice(1.0)
    slots.board.count("requests")
    slots.board.use_up(a.slot, 1)
    assert slots.notice(2.0) and not slots.notice(3.0)
    slots.board.begin(-1, b.slot, 1)
    assert slots.notice(4.0)
    assert (a.last_seen_s, b.last_seen_s) == (2.0, 4.0)


def test_what_becomes_of_a_cancel(slots, table):
    a, b = table.open("a", 0.0), table.open("b", 0.0)
    for session in (a, b):
        slots.attach(session)
    board = slots.board
    board.use_up(a.slot, 2)
    assert [slots.cancel(a, n, reach=3) for n in (0, 1, 2, 6)] == ["unknown", "finished", "finished", "unknown"]
    board.begin(-5, a.slot, 3)
    assert slots.cancel(b, 3, reach=3) == "cancelled" and not board.stopped, "that is another session's"
    assert board.to_stop() is None
    assert slots.cancel(a, 3, reach=3) == "cancelled" and board.stopped and board.to_stop() == -5
    board.end()
    board.begin(-6, a.slot, 4)
    assert not board.stopped and board.to_stop() is None, "a cancel that comes too late hits nothing else"
    board.end()
    assert slots.cancel(a, 5, reach=3) == "cancelled"
    board.begin(-7, a.slot, 5)
    assert board.is_cancelled(a.slot, 5) and board.to_stop() == -7
    np.testing.assert_array_equal(board.stop_words, [-5, -7])


def test_as_many_can_be_cancelled_ahead_as_a_queue_is_long(slots, table):
    reach = Limits().max_queue + 1
    assert reach <= MOST_AHEAD
    a, b = table.open("a", 0.0), table.open("b", 0.0)
    for session in (a, b):
        slots.attach(session)
    slots.board.use_up(a.slot, 100)
    for sequence in range(101, 101 + reach):
        assert slots.cancel(a, sequence, reach) == "cancelled"
    for sequence in range(90, 130):
        assert slots.board.is_cancelled(a.slot, sequence) == (101 <= sequence < 101 + reach)
        assert not slots.board.is_cancelled(b.slot, sequence)


def test_sums_of_streams_are_added_to_the_ledger(slots):
    book = LedgerBook(requests=5, errors=1, worker_restarts=2)
    run = SimpleNamespace(**{name: kind(1 + k) for k, (name, kind) in enumerate(COUNTS.items())}, chip_time=0.5)
    run.chip_time_us = 0.25
    book.add_run(10, run)
    for _ in range(2):
        slots.board.count("requests")
        slots.board.count_run(3, run)
    sums = slots.board.added_to(book).message()
    assert (sums.requests, sums.errors, sums.worker_restarts) == (7, 1, 2)
    assert (sums.runs_executed, sums.samples) == (3, 16)
    for name in COUNTS:
        assert getattr(sums, name) == 3 * getattr(run, name), name
    assert book.samples == 10


def test_a_lost_worker_takes_its_sessions_along(slots, table):
    gone, kept = table.open("gone", 0.0), table.open("kept", 0.0)
    slots.attach(gone)
    slots.lost(table)
    assert gone not in table and kept in table


def test_a_request_that_has_its_answer_is_at_work_no_more_though_the_worker_still_sends_it(slots, table):
    slot, board = slots.attach(table.open("a", 0.0)), slots.board
    board.begin(-1, slot, 4)
    assert board.running(slot) == 4 and board.busy
    board.use_up(slot, 4)
    assert board.running(slot) is None and board.busy
    board.cancel(slot, 4)
    assert not board.stopped, "there is nothing to stop"
    board.begin(-2, slot, 5)
    assert board.running(slot) == 5
