"""The true mismatch of a chip is in no reply of its daemon."""

import json

import numpy as np
import pytest
from support.chips.fake_chip import small_config, small_inputs
from support.daemons.daemon import Daemon

from hxloop.codes.capmem import Cell
from hxloop.protocol.packed_runs import REPLY_HEADER, REPLY_MAGIC, is_packed
from hxloop.result import Readout
from hxloop_chip.silicon.boot_codes import nightly_boot
from hxloop_chip.silicon.circuits import true_circuits
from hxloop_chip.silicon.mismatch import Mismatch
from hxloop_chip.silicon.presets import named_chip
from hxloop_host.link.client import RemoteChip
from hxloop_host.link.stream_transport import StreamTransport
from hxloop_host.link.transport import Address, ZmqTransport

pytestmark = pytest.mark.processes
SERIAL = 3
EVERYTHING = Readout(cadc_circuits=(0,), madc_circuit=0, counters=True, correlation=True)


def numbers(value):
    """All numbers in a decoded JSON value."""
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    if isinstance(value, list):
        return [n for v in value for n in numbers(v)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def truth_of(serial):
    """Deviations of a chip from its datasheet, and what its circuits truly are after booting."""
    named = named_chip("typical")
    mismatch = Mismatch(named.spec, named.imperfections, serial)
    boot = nightly_boot(named.spec, mismatch, named.imperfections, serial)
    circuits = true_circuits(boot.neurons, boot.shared, mismatch, named.spec)
    everywhere = [index.ravel() for index in np.indices((2, 256, 256))]
    per_synapse = (mismatch.synapse, mismatch.correlation_amplitude, mismatch.correlation_tau)
    values = [*vars(mismatch).values(), *vars(circuits).values(), *(function(*everywhere) for function in per_synapse)]
    numbers = [np.ravel(v) for v in values if isinstance(v, float) or getattr(v, "dtype", None) == np.float64]
    found = np.unique(np.concatenate(numbers))
    return found[np.isfinite(found)]


def truth():
    """Every number that the serial number decides; what other serials have too says nothing."""
    found = np.setdiff1d(truth_of(SERIAL), truth_of(SERIAL + 1))
    assert found.size > 5 * 131_072
    return found


def leaks(frames, secret):
    """Numbers of a message, in its header or in its arrays at any type, that are a secret to nine digits."""
    head = bytes(frames[0])
    if is_packed(frames):
        header = np.concatenate([np.frombuffer(head[i : i + (len(head) - i) // 8 * 8], "<f8") for i in range(8)])
    else:
        header = np.array(numbers(json.loads(head)))
    floats = [np.frombuffer(bytes(f)[: len(f) // 8 * 8], "<f8") for f in frames[1:]]
    sent = np.concatenate([header, *floats])
    sent = sent[np.isfinite(sent) & (sent != 0)]
    near = secret[np.clip(np.searchsorted(secret, sent), 1, len(secret) - 1)]
    below = secret[np.clip(np.searchsorted(secret, sent), 1, len(secret) - 1) - 1]
    gap = np.minimum(np.abs(near - sent), np.abs(below - sent))
    return sent[gap < 1e-9 * np.abs(sent)]


@pytest.fixture
def heard(monkeypatch):
    """Every reply, on the sockets and on the streams."""
    kept = {ZmqTransport: [], StreamTransport: []}

    def listening(kind, poll):
        def listen(self, timeout_s):
            frames = poll(self, timeout_s)
            if frames is not None:
                kept[kind].append([bytes(frame) for frame in frames])
            return frames

        return listen

    for kind in kept:
        monkeypatch.setattr(kind, "poll", listening(kind, kind.poll))
    return kept


def kinds(replies):
    return {"packed run" if is_packed(frames) else json.loads(frames[0])["reply"] for frames in replies}


def test_a_leak_would_be_noticed():
    secret = truth()
    assert leaks([json.dumps({"v": [1.5, float(secret[77])]}).encode()], secret).size == 1
    assert leaks([b"{}", secret[100:110].astype("<f8").tobytes()], secret).size == 10
    assert leaks([b'{"v": 0.123}', np.arange(9).tobytes()], secret).size == 0
    for secrets in ((), secret[77:79]):
        times = [0.5, 1.5, 2.5, 3.5, *secrets][-4:]
        header = REPLY_HEADER.pack(REPLY_MAGIC, False, 0, 5, 0, 0, *range(8), *times)
        assert leaks([header], secret).size == len(secrets)


def test_no_reply_holds_the_true_mismatch(heard):
    secret = truth()
    with Daemon(chip="typical", serial=SERIAL, fake=False) as daemon:
        daemon.wait_ready()
        with RemoteChip(Address(daemon.endpoint)) as chip:
            codes = chip.boot.neurons.capmem_code
            assert codes.shape == (512, len(Cell)) and np.unique(codes[:, Cell.v_threshold]).size > 50
            chip.configure(small_config())
            result = chip.run(small_inputs(n_samples=10), duration_ticks=3000, readout=EVERYTHING)
            assert all(array.size for array in vars(result.observations).values())
            chip.run(small_inputs(n_samples=10), duration_ticks=3000)
            chip.status()
    assert kinds(heard[ZmqTransport]) == {"hello", "describe", "status"}
    assert kinds(heard[StreamTransport]) == {"configure", "run", "packed run"}
    for frames in (*heard[ZmqTransport], *heard[StreamTransport]):
        assert leaks(frames, secret).size == 0
