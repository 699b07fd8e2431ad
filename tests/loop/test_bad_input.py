"""Nothing a client sends ends the daemon or changes its state; every refusal is typed and names the field."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import zmq
from support.chips.fake_chip import small_config, small_inputs
from support.daemons.daemon import ROOT, Daemon
from support.solving.generators import background

from hxloop.codes.capmem import Cell
from hxloop.protocol.codec import array_headers, config_arrays, config_from_arrays, encode, spike_arrays
from hxloop.protocol.messages import PROTOCOL_VERSION, HelloRequest

pytestmark = pytest.mark.processes

CONFIG = small_config((20,), n_input=4)
INPUTS = small_inputs()


@pytest.fixture(scope="module")
def daemon():
    """One daemon with the real chip for all tests here: it must survive them all."""
    with Daemon(fake=False) as running:
        yield running


@pytest.fixture(scope="module")
def sessions():
    """The one session of these tests; a test that fails takes it away, so that it does not fail the others."""
    return []


@pytest.fixture
def client(daemon, sessions):
    """A session with a configuration; afterwards daemon, session and configuration must be as they were."""
    if not sessions:
        sessions.append(daemon.client())
        sessions[0].hello()
    fresh = sessions.pop()
    assert fresh.configure(CONFIG).reply == "configure"
    before, spikes = fresh.run(CONFIG.sha256(), INPUTS)
    assert before.reply == "run"
    worker, restarts = fresh.status().worker_pid, fresh.status().ledger.worker_restarts
    yield fresh
    assert daemon.process.poll() is None, daemon.log
    after = fresh.run(CONFIG.sha256(), INPUTS)
    assert after[0].reply == "run", after[0]
    for name, array in spikes.items():
        np.testing.assert_array_equal(after[1][name], array)
    status = fresh.status()
    assert (status.worker_pid, status.ledger.worker_restarts) == (worker, restarts)
    assert "Traceback" not in daemon.log
    sessions.append(fresh)


def describe_with(**changes):
    return json.dumps({"verb": "describe", "protocol": PROTOCOL_VERSION} | changes).encode()


DEEP = b"[" * 20_000 + b"]" * 20_000
BAD_FRAMES = {
    "an empty frame": ([b""], "malformed_message", "header"),
    "not JSON": ([b"hello?"], "malformed_message", "header"),
    "not UTF-8": ([b"\xff\xfe\x00"], "malformed_message", "header"),
    "not an object": ([b"[1, 2]"], "malformed_message", "header"),
    "a bare NaN": ([b"NaN"], "malformed_message", "header"),
    "nested deeply": ([DEEP], "malformed_message", "header"),
    "nested deeply in a field": ([b'{"verb":' + DEEP + b"}"], "malformed_message", "header"),
    "a key twice": ([b'{"verb":"describe","verb":"describe","protocol":1}'], "malformed_message", "header"),
    "a huge number": ([b'{"verb":"describe","protocol":' + b"9" * 5000 + b"}"], "malformed_message", "header"),
    "1000 frames": ([b"x"] * 1000, "limit_exceeded", "frames"),
    "a header of 65 kB": ([describe_with(x="y" * 65_536)], "limit_exceeded", "header"),
    "a message of 65 MB": ([describe_with(), b"x" * (65 * 2**20)], "limit_exceeded", "message"),
    "an unknown verb": ([describe_with(verb="explode")], "unknown_verb", "verb"),
    "no verb": ([json.dumps({"protocol": PROTOCOL_VERSION}).encode()], "unknown_verb", "verb"),
    "a verb that is a list": ([describe_with(verb=["describe"])], "unknown_verb", "verb"),
    "an unknown field": ([describe_with(colour="red")], "malformed_message", "colour"),
    "protocol 1": ([describe_with(protocol=1)], "protocol_version", "protocol"),
    "protocol true": ([describe_with(protocol=True)], "protocol_version", "protocol"),
    "no protocol": ([b'{"verb":"describe"}'], "protocol_version", "protocol"),
    "a number as a string": ([describe_with(verb="hello", client=7)], "malformed_message", "client"),
    "a long name": ([describe_with(verb="hello", client="x" * 300)], "malformed_message", "client"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_FRAMES)
def test_bad_messages(client, what):
    frames, code, field = BAD_FRAMES[what]
    reply = client.ask_raw(frames)
    assert (reply.reply, reply.code, reply.field) == ("error", code, field), reply
    assert reply.message


def test_wrong_versions_are_both_named(client):
    reply = client.ask_raw([describe_with(protocol=99)])
    assert "99" in reply.message and str(PROTOCOL_VERSION) in reply.message and reply.hint


def test_bad_messages_on_the_control_socket(client):
    for frames, code, field in list(BAD_FRAMES.values())[:10]:
        client.send(frames, client.control)
        reply, _ = client.receive(socket=client.control)
        assert (reply.code, reply.field) == (code, field)
    client.send(encode(HelloRequest(client="x")), client.control)
    reply, _ = client.receive(socket=client.control)
    assert (reply.code, reply.field) == ("unknown_verb", "verb")


def run_frames(client, arrays=None, header_changes=None, **changes):
    """Frames of the next run, with a header that may lie."""
    arrays = spike_arrays(INPUTS) if arrays is None else arrays
    header = client.run_header(CONFIG.sha256(), INPUTS, arrays=array_headers(arrays), **changes)
    content = json.loads(header.model_dump_json()) | (header_changes or {})
    return [json.dumps(content).encode(), *(bytes(frame) for frame in encode(header, arrays)[1:])]


def test_array_frames_must_match_their_header(client):
    for spoil, field in (
        (lambda header, offsets, tick, source: [header, offsets, tick[:-1], source], "tick"),
        (lambda header, offsets, tick, source: [header, offsets, tick + b"\0", source], "tick"),
        (lambda header, offsets, tick, source: [header, offsets, tick, b""], "source"),
        (lambda header, offsets, tick, source: [header, offsets, tick], "arrays"),
        (lambda header, offsets, tick, source: [header, offsets, tick, source, b"more"], "arrays"),
    ):
        reply = client.ask_raw(spoil(*run_frames(client)))
        assert (reply.code, reply.field) == ("malformed_message", field), reply


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"shape": [2**30]}, "tick"),  # 8 GiB
        ({"shape": [2**30, 2**30, 2**30, 2**30]}, "tick"),
        ({"shape": [2**62]}, "arrays.1.shape.0"),
        ({"shape": [0, 2**62]}, "arrays.1.shape.1"),
        ({"shape": [0, 2**30, 2**30]}, "tick"),
        ({"shape": [-1]}, "arrays.1.shape.0"),
        ({"shape": [1.5]}, "arrays.1.shape.0"),
        ({"shape": [1] * 5}, "arrays.1.shape"),
        ({"dtype": ">i8"}, "arrays.1.dtype"),
        ({"dtype": "|O"}, "arrays.1.dtype"),
        ({"dtype": "<f4"}, "arrays.1.dtype"),
        ({"name": "offsets"}, "offsets"),
        ({"name": "tock"}, "tick"),
        ({"pickle": "yes"}, "arrays.1.pickle"),
    ],
)
def test_array_headers_that_lie(client, change, field):
    arrays = [header.model_dump(mode="json") for header in array_headers(spike_arrays(INPUTS))]
    arrays[1] |= change
    reply = client.ask_raw(run_frames(client, header_changes={"arrays": arrays}))
    assert (reply.code, reply.field) == ("malformed_message", field), reply


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"duration_ticks": 0}, "malformed_message", "duration_ticks"),
        ({"duration_ticks": -5}, "malformed_message", "duration_ticks"),
        ({"duration_ticks": 1e3}, "malformed_message", "duration_ticks"),
        ({"duration_ticks": 125_000_001}, "limit_exceeded", "duration_ticks"),
        ({"duration_ticks": 2**40}, "limit_exceeded", "duration_ticks"),
        ({"duration_ticks": 10**30}, "malformed_message", "duration_ticks"),
        ({"trial_seed": -1}, "malformed_message", "trial_seed"),
        ({"trial_seed": 2**63}, "malformed_message", "trial_seed"),
        ({"first_sample": "0"}, "malformed_message", "first_sample"),
        ({"record": "membrane"}, "malformed_message", "record"),
        ({"config_hash": "0" * 64}, "unknown_configuration", "config_hash"),
        ({"config_hash": ["x"]}, "malformed_message", "config_hash"),
        ({"readout": {"colour": 1}}, "malformed_message", "readout.colour"),
        ({"readout": {"cadc_circuits": "all"}}, "malformed_message", "readout.cadc_circuits"),
        ({"readout": {"cadc_circuits": [0] * 513}}, "malformed_message", "readout.cadc_circuits"),
        ({"readout": {"cadc_circuits": [0, 1.5]}}, "malformed_message", "readout.cadc_circuits.1"),
        ({"readout": {"counters": 1}}, "malformed_message", "readout.counters"),
        ({"readout": {"cadc_circuits": [512]}}, "out_of_range", "readout.cadc_circuits[0]"),
        ({"readout": {"cadc_circuits": [0, -1]}}, "out_of_range", "readout.cadc_circuits[1]"),
        ({"readout": {"cadc_circuits": [0, 1]}}, "invalid_input", "readout.cadc_circuits[1]"),
        ({"readout": {"cadc_circuits": [0, 0]}}, "invalid_input", "readout.cadc_circuits[1]"),
        ({"readout": {"cadc_circuits": [0], "cadc_period_ticks": 212}}, "out_of_range", "readout.cadc_period_ticks"),
        ({"readout": {"cadc_circuits": [0], "cadc_period_ticks": 0}}, "out_of_range", "readout.cadc_period_ticks"),
        ({"readout": {"cadc_circuits": [0], "cadc_period_ticks": -1}}, "out_of_range", "readout.cadc_period_ticks"),
        ({"readout": {"madc_circuit": 512}}, "out_of_range", "readout.madc_circuit"),
        ({"readout": {"madc_circuit": 1}}, "invalid_input", "readout.madc_circuit"),
        ({"readout": {"madc_circuit": 0}, "duration_ticks": 300_000}, "out_of_range", "readout.madc_circuit"),
        ({"readout": {"madc_circuit": 0}, "duration_ticks": 100_000_000}, "limit_exceeded", "readout"),
        *(
            ({"neurons": [0, number]}, code, field)
            for number, code, field in (
                (2**63, "malformed_message", "neurons.1"),
                (-(2**63) - 1, "malformed_message", "neurons.1"),
                (2**31 - 1, "invalid_input", "neurons[1]"),
                (-(2**31), "invalid_input", "neurons[1]"),
            )
        ),
        (
            {"readout": {"cadc_circuits": [0], "cadc_period_ticks": 2**63}},
            "malformed_message",
            "readout.cadc_period_ticks",
        ),
        ({"readout": {"cadc_circuits": [2**63]}}, "malformed_message", "readout.cadc_circuits.0"),
        ({"readout": {"madc_circuit": -(2**63)}}, "malformed_message", "readout.madc_circuit"),
        ({"session": "0" * 32}, "unknown_session", "session"),
    ],
)
def test_run_headers(client, changes, code, field):
    reply = client.ask_raw(run_frames(client, header_changes=changes))
    assert (reply.code, reply.field) == (code, field), reply
    if code == "unknown_session":
        client.sequence -= 1  # nobody's number was used up


def replaced(name, index, value):
    arrays = {key: array.copy() for key, array in spike_arrays(INPUTS).items()}
    arrays[name][index] = value
    return arrays


@pytest.mark.parametrize(
    ("arrays", "code", "field"),
    [
        (replaced("tick", 2, -1), "out_of_range", "inputs.tick[2]"),
        (replaced("tick", 3, 1000), "out_of_range", "inputs.tick[3]"),
        (replaced("tick", 0, 999), "array", "inputs.tick[1]"),
        (replaced("source", 5, -1), "out_of_range", "inputs.source[5]"),
        (replaced("source", 5, 2**16), "out_of_range", "inputs.source[5]"),
        (replaced("source", 5, 100), "out_of_range", "inputs.source[5]"),
        (replaced("offsets", 1, -4), "array", "inputs.offsets"),
        (replaced("offsets", 1, 9), "array", "inputs.offsets"),
        (replaced("offsets", 3, 2**60), "array", "inputs.offsets"),
        (spike_arrays(INPUTS) | {"tick": INPUTS.tick.astype(np.int32)}, "array", "inputs.tick"),
        (spike_arrays(INPUTS) | {"tick": INPUTS.tick.astype(np.float64)}, "array", "inputs.tick"),
        (spike_arrays(INPUTS) | {"tick": INPUTS.tick.reshape(3, 4)}, "array", "inputs.tick"),
        (spike_arrays(INPUTS) | {"offsets": np.empty(0, np.int64)}, "array", "inputs.offsets"),
        (spike_arrays(INPUTS) | {"offsets": np.array(0)}, "array", "inputs.offsets"),
    ],
)
def test_events_no_chip_can_be_sent(client, arrays, code, field):
    reply = client.ask_raw(run_frames(client, arrays))
    assert (reply.code, reply.field) == (code, field), reply


def test_more_samples_and_events_than_the_limits(client):
    many = np.zeros(100_002, np.int64)
    reply = client.ask_raw(run_frames(client, spike_arrays(INPUTS) | {"offsets": many}))
    assert (reply.code, reply.field) == ("limit_exceeded", "offsets")
    ticks = np.zeros(4_000_001, np.int64)
    reply = client.ask_raw(
        run_frames(client, {"offsets": np.array([0, ticks.size]), "tick": ticks, "source": ticks.astype(np.int32)})
    )
    assert (reply.code, reply.field) == ("limit_exceeded", "tick")


def configure_frames(client, changes, config_hash=None):
    """Frames of a configure with some values replaced; the hash is honest unless given."""
    arrays = {name: array.copy() for name, array in config_arrays(CONFIG).items()}
    for name, value in changes.items():
        if value is None:
            del arrays[name]
        elif isinstance(value, tuple):
            index, number = value
            arrays[name][index] = number
        else:
            arrays[name] = value
    if config_hash is None and arrays.keys() == config_arrays(CONFIG).keys():
        config_hash = config_from_arrays(arrays).sha256()
    header = client.configure_header(CONFIG, arrays=array_headers(arrays), config_hash=config_hash or "0" * 64)
    return encode(header, arrays)


def routes(name, source, driver, label):
    return {
        f"{name}.source": np.array([source], np.int32),
        f"{name}.driver": np.array([driver], np.int16),
        f"{name}.label": np.array([label], np.uint8),
    }


def generators(**settings):
    return {f"background.{name}": array for name, array in vars(background(settings)).items()}


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"synapses.weight_code": (1, 64)}, "out_of_range", "synapses.weight_code"),
        ({"synapses.weight_code": (1, -64)}, "out_of_range", "synapses.weight_code"),
        ({"synapses.label": (2, 64)}, "out_of_range", "synapses.label"),
        ({"synapses.row": (2, 256)}, "out_of_range", "synapses.row"),
        ({"synapses.circuit": (0, 512)}, "out_of_range", "synapses.circuit"),
        ({"neurons.circuit": (0, 512)}, "out_of_range", "neurons.circuit"),
        ({"neurons.circuit": (0, -1)}, "out_of_range", "neurons.circuit"),
        ({"neurons.capmem_code": ((0, Cell.v_leak), 1023)}, "out_of_range", "neurons.capmem_code[:, v_leak][0]"),
        ({"neurons.capmem_code": ((0, Cell.i_leak), -1)}, "out_of_range", "neurons.capmem_code[:, i_leak][0]"),
        ({"neurons.capmem_code": ((0, Cell.v_threshold), 0)}, "invalid_input", "neurons.capmem_code[0, v_threshold]"),
        ({"neurons.capmem_code": np.full((1, len(Cell)), np.nan)}, "array", "neurons.capmem_code"),
        ({"neurons.capmem_code": np.zeros((1, 5), np.int16)}, "array", "neurons.capmem_code"),
        ({"neurons.capacitance_code": (0, 64)}, "out_of_range", "neurons.capacitance_code[0]"),
        ({"neurons.leak_range": (0, 3)}, "out_of_range", "neurons.leak_range[0]"),
        ({"shared.quadrant_code": ((3, 0), 1023)}, "out_of_range", "shared.quadrant_code[:, i_synapse_dac][3]"),
        ({"shared.quadrant_code": ((1, 3), 0)}, "out_of_range", "shared.quadrant_code[:, i_correlation_tau][1]"),
        ({"shared.clock_scale": ((1, 1), 16)}, "out_of_range", "shared.clock_scale[3]"),
        ({"input_routes.driver": (0, 256)}, "out_of_range", "input_routes.driver[0]"),
        ({"input_routes.driver": (0, -1)}, "out_of_range", "input_routes.driver[0]"),
        ({"input_routes.driver": np.array(0, np.int16)}, "array", "input_routes.driver"),
        ({"input_routes.source": np.array(0, np.int32)}, "array", "input_routes.source"),
        (routes("neuron_routes", 0, 32, 0), "invalid_input", "neuron_routes.driver[0]"),
        (routes("neuron_routes", 1, 0, 0), "invalid_input", "neuron_routes.source[0]"),
        (routes("background_routes", 64, 32, 0), "invalid_input", "background_routes.source[0]"),
        (generators(period_ticks=0), "out_of_range", "background.period_ticks[0]"),
        (generators(generator=8), "out_of_range", "background.generator[0]"),
        ({"input_routes.label": (0, 64)}, "out_of_range", "input_routes.label"),
        ({"input_routes.source": (0, -1)}, "out_of_range", "input_routes.source"),
        ({"row_sign": ((0, 0), 2)}, None, "row_sign"),
        ({"row_sign": np.zeros((3, 3), np.int8)}, "array", "row_sign"),
        ({"synapses.weight_code": np.zeros(4, np.int64)}, "array", "synapses.weight_code"),
        ({"synapses.weight_code": np.zeros(3, np.int8)}, "array", "synapses"),
        ({"synapses.label": np.zeros((2, 2), np.uint8)}, "array", "synapses.label"),
        ({"neurons.head": None}, "malformed_message", "neurons.head"),
        ({"neurons.colour": np.zeros(1)}, "malformed_message", "neurons.colour"),
    ],
)
def test_configurations_the_chip_refuses(client, changes, code, field):
    reply = client.ask_raw(configure_frames(client, changes))
    assert reply.reply == "error" and reply.code == (code or reply.code), reply
    assert reply.code in {"invalid_input", "out_of_range", "array", "malformed_message"}, reply
    assert reply.field.startswith(field), reply


def test_a_configuration_must_have_the_hash_it_claims(client):
    reply = client.ask_raw(configure_frames(client, {"synapses.weight_code": (0, 3)}, CONFIG.sha256()))
    assert (reply.code, reply.field) == ("malformed_message", "config_hash")


def test_a_session_cannot_use_what_another_one_uploaded(client, daemon):
    other = daemon.client()
    other.hello()
    reply, _ = other.run(CONFIG.sha256(), INPUTS)
    assert (reply.code, reply.field) == ("unknown_configuration", "config_hash")


def serve(*options, **environment):
    return subprocess.run(
        [sys.executable, "-m", "hxloop_chip", *options],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--chip", "perfect"], "perfect"),
        (["--endpoint", "tcp://0.0.0.0:5555"], "loopback"),
        (["--endpoint", "tcp://*:5555"], "loopback"),
        (["--endpoint", "tcp://192.168.1.1:5555"], "loopback"),
        (["--endpoint", "tcp://127.0.0.1:99999"], "port"),
        (["--endpoint", "http://127.0.0.1:80"], "endpoint"),
        (["--endpoint", "ipc:///" + "x" * 120 + "/data.sock"], "too long"),
        (["--endpoint", "ipc:///nowhere/to/be/found/data.sock"], "endpoint"),
    ],
)
def test_options_are_refused_in_one_line(tmp_path, options, word):
    if "nowhere" in options[1]:
        (tmp_path / "file").write_text("")
        options = ["--endpoint", f"ipc://{tmp_path}/file/data.sock"]
    ended = serve("serve", *options, HXLOOP_RUNTIME_DIR=str(tmp_path))
    assert ended.returncode == 2, ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and word in last and "Traceback" not in ended.stderr


def test_a_port_in_use_is_refused(tmp_path):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as taken:
        port = taken.bind_to_random_port("tcp://127.0.0.1")
        ended = serve("serve", "--endpoint", f"tcp://127.0.0.1:{port}", HXLOOP_RUNTIME_DIR=str(tmp_path))
    assert ended.returncode == 2 and f"127.0.0.1:{port}" in ended.stderr and "Traceback" not in ended.stderr
