"""Knobs of networks of populations: every setting of each of them, by its number."""

import pytest
from support import own_network
from support.tables.sheets import fake_sheet

from hxloop.errors import InvalidInputError, UnknownKeyError
from hxloop_host.settings.network_settings import PopulationSettings, ProjectionSettings
from hxloop_host.studies.design.knobs import Knobs, knobs_of


@pytest.fixture(scope="module")
def knobs():
    return Knobs(own_network.settings(), fake_sheet("ideal"))


def test_every_setting_is_listed(knobs):
    listed = {turned.key: turned for turned in knobs.listed()}
    for k in range(3):
        assert {f"network.populations.{k}.{name}" for name in PopulationSettings.model_fields} <= set(listed)
    for k in range(6):
        assert {f"network.projections.{k}.{name}" for name in ProjectionSettings.model_fields} <= set(listed)
    density = listed["network.projections.2.density"]
    assert (density.value, density.unit) == ("0.3", "1")
    assert "drawn at random" in density.meaning
    assert listed["network.populations.1.tau_mem_us"].unit == "us"
    assert {key for key in listed if key.startswith("network.")} == {
        key for key in knobs.keys if key.startswith("network.")
    }


def test_they_can_be_turned(knobs):
    changes = {
        "network.populations.0.size": knobs.read("network.populations.0.size", "32"),
        "network.projections.2.density": knobs.read("network.projections.2.density", "0.5"),
        "network.populations.1.tau_mem_us": knobs.read("network.populations.1.tau_mem_us", "7.5 us"),
    }
    network = knobs.apply(changes)[0].network
    assert network.sizes == [32, 16, 3]
    assert (network.projections[2].density, network.populations[1].tau_mem_us) == (0.5, 7.5)
    assert own_network.settings().network.sizes == [64, 16, 3]


def test_what_they_cannot_be_is_refused(knobs):
    with pytest.raises(UnknownKeyError, match=r"did you mean 'network\.populations\.0\.size'"):
        knobs.check_key("network.populations.7.size")
    with pytest.raises(InvalidInputError) as error:
        knobs.check_value("network.projections.2.density", 2.0)
    assert error.value.field == "network.projections.2.density"


def test_points_of_a_study_share_their_knobs():
    settings, sheet = own_network.settings(), fake_sheet("ideal")
    known = knobs_of(settings, sheet)
    assert knobs_of(settings, sheet) is known
    assert knobs_of(settings, fake_sheet("typical")) is not known
    others = [own_network.settings() for _ in range(40)]
    assert all(knobs_of(each, sheet).settings is each for each in [*others, *others])
