"""Frames made to harm on a stream to the real chip: each is refused in words, and takes no memory it has not sent."""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from support.chips.fake_chip import small_config, small_inputs
from support.daemons.daemon_cases import unharmed_daemon, unharmed_session
from support.daemons.stream_client import StreamClient

from hxloop.protocol.codec import spike_arrays
from hxloop.protocol.messages import PROTOCOL_VERSION
from hxloop.protocol.packed_runs import PackedRun, pack_run
from hxloop.protocol.stream_frames import HEAD, STREAM_MAGIC, stream_parts

pytestmark = pytest.mark.processes

CONFIG = small_config((20,), n_input=4)
INPUTS = small_inputs()
LONG = small_inputs(n_samples=2, n_spikes=5000)
DURATION = 1000
HASH = CONFIG.sha256()


@pytest.fixture(scope="module")
def daemon():
    """One daemon for all attacks; the worker it began with must be the one it ends with."""
    with unharmed_daemon() as running:
        yield running


@pytest.fixture
def client(daemon):
    """A session that works before and afterwards alike; one wrong answer does not cost it its configuration."""
    with unharmed_session(daemon, CONFIG, INPUTS, StreamClient) as fresh:
        yield fresh


def with_value(arrays, name, place, value):
    arrays[name] = arrays[name].copy()
    arrays[name][place] = value


SPOILED = {
    "a negative offset": (lambda a: with_value(a, "offsets", 1, -5), "array", "inputs.offsets"),
    "offsets that fall": (lambda a: with_value(a, "offsets", 1, 10**6), "array", "inputs.offsets"),
    "offsets that begin late": (lambda a: with_value(a, "offsets", 0, 2), "array", "inputs.offsets"),
    "offsets beyond all memory": (lambda a: with_value(a, "offsets", -1, 2**62), "array", "inputs.offsets"),
    "no offsets": (lambda a: a.update(offsets=a["offsets"][:0]), "array", "inputs.offsets"),
    "a negative tick": (lambda a: with_value(a, "tick", 0, -1), "out_of_range", "inputs.tick[0]"),
    "a tick behind the end": (lambda a: with_value(a, "tick", -1, DURATION), "out_of_range", "inputs.tick"),
    "the last tick there is": (lambda a: with_value(a, "tick", -1, 2**63 - 1), "out_of_range", "inputs.tick"),
    "unsorted ticks": (lambda a: with_value(a, "tick", 0, DURATION - 1), "array", "inputs.tick"),
    "a negative source": (lambda a: with_value(a, "source", 0, -1), "out_of_range", "inputs.source[0]"),
    "a source without a driver": (lambda a: with_value(a, "source", 0, 200), "out_of_range", "inputs.source[0]"),
    "more ticks than sources": (lambda a: a.update(source=a["source"][:-1]), "array", "inputs.source"),
}


@pytest.mark.parametrize("inputs", [INPUTS, LONG], ids=["short", "long"])
@pytest.mark.parametrize("what", SPOILED)
def test_values_that_no_run_has_are_refused_by_name(client, what, inputs):
    spoil, code, field = SPOILED[what]
    arrays = dict(spike_arrays(inputs))
    spoil(arrays)
    client.send_over(packed(client, arrays))
    reply, _ = client.read_over()
    assert (reply.reply, reply.code, reply.sequence) == ("error", code, client.sequence), reply
    assert reply.field.startswith(field), reply


def packed(client, arrays, config_hash=HASH, **changes):
    """Next run of a client, with a checksum that is right."""
    header = client.run_header(config_hash, INPUTS, duration_ticks=DURATION, **changes)
    return pack_run(PackedRun(**{name: getattr(header, name) for name in PackedRun._fields}), arrays)


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([64, 0, 0, 0], "out_of_range"), ([0, 0, -1, 0], "invalid_input"), ([1, 2, 3], "array"), ([], "array"),
        ([0.5, 1.0, 2.0, np.nan], "array"),
    ],
)  # fmt: skip
def test_weights_that_no_chip_has_are_refused_and_the_configuration_stays(client, codes, code):
    codes = np.array(codes, np.float64 if any(c % 1 for c in codes) else np.int8)
    wrong = CONFIG.with_weight_codes(codes)
    for config_hash, expected in ((wrong.sha256(), code), ("ab" * 32, "malformed_message")):
        arrays = spike_arrays(INPUTS) | {"synapses.weight_code": codes}
        client.send_over(packed(client, arrays, base=CONFIG.sha256(), config_hash=config_hash))
        reply, _ = client.read_over()
        assert (reply.reply, reply.code, reply.sequence) == ("error", expected, client.sequence), reply


