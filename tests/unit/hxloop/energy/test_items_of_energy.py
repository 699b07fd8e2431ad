"""Energy by item against arithmetic by hand; every figure says where it comes from."""

import pytest

from hxloop.energy.energy_model import BSS2_ENERGY, EnergyModel
from hxloop.energy.itemised import chip_energy_j
from hxloop.errors import InvalidInputError

PLAIN = {
    "leakage_w": 1.0, "link_w": 2.0, "neuron_w": 0.5, "synaptic_event_j": 1e-3, "event_j": 1e-2, "cadc_read_j": 0.1,
    "madc_read_j": 0.2, "board_w": 5.0, "settling_s": 0.02, "synapse_write_s": 1e-6, "round_trip_s": 1e-3,
}  # fmt: skip
USED = {
    "chip_time_s": 3.0, "circuit_time_s": 40.0, "events": 500, "synaptic_events": 7000, "cadc_reads": 11,
    "madc_reads": 13,
}  # fmt: skip


def test_items_of_planted_counts():
    assert chip_energy_j(**USED, model=EnergyModel(**PLAIN)) == pytest.approx({
        "leakage and clocks": 3.0, "links": 6.0, "neurons": 20.0, "synaptic events": 7.0, "event path": 5.0,
        "CADC": 1.1, "MADC": 2.6,
    })  # fmt: skip


@pytest.mark.parametrize("name", USED)
def test_every_count_costs_something_and_nothing_else(name):
    nothing = dict.fromkeys(USED, 0)
    assert sum(chip_energy_j(**nothing).values()) == 0.0
    assert sum(chip_energy_j(**nothing | {name: 2}).values()) == pytest.approx(
        2 * sum(chip_energy_j(**nothing | {name: 1}).values())
    )
    assert sum(value > 0 for value in chip_energy_j(**nothing | {name: 1}).values()) == 1 + (name == "chip_time_s")


def test_every_figure_has_a_unit_and_a_source():
    for name, (text, unit, source) in BSS2_ENERGY.sources().items():
        assert text and source and name.endswith({"W": "_w", "J": "_j", "s": "_s"}[unit])


def test_a_figure_below_zero_is_refused():
    with pytest.raises(InvalidInputError):
        EnergyModel(**PLAIN | {"neuron_w": -1.0})
