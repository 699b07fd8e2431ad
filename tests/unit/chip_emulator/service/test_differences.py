"""Configurations sent as differences, through client, service and worker; only sockets and physics are missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.chips.fake_chip import BROKEN_SEED, FakeChip, small_config, small_inputs
from support.daemons.worker_bench import worker_of

from hxloop.errors import InvalidInputError, OutOfRangeError, ServiceError
from hxloop.protocol.codec import array_headers, config_arrays, decode_reply, decode_request, encode, spike_arrays
from hxloop.protocol.messages import ConfigureRequest, HelloRequest, Limits, RunRequest
from hxloop.spec import HICANN_X
from hxloop_chip.service.envelopes import read_order
from hxloop_chip.service.requests import Service
from hxloop_host.link.client import RemoteChip
from hxloop_host.link.patience import Patience
from hxloop_host.link.transport import Address, InMemoryTransport

INPUTS = small_inputs()
BASE = small_config((20, 30, 40), n_input=3)
WEIGHTS = "synapses.weight_code"


def weights(*codes):
    return BASE.with_weight_codes(np.array(codes, np.int8))


class Daemon:
    """A service and a worker that does every job at once; keeps the requests and orders it saw."""

    def __init__(self, **limits):
        self.limits = Limits(**limits)
        self.service = Service(FakeChip().identity, HICANN_X, FakeChip().boot, "boot", lambda: 0.0, self.limits)
        self.replace_worker()
        self.seen, self.restored = [], []

    def replace_worker(self):
        self.worker = worker_of(FakeChip(), self.limits)

    def answer(self, frames):
        request, arrays = decode_request([bytes(frame) for frame in frames], self.limits)
        if request.verb in {"configure", "run"}:
            self.seen.append((request.verb, sorted(set(arrays) & set(config_arrays(BASE)))))
        self.service.handle_data([bytes(frame) for frame in frames], b"me")
        while (order := self.service.next_order()) is not None:
            envelope = read_order(order[0])
            self.restored.append(envelope.configuration_frames > 0)
            reply = self.worker.work(envelope, order[1:])
            self.service.finish(envelope.job, self.worker._work.config_hash, reply)
        replies = [list(out.frames) for out in self.service.outbox]
        self.service.outbox.clear()
        return replies

    def client(self):
        patience = Patience(poll_s=0.01, control_s=0.01, tries=2, connect_tries=1, stall_s=1.0, resend_s=1.0)
        return RemoteChip(Address("x"), open_transport=lambda _: InMemoryTransport(self.answer), patience=patience)


def alone(config, **changes):
    """What the chip gives when it is asked directly."""
    chip = FakeChip()
    chip.configure(config)
    return chip.run(INPUTS, duration_ticks=1000, **changes).spikes


def assert_same(found, expected):
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), array)


def ticks(chip, **changes):
    return chip.run(INPUTS, duration_ticks=1000, **changes).spikes


def test_only_what_changed_is_sent():
    daemon = Daemon()
    chip = daemon.client()
    chip.configure(BASE)
    chip.configure(weights(1, 2, 3))
    assert_same(ticks(chip), alone(weights(1, 2, 3)))
    other = replace(weights(1, 2, 3), row_sign=-BASE.row_sign)
    chip.configure(other)
    assert_same(ticks(chip), alone(other))
    everything = sorted(config_arrays(BASE))
    assert daemon.seen == [
        ("configure", everything), ("configure", [WEIGHTS]), ("run", []), ("configure", ["row_sign"]), ("run", []),
    ]  # fmt: skip
    assert not any(daemon.restored), "the chip had every base already"


def test_a_difference_travels_with_its_run_and_is_kept():
    daemon = Daemon()
    chip = daemon.client()
    assert_same(ticks(chip, config=BASE), alone(BASE))
    for _ in range(2):
        assert_same(ticks(chip, config=weights(5, 6, 7), trial_seed=3), alone(weights(5, 6, 7), trial_seed=3))
    assert_same(ticks(chip), alone(weights(5, 6, 7)))
    assert [verb for verb, _ in daemon.seen] == ["configure", "run", "run", "run", "run"]
    assert [arrays for verb, arrays in daemon.seen if verb == "run"] == [[], [WEIGHTS], [], []]


def test_a_worker_that_knows_nothing_gets_all_of_it():
    daemon = Daemon()
    chip = daemon.client()
    chip.configure(BASE)
    chip.configure(weights(1, 2, 3))
    for config in (None, weights(4, 5, 6)):
        daemon.service.worker_lost("it died")
        daemon.replace_worker()
        assert_same(ticks(chip, config=config), alone(config or weights(1, 2, 3)))
        assert daemon.restored[-1]


def test_a_session_whose_base_is_gone_gets_the_whole_configuration():
    daemon = Daemon(max_configurations=1)
    chip = daemon.client()
    chip.configure(BASE)
    session = next(iter(daemon.service._table._sessions.values()))
    session.configurations.put("another", session.configurations.get(BASE.sha256()))
    assert_same(ticks(chip, config=weights(1, 2, 3)), alone(weights(1, 2, 3)))
    chip.configure(weights(9, 9, 9))
    session.configurations.put("another", session.configurations.get(weights(9, 9, 9).sha256()))
    chip.configure(weights(8, 8, 8))
    assert_same(ticks(chip), alone(weights(8, 8, 8)))
    sent = [arrays for verb, arrays in daemon.seen if arrays]
    n = len(config_arrays(BASE))
    assert [len(arrays) for arrays in sent] == [n, 1, n, 1, 1, n]


def test_clients_that_take_turns_keep_their_own():
    daemon = Daemon()
    one, other = daemon.client(), daemon.client()
    for k in range(4):
        assert_same(ticks(one, config=weights(k, 1, 1)), alone(weights(k, 1, 1)))
        assert_same(ticks(other, config=weights(1, k, 1)), alone(weights(1, k, 1)))


@pytest.mark.parametrize("together", [True, False])
def test_a_refused_difference_leaves_the_configuration_before_in_force(together):
    daemon = Daemon()
    chip = daemon.client()
    chip.configure(BASE)
    bad = weights(1, 64, 1)
    with pytest.raises(OutOfRangeError, match="64"):
        ticks(chip, config=bad) if together else chip.configure(bad)
    assert_same(ticks(chip), alone(BASE))
    assert_same(ticks(chip, config=weights(1, 2, 3)), alone(weights(1, 2, 3)))


def test_a_run_that_fails_leaves_the_configuration_before_in_force():
    daemon = Daemon()
    chip = daemon.client()
    chip.configure(BASE)
    with pytest.raises(ServiceError, match="a bug of the chip"):
        ticks(chip, config=weights(1, 2, 3), trial_seed=BROKEN_SEED)
    assert_same(ticks(chip), alone(BASE))
    session = next(iter(daemon.service._table._sessions.values()))
    assert weights(1, 2, 3).sha256() not in session.configurations


@pytest.fixture
def raw():
    """Asks with exactly these arrays; the session has BASE."""
    daemon = Daemon()
    session = decode_reply(daemon.answer(encode(HelloRequest(client="x")))[0])[0].session
    count = iter(range(1, 100))

    def ask(kind, arrays, **content):
        header = kind(session=session, sequence=next(count), arrays=array_headers(arrays), **content)
        return decode_reply(daemon.answer(encode(header, arrays))[0])[0]

    assert ask(ConfigureRequest, config_arrays(BASE), config_hash=BASE.sha256()).reply == "configure"
    return ask


@pytest.mark.parametrize("kind", [ConfigureRequest, RunRequest])
@pytest.mark.parametrize(
    ("sent", "changes", "code", "field"),
    [
        ({}, {}, "malformed_message", "config_hash"),
        ({WEIGHTS: np.array([1, 2, 4], np.int8)}, {}, "malformed_message", "config_hash"),
        ({"synapses.colour": np.array([1], np.int8)}, {}, "malformed_message", "synapses.colour"),
        ({"colour": np.array([1], np.int8)}, {}, "malformed_message", "colour"),
        ({WEIGHTS: np.array([1, 2, 3], np.int8)}, {"base": "0" * 64}, "unknown_configuration", "base"),
    ],
)
def test_what_does_not_give_the_named_configuration_is_refused(raw, kind, sent, changes, code, field):
    target = {"config_hash": weights(1, 2, 3).sha256(), "base": BASE.sha256()} | changes
    extra = {"duration_ticks": 1000} if kind is RunRequest else {}
    events = spike_arrays(INPUTS) if kind is RunRequest else {}
    reply = raw(kind, events | sent, **target, **extra)
    assert (reply.code, reply.field) == (code, field)
    reply = raw(RunRequest, spike_arrays(INPUTS), config_hash=target["config_hash"], duration_ticks=1000)
    assert reply.code == "unknown_configuration", "nothing was stored"
    assert raw(RunRequest, spike_arrays(INPUTS), config_hash=BASE.sha256(), duration_ticks=1000).reply == "run"


def test_arrays_of_a_configuration_need_a_base(raw):
    arrays = spike_arrays(INPUTS) | {WEIGHTS: np.array([1, 2, 3], np.int8)}
    reply = raw(RunRequest, arrays, config_hash=BASE.sha256(), duration_ticks=1000)
    assert (reply.code, reply.field) == ("malformed_message", WEIGHTS)


def test_chosen_neurons_through_the_service():
    chip = Daemon().client()
    chip.configure(BASE)
    assert_same(ticks(chip, neurons=(0,)), alone(BASE))
    assert ticks(chip, neurons=()).n_spikes == 0
    with pytest.raises(InvalidInputError) as caught:
        ticks(chip, neurons=(7,))
    assert caught.value.field == "neurons[0]"
