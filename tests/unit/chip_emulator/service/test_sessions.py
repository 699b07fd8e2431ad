"""Sessions, stores and turns, without clocks or sockets."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hxloop.errors import OverloadedError, SequenceError, UnknownSessionError
from hxloop.protocol.messages import Limits
from hxloop_chip.service.sessions import EVICTABLE_S, MAX_QUEUED_BYTES, Job, SessionTable
from hxloop_chip.service.stores import Store, digest_of, size_of


def make_job(session, sequence, size=1):
    return Job(0, session, SimpleNamespace(sequence=sequence, verb="run"), [b"%d" % sequence, b"x" * size], b"client")


def take_all(table):
    taken = []
    while (job := table.next_job()) is not None:
        taken.append((job.session.client, job.sequence))
    return taken


def test_frame_store_drops_the_oldest_beyond_its_number():
    store = Store(size_of, 2)
    for key in "abc":
        store.put(key, [key.encode()])
    assert store.get("a") is None and store.get("b") == [b"b"] and store.get("c") == [b"c"]


def test_frame_store_touch_keeps_what_is_used():
    store = Store(size_of, 2)
    store.put("a", [b"a"])
    store.put("b", [b"b"])
    store.get("a", touch=True)
    store.put("c", [b"c"])
    assert "a" in store and "b" not in store


def test_frame_store_is_bounded_in_bytes_but_keeps_the_newest():
    store = Store(size_of, 10, max_bytes=100)
    store.put("a", [b"x" * 60])
    store.put("a", [b"x" * 30])
    store.put("b", [b"x" * 60])
    assert len(store) == 2
    store.put("c", [b"x" * 500])
    assert len(store) == 1 and "c" in store


def test_sequence_numbers_rise_without_gaps():
    session = SessionTable(Limits()).open("a", 0.0)
    assert session.find(1, lambda: digest_of([b"1"])) is None
    for wrong in (0, 2, 7):
        with pytest.raises(SequenceError) as caught:
            session.find(wrong, lambda: digest_of([]))
        assert caught.value.field == "sequence"


def test_a_resend_finds_its_job_and_then_its_reply():
    table = SessionTable(Limits())
    session = table.open("a", 0.0)
    job = make_job(session, 1)
    table.submit(job)
    assert session.find(1, lambda: digest_of(job.frames)) is job
    assert table.next_job() is job
    assert session.find(1, lambda: digest_of(job.frames)) is job
    session.answer(1, job.digest, [b"reply"])
    assert session.find(1, lambda: digest_of(job.frames)) == [b"reply"]


def test_a_used_number_with_another_request_is_refused():
    table = SessionTable(Limits())
    session = table.open("a", 0.0)
    table.submit(make_job(session, 1))
    with pytest.raises(SequenceError, match="another request"):
        session.find(1, lambda: digest_of([b"other"]))


def test_a_forgotten_reply_is_an_error():
    session = SessionTable(Limits(max_stored_replies=2)).open("a", 0.0)
    for sequence in (1, 2, 3):
        session.use_up(sequence)
        session.answer(sequence, digest_of([b"d"]), [b"r"])
    with pytest.raises(SequenceError, match="forgotten"):
        session.find(1, lambda: digest_of([b"d"]))
    assert session.find(2, lambda: digest_of([b"d"])) == [b"r"]


def test_sessions_take_turns_and_each_is_first_come_first_served():
    table = SessionTable(Limits())
    a, b, c = (table.open(name, 0.0) for name in "abc")
    for session, n in ((a, 4), (b, 2), (c, 1)):
        for sequence in range(1, n + 1):
            table.submit(make_job(session, sequence))
    assert [table.position(s) for s in (a, b, c)] == [0, 1, 2]
    assert table.queued == 7
    assert take_all(table) == [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("b", 2), ("a", 3), ("a", 4)]
    assert table.position(a) is None and table.queued == 0


def test_a_job_put_back_is_next():
    table = SessionTable(Limits())
    a, b = table.open("a", 0.0), table.open("b", 0.0)
    for session in (a, b):
        for sequence in (1, 2):
            table.submit(make_job(session, sequence))
    job = table.next_job()
    table.put_back(job)
    assert take_all(table) == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_withdrawn_jobs_do_not_run():
    table = SessionTable(Limits())
    session = table.open("a", 0.0)
    jobs = [make_job(session, sequence) for sequence in (1, 2)]
    for job in jobs:
        table.submit(job)
    assert table.withdraw(jobs[0]) and not table.withdraw(jobs[0])
    assert take_all(table) == [("a", 2)]
    assert not table.withdraw(jobs[1])


def test_a_full_queue_leaves_the_sequence_number_free():
    table = SessionTable(Limits(max_queue=2))
    session = table.open("a", 0.0)
    for sequence in (1, 2):
        table.submit(make_job(session, sequence))
    with pytest.raises(OverloadedError) as caught:
        table.submit(make_job(session, 3))
    assert caught.value.field == "queue"
    assert session.find(3, lambda: digest_of(b"3")) is None
    table.next_job()
    table.submit(make_job(session, 3))


def test_waiting_bytes_are_bounded():
    table = SessionTable(Limits())
    session = table.open("a", 0.0)
    table.submit(make_job(session, 1))
    big = make_job(session, 2)
    big.frames = [range(MAX_QUEUED_BYTES)]  # only its length counts
    with pytest.raises(OverloadedError):
        table.submit(big)
    table.next_job()
    table.submit(big)  # alone in the queue, it is accepted


def test_a_full_table_drops_the_longest_silent_session_without_work():
    table = SessionTable(Limits(max_sessions=3))
    busy, old, young = table.open("busy", 0.0), table.open("old", 0.5), table.open("young", 1.0)
    table.submit(make_job(busy, 1))
    with pytest.raises(OverloadedError):
        table.open("fourth", 0.5 + EVICTABLE_S)
    table.open("fourth", 1.5 + EVICTABLE_S)
    with pytest.raises(UnknownSessionError):
        table.get(old.name, 7.0)
    assert table.get(young.name, 7.0) is young
    assert table.get(busy.name, 7.0) is busy


def test_a_session_with_work_does_not_expire():
    table = SessionTable(Limits(session_idle_s=10))
    busy, idle = table.open("busy", 0.0), table.open("idle", 0.0)
    table.submit(make_job(busy, 1))
    assert table.expire(11.0) == [idle]
    job = table.next_job()
    busy.answer(job.sequence, job.digest, [b""])
    assert table.expire(11.0) == [busy]
    assert len(table) == 0


def test_being_asked_for_keeps_a_session_alive():
    table = SessionTable(Limits(session_idle_s=10))
    session = table.open("a", 0.0)
    table.get(session.name, 9.0)
    assert table.expire(18.0) == []
    assert table.expire(19.5) == [session]


def test_session_names_cannot_be_guessed():
    table = SessionTable(Limits())
    names = {table.open("a", 0.0).name for _ in range(50)}
    assert len(names) == 50 and all(len(name) == 32 for name in names)
    with pytest.raises(UnknownSessionError):
        table.get("0" * 32, 0.0)
