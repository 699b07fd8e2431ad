"""What a daemon does under messages made to harm, and how fast a cancel is: one JSON object.

``python -m benchmarks.hostile messages`` sends random and mutated messages and counts deaths; ``cancels`` cancels runs
at random moments; ``floods`` sends messages that never end and measures what another client notices; ``streams``
attacks streams to the worker; ``trips`` times round trips. Each starts a daemon of its own with the emulated chip.
Figures depend on what else the machine does: the load average before and after is part of them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zmq

from benchmarks.workloads.networks import YIN_YANG, loop_network
from benchmarks.workloads.stream_attacks import Attacker, attack, resident_mb
from hxloop.protocol.codec import array_headers, config_arrays, config_from_arrays, decode_reply, encode, spike_arrays
from hxloop.protocol.messages import (
    CancelRequest,
    ConfigureRequest,
    DescribeRequest,
    HelloRequest,
    RunRequest,
    StatusRequest,
)
from hxloop.protocol.stream_frames import stream_parts
from hxloop.result import Readout
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_host.link.own_daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hxloop.program import ChipConfig
    from hxloop.protocol.meeting_place import ConnectionFile

CHIP, SERIAL = "typical", 1
_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
_READY = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER"


class Client:
    """A client that says what it is told to, in one session."""

    def __init__(self, connection: ConnectionFile) -> None:
        self.data, self.control = (
            zmq.Context.instance().socket(zmq.DEALER),
            zmq.Context.instance().socket(zmq.DEALER),
        )
        for dealer, endpoint in ((self.data, connection.endpoint), (self.control, connection.control_endpoint)):
            dealer.setsockopt(zmq.LINGER, 0)
            dealer.connect(endpoint)
        self.session = self.ask(self.data, encode(HelloRequest(client="benchmark"))).session
        self.sequence = 0

    def ask(self, dealer: Any, frames: Sequence[Any], timeout_s: float = 30.0) -> Any:
        """Reply to a message."""
        dealer.send_multipart(frames)
        return self.receive(dealer, timeout_s)

    def receive(self, dealer: Any, timeout_s: float = 30.0) -> Any:
        """Next reply."""
        if not dealer.poll(timeout_s * 1000):
            raise TimeoutError(f"no reply in {timeout_s:g} s")
        return decode_reply(dealer.recv_multipart())[0]

    def configure(self, config: ChipConfig) -> None:
        """Upload a configuration."""
        self.sequence += 1
        arrays = config_arrays(config)
        header = ConfigureRequest(
            session=self.session, sequence=self.sequence, config_hash=config.sha256(), arrays=array_headers(arrays)
        )
        assert self.ask(self.data, encode(header, arrays)).reply == "configure"

    def run_frames(self, config: ChipConfig, inputs: SpikeBatch, duration_ticks: int, **how: Any) -> list[Any]:
        """Next run, not yet sent."""
        self.sequence += 1
        arrays = spike_arrays(inputs)
        header = RunRequest(
            session=self.session, sequence=self.sequence, config_hash=config.sha256(), duration_ticks=duration_ticks,
            arrays=array_headers(arrays), **how,
        )  # fmt: skip
        return encode(header, arrays)

    def cancel(self, sequence: int) -> str:
        """State that the daemon tells."""
        state: str = self.ask(self.control, encode(CancelRequest(session=self.session, sequence=sequence))).state
        return state

    def status(self) -> Any:
        """Status."""
        return self.ask(self.control, encode(StatusRequest(session=self.session)))


def batch(config: ChipConfig, n_samples: int, per_sample: int, window: int, last_tick: int | None = None) -> SpikeBatch:
    """Random events within a window of each sample; one in the last tick keeps the last sample from ending early."""
    rng = np.random.default_rng(1)
    channels = np.unique(config.input_routes.source)
    sample = np.repeat(np.arange(n_samples), per_sample)
    tick, source = rng.integers(0, window, sample.size), rng.choice(channels, sample.size)
    if last_tick is not None:
        sample, tick, source = (
            np.append(a, b) for a, b in ((sample, n_samples - 1), (tick, last_tick), (source, channels[0]))
        )
    return SpikeBatch.from_arrays(sample, tick, source, n_samples)


def figures(seconds: Sequence[float]) -> dict[str, float]:
    """Of times, in ms."""
    ms = np.array(seconds) * 1e3
    return {
        "n": len(ms), "median_ms": round(float(np.median(ms)), 2), "p95_ms": round(float(np.quantile(ms, 0.95)), 2),
        "max_ms": round(float(ms.max()), 2), "over_250_ms": int((ms > 250).sum()),
    }  # fmt: skip


def messages(daemon: Daemon, config: ChipConfig, dice: random.Random, scale: float) -> dict[str, Any]:
    """Random messages and mutated valid ones; every one must get a reply, and the worker must live."""
    client, noisy = Client(daemon.connection), Client(daemon.connection)
    client.configure(config)
    inputs = batch(config, 3, 40, 3000)
    before = client.ask(client.data, client.run_frames(config, inputs, 4000))
    status = client.status()
    valid = [
        [bytes(frame) for frame in frames]
        for frames in (
            encode(DescribeRequest()), encode(StatusRequest(session=noisy.session)), encode(HelloRequest(client="x")),
            noisy.run_frames(config, inputs, 4000), encode(CancelRequest(session=noisy.session, sequence=2)),
            encode(
                ConfigureRequest(
                    session=noisy.session, sequence=1, config_hash=config.sha256(),
                    arrays=array_headers(config_arrays(config)),
                ),
                config_arrays(config),
            ),
        )
    ]  # fmt: skip
    counts: dict[str, int] = {}
    n_random, n_mutated, depth = int(10**6 * scale), int(50_000 * scale), 16
    begun, under_way = time.monotonic(), 0
    for k in range(n_random + n_mutated):
        noisy.data.send_multipart(_random(dice) if k < n_random else _mutated(dice, valid))
        under_way += 1
        while under_way >= depth or (under_way and k == n_random + n_mutated - 1):
            reply = noisy.receive(noisy.data)
            counts[getattr(reply, "code", reply.reply)] = counts.get(getattr(reply, "code", reply.reply), 0) + 1
            under_way -= 1
    for _ in range(n_mutated // 10):  # headers are true, so that the values reach the chip
        reply = client.ask(client.data, _spoiled(dice, client, config, inputs))
        counts[getattr(reply, "code", reply.reply)] = counts.get(getattr(reply, "code", reply.reply), 0) + 1
        client.sequence = max(client.sequence, reply.sequence)
    client.configure(config)
    after = client.ask(client.data, client.run_frames(config, inputs, 4000))
    log = daemon.log_file.read_text(encoding="utf-8", errors="replace")
    return {
        "random": n_random, "mutated": n_mutated, "replies": counts, "seconds": round(time.monotonic() - begun, 1),
        "deaths_of_the_daemon": int(daemon.pid != status_pid(daemon)),
        "workers_replaced": client.status().ledger.worker_restarts - status.ledger.worker_restarts,
        "tracebacks": log.count("Traceback"), "same_result_afterwards": before.events_out == after.events_out,
    }  # fmt: skip


def status_pid(daemon: Daemon) -> int | None:
    """Process id, if it lives."""
    pid = daemon.pid
    return pid if pid is not None and Path(f"/proc/{pid}/stat").exists() else None


def _random(dice: random.Random) -> list[bytes]:
    return [dice.randbytes(dice.randrange(60)) for _ in range(dice.randrange(1, 5))]


def _mutated(dice: random.Random, valid: list[list[bytes]]) -> list[bytes]:
    frames = [bytearray(frame) for frame in dice.choice(valid)]
    for _ in range(dice.randrange(1, 5)):
        victim = frames[0] if dice.random() < 0.6 else dice.choice(frames)
        if victim:
            victim[dice.randrange(len(victim))] = dice.randrange(256)
    if dice.random() < 0.1:
        del frames[dice.randrange(len(frames))]
    return [bytes(frame) for frame in frames] or [b""]


def _spoiled(dice: random.Random, client: Client, config: ChipConfig, inputs: SpikeBatch) -> list[Any]:
    """A configuration or a run with a few values of one of its arrays replaced."""
    ours = dice.random() < 0.5
    arrays = {name: array.copy() for name, array in (config_arrays(config) if ours else spike_arrays(inputs)).items()}
    victim = dice.choice([array for array in arrays.values() if array.size])
    for _ in range(dice.randrange(1, 4)):
        place = dice.randrange(victim.size)
        if victim.dtype.kind == "f":
            victim.flat[place] = dice.choice([np.nan, np.inf, -1e300, 5e-324])
        else:
            limits = np.iinfo(victim.dtype)
            victim.flat[place] = dice.choice(
                [limits.min, limits.max, -1 % (limits.max + 1), dice.randrange(limits.max)]
            )
    if not ours:
        return client.run_frames(config, SpikeBatch(**arrays), 4000)
    client.sequence += 1
    header = ConfigureRequest(
        session=client.session, sequence=client.sequence, config_hash=config_from_arrays(arrays).sha256(),
        arrays=array_headers(arrays),
    )  # fmt: skip
    return encode(header, arrays)


def cancels(daemon: Daemon, config: ChipConfig, dice: random.Random, scale: float) -> dict[str, Any]:
    """Runs cancelled at random moments: until that is told, the run answered, and another session's run done."""
    client, other = Client(daemon.connection), Client(daemon.connection)
    for each in (client, other):
        each.configure(config)
    small = batch(config, 1, 20, 900)
    longest = 120_000_000
    cases: dict[str, tuple[SpikeBatch, int, dict[str, Any]]] = {
        "many samples": (batch(config, 20_000, 100, 90_000), 100_000, {}),
        "one long sample": (batch(config, 1, 20_000, longest, longest - 1), longest, {}),
        "one long sample, all membranes": (
            batch(config, 1, 20_000, 50_000_000, 49_999_999), 50_000_000,
            {"readout": Readout(cadc_circuits=tuple(config.neurons.circuit[:64].tolist()), cadc_period_ticks=65_536)},
        ),
        "correlation": (batch(config, 15_000, 30, 9000), 10_000, {"readout": Readout(correlation=True)}),
        "overtaken": (batch(config, 1, 20_000, longest, longest - 1), longest, {}),
    }  # fmt: skip
    found: dict[str, Any] = {}
    for name, (inputs, ticks, how) in cases.items():
        told, answered, free, states = [], [], [], {}
        for _ in range(max(1, round(40 * scale))):
            frames = client.run_frames(config, inputs, ticks, **how)
            wait_s = 0.0 if name == "overtaken" else dice.uniform(0.0, 0.5)
            if name == "overtaken" and dice.random() < 0.5:
                begun = time.monotonic()
                state = client.cancel(client.sequence)  # before it is sent
                client.data.send_multipart(frames)
            else:
                client.data.send_multipart(frames)
                time.sleep(wait_s)
                begun = time.monotonic()
                state = client.cancel(client.sequence)
            told.append(time.monotonic() - begun)
            reply = client.receive(client.data)
            answered.append(time.monotonic() - begun)
            outcome = f"{state}, {getattr(reply, 'code', reply.reply)}"
            states[outcome] = states.get(outcome, 0) + 1
            other.ask(other.data, other.run_frames(config, small, 1000))
            free.append(time.monotonic() - begun)
        found[name] = {
            "told": figures(told),
            "answered": figures(answered),
            "chip_free": figures(free),
            "states": states,
        }
    found["workers_replaced"] = client.status().ledger.worker_restarts
    return found


