"""Cancels: what they answer, when the request waits, runs, has been answered or is still on its way."""

from __future__ import annotations

import pytest
from support.daemons.service_bench import CONFIG, Bench, configure, run, run_reply

from hxloop.errors import RunCancelledError, UnknownSessionError
from hxloop.protocol.codec import decode_request
from hxloop.protocol.messages import CancelRequest, Limits, StatusRequest


@pytest.fixture
def bench():
    return Bench()


def test_a_waiting_request_can_be_cancelled(bench):
    session = bench.hello()
    bench.tell(configure(session, 1))
    bench.tell(run(session, 2), b"a")
    assert bench.control(CancelRequest(session=session, sequence=2)).state == "cancelled"
    ((address, reply),) = bench.replies()
    assert address == b"a" and reply.code == RunCancelledError.code and reply.sequence == 2
    assert bench.work().verb == "configure" and bench.work() is None
    assert bench.tell(run(session, 2))[-1][1].code == RunCancelledError.code, "the resend gets the same answer"


def test_a_running_request_is_cancelled_at_once_and_its_result_goes_nowhere(bench):
    session = bench.hello()
    bench.tell(configure(session, 1))
    bench.work()
    bench.tell(run(session, 2), b"a")
    order, _ = bench.order()
    bench.replies()
    bench.now_s = 3.0
    assert not bench.service.running.cancelled
    assert bench.control(CancelRequest(session=session, sequence=2)).state == "cancelled"
    ((address, reply),) = bench.replies()
    assert (address, reply.code, reply.sequence) == (b"a", RunCancelledError.code, 2)
    assert bench.service.running.cancelled, "the worker is still at it"
    assert bench.control(CancelRequest(session=session, sequence=2)).state == "finished"
    assert bench.control(StatusRequest(session=session)).running_sequence is None
    bench.tell(run(session, 3))
    assert bench.work() is None, "nothing runs before the worker has stopped"
    bench.service.finish(order.job, CONFIG.sha256(), run_reply(decode_request(run(session, 2), Limits())[0]))
    assert bench.replies() == []
    assert bench.work().sequence == 3 and bench.replies()[0][1].reply == "run"
    assert bench.control(StatusRequest()).ledger.runs_executed == 1
    assert bench.tell(run(session, 2))[0][1] == reply


def test_a_worker_that_has_to_be_ended_for_a_cancelled_run_is_not_given_it_again(bench):
    session = bench.hello()
    bench.tell(configure(session, 1))
    bench.order()
    bench.control(CancelRequest(session=session, sequence=1))
    bench.replies()
    bench.service.worker_lost("it did not stop")
    assert bench.replies() == [] and bench.order() is None


def test_a_cancel_that_overtakes_its_request_holds_when_that_comes(bench):
    session = bench.hello()
    bench.tell(configure(session, 1))
    bench.work()
    bench.replies()
    assert bench.control(CancelRequest(session=session, sequence=3)).state == "cancelled"
    assert bench.tell(run(session, 2)) == [] and bench.work().sequence == 2
    bench.replies()
    ((_, reply),) = bench.tell(run(session, 3))
    assert (reply.code, reply.sequence) == (RunCancelledError.code, 3)
    assert bench.tell(run(session, 3))[0][1] == reply, "the resend gets the same answer"
    assert bench.tell(run(session, 4)) == [] and bench.work().sequence == 4


def test_cancels_of_numbers_that_cannot_be_on_their_way_are_not_kept(bench):
    session = bench.hello()
    states = [bench.control(CancelRequest(session=session, sequence=k)).state for k in (0, 1, 9, 10, 2**62)]
    assert states == ["unknown", "cancelled", "cancelled", "unknown", "unknown"]  # 8 wait, one runs
    assert bench.control(CancelRequest(session="nobody", sequence=3)).code == UnknownSessionError.code
