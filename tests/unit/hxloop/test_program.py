from dataclasses import fields, replace

import numpy as np
import pytest
from support.single import side_by_side

from hxloop.program import flatten


def test_equal_configurations_have_the_same_hash():
    assert side_by_side(5).sha256() == side_by_side(5).sha256()
    assert len(side_by_side(5).sha256()) == 64


@pytest.mark.parametrize("name", sorted(side_by_side(3).arrays()))
def test_the_hash_covers_every_array(name):
    config = side_by_side(3)
    path = name.split(".")
    array = config.arrays()[name]
    if array.size:
        changed = array.copy()
        changed.flat[-1] += 1
    else:
        changed = np.zeros(1, array.dtype)
    if len(path) == 1:
        other = replace(config, **{name: changed})
    else:
        other = replace(config, **{path[0]: replace(getattr(config, path[0]), **{path[1]: changed})})
    assert other.sha256() != config.sha256()


def test_the_hash_sees_dtype_and_shape():
    config = side_by_side(4)
    assert config.with_weight_codes(config.synapses.weight_code.astype(np.float64)).sha256() != config.sha256()
    assert replace(config, row_sign=config.row_sign.T.copy()).sha256() != config.sha256()


def test_the_hash_does_not_see_the_memory_layout():
    config = side_by_side(4)
    strided = np.repeat(config.synapses.weight_code, 2)[::2]
    assert not strided.flags["C_CONTIGUOUS"]
    assert config.with_weight_codes(strided).sha256() == config.sha256()


def test_with_weight_codes_shares_the_wiring():
    config = side_by_side(4)
    other = config.with_weight_codes(-config.synapses.weight_code)
    assert other.neurons is config.neurons
    assert other.synapses.row is config.synapses.row
    assert (other.synapses.weight_code == -config.synapses.weight_code).all()


def test_arrays_are_flat_and_in_order_of_the_fields():
    config = side_by_side(2)
    names = list(config.arrays())
    assert names[: len(fields(config.neurons))] == [f"neurons.{f.name}" for f in fields(config.neurons)]
    assert "row_sign" in names
    with pytest.raises(TypeError, match="neither an array nor a dataclass"):
        flatten(3.0, "x")
