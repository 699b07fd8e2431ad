"""Faults of real processes: whatever dies, stops or is lost, clients get the one right answer."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.chips.fake_chip import BROKEN_SEED, SLOW_SEED, small_config, small_inputs
from support.daemons.daemon import ROOT, Client, Daemon
from support.daemons.daemon_cases import (
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

from hxloop.protocol.codec import encode
from hxloop.protocol.messages import HelloRequest

pytestmark = pytest.mark.processes


def test_killed_workers_change_nothing(undisturbed):
    """F1, with the real solver's place taken by a slow chip: every kill lands in a run."""
    seeds = [SLOW_SEED + k for k in (20, 21, 22)]
    expected = undisturbed(*seeds)
    dice = random.Random(1)
    with Daemon() as daemon:
        client = ready_client(daemon)
        for seed, right in zip(seeds, expected, strict=True):
            client.send_run(HASH, INPUTS, trial_seed=seed)
            kill_while_running(client, signal.SIGKILL, dice.uniform(0.0, 0.1))
            reply, arrays = client.receive()
            assert reply.reply == "run", reply
            assert_same(arrays, right)
        ledger = client.status().ledger
        assert (ledger.worker_restarts, ledger.runs_executed) == (3, 3)


def test_killed_workers_change_nothing_on_the_emulated_chip():
    """The same with the solver: mismatch and noise are functions of serial and seed."""
    config = small_config((63,), n_input=40)
    generator = np.random.default_rng(3)
    n, spikes = 6000, 60  # long enough to be killed in the middle
    from hxloop.spikes import SpikeBatch

    sample = np.repeat(np.arange(n), spikes)
    inputs = SpikeBatch.from_arrays(
        sample, generator.integers(0, 9000, sample.size), generator.integers(0, 40, sample.size), n
    )
    with Daemon(fake=False) as daemon:
        client = daemon.client()
        client.hello()
        client.configure(config)
        reply, expected = client.run(config.sha256(), inputs, duration_ticks=200_000, trial_seed=5, timeout_s=60)
        assert reply.reply == "run" and reply.events_out > 0, reply
        client.send_run(config.sha256(), inputs, duration_ticks=200_000, trial_seed=5)
        kill_while_running(client, signal.SIGKILL, 0.0)
        reply, arrays = client.receive(timeout_s=60)
        assert reply.reply == "run", reply
        assert_same(arrays, expected)
        assert client.status().ledger.worker_restarts == 1


def test_a_stopped_worker_is_replaced(undisturbed):
    """F4: SIGSTOP for ever, while a batch runs and while nothing runs."""
    expected = undisturbed(SECOND_PER_RUN)[0]
    with Daemon(options=["--stall-timeout-s", "1"]) as daemon:
        client = ready_client(daemon)
        client.send_run(HASH, INPUTS, trial_seed=SECOND_PER_RUN)
        stopped = kill_while_running(client, signal.SIGSTOP)
        reply, arrays = client.receive(timeout_s=20)
        assert reply.reply == "run", reply
        assert_same(arrays, expected)
        assert "made no progress" in daemon.log
        assert not is_running(stopped)
        second = client.status().worker_pid
        os.kill(second, signal.SIGSTOP)
        wait_for(lambda: client.status().worker_pid != second, 20, "the idle worker to be replaced")
        assert client.run(HASH, INPUTS)[0].reply == "run"


def test_a_lost_reply_is_sent_again_from_store():
    """F5: replies are hello, configure, run: the third is dropped."""
    with Daemon(faults={"drop_replies": [3]}) as daemon:
        client = ready_client(daemon)
        frames = client.send_run(HASH, INPUTS)
        assert client.receive(timeout_s=0.3) is None
        client.reopen()
        client.send(frames)
        reply, _ = client.receive()
        assert (reply.reply, reply.sequence) == ("run", client.sequence)
        ledger = client.status().ledger
        assert (ledger.runs_executed, ledger.replies_resent) == (1, 1)


