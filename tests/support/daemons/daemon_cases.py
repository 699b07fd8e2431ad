"""What the tests of real daemons share: a small configuration, and clients that wait and kill."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager

import numpy as np
from support.chips.fake_chip import SLOW_SEED, small_config, small_inputs
from support.daemons.daemon import Daemon
from support.daemons.processes import wait_for

CONFIG = small_config()
HASH = CONFIG.sha256()
INPUTS = small_inputs(n_samples=10)
CRASH_SEED = 13
SECOND_PER_RUN = SLOW_SEED + 100  # ten samples of 100 ms


def ready_client(daemon, kind=None):
    client = daemon.client(kind)
    client.hello()
    reply = client.configure(CONFIG)
    assert reply.reply == "configure", reply
    return client


@contextmanager
def unharmed_daemon():
    """A daemon with a real chip for many attacks: it survives them all, with the worker it began with."""
    with Daemon(fake=False) as running:
        before = running.client().status()
        yield running
        assert running.process.poll() is None
        after = running.client().status()
        assert (after.worker_pid, after.ledger.worker_restarts) == (before.worker_pid, 0)
        assert "Traceback" not in running.log


@contextmanager
def unharmed_session(daemon, config, inputs, kind=None):
    """A session with a configuration, which works afterwards as before."""
    fresh = daemon.client(kind)
    fresh.hello()
    assert fresh.configure(config).reply == "configure"
    before, _ = fresh.run(config.sha256(), inputs)
    yield fresh
    after, _ = fresh.run(config.sha256(), inputs)
    assert (before.reply, after.reply, after.events_out) == ("run", "run", before.events_out)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def wait_running(client):
    wait_for(lambda: client.status().running_sequence == client.sequence, 10.0, "the run to begin")


def kill_while_running(client, signal_number, delay_s=0.05):
    wait_running(client)
    time.sleep(delay_s)
    worker = client.status().worker_pid
    os.kill(worker, signal_number)
    return worker
