"""The daemon's logic: requests in, replies and orders out, with a worker that is played by the test."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.chips.fake_chip import small_config
from support.daemons.service_bench import BOOT, CONFIG, IDENTITY, Bench, configure, run, run_reply

from hxloop.protocol.codec import boot_arrays, boot_from_arrays, decode_reply, decode_request, encode
from hxloop.protocol.messages import (
    PROTOCOL_VERSION,
    DescribeRequest,
    ErrorReply,
    HelloRequest,
    Limits,
    ShutdownRequest,
    StatusRequest,
)
from hxloop.result import Readout
from hxloop.spec import HICANN_X
from hxloop_chip.service.replies import MAX_TRIES

CADC = {"readout": Readout(cadc_circuits=(3, 5), cadc_period_ticks=250)}
MADC = {"readout": Readout(madc_circuit=3)}


@pytest.fixture
def bench():
    return Bench()


def test_hello_and_describe_are_answered_at_once(bench):
    ((address, reply),) = bench.tell(encode(HelloRequest(client="x")), b"a")
    assert (address, reply.reply, reply.boot_id, reply.identity) == (b"a", "hello", "boot", IDENTITY)
    assert reply.spec == HICANN_X and reply.limits == Limits()
    ((_, described),) = bench.tell(encode(DescribeRequest()))
    assert described.spec == HICANN_X


def test_boot_settings_are_told_on_both_sockets(bench):
    bench.service.handle_data(encode(DescribeRequest()), b"a")
    for frames in (bench.service.outbox.popleft().frames, bench.service.handle_control(encode(DescribeRequest()))):
        described, arrays = decode_reply(frames)
        boot = boot_from_arrays(described.operating_point, arrays)
        assert boot.target == BOOT.target
        expected = boot_arrays(BOOT)
        for name, array in boot_arrays(boot).items():
            assert array.dtype == expected[name].dtype
            np.testing.assert_array_equal(array, expected[name])


def test_configure_then_run(bench):
    session = bench.hello()
    assert bench.tell(configure(session, 1), b"a") == []
    assert bench.tell(run(session, 2), b"a") == []
    bench.work()
    ((address, reply),) = bench.replies()
    assert address == b"a" and reply.reply == "configure" and reply.config_hash == CONFIG.sha256()
    bench.work()
    ((_, reply),) = bench.replies()
    assert reply.reply == "run" and reply.sequence == 2
    ledger = bench.control(StatusRequest()).ledger
    assert (ledger.runs_executed, ledger.samples, ledger.events_out, ledger.energy_j_estimate) == (1, 3, 2, 6.0)
    assert (ledger.lost_in, ledger.lost_out, ledger.lost_late, ledger.events_lost) == (3, 4, 5, 12)
    assert (ledger.synaptic_events, ledger.cadc_reads, ledger.madc_reads, ledger.circuit_time_us) == (7, 8, 9, 1.0)


def test_the_same_request_runs_once_however_often_it_is_sent(bench):
    session = bench.hello()
    bench.tell(configure(session, 1))
    bench.work()
    bench.replies()
    request = run(session, 2)
    for address in (b"a", b"b", b"c"):
        assert bench.tell(request, address) == []
    assert bench.work() is not None and bench.work() is None
    first = bench.replies()
    assert [address for address, _ in first] == [b"c"], "the reply goes to where the client asked last"
    again = bench.tell(request, b"d")
    assert again == [(b"d", first[0][1])]
    ledger = bench.control(StatusRequest()).ledger
    assert (ledger.runs_executed, ledger.replies_resent) == (1, 1)


def test_a_run_under_an_unknown_configuration_is_refused_when_its_turn_comes(bench):
    session = bench.hello()
    bench.tell(configure(session, 1))
    bench.tell(run(session, 2))
    bench.tell(run(session, 3, config_hash="0" * 64))
    bench.tell(run(session, 4))
    while bench.work():
        pass
    codes = {reply.sequence: getattr(reply, "code", reply.reply) for _, reply in bench.replies()}
    assert codes == {1: "configure", 2: "run", 3: "unknown_configuration", 4: "run"}


def test_another_sessions_configuration_is_unknown(bench):
    mine, yours = bench.hello(), bench.hello()
    bench.tell(configure(mine, 1))
    bench.work()
    bench.replies()
    bench.tell(run(yours, 1))
    assert bench.work() is None
    assert bench.replies()[0][1].code == "unknown_configuration"


def test_configurations_are_sent_only_when_the_chip_has_another(bench):
    other = small_config((40,))
    a, b = bench.hello(), bench.hello()
    bench.tell(configure(a, 1))
    bench.tell(configure(b, 1, other))
    bench.work()
    bench.work()
    n = len(configure(a, 1))
    wanted = []
    for session, sequence, config in ((b, 2, other), (a, 2, CONFIG), (a, 3, CONFIG), (b, 3, other)):
        bench.tell(run(session, sequence, config))
        order, frames = bench.order()
        wanted.append(order.configuration_frames)
        if order.configuration_frames:
            stored, _ = decode_request(frames[:n], Limits())
            assert stored.config_hash == config.sha256()
        request, _ = decode_request(frames[order.configuration_frames :], Limits())
        bench.service.finish(order.job, config.sha256(), run_reply(request))
    assert wanted == [0, n, 0, n]


def test_a_refused_configuration_is_not_stored(bench):
    session = bench.hello()
    bench.tell(configure(session, 1))
    order, _ = bench.order()
    refusal = ErrorReply(boot_id="boot", identity=IDENTITY, sequence=1, code="out_of_range", message="no")
    bench.service.finish(order.job, None, encode(refusal))
    assert bench.replies()[0][1].code == "out_of_range"
    bench.tell(run(session, 2))
    assert bench.work() is None
    assert bench.replies()[0][1].code == "unknown_configuration"


def test_a_crashed_job_runs_again_with_its_configuration(bench):
    session = bench.hello()
    bench.tell(configure(session, 1))
    bench.work()
    bench.tell(run(session, 2))
    first, frames = bench.order()
    assert first.configuration_frames == 0
    bench.service.worker_lost("the worker died")
    second, again = bench.order()
    assert second.job == first.job and second.configuration_frames > 0
    assert again[second.configuration_frames :] == frames
    assert bench.control(StatusRequest()).ledger.worker_restarts == 1


def test_a_job_that_always_crashes_is_given_up_and_others_go_on(bench):
    bad, good = bench.hello(), bench.hello()
    bench.tell(configure(bad, 1))
    bench.tell(configure(good, 1))
    bench.work()
    bench.work()
    bench.replies()
    bench.tell(run(bad, 2))
    bench.tell(run(good, 2))
    for _ in range(MAX_TRIES):
        assert bench.replies() == []
        assert bench.order() is not None
        bench.service.worker_lost("the worker died")
    ((_, reply),) = bench.replies()
    assert reply.code == "worker_crashed" and reply.sequence == 2
    assert "run" in reply.message and "sequence 2" in reply.message and bad[:6] in reply.message
    assert bench.work().session == good
    assert bench.replies()[0][1].reply == "run"
    bench.tell(run(bad, 3))
    assert bench.work() is not None, "the session lives on"


def test_a_used_number_with_the_same_header_and_other_arrays_is_another_request(bench):
    session = bench.hello()
    bench.tell(configure(session, 1))
    bench.work()
    header, offsets, tick, source = run(session, 2)
    other = [header, offsets, np.frombuffer(tick, "<i8") + 1, source]
    other = [header, offsets, other[2].tobytes(), source]
    bench.tell([header, offsets, tick, source])
    for _ in range(2):  # while the first one waits, and when it is answered
        bench.replies()
        ((_, reply),) = bench.tell(other)
        assert (reply.code, reply.field) == ("sequence", "sequence")
        bench.work()
    bench.replies()
    assert bench.tell([header, offsets, tick, source])[0][1].reply == "run"


def test_status_shows_queue_and_progress(bench):
    a, b = bench.hello(), bench.hello()
    for session in (a, b):
        bench.tell(configure(session, 1))
        bench.tell(configure(session, 2, small_config((5,))))
    order, _ = bench.order()
    bench.service.report_progress(order.job, 3, 4)
    mine, yours, nobody = (bench.control(StatusRequest(session=s)) for s in (a, b, None))
    assert (mine.running_sequence, mine.progress, mine.queue_position) == (1, 0.75, 2)
    assert (yours.running_sequence, yours.progress, yours.queue_position) == (None, None, 1)
    assert (nobody.queue_position, nobody.queued, nobody.sessions) == (None, 3, 2)


@pytest.mark.parametrize(
    ("changes", "limits", "field"),
    [
        ({}, {"max_samples": 2}, "offsets"),
        ({}, {"max_input_events": 11}, "tick"),
        ({"duration_ticks": 1001}, {"max_sample_ticks": 1000}, "duration_ticks"),
        ({"duration_ticks": 1000}, {"max_run_ticks": 2999}, "duration_ticks"),
        # 3 samples: 2 circuits at ticks 0, 250, 500, 750; MADC readings 4.25 ticks apart.
        (CADC, {"max_readings": 3 * 2 * 4 - 1}, "readout"),
        (CADC | {"duration_ticks": 1001}, {"max_readings": 3 * 2 * 5 - 1}, "readout"),
        (MADC, {"max_readings": 3 * 236 - 1}, "readout"),
        ({"readout": Readout(cadc_circuits=(1,), cadc_period_ticks=-(2**31))}, {"max_readings": 2999}, "readout"),
        ({"readout": Readout(cadc_circuits=(1,), cadc_period_ticks=0)}, {"max_readings": 2999}, "readout"),
    ],
)
def test_runs_beyond_the_limits_never_reach_the_worker(changes, limits, field):
    bench = Bench(**limits)
    session = bench.hello()
    ((_, reply),) = bench.tell(run(session, 1, **changes))
    assert (reply.code, reply.field, reply.sequence) == ("limit_exceeded", field, 1)
    assert bench.work() is None
    assert bench.tell(run(session, 1, **changes))[0][1] == reply


@pytest.mark.parametrize(("changes", "max_readings"), [(CADC, 3 * 2 * 4), (MADC, 3 * 236), ({}, 0)])
def test_runs_at_the_limit_of_readings_do(changes, max_readings):
    bench = Bench(max_readings=max_readings)
    session = bench.hello()
    bench.tell(configure(session, 1))
    assert bench.tell(run(session, 2, **changes)) == []
    assert bench.work() is not None and bench.work().readout == changes.get("readout", Readout())


def test_an_unreadable_message_uses_up_the_number_it_names(bench):
    session = bench.hello()
    frames = run(session, 1)
    ((_, reply),) = bench.tell([frames[0], *frames[1:-1]])
    assert (reply.code, reply.sequence) == ("malformed_message", 1)
    assert bench.tell(configure(session, 2)) == [] and bench.work().sequence == 2


def test_an_unreadable_message_cannot_use_up_numbers_out_of_turn(bench):
    session = bench.hello()
    for sequence in (0, 2, 5, True, -1, "1", 2**70):
        header = {"verb": "run", "protocol": PROTOCOL_VERSION, "session": session, "sequence": sequence}
        assert bench.tell([json.dumps(header).encode()])[0][1].reply == "error"
    assert bench.tell(configure(session, 1)) == [] and bench.work().sequence == 1


def test_going_down_refuses_what_waits_and_lets_the_rest_finish(bench):
    session = bench.hello()
    bench.tell(configure(session, 1))
    bench.order()
    bench.tell(run(session, 2))
    assert bench.control(ShutdownRequest()).reply == "shutdown"
    ((_, reply),) = bench.replies()
    assert (reply.code, reply.sequence) == ("shutting_down", 2)
    for frames in (run(session, 3), encode(HelloRequest(client="late"))):
        assert bench.tell(frames)[0][1].code == "shutting_down"
    assert bench.control(StatusRequest(session=session)).running_sequence == 1
    bench.service.worker_lost("the worker died")
    assert bench.replies()[0][1].code == "shutting_down"
    assert bench.order() is None


def test_silent_sessions_are_dropped():
    bench = Bench(session_idle_s=60)
    session = bench.hello()
    bench.now_s = 60.5
    bench.service.expire()
    assert bench.tell(configure(session, 1))[0][1].code == "unknown_session"


def test_control_socket_has_its_own_verbs(bench):
    reply = bench.control(HelloRequest(client="x"))
    assert (reply.code, reply.field) == ("unknown_verb", "verb")
    assert bench.tell(encode(StatusRequest()))[0][1].reply == "status", "the data socket takes all of them"


def test_a_bug_in_the_daemon_becomes_a_reply(bench, monkeypatch):
    monkeypatch.setattr(bench.service, "_hello", lambda request: 1 / 0)
    assert bench.tell(encode(HelloRequest(client="x")))[0][1].code == "service"
