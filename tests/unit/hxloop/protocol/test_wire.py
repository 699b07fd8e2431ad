import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.solving.single import events, side_by_side

from hxloop.chip import ChipIdentity
from hxloop.codes.boot import OperatingPoint
from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import (
    HxloopError,
    LimitExceededError,
    MalformedMessageError,
    ProtocolVersionError,
    UnknownVerbError,
)
from hxloop.program import flatten
from hxloop.protocol.codec import (
    array_headers,
    boot_arrays,
    boot_from_arrays,
    config_arrays,
    config_from_arrays,
    decode_reply,
    decode_request,
    encode,
    result_arrays,
    result_from_arrays,
    spike_arrays,
    spikes_from_arrays,
)
from hxloop.protocol.messages import (
    PROTOCOL_VERSION,
    REPLIES,
    REQUESTS,
    ArrayHeader,
    ConfigureRequest,
    DescribeReply,
    ErrorReply,
    HelloRequest,
    Limits,
    RunReply,
    RunRequest,
)
from hxloop.result import Observations, Readout
from hxloop.spec import HICANN_X, TEXTBOOK

LIMITS = Limits()
IDENTITY = ChipIdentity(chip="ideal", serial=1, spec="textbook", model="1")
DTYPES = ["<i8", "<i4", "<i2", "|i1", "|u1", "<f8"]
arrays_strategy = st.dictionaries(
    st.text("abc._", min_size=1, max_size=5),
    st.sampled_from(DTYPES).flatmap(
        lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5))
    ),
    max_size=5,
)


def run_request(arrays, **changes):
    values = {"session": "s", "sequence": 3, "config_hash": "h", "duration_ticks": 10} | changes
    return RunRequest(arrays=array_headers(arrays), **values)


def as_bytes(frames):
    return [bytes(frame) for frame in frames]


@given(
    arrays_strategy,
    st.integers(0, 2**62),
    st.integers(1, 2**40),
    st.integers(0, 2**63 - 1),
    st.sampled_from(["spikes", "first_spikes"]),
    st.text(max_size=50),
)
def test_requests_survive_the_wire(arrays, sequence, duration, seed, record, session):
    request = run_request(
        arrays, sequence=sequence, duration_ticks=duration, trial_seed=seed, record=record, session=session
    )
    decoded, found = decode_request(as_bytes(encode(request, arrays)), LIMITS)
    assert decoded == request
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


@given(arrays_strategy, st.floats(0, 1e12), st.integers(0, 2**62))
def test_replies_survive_the_wire(arrays, time_us, events_out):
    reply = RunReply(
        boot_id="b",
        identity=IDENTITY,
        sequence=1,
        events_in=0,
        events_out=events_out,
        lost_in=1,
        lost_out=2,
        lost_late=3,
        synaptic_events=4,
        cadc_reads=5,
        madc_reads=6,
        chip_time_us=time_us,
        circuit_time_us=7.0,
        emulation_time_us=1.0,
        energy_j_estimate=0.0,
        arrays=array_headers(arrays),
    )
    decoded, found = decode_reply(as_bytes(encode(reply, arrays)))
    assert decoded == reply
    assert {name: a.tobytes() for name, a in found.items()} == {name: a.tobytes() for name, a in arrays.items()}


def test_configurations_and_spikes_survive_the_wire():
    config, spikes = side_by_side(300), events([(1, 0), (3, 1)], [], [(2, 0)])
    arrays = config_arrays(config)
    request = ConfigureRequest(session="s", sequence=1, config_hash=config.sha256(), arrays=array_headers(arrays))
    _, found = decode_request(as_bytes(encode(request, arrays)), LIMITS)
    assert config_from_arrays(found).sha256() == config.sha256()
    _, found = decode_request(as_bytes(encode(run_request(spike_arrays(spikes)), spike_arrays(spikes))), LIMITS)
    rebuilt = spikes_from_arrays(found)
    rebuilt.check("b", duration_ticks=10, n_sources=2)
    np.testing.assert_array_equal(rebuilt.tick, spikes.tick)


