"""docs/wire-protocol.md and the code say the same: verbs, fields, types, limits, error codes, dtypes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from support.places import ROOT
from support.solving.single import side_by_side

from hxloop import errors
from hxloop.chip import ChipIdentity
from hxloop.codes.boot import OperatingPoint
from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import MalformedMessageError
from hxloop.program import DELAYED, ChipConfig, flatten
from hxloop.protocol.codec import boot_arrays, changed_config, config_from_arrays, result_arrays
from hxloop.protocol.messages import CONTROL_VERBS, PROTOCOL_VERSION, REPLIES, REQUESTS, ArrayHeader, Ledger, Limits
from hxloop.protocol.packed_runs import REPLY_HEADER, RUN_HEADER
from hxloop.protocol.stream_frames import HEAD
from hxloop.result import COUNTS, Observations, Readout, Recording
from hxloop.spec import HICANN_X, ChipSpec
from hxloop.spikes import DTYPES, NO_SPIKE, SpikeBatch

TEXT = (ROOT / "docs" / "wire-protocol.md").read_text(encoding="utf-8")
OBJECTS = (ArrayHeader, ChipIdentity, ChipSpec, Ledger, Limits, OperatingPoint, Readout)
MODELS = (
    {f"Request `{verb}`": model for verb, model in REQUESTS.items()}
    | {f"Reply `{kind}`": model for kind, model in REPLIES.items()}
    | {f"Object `{model.__name__}`": model for model in OBJECTS}
)


def section(title):
    """Text below a heading of the third or second level, up to the next one."""
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##+ |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title!r}"
    return found[1]


def table(title):
    """First table of a section: rows of cells, without the head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    cells = [[cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert len(cells) > 2, f"no table in {title!r}"
    assert all(all(row) for row in cells[2:]), f"an empty cell in {title!r}"
    return cells[2:]


def type_text(schema):
    """How the document writes a type of a JSON schema."""
    if "const" in schema:
        return f'`"{schema["const"]}"`'
    if "enum" in schema:
        return ", ".join(f'`"{value}"`' for value in schema["enum"])
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(type_text(part) for part in schema["anyOf"])
    if schema["type"] == "array":
        if "prefixItems" in schema:
            return " and ".join(type_text(part) for part in schema["prefixItems"])
        return f"list of {type_text(schema['items'])}"
    return schema["type"]


@pytest.mark.parametrize("title", MODELS)
def test_every_field_with_its_type(title):
    schema = MODELS[title].model_json_schema()
    expected = {f"`{name}`": type_text(part) for name, part in schema["properties"].items()}
    written = {row[0]: row[1] for row in table(title)}
    assert written == expected


@pytest.mark.parametrize("verb", REQUESTS)
def test_what_a_request_must_say_and_what_else_is_taken(verb):
    written = {row[0].strip("`"): row[2] for row in table(f"Request `{verb}`")}
    expected = {}
    for name, info in REQUESTS[verb].model_fields.items():
        optional = not info.is_required() and name not in {"verb", "protocol"}  # the codec asks for these two
        default = "nothing" if info.default == Readout() else f"`{info.default}`"
        expected[name] = "required" if not optional else "null" if info.default is None else default
    assert written == expected


def test_every_verb_and_reply_and_nothing_else():
    headings = set(re.findall(r"^### ((?:Request|Reply|Object) `\w+`)", TEXT, re.MULTILINE))
    assert headings == set(MODELS)


def test_the_overview_names_every_verb_with_its_sockets():
    rows = {row[0].strip("`"): row[1] for row in table("Verbs")}
    assert set(rows) == set(REQUESTS)
    for verb, sockets in rows.items():
        assert sockets == ("data, control" if verb in CONTROL_VERBS else "data"), verb


def test_every_limit_with_its_value():
    written = {row[0].strip("`"): int(row[2].replace(" ", "")) for row in table("Object `Limits`")}
    assert written == Limits().model_dump()


def error_classes(base=errors.HxloopError):
    return [base, *(leaf for child in base.__subclasses__() for leaf in error_classes(child))]


def test_every_error_code():
    written = {row[0].strip("`"): row[1].strip("`") for row in table("Error codes")}
    assert written == {cls.code: cls.__name__ for cls in error_classes() if cls.__module__ == "hxloop.errors"}


def test_every_dtype():
    written = {row[0].strip("`") for row in table("Arrays")}
    assert written == set(get_args(ArrayHeader.model_fields["dtype"].annotation))


@pytest.mark.parametrize(
    ("title", "packed"),
    [
        ("Head of a message", HEAD),
        ("Packed header of a run", RUN_HEADER),
        ("Packed header of a reply to a run", REPLY_HEADER),
    ],
)
def test_formats_of_packed_headers(title, packed):
    assert "<" + "".join(row[1].strip("`") for row in table(title)) == packed.format


def test_fields_of_packed_headers():
    names = {row[0] for row in table("Packed header of a run")}
    assert names - {"magic", "narrow", "checksum", "weights"} < set(REQUESTS["run"].model_fields)
    counted = [
        name for row in table("Packed header of a reply to a run")[-2:] for name in re.findall(r"`(\w+)`", row[2])
    ]
    assert counted == list(COUNTS)
    choices = ", ".join(f"{k}: `{name}`" for k, name in enumerate(get_args(Recording)))
    assert choices in section("Packed header of a run")


def test_the_version():
    assert f"Protocol version: **{PROTOCOL_VERSION}**" in TEXT


def test_arrays_of_spikes():
    assert {row[0].strip("`"): row[1].strip("`") for row in table("Arrays of spikes")} == {
        name: dtype.str for name, dtype in DTYPES.items()
    }


def test_array_of_first_spikes():
    (row,) = table("Array of first spikes")
    dense = result_arrays(SpikeBatch.empty(0), Observations.none(), np.zeros((2, 3), np.uint32))
    assert {row[0].strip("`"): row[1].strip("`")} == dtypes(dense)
    assert str(NO_SPIKE) in section("Array of first spikes")


def written_arrays(title):
    return {row[0].strip("`"): row[1].strip("`") for row in table(title)}


def dtypes(arrays):
    return {name: array.dtype.newbyteorder("<").str for name, array in arrays.items()}


def test_arrays_of_a_configuration():
    config = side_by_side(2)
    written = written_arrays("Arrays of a configuration")
    assert list(written) == list(config.arrays()), "the order is that in which the hash is taken"
    assert written == dtypes(config.arrays())
    parts = {name.partition(".")[0] for name in written}
    assert parts | {DELAYED} == set(ChipConfig.__dataclass_fields__)


def test_the_array_that_only_some_configurations_have():
    config = replace(side_by_side(2), delayed=np.array([0], np.int16))
    arrays = config.arrays()
    assert list(arrays) == [*side_by_side(2).arrays(), DELAYED]
    assert written_arrays("Array of delay neurons") == dtypes({DELAYED: arrays[DELAYED]})
    again = config_from_arrays(arrays)
    assert again.sha256() == config.sha256() != side_by_side(2).sha256()
    np.testing.assert_array_equal(again.delayed, [0])
    with pytest.raises(MalformedMessageError, match="no such array"):
        changed_config(side_by_side(2), {DELAYED: arrays[DELAYED]})


def test_arrays_of_boot_settings():
    assert written_arrays("Arrays of boot settings") == dtypes(boot_arrays(nominal_boot(HICANN_X)))


def test_arrays_of_observations():
    nothing = Observations.none()
    assert list(result_arrays(SpikeBatch.empty(0), nothing)) == list(written_arrays("Arrays of spikes"))
    assert written_arrays("Arrays of observations") == dtypes(flatten(nothing, "observations"))


def test_defaults_of_the_readout():
    rows = {row[0].strip("`"): row[2] for row in table("Object `Readout`")}
    defaults = {n: {None: "null", (): "none"}.get(v, str(v).lower()) for n, v in dict(Readout()).items()}
    assert rows == defaults


@pytest.mark.parametrize("word", ["ZMTP", "ROUTER", "DEALER", "connection file", "flock", "boot_id", "LRU"])
def test_words_a_reader_looks_for(word):
    assert word in TEXT