def floods(daemon: Daemon, config: ChipConfig, dice: random.Random, scale: float) -> dict[str, Any]:
    """Messages that never end, from four connections at once, while another client asks and runs."""
    client = Client(daemon.connection)
    client.configure(config)
    small, found = batch(config, 1, 20, 900), {}
    for name, chunk in {
        "nothing": b"", "empty frames": b"\x01\0" * 32_768, "frames of 16 bytes": b"\x01\x10sixteen of bytes" * 4096,
        "frames of 1 MB": b"\x03" + (10**6).to_bytes(8, "big") + bytes(10**6),
    }.items():  # fmt: skip
        over, sent, closed = threading.Event(), [0], [0]
        rude = [
            threading.Thread(target=_flood, args=(daemon.connection.endpoint, chunk, over, sent, closed), daemon=True)
            for _ in range(4 if chunk else 0)
        ]
        before = resident_mb(daemon.pid)
        for thread in rude:
            thread.start()
        status, runs, most, end = [], [], before, time.monotonic() + 10 * scale
        while time.monotonic() < end:
            for seconds, ask in (
                (status, client.status),
                (runs, lambda: client.ask(client.data, client.run_frames(config, small, 1000), 120.0)),
            ):
                begun = time.monotonic()
                ask()
                seconds.append(time.monotonic() - begun)
            most = max(most, resident_mb(daemon.pid))
        over.set()
        for thread in rude:
            thread.join(10)
        found[name] = {
            "status": figures(status), "runs": figures(runs), "sent_mb": round(sent[0] / 1e6),
            "connections_closed": closed[0], "resident_mb": [round(before), round(most)],
        }  # fmt: skip
    return found