def test_duplicates_run_once():
    """F6, F7: a reply sent twice, a request sent five times before and after its end."""
    with Daemon(faults={"duplicate_replies": [3]}) as daemon:
        client = ready_client(daemon)
        client.run(HASH, INPUTS)
        twin, _ = client.receive(timeout_s=1)
        assert (twin.reply, twin.sequence) == ("run", client.sequence)
        frames = client.send_run(HASH, INPUTS, trial_seed=SLOW_SEED + 20)
        for _ in range(2):
            client.send(frames)
        reply, arrays = client.receive()
        for _ in range(2):
            client.send(frames)
            again, same = client.receive()
            assert again == reply
            assert_same(same, arrays)
        assert client.receive(timeout_s=0.2) is None
        assert client.status().ledger.runs_executed == 2


def test_wrong_sequence_numbers_are_refused_and_the_session_lives(calm):
    """F8."""
    client = ready_client(calm)
    first = client.send_run(HASH, INPUTS)
    client.receive()
    client.sequence += 5
    reply, _ = client.run(HASH, INPUTS)
    assert (reply.code, reply.field) == ("sequence", "sequence") and "3 is next" in reply.message
    client.sequence = 2
    for _ in range(16):
        assert client.run(HASH, INPUTS)[0].reply == "run"
    assert client.ask_raw(first).code == "sequence"
    assert client.run(HASH, INPUTS)[0].reply == "run"


def test_a_batch_that_always_crashes_is_given_up():
    """F9: another session waits meanwhile, and goes on."""
    with Daemon(faults={"crash_trial_seed": CRASH_SEED}) as daemon:
        bad, good = ready_client(daemon), ready_client(daemon)
        bad.send_run(HASH, INPUTS, trial_seed=CRASH_SEED)
        good.send_run(HASH, INPUTS)
        reply, _ = bad.receive(timeout_s=20)
        assert reply.code == "worker_crashed" and f"sequence {bad.sequence}" in reply.message
        assert "3 times" in reply.message
        assert good.receive()[0].reply == "run"
        assert bad.run(HASH, INPUTS)[0].reply == "run"
        assert good.status().ledger.worker_restarts == 3


def test_a_bug_of_the_chip_is_an_error_reply(calm):
    client = ready_client(calm)
    reply, _ = client.run(HASH, INPUTS, trial_seed=BROKEN_SEED)
    assert reply.code == "service" and "KeyError" in reply.message
    assert client.run(HASH, INPUTS)[0].reply == "run"
    assert client.status().ledger.worker_restarts == 0


def test_cancel_is_answered_fast_and_the_chip_is_free_at_once(calm):
    """F25, at random moments of a run of the emulated chip's length."""
    dice = random.Random(2)
    client = ready_client(calm)
    other = ready_client(calm)
    for _ in range(5):
        client.send_run(HASH, small_inputs(n_samples=500), trial_seed=SLOW_SEED + 20)
        wait_running(client)
        time.sleep(dice.uniform(0.0, 0.2))
        begun = time.monotonic()
        assert client.cancel(client.sequence).state == "cancelled"
        reply, _ = client.receive()
        assert reply.code == "cancelled"
        assert time.monotonic() - begun < 0.25
        assert other.run(HASH, INPUTS)[0].reply == "run"
        assert time.monotonic() - begun < 0.5
    assert client.cancel(client.sequence).state == "finished"
    assert client.status().ledger.worker_restarts == 0


def test_a_run_that_does_not_heed_a_cancel_is_ended_with_its_worker():
    with Daemon() as daemon:
        client = ready_client(daemon)
        client.send_run(HASH, INPUTS, trial_seed=SLOW_SEED + 60_000)  # one sample takes a minute
        wait_running(client)
        assert client.cancel(client.sequence).state == "cancelled"
        reply, _ = client.receive(timeout_s=5)
        assert reply.code == "cancelled"
        assert client.run(HASH, INPUTS)[0].reply == "run"


