"""The daemon's logic with a clock that stands still, and a worker that is played by the test."""

from __future__ import annotations

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
from hxloop.protocol.messages import ConfigureReply, ConfigureRequest, HelloRequest, Limits, RunReply, RunRequest
from hxloop.result import Observations
from hxloop.spec import HICANN_X
from hxloop_chip.service.envelopes import read_order
from hxloop_chip.service.requests import Service

IDENTITY = ChipIdentity(chip="typical", serial=1, spec="s", model="m")
BOOT = FakeChip().boot
CONFIG = small_config()
INPUTS = small_inputs()


class Bench:
    """A service with a clock that stands still, and a worker that does what the test says."""

    def __init__(self, **limits):
        self.now_s = 0.0
        self.service = Service(IDENTITY, HICANN_X, BOOT, "boot", lambda: self.now_s, Limits(**limits))

    def tell(self, frames, address=b"me"):
        """Replies on the data socket that a message causes at once."""
        self.service.handle_data(frames, address)
        return self.replies()

    def replies(self):
        found = [(out.address, decode_reply(out.frames)[0]) for out in self.service.outbox]
        self.service.outbox.clear()
        return found

    def control(self, header):
        return decode_reply(self.service.handle_control(encode(header)))[0]

    def hello(self):
        return self.tell(encode(HelloRequest(client="test")))[0][1].session

    def order(self):
        """Next order: its envelope, and whether a configuration comes with it."""
        frames = self.service.next_order()
        return None if frames is None else (read_order(frames[0]), frames[1:])

    def work(self, configured=None):
        """Do the next job as a chip would; returns its request, or None."""
        found = self.order()
        if found is None:
            return None
        order, frames = found
        request, _ = decode_request(frames[order.configuration_frames :], Limits())
        if isinstance(request, ConfigureRequest):
            reply = ConfigureReply(
                boot_id="boot", identity=IDENTITY, sequence=request.sequence, config_hash=request.config_hash
            )
            self.service.finish(order.job, request.config_hash, encode(reply))
        else:
            self.service.finish(order.job, configured or request.config_hash, run_reply(request))
        return request


def run_reply(request):
    arrays = result_arrays(INPUTS, Observations.none())
    header = RunReply(
        boot_id="boot", identity=IDENTITY, sequence=request.sequence, events_in=1, events_out=2, lost_in=3,
        lost_out=4, lost_late=5, synaptic_events=7, cadc_reads=8, madc_reads=9, chip_time_us=4.0, circuit_time_us=1.0,
        emulation_time_us=5.0, energy_j_estimate=6.0,
        arrays=array_headers(arrays),
    )  # fmt: skip
    return encode(header, arrays)


def configure(session, sequence, config=CONFIG):
    arrays = config_arrays(config)
    header = ConfigureRequest(
        session=session, sequence=sequence, config_hash=config.sha256(), arrays=array_headers(arrays)
    )
    return encode(header, arrays)


def run(session, sequence, config=CONFIG, inputs=INPUTS, **changes):
    arrays = spike_arrays(inputs)
    content = {"duration_ticks": 1000, "arrays": array_headers(arrays), "config_hash": config.sha256()} | changes
    return encode(RunRequest(session=session, sequence=sequence, **content), arrays)