def test_boot_settings_survive_the_wire():
    nominal = nominal_boot(HICANN_X, OperatingPoint(tau_mem_us=9.0))
    circuits = np.arange(512, dtype=np.int16)
    each = replace(nominal, neurons=nominal.of(circuits, circuits))
    for boot in (nominal, each, nominal_boot(TEXTBOOK)):
        arrays = boot_arrays(boot)
        reply = DescribeReply(
            boot_id="b", identity=IDENTITY, control_endpoint="", spec=HICANN_X, limits=LIMITS,
            operating_point=boot.target, arrays=array_headers(arrays),
        )  # fmt: skip
        header, found = decode_reply(as_bytes(encode(reply, arrays)))
        rebuilt = boot_from_arrays(header.operating_point, found)
        assert rebuilt.target == boot.target
        for name, array in boot_arrays(rebuilt).items():
            np.testing.assert_array_equal(array, arrays[name], err_msg=name)
            assert array.dtype == arrays[name].dtype
        with pytest.raises(MalformedMessageError, match="missing") as caught:
            boot_from_arrays(boot.target, {n: a for n, a in found.items() if n != "shared.clock_scale"})
        assert caught.value.field == "shared.clock_scale"


def test_results_survive_the_wire():
    rng = np.random.default_rng(1)
    spikes = events([(1, 0), (3, 1)], [], [(2, 0)])
    observed = Observations(
        rng.integers(0, 256, (3, 5, 2), dtype=np.uint8),
        rng.integers(0, 1024, (3, 7), dtype=np.int16),
        rng.integers(0, 256, (3, 4), dtype=np.uint8),
        rng.integers(0, 2, (3, 4), dtype=np.uint8),
        rng.integers(0, 256, (2, 9), dtype=np.uint8),
    )
    for observations in (observed, Observations.none()):
        arrays = result_arrays(spikes, observations)
        reply = RunReply(
            boot_id="b", identity=IDENTITY, sequence=1, events_in=0, events_out=0, lost_in=0, lost_out=0, lost_late=0,
            synaptic_events=0, cadc_reads=0, madc_reads=0, chip_time_us=1.0, circuit_time_us=0.0,
            emulation_time_us=1.0, energy_j_estimate=0.0, arrays=array_headers(arrays),
        )  # fmt: skip
        _, received = decode_reply(as_bytes(encode(reply, arrays)))
        batch, rebuilt, dense = result_from_arrays(received)
        assert dense is None
        np.testing.assert_array_equal(batch.tick, spikes.tick)
        for name, array in flatten(observations).items():
            np.testing.assert_array_equal(getattr(rebuilt, name), array, err_msg=name)
            assert getattr(rebuilt, name).dtype == array.dtype
    with pytest.raises(MalformedMessageError, match="unknown"):
        result_from_arrays(received | {"observations.more": np.zeros(1)})


def test_a_readout_travels_with_the_request():
    readout = Readout(cadc_circuits=(3, 1), madc_circuit=7, counters=True, correlation=True)
    spikes = spike_arrays(events([(1, 0)]))
    request, _ = decode_request(as_bytes(encode(run_request(spikes, readout=readout), spikes)), LIMITS)
    assert request.readout == readout
    header = json.loads(encode(run_request(spikes))[0])
    del header["readout"]
    request, _ = decode_request(
        [json.dumps(header).encode(), *as_bytes(encode(run_request(spikes), spikes))[1:]], LIMITS
    )
    assert request.readout == Readout()


@pytest.mark.parametrize("taken", ["synapses.row", "row_sign", "shared.quadrant_code", "background.seed"])
def test_configurations_need_every_array_and_no_other(taken):
    arrays = config_arrays(side_by_side(2))
    missing = {name: array for name, array in arrays.items() if name != taken}
    with pytest.raises(MalformedMessageError, match="missing") as caught:
        config_from_arrays(missing)
    assert caught.value.field == taken
    with pytest.raises(MalformedMessageError, match="unknown") as caught:
        config_from_arrays(arrays | {"more": np.zeros(1)})
    assert caught.value.field == "more"


def test_arrays_of_any_byte_order_and_layout_travel_little_endian_in_c_order():
    array = np.arange(12, dtype=">i8").reshape(3, 4).T
    _, found = decode_request(as_bytes(encode(run_request({"a": array}), {"a": array})), LIMITS)
    np.testing.assert_array_equal(found["a"], array)
    assert found["a"].dtype == np.dtype("<i8")


