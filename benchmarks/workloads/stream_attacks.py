"""Messages made to harm on streams: packed runs with bytes, values or sizes changed, cut off, or never sent."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.protocol.codec import config_arrays, decode_reply, spike_arrays
from hxloop.protocol.messages import PROTOCOL_VERSION, Limits
from hxloop.protocol.packed_runs import PackedRun, is_packed, pack_run, unpack_reply
from hxloop.protocol.stream_frames import HEAD, STREAM_MAGIC, StreamReader, attach_message, stream_parts

if TYPE_CHECKING:
    import random

    from hxloop.program import ChipConfig
    from hxloop.spikes import SpikeBatch

_WEIGHTS = "synapses.weight_code"


class Attacker:
    """A session on streams, a new one for each message; what is answered is counted by its kind.

    Parameters
    ----------
    endpoint, session : str
        Where streams are handed in, and the name of the session.
    config : ChipConfig
        That the session has.
    inputs : SpikeBatch
        Of a run that works.
    """

    def __init__(self, endpoint: str, session: str, config: ChipConfig, inputs: SpikeBatch) -> None:
        self.endpoint, self.session, self.config, self.inputs = endpoint.removeprefix("ipc://"), session, config, inputs
        self.sequence = 0
        self.answers: dict[str, int] = {}

    def stream(self) -> socket.socket:
        """New end of a stream; the one before is closed by the daemon."""
        here, there = socket.socketpair()
        with there, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.connect(self.endpoint)
            socket.send_fds(door, [attach_message(self.session)], [there.fileno()])
        here.settimeout(30)
        return here

    def say(self, data: bytes) -> Any:
        """Answer to bytes after which nothing comes: a reply, or None where the stream just ends."""
        with self.stream() as end:
            reader, reply = StreamReader(Limits(max_message_bytes=2**31)), None
            try:
                end.sendall(data)
                end.shutdown(socket.SHUT_WR)
                while reply is None and (count := end.recv_into(reader.room())):
                    if (frames := reader.received(count)) is not None:
                        reply = unpack_reply(frames) if is_packed(frames) else decode_reply(frames)[0]
            except ConnectionError:
                reply = None
        kind = "end" if reply is None else getattr(reply, "code", reply.reply)
        self.answers[kind] = self.answers.get(kind, 0) + 1
        if reply is not None and reply.sequence == self.sequence + 1:
            self.sequence += 1
        return reply

    def run(self, dice: random.Random | None = None) -> bytes:
        """Bytes of the next run; with dice, some values in one of its arrays are changed, the checksum is right."""
        arrays = {name: array.copy() for name, array in spike_arrays(self.inputs).items()}
        base = None
        if dice is not None:
            if dice.random() < 0.3:
                arrays[_WEIGHTS], base = config_arrays(self.config)[_WEIGHTS].copy(), self.config.sha256()
            victim = dice.choice(list(arrays.values()))
            limits = np.iinfo(victim.dtype)
            for _ in range(dice.randrange(1, 4)):
                low, high = dice.choice([(limits.min, limits.max), (-3, 3), (-300, 300)])
                victim[dice.randrange(victim.size)] = dice.randint(max(low, limits.min), min(high, limits.max))
        wanted = self.config if base is None else self.config.with_weight_codes(arrays[_WEIGHTS])
        run = PackedRun(self.sequence + 1, wanted.sha256(), base, 4000, 1, 0, "first_ticks", None)
        frames = pack_run(run, arrays)
        assert frames is not None
        return b"".join(bytes(part) for part in stream_parts(frames))


def attack(attacker: Attacker, dice: random.Random, n: int) -> None:
    """Send so many messages of each kind: noise, changed bytes, changed values, cut off, and only announced."""
    most = Limits().max_message_bytes
    for _ in range(n):
        attacker.say(dice.randbytes(dice.randrange(200)))
        data = bytearray(attacker.run())
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data) if dice.random() < 0.3 else 160)] = dice.randrange(256)
        attacker.say(bytes(data))
        attacker.say(attacker.run(dice))
        attacker.say(attacker.run()[: dice.randrange(1, 400)])
        attacker.say(HEAD.pack(STREAM_MAGIC, PROTOCOL_VERSION, dice.randrange(70), dice.choice([most, 2**40, 64, 0])))


def resident_mb(pid: int) -> float:
    """Memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
