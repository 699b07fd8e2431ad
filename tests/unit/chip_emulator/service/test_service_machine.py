"""The service against a simple reference model, in any order of events.

The model knows only what a client is promised: what each (session, sequence) must answer, in which order jobs run, and
that an answer never changes.
"""

from __future__ import annotations

import zlib
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.chips.fake_chip import FakeChip, small_config, small_inputs

from hxloop.chip import ChipIdentity
from hxloop.protocol.codec import (
    array_headers,
    config_arrays,
    decode_reply,
    decode_request,
    encode,
    result_arrays,
    spike_arrays,
)
from hxloop.protocol.messages import (
    CancelRequest,
    ConfigureReply,
    ConfigureRequest,
    HelloRequest,
    Limits,
    RunReply,
    RunRequest,
)
from hxloop.result import Observations
from hxloop.spec import HICANN_X
from hxloop_chip.service.envelopes import read_order
from hxloop_chip.service.replies import MAX_TRIES
from hxloop_chip.service.requests import Service

IDENTITY = ChipIdentity(chip="typical", serial=1, spec="s", model="m")
CONFIGS = [small_config((code,)) for code in (1, 2, 3, 4)]
HASHES = [config.sha256() for config in CONFIGS]
LIMITS = Limits(max_queue=3, max_stored_replies=4, max_configurations=2, max_sessions=4, session_idle_s=100)
INPUTS = small_inputs()


class Expected:
    """What the model knows of one session."""

    def __init__(self):
        self.last = 0
        self.requests = {}  # sequence -> (verb, index of the configuration, seed)
        self.waiting = []
        self.unwanted = set()  # cancelled before they came
        self.configurations = []  # oldest first
        self.answers = {}  # sequence -> outcome, oldest first, bounded


def result_of(config_hash, seed):
    """The pure function that the pretended chip computes."""
    return zlib.crc32(f"{config_hash}{seed}".encode())


