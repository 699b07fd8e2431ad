"""Every study as it comes, on chips as the emulator has them: nothing that a preset asks for is refused."""

import pytest

from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.studies.design.knobs import KINDS, Knobs, kind_of
from hxloop_host.studies.design.sheet import read_sheet
from hxloop_host.studies.kinds import KINDS as STUDIES
from hxloop_host.studies.study_request import read_request, work_of


@pytest.mark.parametrize("preset", ["quick", "paper"])
@pytest.mark.parametrize("study", [name for name in STUDIES if name != "grid"])
def test_what_a_preset_asks_for_is_possible(study, preset):
    options = {"preset": preset, "serials": "1..2"} | ({"set": {"n_base": [2]}} if study == "sensitivity" else {})
    assert work_of(read_request(study, options)).rows


def test_a_share_is_at_most_all_of_it_however_many_times_the_imperfections():
    sheet = read_sheet("typical")
    knobs = Knobs(load_settings("paper"), sheet)
    shares = {name for name, entry in sheet.all.items() if entry.share}
    assert "cadc_slope_residual" in shares
    for kind in KINDS:
        of_kind = {name for name in sheet.all if kind_of(name) == kind}
        for factor in (0.5, 2.0):
            found = read_sheet(knobs.apply({f"chip.factor.{kind}": factor})[1])
            for name, entry in sheet.all.items():
                times = factor if name in of_kind else 1.0
                wanted = min(times * entry.value, 1.0) if name in shares else times * entry.value
                assert found.all[name].value == pytest.approx(wanted, rel=1e-6), (kind, factor, name)
