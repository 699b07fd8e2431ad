import hashlib
from dataclasses import fields, replace

import numpy as np
import pytest
from support.solving.single import side_by_side

from hxloop.errors import ArrayError
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


def test_the_hash_is_that_of_the_document():
    """docs/wire-protocol.md: sha256 over the sha256 of every array with its name, dtype and shape."""
    digests = b""
    for name, array in side_by_side(4).arrays().items():
        shape = f"({', '.join(map(str, array.shape))}{',' if array.ndim == 1 else ''})"
        digests += hashlib.sha256(f"{name}:{array.dtype.str}:{shape};".encode() + array.tobytes()).digest()
    assert side_by_side(4).sha256() == hashlib.sha256(digests).hexdigest()


@pytest.mark.parametrize("name", ["synapses.weight_code", "row_sign", "neurons.capmem_code"])
def test_a_changed_configuration_has_the_hash_it_would_have_had_from_the_start(name):
    config = side_by_side(4)
    changed = config.arrays()[name] - 1
    other = config.with_arrays({name: changed})
    assert other.arrays()[name] is changed
    assert other.sha256() != config.sha256()
    assert other.sha256() == replace(other).sha256(), "a copy knows no digests and takes them anew"


def test_what_was_hashed_cannot_be_changed_behind_the_hash():
    config = side_by_side(4)
    config.sha256()
    with pytest.raises(ValueError, match="read-only"):
        config.row_sign[0, 0] = -1


@pytest.mark.parametrize("name", ["colour", "synapses.colour", "synapses", "row_sign.colour", ""])
def test_no_array_can_be_added(name):
    with pytest.raises(ArrayError, match="no such array"):
        side_by_side(2).with_arrays({name: np.zeros(1, np.int8)})


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
