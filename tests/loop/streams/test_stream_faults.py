"""Streams straight to the worker: the same promises as on the data socket, whatever dies, is lost, or misbehaves."""

from __future__ import annotations

import os
import random
import signal
import socket
import struct
import tempfile
import threading
import time

import numpy as np
import pytest
from support.chips.fake_chip import BROKEN_SEED, SLOW_SEED, small_config, small_inputs
from support.daemons.daemon import Daemon
from support.daemons.daemon_cases import (
    CONFIG,
    CRASH_SEED,
    HASH,
    INPUTS,
    SECOND_PER_RUN,
    assert_same,
    kill_while_running,
    ready_client,
    wait_running,
)
from support.daemons.processes import is_running, wait_for
from support.daemons.stream_client import StreamClient

from hxloop.errors import InvalidInputError, RunCancelledError, WorkerCrashedError
from hxloop.protocol.codec import array_headers, config_arrays, encode, spike_arrays
from hxloop.protocol.messages import PROTOCOL_VERSION, DescribeRequest, Limits
from hxloop.protocol.stream_frames import HEAD, STREAM_MAGIC, attach_message, stream_parts
from hxloop.result import Readout
from hxloop_host.link.client import RemoteChip
from hxloop_host.link.patience import Patience
from hxloop_host.link.transport import Address

pytestmark = pytest.mark.processes


def on_stream(daemon):
    return ready_client(daemon, StreamClient)


def remote(daemon):
    return RemoteChip(Address(daemon.endpoint))


def test_streams_answer_the_same(calm, undisturbed):
    client = on_stream(calm)
    for seed, right in zip((1, 2), undisturbed(1, 2), strict=True):
        reply, arrays = client.run(HASH, INPUTS, trial_seed=seed)
        assert reply.reply == "run" and reply.sequence == client.sequence
        assert_same(arrays, right)
    everything = Readout(counters=True, correlation=True)
    reply, arrays = client.run(HASH, INPUTS, readout=everything)
    assert {"observations.spike_count", "observations.correlation"} < arrays.keys()
    reply, arrays = client.run(HASH, INPUTS, trial_seed=BROKEN_SEED)
    assert reply.code == "service" and "KeyError" in reply.message
    assert client.run(HASH, INPUTS)[0].reply == "run"


def test_a_request_runs_once_however_often_it_is_sent(calm):
    client = on_stream(calm)
    before = client.status().ledger
    frames = client.send_run(HASH, INPUTS, trial_seed=SLOW_SEED + 10)
    client.send_over(frames)
    first, second = client.read_over(), client.read_over()
    client.attach()
    client.send_over(frames)
    for reply, arrays in (second, client.read_over()):
        assert reply == first[0]
        assert_same(arrays, first[1])
    after = client.status().ledger
    assert after.runs_executed == before.runs_executed + 1
    assert after.replies_resent == before.replies_resent + 2
    assert after.samples == before.samples + INPUTS.n_samples
    assert after.requests >= before.requests + 3


def test_a_reply_that_was_never_read_waits_for_the_next_stream(calm):
    client = on_stream(calm)
    executed = client.status().ledger.runs_executed
    frames = client.send_run(HASH, INPUTS, trial_seed=SLOW_SEED + 10)
    wait_for(lambda: client.status().running_sequence == client.sequence, 10.0)
    client.attach()
    client.send_over(frames)
    assert client.read_over()[0].sequence == client.sequence
    assert client.status().ledger.runs_executed == executed + 1


def test_wrong_sequence_numbers_are_refused_and_the_session_lives(calm):
    client = on_stream(calm)
    first = client.send_run(HASH, INPUTS)
    client.read_over()
    client.sequence = 1
    assert client.run(HASH, INPUTS, trial_seed=5)[0].code == "sequence", "used by another request"
    client.sequence = 7
    reply, _ = client.run(HASH, INPUTS)
    assert reply.code == "sequence" and "3 is next" in reply.message
    client.sequence = 2
    for _ in range(Limits().max_stored_replies):
        assert client.run(HASH, INPUTS)[0].reply == "run"
    client.send_over(first)
    assert "forgotten" in client.read_over()[0].message
    assert client.run(HASH, INPUTS)[0].reply == "run"