def _flood(endpoint: str, chunk: bytes, over: threading.Event, sent: list[int], closed: list[int]) -> None:
    while not over.is_set():
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(1)
            peer.connect(endpoint.removeprefix("ipc://"))
            view = memoryview(b"")
            with suppress(TimeoutError):
                peer.sendall(_GREETING + _READY)
            try:
                while not over.is_set():
                    view = view if view else memoryview(chunk)
                    with suppress(TimeoutError):
                        count = peer.send(view)
                        sent[0] += count
                        view = view[count:]
            except OSError:
                closed[0] += 1


def streams(daemon: Daemon, config: ChipConfig, dice: random.Random, scale: float) -> dict[str, Any]:
    """Frames made to harm on streams to the worker; it must live, hold no more than before, and answer as before."""
    client = Client(daemon.connection)
    hello = client.ask(client.data, encode(HelloRequest(client="attacker")))
    attacker = Attacker(hello.stream_endpoint, hello.session, config, batch(config, 3, 40, 3000))
    header = ConfigureRequest(
        session=hello.session, sequence=1, config_hash=config.sha256(), arrays=array_headers(config_arrays(config))
    )
    attacker.say(b"".join(bytes(part) for part in stream_parts(encode(header, config_arrays(config)))))
    before, worker, begun = attacker.say(attacker.run()), client.status().worker_pid, time.monotonic()
    held_mb = resident_mb(worker)
    attack(attacker, dice, round(20_000 * scale))
    after = attacker.say(attacker.run())
    return {
        "answers": attacker.answers, "seconds": round(time.monotonic() - begun, 1),
        "deaths_of_the_daemon": int(daemon.pid != status_pid(daemon)),
        "workers_replaced": client.status().ledger.worker_restarts,
        "tracebacks": daemon.log_file.read_text(encoding="utf-8", errors="replace").count("Traceback"),
        "worker_grew_by_mb": round(resident_mb(worker) - held_mb, 1),
        "same_result_afterwards": bool((before.result.first_ticks == after.result.first_ticks).all()),
    }  # fmt: skip


