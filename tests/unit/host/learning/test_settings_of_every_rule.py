"""What every rule of the registry must refuse, and that studies know it; a new one is covered by being in it."""

import pytest
from annotated_types import Ge, Gt, Le, Lt
from support.rules.small_rules import NAMES, small_settings
from support.tables.sheets import sheets  # noqa: F401 (a fixture)

from hxloop.errors import InvalidInputError
from hxloop.files.toml import load_toml, toml_text
from hxloop_host.learning.registry import RULES
from hxloop_host.settings.experiment_settings import Settings
from hxloop_host.studies.study_request import read_request, work_of
from hxloop_host.training.assembly import find_rule


def wrong_values(info):
    """Values that a field must refuse: of another kind, and beyond its bounds."""
    yield ["no", "such"]
    yield "no such value"
    for bound in info.metadata:
        if isinstance(bound, Gt | Ge):
            yield (bound.gt if isinstance(bound, Gt) else bound.ge) - 1
        if isinstance(bound, Lt | Le):
            yield (bound.lt if isinstance(bound, Lt) else bound.le) + 1


WRONG = [
    pytest.param(name, key, value, id=f"{name}-{key}-{value}")
    for name in NAMES
    for key, info in RULES.find(name)[0].Settings.model_fields.items()
    if key != "kind"
    for value in wrong_values(info)
]


def written(folder, values):
    file = folder / "training.toml"
    file.write_text(toml_text(values))
    return file


@pytest.mark.parametrize(("name", "key", "value"), [*WRONG, *((name, "no_such_key", 1) for name in NAMES)])
def test_bad_settings_are_refused_by_name(name, key, value, tmp_path):
    values = small_settings(name).model_dump(exclude_none=True)
    values["rule"][key] = value
    with pytest.raises(InvalidInputError) as caught:
        load_toml(written(tmp_path, values), Settings)
    assert caught.value.field.startswith(f"rule.{key}")


@pytest.mark.parametrize("name", NAMES)
def test_a_study_has_points_of_it_and_its_settings_as_knobs(name, sheets, tmp_path):  # noqa: F811
    """What happens at such a point is an ordinary training, which test_every_rule does, in workers of test_studies."""
    settings = small_settings(name)
    file = written(tmp_path, settings.model_dump(exclude_none=True))
    key = next((key for key, info in type(settings.rule).model_fields.items() if info.annotation is float), None)
    knobs = {"training.epochs": [1, 2]} | ({} if key is None else {f"rule.{key}": vars(settings.rule)[key]})
    asked = work_of(read_request("grid", {"training": str(file), "serials": "1,4", "set": knobs}))
    assert [row.point.serial for row in asked.rows] == [1, 4, 1, 4]
    for row in asked.rows:
        given = row.point.settings
        assert given.training.epochs in (1, 2)
        assert given.rule == settings.rule
        assert type(find_rule(None, given)[0]) is RULES.find(name)[0]