def test_a_worker_that_is_killed_ends_its_streams_and_clients_come_back(undisturbed):
    seeds = [SLOW_SEED + k for k in (20, 21)]
    expected = undisturbed(*seeds)
    dice = random.Random(1)
    with Daemon() as daemon, remote(daemon) as chip:
        chip.configure(CONFIG)
        watch = daemon.client()
        for seed, right in zip(seeds, expected, strict=True):
            before = chip.run(INPUTS, duration_ticks=1000)
            watch.session = chip._session.hello.session
            watch.sequence = chip._session.sequence + 1
            killer = threading.Thread(target=kill_while_running, args=(watch, signal.SIGKILL, dice.uniform(0.0, 0.1)))
            killer.start()
            result = chip.run(INPUTS, duration_ticks=1000, trial_seed=seed)
            killer.join()
            assert_same(vars(result.spikes), right)
            np.testing.assert_array_equal(chip.run(INPUTS, duration_ticks=1000).spikes.tick, before.spikes.tick)
        ledger = chip.status().ledger
        assert (ledger.worker_restarts, ledger.runs_executed) == (2, 6)
        assert chip._session._lanes.on_stream, "what follows goes over a stream again"


def test_a_worker_that_stands_still_is_replaced_by_its_supervisor():
    """Even for a client whose tries on the stream are used up sooner than the supervisor's patience."""
    with Daemon(options=["--stall-timeout-s", "2"]) as daemon:
        patience = Patience(poll_s=0.1, control_s=2.0, tries=3)
        with RemoteChip(Address(daemon.endpoint), patience=patience) as chip:
            chip.configure(small_config())
            before = chip.run(small_inputs(n_samples=4), duration_ticks=3000)
            worker = chip.status().worker_pid
            os.kill(worker, signal.SIGSTOP)
            after = chip.run(small_inputs(n_samples=4), duration_ticks=3000)
            np.testing.assert_array_equal(after.spikes.tick, before.spikes.tick)
            assert not is_running(worker)


def test_a_batch_that_always_crashes_is_given_up_and_others_go_on():
    with Daemon(faults={"crash_trial_seed": CRASH_SEED}) as daemon, remote(daemon) as bad, remote(daemon) as good:
        for chip in (bad, good):
            chip.configure(CONFIG)
        expected = good.run(INPUTS, duration_ticks=1000)
        with pytest.raises(WorkerCrashedError, match="3 times"):
            bad.run(INPUTS, duration_ticks=1000, trial_seed=CRASH_SEED)
        for chip in (bad, good):
            found = chip.run(INPUTS, duration_ticks=1000)
            np.testing.assert_array_equal(found.spikes.tick, expected.spikes.tick)
        assert good.status().ledger.worker_restarts == 4


def test_cancel_stops_a_run_at_once_and_one_that_has_not_come(calm):
    client, other = on_stream(calm), on_stream(calm)
    for _ in range(3):
        client.send_run(HASH, small_inputs(n_samples=500), trial_seed=SLOW_SEED + 20)
        wait_running(client)
        begun = time.monotonic()
        assert client.cancel(client.sequence).state == "cancelled"
        assert client.read_over()[0].code == "cancelled"
        assert other.run(HASH, INPUTS)[0].reply == "run"
        assert time.monotonic() - begun < 0.5
    assert client.cancel(client.sequence).state == "finished"
    assert client.cancel(client.sequence + 1).state == "cancelled"
    assert client.run(HASH, INPUTS)[0].code == "cancelled"
    assert client.cancel(client.sequence + 50).state == "unknown"
    assert client.run(HASH, INPUTS)[0].reply == "run"
    assert client.status().ledger.worker_restarts == 0


def test_a_run_that_does_not_heed_a_cancel_is_ended_with_its_worker():
    with Daemon() as daemon:
        client, other = on_stream(daemon), ready_client(daemon)
        client.send_run(HASH, INPUTS, trial_seed=SLOW_SEED + 60_000)
        wait_running(client)
        other.send_run(HASH, INPUTS)
        assert client.cancel(client.sequence).state == "cancelled"
        assert client.read_over(timeout_s=5) == "end"
        assert other.receive()[0].reply == "run", "it waited for its turn, and is not to blame"


def test_progress_can_be_seen(calm):
    client = on_stream(calm)
    client.send_run(HASH, INPUTS, trial_seed=SLOW_SEED + 50)
    seen = set()
    while client.read_over(timeout_s=0.02) is None:
        status = client.status()
        if status.running_sequence == client.sequence:
            seen.add(status.progress)
    assert len(seen) > 2 and all(0 <= progress < 1 for progress in seen)
    assert client.status().progress is None


