"""The door of the Python face: plain values come out, everything else is refused by name."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError
from hxloop.kit import arguments

INTEGERS = [np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)]


@pytest.mark.parametrize("value", [7, np.int8(7), np.uint64(7), np.array(7, np.int32)])
def test_whole_numbers_of_python_and_numpy_are_the_same(value):
    found = arguments.whole_number(value, "seed")
    assert (type(found), found) == (int, 7)


@pytest.mark.parametrize(
    "value", [2.0, 2.5, float("nan"), True, np.True_, "2", None, [2], np.array([2]), np.float64(2)]
)
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(InvalidInputError, match="whole number") as caught:
        arguments.whole_number(value, "seed")
    assert caught.value.field == "seed"


@pytest.mark.parametrize("value", [-1, 10, 10**30, pytest.param(10**6000, id="6000 digits"), np.int64(-1)])
def test_whole_numbers_outside_the_range_are_refused_in_a_short_line(value):
    with pytest.raises(OutOfRangeError, match=r"must be 0\.\.9, got") as caught:
        arguments.whole_number(value, "seed", highest=9)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("value", [1, 1.5, np.float32(1.5), np.int16(1)])
def test_numbers(value):
    found = arguments.real_number(value, "at_s", lowest=0.0, highest=2.0)
    assert (type(found), found) == (float, float(value))


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -0.1, 2.1, 10**400, True, "1", None, 1j, np.array([1.0])]
)
def test_what_is_no_number_in_the_range_is_refused(value):
    with pytest.raises(InvalidInputError) as caught:
        arguments.real_number(value, "at_s", lowest=0.0, highest=2.0)
    assert caught.value.field == "at_s"


@pytest.mark.parametrize("value", ["runs/x", Path("runs/x")])
def test_paths_are_text_or_paths(value):
    assert arguments.path(value, "out") == Path("runs/x")


@pytest.mark.parametrize("value", ["", " ", 3, b"runs", "a\0b", "\ud800", "x" * 256, "x/" * 2500, None, {}])
def test_what_can_be_no_path_is_refused(value):
    with pytest.raises(InvalidInputError) as caught:
        arguments.path(value, "out")
    assert caught.value.field == "out"
    assert len(str(caught.value)) < 160


@pytest.mark.parametrize("value", [0, 1, "yes", None, np.array([True])])
def test_a_switch_is_true_or_false(value):
    assert arguments.switch(np.True_, "resume") is True
    with pytest.raises(InvalidInputError, match="resume: must be True or False"):
        arguments.switch(value, "resume")


def test_names():
    assert arguments.texts("leak, threshold", "only") == arguments.texts(["leak", "threshold"], "only")
    assert arguments.texts("", "only") == ()
    assert arguments.one_of("grid", "design", ("grid", "sobol")) == "grid"
    with pytest.raises(InvalidInputError, match="did you mean 'sobol'"):
        arguments.one_of("sobl", "design", ("grid", "sobol"))
    for bad in (3, {"leak": 1}, [3], [""], None):
        with pytest.raises(InvalidInputError, match="only"):
            arguments.texts(bad, "only")


@given(st.lists(st.integers(-(2**63), 2**64 - 1), max_size=5), st.sampled_from(INTEGERS), st.sampled_from(INTEGERS))
def test_whole_numbers_keep_their_value_in_every_pair_of_types_or_are_refused(values, given_type, wanted):
    limits, held = np.iinfo(wanted), np.iinfo(given_type)
    array = np.array([v for v in values if held.min <= v <= held.max], given_type)
    if all(limits.min <= int(v) <= limits.max for v in array):
        found = arguments.whole_numbers(array, "tick", wanted)
        assert found.dtype == wanted
        assert found.tolist() == array.tolist()
    else:
        with pytest.raises(OutOfRangeError, match=r"tick\[\d\]"):
            arguments.whole_numbers(array, "tick", wanted)


@pytest.mark.parametrize("values", [[], [1.0, -2.0], np.array([1, 3], np.float16), (), [1, 2]])
def test_floats_that_are_whole_are_taken(values):
    found = arguments.whole_numbers(values, "tick", np.int64)
    assert found.dtype == np.int64
    assert found.tolist() == [int(v) for v in values]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ([1, 1.5], "tick[1]"),
        ([np.nan], "tick[0]"),
        ([1, np.inf], "tick[1]"),
        ([2.0**63], "tick[0]"),
        ([1e300], "tick[0]"),
        ([True], "tick"),
        (["1"], "tick"),
        ([2**64], "tick"),
        ([[1], [1, 2]], "tick"),
        ([[1]], "tick"),
        (3, "tick"),
        (None, "tick"),
    ],
)
def test_what_is_no_row_of_whole_numbers_is_refused_by_its_place(values, field):
    with pytest.raises((ArrayError, OutOfRangeError)) as caught:
        arguments.whole_numbers(values, "tick", np.int64)
    assert caught.value.field == field


def test_lists_without_end_are_refused():
    endless = []
    endless.append(endless)
    deep = [1]
    for _ in range(100_000):
        deep = [deep]
    for value in (endless, deep):
        with pytest.raises(InvalidInputError, match="nested"):
            arguments.plain(value)
    assert arguments.plain({"a": (np.int8(1), [np.array([2.0])])}) == {"a": (1, [[2.0]])}


def test_a_refusal_shows_no_long_value():
    for value in ("x" * 10**6, list(range(10**5)), np.zeros(10**5), object()):
        assert len(str(arguments.refusal(value, "task", "a name"))) < 120
