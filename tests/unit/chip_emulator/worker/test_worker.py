"""The worker between link and chip: what it says of its chip, what it passes on, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from support.chips.fake_chip import BROKEN_SEED, FakeChip, small_config, small_inputs
from support.daemons.worker_bench import worker_of

from hxloop.protocol.codec import (
    array_headers,
    arrays_of,
    boot_arrays,
    boot_from_arrays,
    config_arrays,
    decode_reply,
    encode,
    result_from_arrays,
    spike_arrays,
)
from hxloop.protocol.messages import ConfigureRequest, Limits, RunRequest
from hxloop.result import Readout
from hxloop_chip.service.envelopes import Order, Ready, read_event

CONFIG = small_config(n_input=3)
INPUTS = small_inputs(n_samples=3, n_spikes=4)
EVERYTHING = Readout(cadc_circuits=(0, 7), cadc_period_ticks=300, madc_circuit=0, counters=True, correlation=True)


class Link:
    """The worker's end of the link: keeps what is sent, and ends when there is nothing to receive."""

    def __init__(self):
        self.sent = []

    def send(self, frames):
        self.sent.append([bytes(frame) for frame in frames])

    def drain(self):
        pass

    def receive(self):
        raise EOFError


def worker_with(link=None, **limits):
    return worker_of(FakeChip(serial=4), Limits(**limits), link)


def configure(worker, config=CONFIG):
    arrays = config_arrays(config)
    request = ConfigureRequest(session="s", sequence=1, config_hash=config.sha256(), arrays=array_headers(arrays))
    return decode_reply(worker.work(Order(job=1), encode(request, arrays)))[0]


def run(worker, **changes):
    arrays = spike_arrays(INPUTS)
    content = {"config_hash": CONFIG.sha256(), "duration_ticks": 1000, "arrays": array_headers(arrays)} | changes
    request = RunRequest(session="s", sequence=2, **content)
    return decode_reply(worker.work(Order(job=2), encode(request, arrays)))


def test_ready_carries_the_boot_settings():
    link = Link()
    with pytest.raises(EOFError):
        worker_with(link).serve()
    (frames,) = link.sent
    ready = read_event(frames[0])
    assert isinstance(ready, Ready) and ready.identity.serial == 4
    expected = FakeChip().boot
    boot = boot_from_arrays(ready.operating_point, arrays_of(ready, frames[1:]))
    assert boot.target == expected.target
    for name, array in boot_arrays(expected).items():
        np.testing.assert_array_equal(boot_arrays(boot)[name], array)


def test_a_run_replies_with_everything_the_chip_gave():
    worker = worker_with()
    assert configure(worker).reply == "configure"
    reply, arrays = run(worker, readout=EVERYTHING, trial_seed=3, first_sample=5)
    chip = FakeChip(serial=4)
    chip.configure(CONFIG)
    expected = chip.run(INPUTS, duration_ticks=1000, readout=EVERYTHING, trial_seed=3, first_sample=5)
    assert expected.lost_in and expected.lost_out and expected.lost_late
    for name in ("events_in", "events_out", "lost_in", "lost_out", "lost_late", "chip_time_us"):
        assert getattr(reply, name) == getattr(expected, name), name
    spikes, observations, _ = result_from_arrays(arrays)
    for found, wanted in ((spikes, expected.spikes), (observations, expected.observations)):
        for name, array in vars(wanted).items():
            assert array.size
            assert getattr(found, name).dtype == array.dtype
            np.testing.assert_array_equal(getattr(found, name), array)


def test_without_a_readout_nothing_is_observed():
    worker = worker_with()
    configure(worker)
    _, arrays = run(worker)
    assert not any(array.size for array in vars(result_from_arrays(arrays)[1]).values())


def test_counters_beyond_the_limits_are_refused_before_the_chip_runs():
    for limit, field in ((3, None), (2, "readout.counters")):  # three samples, one head
        worker = worker_with(max_readings=limit)
        configure(worker)
        reply, _ = run(worker, readout=Readout(counters=True), trial_seed=BROKEN_SEED)
        assert (reply.code, reply.field) == ("limit_exceeded" if field else "service", field)
        assert run(worker)[0].reply == "run"


def test_more_spikes_than_the_limits_are_not_sent():
    worker = worker_with(max_output_events=INPUTS.n_spikes - 1)
    configure(worker)
    assert run(worker)[0].field == "max_output_events"


def test_dense_first_spikes():
    worker = worker_with()
    configure(worker)
    reply, arrays = run(worker, record="first_ticks")
    sparse = result_from_arrays(run(worker, record="first_spikes")[1])[0]
    spikes, _, dense = result_from_arrays(arrays)
    assert reply.arrays[0].dtype == "<u4" and list(arrays) == ["first_ticks"]
    np.testing.assert_array_equal(dense[:, 0], sparse.tick[sparse.offsets[:-1]])
    assert (spikes.n_samples, spikes.n_spikes) == (INPUTS.n_samples, 0)


def test_a_dense_answer_beyond_the_limits_is_refused_before_the_chip_runs():
    for limit, field in ((3, None), (2, "record")):  # three samples, one head
        worker = worker_with(max_output_events=limit)
        configure(worker)
        reply, _ = run(worker, record="first_ticks", trial_seed=BROKEN_SEED)
        assert (reply.code, reply.field) == ("limit_exceeded" if field else "service", field)