def test_streams_and_the_data_socket_take_turns(calm):
    first, second, third = on_stream(calm), on_stream(calm), ready_client(calm)
    first.send_run(HASH, INPUTS, trial_seed=SLOW_SEED + 20)
    wait_running(first)
    for client in (first, second):
        for _ in range(4):
            client.send_run(HASH, INPUTS, trial_seed=SLOW_SEED + 10)
    third.send_run(HASH, INPUTS, trial_seed=SLOW_SEED + 10)
    assert second.status().queue_position == 1
    assert second.read_over()[0].reply == third.receive()[0].reply == "run"
    before = 0
    while first.read_over(timeout_s=0.001) is not None:
        before += 1
    assert before <= 3, "nobody waits for more than one run of each of the others"
    for client, n in ((first, 5 - before), (second, 3)):
        assert [client.read_over()[0].reply for _ in range(n)] == ["run"] * n


def test_sessions_keep_their_own_configurations(calm):
    other = small_config((50,))
    a, b = on_stream(calm), on_stream(calm)
    b.configure(other)
    right = a.run(HASH, INPUTS)[1]
    for _ in range(2):
        assert not np.array_equal(b.run(other.sha256(), INPUTS)[1]["tick"], right["tick"])
        assert_same(a.run(HASH, INPUTS)[1], right)
    assert a.run(other.sha256(), INPUTS)[0].code == "unknown_configuration", "that is another session's"


def test_streams_and_the_data_socket_keep_their_own_configurations(calm):
    other = small_config((50,))
    on_data, streamed = ready_client(calm), on_stream(calm)
    right = on_data.run(HASH, INPUTS)[1]
    assert streamed.configure(other).reply == "configure"
    for _ in range(2):
        assert not np.array_equal(streamed.run(other.sha256(), INPUTS)[1]["tick"], right["tick"])
        assert_same(on_data.run(HASH, INPUTS)[1], right)
    changed = CONFIG.with_weight_codes(np.array([9], np.int8))
    streamed.run(other.sha256(), INPUTS)
    arrays = spike_arrays(INPUTS) | {"synapses.weight_code": changed.synapses.weight_code}
    header = on_data.run_header(changed.sha256(), INPUTS, base=HASH, arrays=array_headers(arrays))
    assert on_data.ask(header, arrays)[0].reply == "run"


