import pytest
from pydantic import ValidationError

from hxloop.codes import units
from hxloop.spec import HICANN_X, TEXTBOOK, ChipSpec


def test_counts_of_the_chip():
    # HICANN-X: 512 neuron circuits, 2 x 256 x 256 synapses, 6-bit weights and labels, 125 MHz clock.
    assert HICANN_X.n_circuits == 512
    assert HICANN_X.n_hemispheres * HICANN_X.n_rows * HICANN_X.n_columns == 131_072
    assert HICANN_X.n_signed_inputs == 128
    assert (HICANN_X.weight_code_max, HICANN_X.n_labels) == (63, 64)
    assert pytest.approx(1 / 125) == HICANN_X.tick_us


def test_every_entry_names_unit_and_source():
    sources = HICANN_X.sources()
    assert set(sources) == set(ChipSpec.model_fields)
    for text, _, source in sources.values():
        assert text
        assert source


def test_the_textbook_allows_all_that_the_chip_does():
    for name, value in HICANN_X:
        wider = getattr(TEXTBOOK, name)
        if isinstance(value, tuple):
            assert wider[0] <= value[0] < value[1] <= wider[1], name
        elif name.startswith(("n_", "max_")):
            assert wider >= value, name
    assert TEXTBOOK.continuous_weights
    assert not HICANN_X.continuous_weights


def test_a_datasheet_survives_json_and_is_frozen():
    assert ChipSpec.model_validate_json(HICANN_X.model_dump_json()) == HICANN_X
    with pytest.raises(ValidationError):
        HICANN_X.n_rows = 1
    with pytest.raises(ValidationError):
        ChipSpec.model_validate(HICANN_X.model_dump() | {"n_row": 1})


def test_units():
    assert units.ticks_from_us(1.0) == 125
    assert units.us_from_ticks(125) == pytest.approx(1.0)
