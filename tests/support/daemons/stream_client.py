"""A client on a stream that says exactly what it is told to say."""

from __future__ import annotations

import select
import socket
import time

from support.daemons.daemon import Client

from hxloop.protocol.codec import array_headers, decode_reply, encode, result_arrays, spike_arrays
from hxloop.protocol.messages import Limits, RunReply
from hxloop.protocol.packed_runs import PackedRun, is_packed, pack_run, unpack_reply
from hxloop.protocol.stream_frames import StreamReader, attach_message, stream_parts
from hxloop.result import COUNTS, Readout


class StreamClient(Client):
    """As `Client`, but its requests to the chip go over a stream, and the daemon is asked on the data socket."""

    stream = None

    def hello(self):
        self.origin = super().hello()
        self.attach()
        return self.origin

    def attach(self, content=None):
        """Hand in a new stream; the one before is closed."""
        if self.stream is not None:
            self.stream.close()
        self.stream, there = socket.socketpair()
        self.hand_in(there, attach_message(self.session) if content is None else content)
        self.reader = StreamReader(Limits(max_message_bytes=2**31))

    def hand_in(self, end, content):
        with end, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.connect(self.origin.stream_endpoint.removeprefix("ipc://"))
            socket.send_fds(door, [content], [end.fileno()])

    def send_bytes(self, data):
        self.stream.sendall(data)

    def send_over(self, frames):
        for part in stream_parts(frames):
            self.stream.sendall(part)

    def read_over(self, timeout_s=10.0):
        """Reply and its arrays; None where none came in time, "end" where the stream has ended."""
        end_s = time.monotonic() + timeout_s
        while True:
            left_s = end_s - time.monotonic()
            if left_s < 0 or not select.select([self.stream], [], [], left_s)[0]:
                return None
            try:
                count = self.stream.recv_into(self.reader.room())
            except ConnectionError:
                count = 0
            if not count:
                return "end"
            if (frames := self.reader.received(count)) is not None:
                return self.taken_apart(frames) if is_packed(frames) else decode_reply(frames)

    def taken_apart(self, frames):
        """A packed reply as one with a JSON header would be."""
        sequence, result = unpack_reply(frames)
        arrays = result_arrays(result.spikes, result.observations, result.first_ticks)
        return RunReply(
            boot_id=self.origin.boot_id, identity=self.origin.identity, sequence=sequence,
            arrays=array_headers(arrays), **{name: getattr(result, name) for name in COUNTS},
        ), arrays  # fmt: skip

    def ask(self, header, arrays=None, timeout_s=10.0):
        if header.verb not in {"configure", "run"}:
            return super().ask(header, arrays, timeout_s)
        self.send_over(encode(header, arrays))
        return self.read_over(timeout_s)

    def send_run(self, config_hash, inputs, **changes):
        header, arrays = self.run_header(config_hash, inputs, **changes), spike_arrays(inputs)
        packed = PackedRun(**{name: getattr(header, name) for name in PackedRun._fields})
        frames = (pack_run(packed, arrays) if header.readout == Readout() else None) or encode(header, arrays)
        self.send_over(frames)
        return frames

    def run(self, config_hash, inputs, timeout_s=10.0, **changes):
        self.send_run(config_hash, inputs, **changes)
        return self.read_over(timeout_s)

    def close(self):
        super().close()
        if self.stream is not None:
            self.stream.close()