def trips(daemon: Daemon, config: ChipConfig, dice: random.Random, scale: float) -> dict[str, Any]:
    """Round trips: control, a run of one sample, and a run whose inputs are 1.2 MB."""
    client = Client(daemon.connection)
    client.configure(config)
    small, large = batch(config, 1, 4, 900), batch(config, 10, 10_000, 90_000)
    cases: dict[str, Callable[[], Any]] = {
        "status": client.status,
        "one sample": lambda: client.ask(client.data, client.run_frames(config, small, 1000, record="first_spikes")),
        "1.2 MB": lambda: client.ask(client.data, client.run_frames(config, large, 1000 * 100, record="first_spikes")),
    }
    found = {}
    for name, ask in cases.items():
        seconds = []
        for _ in range(round(1000 * scale) if name != "1.2 MB" else round(100 * scale)):
            begun = time.perf_counter()
            ask()
            seconds.append(time.perf_counter() - begun)
        found[name] = figures(seconds)
    return found


WHAT = {"messages": messages, "cancels": cancels, "floods": floods, "streams": streams, "trips": trips}


def main() -> int:
    """Measure what is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="+", choices=sorted(WHAT))
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the full number of messages or cancels")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    config = loop_network(YIN_YANG, EmulatedChip(CHIP, SERIAL), 10).load.config
    result: dict[str, Any] = {"seed": options.seed, "scale": options.scale}
    for what in options.what:
        daemon = Daemon(CHIP, SERIAL, threads=1)
        try:
            before = os.getloadavg()[0]
            result[what] = WHAT[what](daemon, config, random.Random(options.seed), options.scale)
            result[what]["load_average"] = [round(before, 2), round(os.getloadavg()[0], 2)]
        finally:
            daemon.close()
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