@pytest.mark.parametrize(("offset", "value"), [(7, b"\x01"), (7, b"\x02"), (5, b"\x01"), (8, bytes(4))])
def test_headers_that_do_not_fit_their_arrays_are_refused(client, offset, value):
    frames = packed(client, dict(spike_arrays(INPUTS)))
    header = bytearray(frames[0])
    header[offset : offset + len(value)] = value
    client.send_over([bytes(header), *frames[1:]])
    reply, _ = client.read_over()
    assert (reply.reply, reply.code) in {("error", "malformed_message"), ("error", "array")}


def test_messages_that_break_off_end_their_stream_and_hold_nothing(client, daemon):
    """Heads that announce all that is allowed, and send nothing of it; messages cut anywhere."""
    most = client.origin.limits.max_message_bytes
    worker = client.status().worker_pid
    whole = b"".join(bytes(part) for part in stream_parts(packed(client, dict(spike_arrays(INPUTS)))))
    client.sequence -= 1
    before, guests = resident_bytes(worker), []
    for k in range(12):
        guest = daemon.client(StreamClient)
        guest.hello()
        guest.send_bytes(HEAD.pack(STREAM_MAGIC, PROTOCOL_VERSION, 1, most) if k % 2 else whole[: 1 + 23 * k])
        guests.append(guest)
    assert client.run(CONFIG.sha256(), INPUTS)[0].reply == "run"
    assert resident_bytes(worker) - before < 16 * 2**20, "what was announced and never came takes no memory"
    for guest in guests:
        guest.stream.shutdown(socket.SHUT_WR)
        assert guest.read_over() == "end"


@pytest.mark.parametrize(
    ("head", "code", "field"),
    [
        ((STREAM_MAGIC, PROTOCOL_VERSION + 1, 1, 16), "protocol_version", "protocol"),
        ((STREAM_MAGIC, 0, 1, 16), "protocol_version", "protocol"),
        ((b"hxlz", PROTOCOL_VERSION, 1, 16), "malformed_message", "header"),
        ((STREAM_MAGIC, PROTOCOL_VERSION, 0, 16), "malformed_message", "header"),
        ((STREAM_MAGIC, PROTOCOL_VERSION, 2, 8), "malformed_message", "header"),
        ((STREAM_MAGIC, PROTOCOL_VERSION, 2**16 - 1, 2**20), "limit_exceeded", "frames"),
        ((STREAM_MAGIC, PROTOCOL_VERSION, 1, 2**64 - 1), "limit_exceeded", "message"),
    ],
)
def test_heads_that_break_the_rules_are_answered_once(daemon, head, code, field):
    client = daemon.client(StreamClient)
    client.hello()
    client.send_bytes(HEAD.pack(*head))
    reply, _ = client.read_over()
    assert (reply.code, reply.field, reply.sequence) == (code, field, None)
    assert client.read_over() == "end"


@pytest.mark.parametrize("sizes", [(2**63, 0), (2**64 - 1, 1), (0, 0), (120, 2**40)])
def test_sizes_of_frames_that_do_not_add_up_are_refused(daemon, sizes):
    client = daemon.client(StreamClient)
    client.hello()
    client.send_bytes(HEAD.pack(STREAM_MAGIC, PROTOCOL_VERSION, 2, 160) + struct.pack("<2Q", *sizes) + bytes(144))
    reply, _ = client.read_over()
    assert (reply.reply, reply.code) == ("error", "malformed_message")


def resident_bytes(pid):
    time.sleep(0.05)
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
