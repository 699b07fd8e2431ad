"""Real daemons for tests, and a client that says exactly what it is told to say."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import zmq
from support.daemons.processes import wait_for
from support.places import PYTHONPATH, ROOT

from hxloop.protocol.codec import array_headers, config_arrays, decode_reply, encode, spike_arrays
from hxloop.protocol.messages import CancelRequest, ConfigureRequest, HelloRequest, RunRequest, StatusRequest

FAKE_CHIP = "support.chips.fake_chip:FakeChip"


class Daemon:
    """``python -m hxloop_chip serve`` as a child; its directory is short enough for sockets."""

    def __init__(self, *, chip="typical", serial=1, endpoint=None, faults=None, fake=True, options=(), directory=None):
        self._owned = None if directory else tempfile.TemporaryDirectory(prefix="hxl-")
        self.directory = Path(directory or self._owned.name)
        self.endpoint = endpoint or f"ipc://{self.directory}/s/data.sock"
        self.connection_file = self.directory / "connection.json"
        self.log_file = self.directory / f"log-{time.monotonic_ns()}.txt"
        self.command = [
            sys.executable, "-m", "hxloop_chip", "serve", "--chip", chip, "--serial", str(serial), "--threads", "1",
            "--endpoint", self.endpoint, "--connection-file", str(self.connection_file), *options,
        ]  # fmt: skip
        faults = dict(faults or {}) | ({"chip": FAKE_CHIP} if fake else {})
        environment = os.environ | {
            "HXLOOP_TEST_FAULTS": json.dumps(faults),
            "PYTHONPATH": PYTHONPATH,
            "HXLOOP_RUNTIME_DIR": str(self.directory),
        }
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(self.command, stderr=log, stdout=log, cwd=ROOT, env=environment)
        self.clients = []

    @property
    def log(self):
        return self.log_file.read_text()

    def wait_ready(self, timeout_s=280.0):  # a busy machine compiles the kernels for long
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log}")
            return "ready " in self.log and self.connection_file.exists()

        wait_for(ready, timeout_s, "the daemon to be ready")
        return json.loads(self.connection_file.read_text())

    def client(self, kind=None):
        client = (kind or Client)(json.loads(self.connection_file.read_text()))
        self.clients.append(client)
        return client

    def wait(self, timeout_s=10.0):
        return self.process.wait(timeout_s)

    def end(self):
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        if self._owned:
            self._owned.cleanup()

    def __enter__(self):
        self.wait_ready()
        return self

    def __exit__(self, *_):
        self.end()


class Client:
    """One DEALER to each socket; nothing is retried, nothing is hidden."""

    def __init__(self, connection):
        self.connection = connection
        self._context = zmq.Context.instance()
        self.data = self._socket(connection["endpoint"])
        self.control = self._socket(connection["control_endpoint"])
        self.session = None
        self.sequence = 0

    def _socket(self, endpoint):
        dealer = self._context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(endpoint)
        return dealer

    def raw(self):
        """A connection that has shaken hands and says no more by itself."""
        scheme, _, where = self.connection["endpoint"].partition("://")
        family = socket.AF_UNIX if scheme == "ipc" else socket.AF_INET
        connection = socket.socket(family)
        connection.settimeout(10)
        connection.connect(where if scheme == "ipc" else ("127.0.0.1", int(where.rpartition(":")[2])))
        greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
        connection.sendall(greeting + b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER")
        return connection

    def close(self):
        self.data.close()
        self.control.close()

    def reopen(self):
        self.data.close()
        self.data = self._socket(self.connection["endpoint"])

    def send(self, frames, socket=None):
        (socket or self.data).send_multipart(frames)

    def receive(self, timeout_s=10.0, socket=None):
        socket = socket or self.data
        if not socket.poll(timeout_s * 1000):
            return None
        return decode_reply(socket.recv_multipart())

    def ask(self, header, arrays=None, timeout_s=10.0):
        self.send(encode(header, arrays))
        answer = self.receive(timeout_s)
        assert answer is not None, f"no reply to {header.verb}"
        return answer

    def ask_raw(self, frames, timeout_s=10.0):
        self.send(frames)
        answer = self.receive(timeout_s)
        assert answer is not None, "no reply"
        return answer[0]

    def hello(self):
        reply, _ = self.ask(HelloRequest(client="test"))
        assert reply.reply == "hello", reply
        self.session, self.sequence = reply.session, 0
        return reply

    def configure_header(self, config, **changes):
        self.sequence += 1
        content = {
            "session": self.session, "sequence": self.sequence, "config_hash": config.sha256(),
            "arrays": array_headers(config_arrays(config)),
        }  # fmt: skip
        return ConfigureRequest(**(content | changes))

    def configure(self, config):
        reply, _ = self.ask(self.configure_header(config), config_arrays(config))
        return reply

    def run_header(self, config_hash, inputs, **changes):
        self.sequence += 1
        content = {
            "session": self.session, "sequence": self.sequence, "config_hash": config_hash, "duration_ticks": 1000,
            "arrays": array_headers(spike_arrays(inputs)),
        }  # fmt: skip
        return RunRequest(**(content | changes))

    def send_run(self, config_hash, inputs, **changes):
        header = self.run_header(config_hash, inputs, **changes)
        frames = encode(header, spike_arrays(inputs))
        self.send(frames)
        return frames

    def run(self, config_hash, inputs, timeout_s=10.0, **changes):
        self.send_run(config_hash, inputs, **changes)
        answer = self.receive(timeout_s)
        assert answer is not None, "no reply to run"
        return answer

    def ask_control(self, header, timeout_s=5.0):
        self.send(encode(header), self.control)
        answer = self.receive(timeout_s, self.control)
        assert answer is not None, f"no reply to {header.verb}"
        return answer[0]

    def status(self):
        return self.ask_control(StatusRequest(session=self.session))

    def cancel(self, sequence):
        return self.ask_control(CancelRequest(session=self.session, sequence=sequence))