def test_clients_that_stop_in_the_middle_hold_up_nobody(calm):
    """Half a head, half a message, replies never read; a thousand streams for one session."""
    quick = on_stream(calm)
    half_head, half_message, deaf, restless = (on_stream(calm) for _ in range(4))
    half_head.send_bytes(HEAD.pack(STREAM_MAGIC, PROTOCOL_VERSION, 1, 64)[:7])
    whole = b"".join(stream_parts(encode(half_message.run_header(HASH, INPUTS), spike_arrays(INPUTS))))
    half_message.send_bytes(whole[: len(whole) // 2])
    big = small_inputs(n_samples=1, n_spikes=200_000)
    deaf.stream.settimeout(0.3)
    with pytest.raises(TimeoutError):
        for _ in range(40):
            deaf.send_run(HASH, big)
    for _ in range(1000):
        restless.attach()
    for _ in range(10):
        assert quick.run(HASH, INPUTS)[0].reply == "run"
    half_message.send_bytes(whole[len(whole) // 2 :])
    assert half_message.read_over()[0].reply == "run"
    assert restless.run(HASH, INPUTS)[0].reply == "run"


def test_hostile_bytes_end_their_stream_at_most(calm):
    dice = random.Random(3)
    client, quiet = on_stream(calm), on_stream(calm)
    before = quiet.status()
    runs = [client.send_run(HASH, INPUTS), encode(client.configure_header(CONFIG), config_arrays(CONFIG))]
    client.read_over()
    for k in range(600):
        client.attach()
        data = bytearray(b"".join(stream_parts(dice.choice(runs))))
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(min(len(data), 400))] = dice.randrange(256)
        client.send_bytes(data if k % 4 else dice.randbytes(200))
        client.stream.shutdown(socket.SHUT_WR)
        answer = client.read_over()
        assert answer == "end" or answer[0].reply in {"run", "configure", "error"}
    assert quiet.run(HASH, INPUTS)[0].reply == "run"
    after = quiet.status()
    assert (after.worker_pid, after.ledger.worker_restarts) == (before.worker_pid, 0)


def test_what_is_no_message_is_answered_once_and_the_stream_ends(calm):
    client = on_stream(calm)
    for data, code, field in (
        (HEAD.pack(STREAM_MAGIC, PROTOCOL_VERSION - 1, 1, 16), "protocol_version", "protocol"),
        (HEAD.pack(STREAM_MAGIC, PROTOCOL_VERSION, 1, 2**40), "limit_exceeded", "message"),
        (b"GET / HTTP/1.1\r\n\r\n", "malformed_message", "header"),
    ):
        client.send_bytes(data)
        reply, _ = client.read_over()
        assert (reply.code, reply.field, reply.sequence) == (code, field, None)
        assert client.read_over() == "end"
        client.attach()
    for header, code in (
        (DescribeRequest(), "unknown_verb"),
        (client.run_header(HASH, INPUTS, session="x"), "session"),
    ):
        client.send_over(encode(header, spike_arrays(INPUTS) if header.verb == "run" else {}))
        assert client.read_over()[0].code == code
    client.sequence -= 1
    assert client.run(HASH, INPUTS)[0].reply == "run"


def test_a_wrong_checksum_uses_its_number_up(calm):
    client = on_stream(calm)
    frames = client.send_run(HASH, INPUTS)
    client.read_over()
    client.sequence += 1
    header = bytearray(frames[0])
    struct.pack_into("<Q", header, 76, client.sequence)
    struct.pack_into("<I", header, 8, 1)
    client.send_over([bytes(header), *frames[1:]])
    reply, _ = client.read_over()
    assert (reply.code, reply.field, reply.sequence) == ("malformed_message", "checksum", client.sequence)
    assert client.run(HASH, INPUTS)[0].reply == "run"


def test_who_may_hand_in_a_stream(calm):
    """Only a session that has sent nothing to the data socket, with a stream; anything else is refused or dropped."""
    client = on_stream(calm)
    frames = encode(client.run_header(HASH, INPUTS), spike_arrays(INPUTS))
    client.sequence -= 1
    assert client.ask_raw(frames).code == "session", "its requests go over the stream"
    other = ready_client(calm)
    for content, code in (
        (attach_message("nobody"), "unknown_session"),
        (attach_message(other.session), "session"),
        (attach_message(client.session)[:4] + b"\x05\0" + client.session.encode(), "protocol_version"),
        (b"nonsense", "malformed_message"),
    ):
        client.attach(content)
        assert client.read_over()[0].code == code
        assert client.read_over() == "end"
    with tempfile.TemporaryFile() as file, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.connect(client.origin.stream_endpoint.removeprefix("ipc://"))
        for descriptors in ([file.fileno()], [], [file.fileno()] * 5, [door.fileno()]):
            socket.send_fds(door, [attach_message(client.session)], descriptors)
    client.attach()
    assert client.run(HASH, INPUTS)[0].reply == "run"


def test_a_daemon_that_goes_down_finishes_what_runs(calm):
    del calm
    with Daemon() as daemon:
        client, late = on_stream(daemon), on_stream(daemon)
        client.send_run(HASH, INPUTS, trial_seed=SLOW_SEED + 50)
        wait_running(client)
        daemon.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "going down" in daemon.log, 10.0)
        late.send_run(HASH, INPUTS)
        assert client.read_over()[0].reply == "run"
        answer = late.read_over()
        assert answer == "end" or answer[0].code == "shutting_down"
        assert daemon.wait() == 0


def test_a_busy_stream_keeps_daemon_and_session_alive_and_an_idle_one_does_not():
    with Daemon(options=("--idle-timeout-s", "1")) as daemon:
        client = on_stream(daemon)
        for _ in range(2):
            assert client.run(HASH, INPUTS, trial_seed=SECOND_PER_RUN - 20)[0].reply == "run"
        worker = client.status().worker_pid
        assert daemon.wait() == 0
        assert client.read_over() == "end"
        wait_for(lambda: not is_running(worker), 10.0)


@pytest.mark.parametrize("neurons", [(2**40,), (-5,), tuple(range(600))])
def test_neurons_that_no_chip_has_are_refused_in_words(calm, neurons):
    with remote(calm) as chip:
        chip.configure(CONFIG)
        with pytest.raises(InvalidInputError, match="neurons"):
            chip.run(INPUTS, duration_ticks=1000, neurons=neurons)
        assert chip.run(INPUTS, duration_ticks=1000, neurons=(0,)).spikes.n_spikes == INPUTS.n_spikes


def test_cancel_from_another_thread(calm):
    with remote(calm) as chip:
        chip.configure(CONFIG)
        threading.Timer(0.3, chip.cancel).start()
        begun = time.monotonic()
        with pytest.raises(RunCancelledError):
            chip.run(small_inputs(n_samples=500), duration_ticks=1000, trial_seed=SLOW_SEED + 20)
        assert time.monotonic() - begun < 2
        assert chip.run(INPUTS, duration_ticks=1000).events_out == INPUTS.n_spikes
