import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError
from hxloop.spikes import SpikeBatch, ticks_from_times_us


@st.composite
def loose_spikes(draw):
    n_samples = draw(st.integers(1, 5))
    rows = draw(st.lists(st.tuples(st.integers(0, n_samples - 1), st.integers(0, 99), st.integers(0, 9)), max_size=40))
    return n_samples, rows


def batch_of(n_samples, rows):
    return SpikeBatch.from_arrays([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows], n_samples)


@given(loose_spikes())
def test_from_arrays_keeps_every_spike_and_sorts(case):
    n_samples, rows = case
    batch = batch_of(n_samples, rows)
    batch.check("b", duration_ticks=100, n_sources=10)
    found = list(zip(batch.sample.tolist(), batch.tick.tolist(), batch.source.tolist(), strict=True))
    assert found == sorted(rows)
    assert (batch.n_samples, batch.n_spikes) == (n_samples, len(rows))


@given(loose_spikes(), st.data())
def test_parts_put_together_are_the_whole(case, data):
    batch = batch_of(*case)
    cut = data.draw(st.integers(0, batch.n_samples))
    joined = SpikeBatch.concatenate([batch.part(0, cut), batch.part(cut, batch.n_samples)])
    for name in ("offsets", "tick", "source"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(batch, name))
        assert getattr(joined, name).dtype == getattr(batch, name).dtype


def test_empty():
    batch = SpikeBatch.empty(3)
    batch.check("b", duration_ticks=1, n_sources=1)
    assert (batch.n_samples, batch.n_spikes) == (3, 0)


def test_a_sample_that_does_not_exist_is_refused():
    with pytest.raises(OutOfRangeError, match=r"0\.\.1") as caught:
        SpikeBatch.from_arrays([0, 2], [1, 1], [0, 0], 2)
    assert caught.value.field == "sample"


GOOD = {
    "offsets": np.array([0, 2, 2, 3], np.int64),
    "tick": np.array([1, 5, 0], np.int64),
    "source": np.array([3, 0, 2], np.int32),
}


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("offsets", [0, 2, 1, 3], ArrayError),
        ("offsets", [1, 2, 2, 3], ArrayError),
        ("offsets", [0, 2, 2, 4], ArrayError),
        ("offsets", [], ArrayError),
        ("tick", [1, -5, 0], OutOfRangeError),
        ("tick", [1, 10, 0], OutOfRangeError),
        ("tick", [5, 1, 0], ArrayError),
        ("source", [3, 0, 4], OutOfRangeError),
        ("source", [3, -1, 2], OutOfRangeError),
        ("source", [3, 0], ArrayError),
    ],
)
def test_check_names_the_field(field, value, error):
    arrays = GOOD | {field: np.array(value, GOOD[field].dtype)}
    with pytest.raises(error) as caught:
        SpikeBatch(**arrays).check("inputs", duration_ticks=10, n_sources=4)
    assert caught.value.field.startswith(f"inputs.{field}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tick", np.array([1.0, 5.0, 0.0])),
        ("tick", np.array([1, 5, 0], np.int32)),
        ("source", np.array([3, 0, 2], np.int64)),
        ("offsets", np.array([[0, 2, 2, 3]])),
    ],
)
def test_check_refuses_other_types(field, value):
    with pytest.raises(ArrayError, match="one-dimensional"):
        SpikeBatch(**(GOOD | {field: value})).check("inputs", duration_ticks=10, n_sources=4)


def test_time_may_start_again_in_every_sample():
    SpikeBatch(**GOOD).check("inputs", duration_ticks=10, n_sources=4)


def test_ticks_from_times():
    np.testing.assert_array_equal(ticks_from_times_us([0.0, 0.0039, 0.0041, 1.0], 0.008, "t"), [0, 0, 1, 125])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.001])
def test_ticks_refuse_what_is_no_time(bad):
    with pytest.raises(InvalidInputError, match="finite") as caught:
        ticks_from_times_us([0.0, bad], 0.008, "input_time_us")
    assert caught.value.field == "input_time_us[1]"