@pytest.mark.parametrize("dtype", [np.float32, np.complex128, np.bool_, object, "U3", np.uint64])
def test_other_dtypes_do_not_travel(dtype):
    with pytest.raises(MalformedMessageError) as caught:
        array_headers({"a": np.zeros(2, dtype)})
    assert caught.value.field == "a"


def test_arrays_come_out_aligned():
    array = np.arange(100.0)
    header, frame = as_bytes(encode(run_request({"a": array}), {"a": array}))
    for shift in range(9):
        buffer = memoryview(bytes(shift) + frame)[shift:]
        _, found = decode_request([header, buffer], LIMITS)
        assert found["a"].ctypes.data % 64 == 0 or found["a"].flags["ALIGNED"]
        assert found["a"].ctypes.data % 8 == 0
        np.testing.assert_array_equal(found["a"], array)


def header_bytes(**changes):
    arrays = {"a": np.arange(3)}
    header = json.loads(encode(run_request(arrays))[0])
    header.update(changes)
    return json.dumps({key: value for key, value in header.items() if value is not ...}).encode()


FRAME = np.arange(3).tobytes()


@pytest.mark.parametrize(
    ("frames", "error", "field"),
    [
        ([], MalformedMessageError, "header"),
        ([b""], MalformedMessageError, "header"),
        ([b"\xff\xfe\x00", FRAME], MalformedMessageError, "header"),
        ([b"[1, 2]"], MalformedMessageError, "header"),
        ([b"[" * 100_000], LimitExceededError, "header"),
        ([b"[" * 50_000], MalformedMessageError, "header"),
        ([b'{"verb": "run", "verb": "run"}'], MalformedMessageError, "header"),
        ([header_bytes(verb="fly"), FRAME], UnknownVerbError, "verb"),
        ([header_bytes(verb=7), FRAME], UnknownVerbError, "verb"),
        ([header_bytes(protocol=PROTOCOL_VERSION + 1), FRAME], ProtocolVersionError, "protocol"),
        ([header_bytes(protocol=True), FRAME], ProtocolVersionError, "protocol"),
        ([header_bytes(protocol=...), FRAME], ProtocolVersionError, "protocol"),
        ([header_bytes(colour="red"), FRAME], MalformedMessageError, "colour"),
        ([header_bytes(duration_ticks=0), FRAME], MalformedMessageError, "duration_ticks"),
        ([header_bytes(duration_ticks="10"), FRAME], MalformedMessageError, "duration_ticks"),
        ([header_bytes(duration_ticks=1.5), FRAME], MalformedMessageError, "duration_ticks"),
        ([header_bytes(trial_seed=2**63), FRAME], MalformedMessageError, "trial_seed"),
        ([header_bytes(session=...), FRAME], MalformedMessageError, "session"),
        ([header_bytes(record="all"), FRAME], MalformedMessageError, "record"),
        ([header_bytes(readout={"colour": 1}), FRAME], MalformedMessageError, "readout"),
        ([header_bytes(readout={"counters": 1}), FRAME], MalformedMessageError, "readout"),
        ([header_bytes(readout={"cadc_circuits": list(range(513))}), FRAME], MalformedMessageError, "readout"),
        ([header_bytes(), FRAME[:-1]], MalformedMessageError, "a"),
        ([header_bytes(), FRAME + b"x"], MalformedMessageError, "a"),
        ([header_bytes()], MalformedMessageError, "arrays"),
        ([header_bytes(), FRAME, FRAME], MalformedMessageError, "arrays"),
        ([header_bytes(), *([b""] * 65)], LimitExceededError, "frames"),
        (
            [header_bytes(arrays=[{"name": "a", "dtype": "<i8", "shape": [2**30]}]), FRAME],
            MalformedMessageError,
            "a",
        ),
        *(
            ([header_bytes(arrays=[{"name": "a", "dtype": "<i8", "shape": shape}]), b""], MalformedMessageError, field)
            for shape, field in (
                ([2**30, 2**30, 2**30], "a"),  # a multiple of 2^64 bytes
                ([2**31], "arrays"),
                ([0, 2**62], "arrays"),
                ([2**30, 0, 2**30, 2**30], "a"),  # numpy counts the bytes without the 0
            )
        ),
        ([header_bytes(arrays=[{"name": "a", "dtype": "<i8", "shape": [-3]}]), FRAME], MalformedMessageError, "arrays"),
        ([header_bytes(arrays=[{"name": "a", "dtype": "|O", "shape": [3]}]), FRAME], MalformedMessageError, "arrays"),
        (
            [header_bytes(arrays=[{"name": "a", "dtype": "<i8", "shape": [3]}] * 2), FRAME, FRAME],
            MalformedMessageError,
            "a",
        ),
    ],
)
def test_bad_messages_get_typed_errors_that_name_the_field(frames, error, field):
    with pytest.raises(error) as caught:
        decode_request(frames, LIMITS)
    assert caught.value.field.split(".")[0] == field
    assert len(str(caught.value)) < 500