class Machine(RuleBasedStateMachine):
    sessions = Bundle("sessions")

    @initialize()
    def start(self):
        self.now_s = 0.0
        self.service = Service(IDENTITY, HICANN_X, FakeChip().boot, "boot", lambda: self.now_s, LIMITS)
        self.model = {}
        self.turns = []
        self.running = None  # session, sequence
        self.tries = Counter()  # by session and sequence
        self.cancelled = False
        self.on_chip = None  # hash of what the pretended worker has; a new worker has nothing
        self.order = None

    def tell(self, frames):
        self.service.handle_data(frames, b"me")
        return self.take()

    def take(self):
        found = [decode_reply(out.frames)[0] for out in self.service.outbox]
        self.service.outbox.clear()
        return found

    def settle(self, name, sequence, outcome):
        """Note a final answer in the model and compare it with the reply."""
        expected = self.model[name]
        expected.answers[sequence] = outcome
        while len(expected.answers) > LIMITS.max_stored_replies:
            del expected.answers[next(iter(expected.answers))]

    @staticmethod
    def outcome(reply):
        if reply.reply == "run":
            return ("run", reply.events_out)
        return ("configure", reply.config_hash) if reply.reply == "configure" else ("error", reply.code)

    @rule(target=sessions)
    def hello(self):
        (reply,) = self.tell(encode(HelloRequest(client="x")))
        if len(self.model) == LIMITS.max_sessions:
            assert reply.code == "overloaded"
            return "nobody"
        self.model[reply.session] = Expected()
        return reply.session

    def frames(self, name, sequence, what):
        verb, index, seed = what
        if verb == "configure":
            arrays = config_arrays(CONFIGS[index])
            header = ConfigureRequest(
                session=name, sequence=sequence, config_hash=HASHES[index], arrays=array_headers(arrays)
            )
        else:
            arrays = spike_arrays(INPUTS)
            header = RunRequest(
                session=name, sequence=sequence, config_hash=HASHES[index], duration_ticks=1000, trial_seed=seed,
                arrays=array_headers(arrays),
            )  # fmt: skip
        return encode(header, arrays)

    @rule(
        name=sessions,
        verb=st.sampled_from(["configure", "run", "run"]),
        index=st.integers(0, len(CONFIGS) - 1),
        seed=st.integers(0, 3),
    )
    def ask(self, name, verb, index, seed):
        expected = self.model.get(name)
        sequence = expected.last + 1 if expected else 1
        replies = self.tell(self.frames(name, sequence, (verb, index, seed)))
        if expected is None:
            assert [r.code for r in replies] == ["unknown_session"]
        elif sequence in expected.unwanted:
            assert [r.code for r in replies] == ["cancelled"]
            expected.last = sequence
            expected.requests[sequence] = (verb, index, seed)
            self.settle(name, sequence, ("error", "cancelled"))
        elif len(expected.waiting) >= LIMITS.max_queue:
            assert [r.code for r in replies] == ["overloaded"]
        else:
            assert replies == []
            expected.last = sequence
            expected.requests[sequence] = (verb, index, seed)
            expected.waiting.append(sequence)
            if name not in self.turns:
                self.turns.append(name)

    @rule(name=sessions, back=st.integers(0, 8), other=st.booleans())
    def resend(self, name, back, other):
        expected = self.model.get(name)
        sequence = expected.last - back if expected else 0
        if sequence < 1:
            return
        verb, index, seed = expected.requests[sequence]
        replies = self.tell(self.frames(name, sequence, ("run", index, seed + 10) if other else (verb, index, seed)))
        if sequence in expected.answers and not other:
            assert [self.outcome(r) for r in replies] == [expected.answers[sequence]]
        elif (sequence in expected.waiting or self.running == (name, sequence)) and not other:
            assert replies == []  # a cancelled one is among the answers
        else:
            assert [r.code for r in replies] == ["sequence"]

    @rule(name=sessions, ahead=st.integers(2, 5))
    def skip_numbers(self, name, ahead):
        expected = self.model.get(name)
        if expected is not None:
            replies = self.tell(self.frames(name, expected.last + ahead, ("run", 0, 0)))
            assert [r.code for r in replies] == ["sequence"]

    @rule(name=sessions, back=st.integers(-2, 4))
    def cancel(self, name, back):
        expected = self.model.get(name)
        sequence = max(1, expected.last - back) if expected else 1  # 1 may be on its way yet
        reply = decode_reply(self.service.handle_control(encode(CancelRequest(session=name, sequence=sequence))))[0]
        replies = self.take()
        if expected is None:
            assert reply.code == "unknown_session"
        elif sequence in expected.waiting:
            assert reply.state == "cancelled" and [r.code for r in replies] == ["cancelled"]
            expected.waiting.remove(sequence)
            if not expected.waiting:
                self.turns.remove(name)
            self.settle(name, sequence, ("error", "cancelled"))
        elif self.running == (name, sequence) and not self.cancelled:
            assert reply.state == "cancelled" and [r.code for r in replies] == ["cancelled"]
            self.cancelled = True
            self.settle(name, sequence, ("error", "cancelled"))
        else:
            assert replies == []
            assert reply.state == ("finished" if sequence <= expected.last else "cancelled")
            if sequence > expected.last:
                expected.unwanted.add(sequence)

    @precondition(lambda self: self.running is None)
    @rule()
    def give_work(self):
        frames = self.service.next_order()
        replies = self.take()
        while self.turns:
            name = self.turns.pop(0)
            expected = self.model[name]
            sequence = expected.waiting.pop(0)
            if expected.waiting:
                self.turns.append(name)
            verb, index, _ = expected.requests[sequence]
            if verb == "run" and HASHES[index] not in expected.configurations:
                assert self.outcome(replies.pop(0)) == ("error", "unknown_configuration")
                self.settle(name, sequence, ("error", "unknown_configuration"))
                continue
            if verb == "run":
                expected.configurations.remove(HASHES[index])
                expected.configurations.append(HASHES[index])
            self.running, self.cancelled = (name, sequence), False
            break
        assert replies == []
        if self.running is None:
            assert frames is None
            return
        self.tries[self.running] += 1
        self.order = read_order(frames[0])
        split = 1 + self.order.configuration_frames
        request, _ = decode_request(frames[split:], LIMITS)
        assert (request.session, request.sequence) == self.running
        if request.verb == "run":
            if split > 1:
                self.on_chip = decode_request(frames[1:split], LIMITS)[0].config_hash
            assert self.on_chip == request.config_hash, "a run under another configuration than its own"

    @precondition(lambda self: self.running is not None)
    @rule()
    def finish_work(self):
        name, sequence = self.running
        expected = self.model[name]
        verb, index, seed = expected.requests[sequence]
        if verb == "configure":
            self.on_chip = HASHES[index]
            reply = encode(
                ConfigureReply(boot_id="boot", identity=IDENTITY, sequence=sequence, config_hash=HASHES[index])
            )
            if not self.cancelled:
                if HASHES[index] in expected.configurations:
                    expected.configurations.remove(HASHES[index])
                expected.configurations = [*expected.configurations, HASHES[index]][-LIMITS.max_configurations :]
            outcome = ("configure", HASHES[index])
        else:
            outcome = ("run", result_of(self.on_chip, seed))
            arrays = result_arrays(INPUTS, Observations.none())
            header = RunReply(
                boot_id="boot", identity=IDENTITY, sequence=sequence, events_in=0, events_out=outcome[1],
                lost_in=0, lost_out=0, lost_late=0, synaptic_events=0, cadc_reads=0, madc_reads=0, chip_time_us=0.0,
                circuit_time_us=0.0, emulation_time_us=0.0, energy_j_estimate=0.0,
                arrays=array_headers(arrays),
            )  # fmt: skip
            reply = encode(header, arrays)
            assert outcome[1] == result_of(HASHES[index], seed)
        self.service.finish(self.order.job, self.on_chip, reply)
        assert [self.outcome(r) for r in self.take()] == ([] if self.cancelled else [outcome])
        if not self.cancelled:
            self.settle(name, sequence, outcome)
        self.running = None

    @rule()
    def crash(self):
        self.service.worker_lost("the worker died")
        self.on_chip = None
        replies = self.take()
        if self.running is None:
            assert replies == []
            return
        (name, sequence), self.running = self.running, None
        if self.cancelled:
            assert replies == []
            return
        if self.tries[name, sequence] >= MAX_TRIES:
            outcome = ("error", "worker_crashed")
            assert [self.outcome(r) for r in replies] == [outcome]
            self.settle(name, sequence, outcome)
            return
        assert replies == []
        if name in self.turns:
            self.turns.remove(name)
        self.turns.insert(0, name)
        self.model[name].waiting.insert(0, sequence)

    @rule(seconds=st.sampled_from([1.0, 60.0, 101.0]))
    def time_passes(self, seconds):
        self.now_s += seconds
        if seconds > LIMITS.session_idle_s:
            self.service.expire()
            busy = self.running[0] if self.running and not self.cancelled else None
            self.model = {name: e for name, e in self.model.items() if e.waiting or name == busy}
        else:
            for name in self.model:  # keep them all alive: expiry is tested by the long silence
                self.service.handle_control(encode(CancelRequest(session=name, sequence=2**40)))

    @invariant()
    def counts_agree(self):
        assert self.service._table.queued == sum(len(e.waiting) for e in self.model.values())
        assert (self.service.running is not None) == (self.running is not None)


Machine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None, derandomize=True)
TestService = Machine.TestCase
