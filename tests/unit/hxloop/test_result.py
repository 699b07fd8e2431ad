from dataclasses import fields

import numpy as np
import pytest
from support.chips.run_counters import counts

from hxloop.errors import InvalidInputError
from hxloop.protocol.messages import Ledger, RunReply
from hxloop.result import CHIP_USE, ChipUse, Observations, Readout, RunCounts, RunResult, speedup_over_biology
from hxloop.spikes import SpikeBatch


def test_lost_events_are_the_sum_of_all_ways_to_get_lost():
    result = RunResult(SpikeBatch.empty(2), **counts(10, 20, (1, 20, 300), 8.0, 1.0, 1e-6))
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


def test_counters_add_up_as_plain_numbers():
    reached = (np.int64(100), 7, np.int16(8), np.float32(0.5))
    first = counts(np.int32(10), np.int64(20), (1, 2, 3), np.float64(8.0), 2.0, 1e-6, reached)
    one = RunResult(SpikeBatch.empty(1), **first)
    total = RunCounts.total([one, RunCounts(**counts(5, 6, (0, 1, 0), 4.0, 1.0, 1e-6, (1, 2, 3, 4.0)))])
    assert vars(total) == counts(15, 26, (1, 3, 3), 12.0, 3.0, 2e-6, (101, 9, 11, 4.5))
    assert [type(value) for value in vars(total).values()] == [int] * 8 + [float] * 4
    assert vars(RunCounts.total([])) == counts(0, 0, (0, 0, 0), 0.0, 0.0, 0.0)


def test_use_counts_in_the_units_that_its_meanings_name():
    use = ChipUse()
    for _ in range(2):
        use.add(RunCounts(**counts(10, 20, (1, 2, 3), 5e5, 2e6, 0.25, (100, 7, 8, 1e7))))
    assert vars(use) == {
        "events_in": 20, "events_out": 40, "events_lost": 12, "chip_time_s": 1.0, "emulation_s": 4.0,
        "energy_j_estimate": 0.5, "synaptic_events": 200, "cadc_reads": 14, "madc_reads": 16,
        "circuit_time_s": 20.0,
    }  # fmt: skip
    assert CHIP_USE.keys() == vars(use).keys()
    assert {name: unit for name, (unit, _) in CHIP_USE.items() if unit != "1"} == {
        "chip_time_s": "s", "emulation_s": "s", "energy_j_estimate": "J", "circuit_time_s": "s",
    }  # fmt: skip
    assert use.figures(2.0) == vars(use) | {"wall_s": 2.0, "speedup_over_biology": speedup_over_biology(1.0, 2.0)}


@pytest.mark.parametrize("message", [RunReply, Ledger])
def test_messages_carry_all_counters(message):
    """The wire writes them out: it has versions of its own."""
    assert {field.name for field in fields(RunCounts)} <= set(message.model_fields)