def test_control_answers_while_batches_run_and_sessions_take_turns(calm):
    first, second = ready_client(calm), ready_client(calm)
    executed = first.status().ledger.runs_executed
    for _ in range(3):
        first.send_run(HASH, INPUTS, trial_seed=SLOW_SEED + 30)
    wait_running_any(first)
    second.send_run(HASH, INPUTS, trial_seed=SLOW_SEED + 30)
    wait_for(lambda: second.status().queue_position is not None, 10.0, "the second session to wait")
    assert second.status().queue_position <= 2, "its turn comes before the first session's third run"
    begun = time.monotonic()
    assert first.status().progress is not None
    assert time.monotonic() - begun < 0.2
    second.receive()
    assert first.status().ledger.runs_executed <= executed + 3
    for _ in range(3):
        assert first.receive()[0].reply == "run"


def wait_running_any(client):
    wait_for(lambda: client.status().running_sequence is not None, 10.0, "a run to begin")


def test_runs_use_their_own_sessions_configuration(calm, undisturbed):
    """A's run under A's weights although B configured in between; identical to A alone."""
    other = small_config((50,))
    expected = undisturbed(1, 2, 3)
    a, b = ready_client(calm), calm.client()
    b.hello()
    for seed, right in zip((1, 2, 3), expected, strict=True):
        b.configure(other)
        assert_same(a.run(HASH, INPUTS, trial_seed=seed)[1], right)
        assert not np.array_equal(b.run(other.sha256(), INPUTS, trial_seed=seed)[1]["tick"], right["tick"])


def test_a_reader_that_never_reads_does_not_hold_up_others(calm):
    """F19: replies to it are kept, not piled up."""
    big = small_inputs(n_samples=1, n_spikes=200_000)
    slow, quick = ready_client(calm), ready_client(calm)
    for _ in range(8):
        slow.send_run(HASH, big)
    for _ in range(10):
        assert quick.run(HASH, INPUTS)[0].reply == "run"


def test_tcp_on_loopback_answers_the_same(undisturbed):
    expected = undisturbed(4)[0]
    with Daemon(endpoint="tcp://127.0.0.1:0") as daemon:
        connection = json.loads(daemon.connection_file.read_text())
        assert connection["endpoint"].startswith("tcp://127.0.0.1:") and not connection["endpoint"].endswith(":0")
        assert connection["control_endpoint"] != connection["endpoint"]
        assert_same(ready_client(daemon).run(HASH, INPUTS, trial_seed=4)[1], expected)


def test_half_open_connections_do_no_harm():
    """F18, in small: connections that never speak."""
    with Daemon(endpoint="tcp://127.0.0.1:0") as daemon:
        port = int(json.loads(daemon.connection_file.read_text())["endpoint"].rpartition(":")[2])
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
        silent[0].sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert ready_client(daemon).run(HASH, INPUTS)[0].reply == "run"
        for connection in silent:
            connection.close()


def test_the_supervisor_imports_neither_numba_nor_the_chip():
    code = (
        "import sys, hxloop_chip.server.daemon; print([m for m in sys.modules if 'numba' in m or m.endswith('.chip')])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['hxloop.chip']"


def test_a_client_that_left_is_no_trouble(calm):
    client = ready_client(calm)
    client.send_run(HASH, INPUTS, trial_seed=SLOW_SEED + 20)
    wait_running(client)
    executed = client.status().ledger.runs_executed
    client.data.close()
    other = Client(client.connection)
    other.hello()
    wait_for(lambda: other.status().ledger.runs_executed == executed + 1, 10.0)
    assert other.ask_raw(encode(HelloRequest(client="again"))).reply == "hello"
    other.close()
    assert Path(f"/proc/{calm.process.pid}").exists()
