"""Messages made to harm: noise, mutations, floods. The daemon lives, and others are served meanwhile."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from support.chips.fake_chip import small_config, small_inputs
from support.daemons.daemon_cases import unharmed_daemon, unharmed_session

from hxloop.protocol.codec import config_arrays, encode, spike_arrays
from hxloop.protocol.messages import DescribeRequest, StatusRequest

pytestmark = pytest.mark.processes

CONFIG = small_config((20,), n_input=4)
INPUTS = small_inputs()


@pytest.fixture(scope="module")
def daemon():
    """One daemon for all tests here: it must survive them all, with the worker it began with."""
    with unharmed_daemon() as running:
        yield running


@pytest.fixture
def client(daemon):
    """A session with a configuration, which must work afterwards as before."""
    with unharmed_session(daemon, CONFIG, INPUTS) as fresh:
        yield fresh


def test_random_bytes_and_mutations(client, daemon):
    """Messages of noise, and valid ones with some bytes changed: each gets one reply."""
    dice = random.Random(7)
    noisy = daemon.client()
    noisy.hello()
    valid = [
        encode(DescribeRequest()),
        encode(StatusRequest()),
        encode(noisy.run_header(CONFIG.sha256(), INPUTS), spike_arrays(INPUTS)),
        encode(noisy.configure_header(CONFIG), config_arrays(CONFIG)),
    ]
    n = 2500
    for k in range(n):
        if k % 5 == 0:
            frames = [dice.randbytes(dice.randrange(60)) for _ in range(dice.randrange(1, 5))]
        else:
            frames = [bytearray(frame) for frame in dice.choice(valid)]
            for _ in range(dice.randrange(1, 4)):
                victim = frames[0] if dice.random() < 0.7 else dice.choice(frames)
                if victim:
                    victim[dice.randrange(len(victim))] = dice.randrange(256)
            if dice.random() < 0.1:
                del frames[dice.randrange(len(frames))]
            frames = [bytes(frame) for frame in frames] or [b""]
        answer = noisy.ask_raw(frames)
        assert answer.reply in {"error", "describe", "status", "run", "configure"}


FLOODS = {
    "empty frames": b"\x01\0" * 50_000,
    "small frames": b"\x01\x10sixteen of bytes" * 5000,
    "large frames": b"\x03" + (10**6).to_bytes(8, "big") + bytes(10**6),
}


@pytest.mark.parametrize("what", FLOODS)
def test_a_message_that_never_ends(client, daemon, what):
    """Its connection ends; others are served all the while, and the daemon holds no more than before."""
    flood, before_bytes, waits = FLOODS[what], resident_bytes(daemon), []
    for _ in range(10):
        rude, sent, closed = client.raw(), 0, False
        while not closed and sent < 200 * 10**6:
            begun = time.monotonic()
            try:
                rude.sendall(flood)
                sent += len(flood)
            except ConnectionError:
                closed = True
            client.status()
            waits.append(time.monotonic() - begun)
        assert closed, "nobody has stopped it"
        rude.close()
    assert max(waits) < 1.0
    assert resident_bytes(daemon) - before_bytes < 150 * 2**20
    assert 1 <= daemon.log.count("it sent a message of more than") <= 3, "said once for each reason"


def resident_bytes(daemon):
    pages = Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_a_deep_pipeline_gets_every_reply(client):
    big = small_inputs(n_samples=1, n_spikes=100_000)
    for _ in range(8):
        client.send_run(CONFIG.sha256(), big)
    replies = [client.receive()[0] for _ in range(8)]
    assert [reply.reply for reply in replies] == ["run"] * 8
    assert client.receive(timeout_s=0.1) is None


def test_frames_too_large_to_read_end_only_their_connection(client, daemon):
    rude = daemon.client()
    rude.send([encode(DescribeRequest())[0], bytes(130 * 2**20)])
    assert rude.receive(timeout_s=0.5) is None
    assert client.ask(DescribeRequest())[0].reply == "describe"
