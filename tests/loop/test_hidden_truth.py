"""The true mismatch of a chip is in no reply of its daemon."""

import json

import numpy as np
import pytest
from support.chips.fake_chip import small_config, small_inputs
from support.daemons.daemon import Daemon

from hxloop.codes.capmem import Cell
from hxloop.result import Readout
from hxloop_chip.silicon.boot_codes import nightly_boot
from hxloop_chip.silicon.circuits import true_circuits
from hxloop_chip.silicon.mismatch import Mismatch
from hxloop_chip.silicon.presets import named_chip
from hxloop_host.link.client import RemoteChip
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
    header = np.array(numbers(json.loads(bytes(frames[0]))))
    floats = [np.frombuffer(bytes(f)[: len(f) // 8 * 8], "<f8") for f in frames[1:]]
    sent = np.concatenate([header, *floats])
    sent = sent[np.isfinite(sent) & (sent != 0)]
    near = secret[np.clip(np.searchsorted(secret, sent), 1, len(secret) - 1)]
    below = secret[np.clip(np.searchsorted(secret, sent), 1, len(secret) - 1) - 1]
    gap = np.minimum(np.abs(near - sent), np.abs(below - sent))
    return sent[gap < 1e-9 * np.abs(sent)]


class Eavesdropper(ZmqTransport):
    """Keeps every reply."""

    heard: list = []  # noqa: RUF012 (one list for all connections)

    def poll(self, timeout_s):
        frames = super().poll(timeout_s)
        if frames is not None:
            self.heard.append([bytes(frame) for frame in frames])
        return frames


def test_a_leak_would_be_noticed():
    secret = truth()
    assert leaks([json.dumps({"v": [1.5, float(secret[77])]}).encode()], secret).size == 1
    assert leaks([b"{}", secret[100:110].astype("<f8").tobytes()], secret).size == 10
    assert leaks([b'{"v": 0.123}', np.arange(9).tobytes()], secret).size == 0


def test_no_reply_holds_the_true_mismatch():
    secret = truth()
    Eavesdropper.heard.clear()
    with Daemon(chip="typical", serial=SERIAL, fake=False) as daemon:
        daemon.wait_ready()
        address = Address(daemon.endpoint)
        with RemoteChip(address, open_transport=Eavesdropper) as chip:
            codes = chip.boot.neurons.capmem_code
            assert codes.shape == (512, len(Cell)) and np.unique(codes[:, Cell.v_threshold]).size > 50
            chip.configure(small_config())
            result = chip.run(small_inputs(n_samples=10), duration_ticks=3000, readout=EVERYTHING)
            assert all(array.size for array in vars(result.observations).values())
            chip.status()
    replies = {json.loads(frames[0])["reply"] for frames in Eavesdropper.heard}
    assert replies == {"hello", "describe", "configure", "run", "status"}
    for frames in Eavesdropper.heard:
        assert leaks(frames, secret).size == 0
