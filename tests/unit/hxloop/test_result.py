import numpy as np
import pytest

from hxloop.errors import InvalidInputError
from hxloop.result import Observations, Readout, RunResult
from hxloop.spikes import SpikeBatch


def test_lost_events_are_the_sum_of_all_ways_to_get_lost():
    result = RunResult(SpikeBatch.empty(2), 10, 20, 1, 20, 300, 8.0, 1.0, 1e-6)
    assert result.events_lost == 321
    assert result.observations.cadc.size == 0


def test_nothing_observed_has_the_dtypes_of_the_wire():
    none = Observations.none()
    assert [none.cadc.dtype, none.madc.dtype, none.spike_count.dtype] == [np.uint8, np.int16, np.uint8]
    assert (none.cadc.ndim, none.madc.ndim, none.spike_count.ndim, none.correlation.shape) == (3, 2, 2, (2, 0))


@pytest.mark.parametrize("wrong", [{"cadc_circuits": (1.5,)}, {"counters": 1}, {"v": 1}, {"cadc_circuits": (0,) * 513}])
def test_a_readout_takes_nothing_else(wrong):
    with pytest.raises(InvalidInputError):
        Readout(**wrong)
