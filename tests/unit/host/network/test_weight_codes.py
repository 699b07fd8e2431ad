import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.errors import OutOfRangeError
from hxloop_host.network.weight_codes import dequantise, quantise


@given(st.lists(st.floats(-5, 5), max_size=20), st.sampled_from([30.0, 17.5, 1.0]), st.sampled_from([1, 31, 63, 127]))
@settings(max_examples=100, deadline=None)
def test_codes_are_nearest_and_in_range(weights, scale, code_max):
    codes = quantise(np.array(weights), scale, code_max)
    assert codes.dtype == np.int8
    assert codes.tolist() == [max(-code_max, min(code_max, round(w * scale))) for w in weights]
    inside = np.abs(np.array(weights)) * scale <= code_max
    assert (np.abs(dequantise(codes, scale) - np.array(weights))[inside] <= 0.5 / scale + 1e-12).all()


def test_codes_that_cannot_be_are_refused():
    with pytest.raises(OutOfRangeError, match="code_max"):
        quantise(np.zeros(2), 30.0, 128)
    for bad in (np.nan, np.inf):
        with pytest.raises(OutOfRangeError, match="weights"):
            quantise(np.array([0.0, bad]), 30.0, 63)
