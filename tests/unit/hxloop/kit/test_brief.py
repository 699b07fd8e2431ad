"""What a notebook shows of an object in its last line."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from support.chips.fake_chip import FakeChip, small_config, small_inputs
from support.tables.calibration_tables import small_table

from hxloop.kit.brief import brief


@brief
@dataclass
class Example:
    array: object
    table: object
    name: str
    many: dict
    few: tuple
    long: list
    hidden: int = field(default=0, repr=False)


def test_arrays_are_shown_by_type_and_shape():
    example = Example(np.zeros((3, 200), np.int8), pd.DataFrame({"a": [1]}), "x\n" * 99, {"a": 1}, (1, 2), [0] * 99)
    text = repr(example)
    assert text.startswith("Example(array=int8 [3, 200], table=DataFrame [1, 1], name='x\\nx\\n")
    assert text.endswith("..., many=<1 by name>, few=(1, 2), long=<99 of int>)")


def objects():
    chip = FakeChip()
    config, inputs = small_config(n_input=100), small_inputs(2000)
    chip.configure(config)
    table = small_table()
    result = chip.run(inputs, duration_ticks=1000)
    yield from (config, config.synapses, config.neurons, config.shared, inputs, result, result.observations)
    yield from (chip.boot, table, table.drift, next(iter(table.parameters.values())), table.to_record())


@pytest.mark.parametrize("found", list(objects()), ids=lambda found: type(found).__name__)
def test_public_objects_are_short_and_one_line(found):
    text = repr(found)
    assert len(text) < 500
    assert text.isprintable()
    assert type(found).__name__.lower().removesuffix("table") in text.lower()