def test_a_large_message_is_refused_by_its_size():
    limits = Limits(max_message_bytes=1000)
    with pytest.raises(LimitExceededError, match="1000"):
        decode_request([header_bytes(), bytes(1000)], limits)


@settings(max_examples=300)
@given(st.data())
def test_mutated_messages_raise_only_our_errors(data):
    spikes = spike_arrays(events([(1, 0), (3, 1)]))
    frames = as_bytes(encode(run_request(spikes), spikes))
    which = data.draw(st.integers(0, len(frames) - 1))
    frame = bytearray(frames[which])
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["set", "cut", "insert", "drop"]))
        place = data.draw(st.integers(0, max(0, len(frame) - 1)))
        if kind == "set" and frame:
            frame[place] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del frame[place:]
        elif kind == "insert":
            frame[place:place] = data.draw(st.binary(max_size=8))
        elif frame:
            del frame[place]
    frames[which] = bytes(frame)
    try:
        request, arrays = decode_request(frames, LIMITS)
    except HxloopError as error:
        assert error.message
    else:
        assert request.verb in REQUESTS
        assert [a.name for a in getattr(request, "arrays", ())] == list(arrays)


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_random_bytes_raise_only_our_errors(frames):
    for decode in (lambda: decode_request(frames, LIMITS), lambda: decode_reply(frames)):
        with pytest.raises(HxloopError):
            decode()


@pytest.mark.parametrize("verb", sorted(REQUESTS))
def test_every_verb_has_its_model_and_reply(verb):
    assert REQUESTS[verb].model_fields["verb"].default == verb
    assert REPLIES[verb].model_fields["reply"].default == verb


def test_an_unknown_reply_is_malformed():
    with pytest.raises(MalformedMessageError) as caught:
        decode_reply([b'{"reply": "nonsense"}'])
    assert caught.value.field == "reply"
    with pytest.raises(MalformedMessageError):
        decode_reply(as_bytes(encode(HelloRequest(client="c"))))


def test_error_replies_carry_code_field_and_hint():
    error = ErrorReply(boot_id="b", identity=IDENTITY, code="out_of_range", message="m", field="f", hint="h")
    decoded, _ = decode_reply(as_bytes(encode(error)))
    assert decoded == error


def test_headers_are_immutable():
    header = ArrayHeader(name="a", dtype="<i8", shape=(3,))
    with pytest.raises(ValueError, match="frozen"):
        header.name = "b"


def test_headers_in_another_spelling_mean_the_same_and_name_no_key_twice():
    """`encode` is not the only way to write JSON; only its own way is read without a second look."""
    spikes = spike_arrays(events([(1, 0), (3, 1)]))
    request = run_request(spikes)
    header, *rest = as_bytes(encode(request, spikes))
    spelled = json.dumps(dict(reversed(json.loads(header).items())), indent=1).encode()
    assert decode_request([spelled, *rest], LIMITS)[0] == request
    for frame in (header, spelled):
        twice = frame.rstrip(b"}").rstrip() + b', "record": "spikes"}'
        with pytest.raises(MalformedMessageError, match="twice"):
            decode_request([twice, *rest], LIMITS)
