"""Points of studies of before keep their names, and what they found is read."""

import csv
import json
import tarfile
from pathlib import Path

import pytest
from support.tables.sheets import sheets  # noqa: F401 (a fixture)

from hxloop.plugins import Source
from hxloop_host.settings.experiment_settings import Settings, load_settings
from hxloop_host.studies.design.draws import drawn
from hxloop_host.studies.design.keys_of_before import KNOBS_OF_BEFORE, form_of_before, losses_left
from hxloop_host.studies.design.point import Point
from hxloop_host.studies.points.point_store import Store

BEFORE = Path(__file__).parents[3] / "support" / "files_of_before"
CASES = json.loads((BEFORE / "keys.json").read_text())


def before(preset):
    """Settings of a preset as it was when the keys were made."""
    file = BEFORE / f"{preset}.toml"
    return load_settings(file if file.exists() else preset)


def turned(preset, changes):
    tree = before(preset).model_dump()
    for name, value in changes.items():
        section, _, key = KNOBS_OF_BEFORE.get(name, name).partition(".")
        tree[section][key] = value
    return Settings(**tree)


def train(settings, chip="typical[jitter_trial_us=0.3]", serial=1, seed=0, model="7", **more):
    given = {"action": "train", "task": "yin-yang", "chip": chip, "serial": serial, "seed": seed, "model": model}
    return Point(**(given | {"settings": settings} | more))


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join([case["preset"], *case["turned"]]))
def test_keys_are_those_of_before(case):
    settings, more = turned(case["preset"], case["turned"]), {"task": case["task"]}
    more["losses_left"] = losses_left(before(case["preset"]), settings)
    first = train(settings, **more)
    second = train(settings, "ideal", 2, 2**40, calibrated_at_s=0.0, initial=first, **more)
    tests = {"action": "test", **more}
    test = train(settings, "rough", 3, 5, initial=second, at_s=1e-5, calibrated_at_s=600.0, **tests)
    again = train(settings, "rough", 3, 5, initial=first, trial=4, **tests)
    assert [point.key for point in (first, second, test, again)] == case["keys"]


@pytest.mark.parametrize(
    "new",
    [
        {"optimizer": {"kind": "sgd", "learning_rate": 0.1}},
        {"loss": {"kind": "count_mse"}},
        {"coding": {"kind": "latency"}},
        {
            "network": {
                "populations": [{"name": "output", "size": 3}],
                "projections": [{"source": "input", "target": "output", "init_std": 0.1}],
            }
        },
    ],
)
def test_what_there_was_not_before_has_names_of_its_own(new):
    point = train(Settings(**(before("quick").model_dump() | new)))
    assert form_of_before(point) is None
    assert form_of_before(train(before("quick"), initial=point)) is None
    assert point.key == Point.model_validate_json(point.model_dump_json()).key
    assert point.key not in {train(before("quick")).key, train(point.settings, initial=point).key}


def test_what_settings_of_later_do_by_default_is_not_part_of_a_name():
    def settings(**optimizer):
        values = before("quick").model_dump()
        return Settings(**(values | {"coding": {"kind": "latency"}, "optimizer": values["optimizer"] | optimizer}))

    assert "clip_norm" not in train(settings()).text
    assert '"clip_norm":2.0' in train(settings(clip_norm=2.0)).text
    assert train(settings(clip_norm=2.0)).key != train(settings()).key


def test_a_rule_of_ones_own_is_named_by_its_source_and_not_by_where_it_lies():
    def point(folder, digest, rate=0.1):
        name = f"{folder}/mine.py:Hebb"
        tree = before("quick").model_dump() | {"rule": {"kind": name, "rate": rate}}
        return train(Settings(**tree), rule=Source(name=name, module=f"{folder}/mine.py", sha256=digest))

    first = point("/one", "a" * 64)
    assert first.key == point("/other", "a" * 64).key
    assert len({first.key, point("/one", "b" * 64).key, point("/one", "a" * 64, 0.2).key}) == 3
    assert "/one" not in first.text


def test_the_first_of_equal_points_has_a_name_of_its_own(sheets):  # noqa: F811
    point = train(before("quick"), "ideal", serial=5)
    other = train(before("quick"), "typical", initial=point)
    assert point.key != drawn(point).key == train(before("quick"), "ideal").key
    assert drawn(other).initial == drawn(point)


def test_results_of_before_are_read(tmp_path):
    with tarfile.open(BEFORE / "study.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    model = json.loads((BEFORE / "study_model.json").read_text())
    settings = load_settings(BEFORE / "settings.toml").with_epochs(1)
    store, chip = Store(tmp_path), rows[0]["chip"]
    textbook = train(settings, "ideal", model=model)
    points = [train(settings, chip, model=model), train(settings, chip, model=model, action="test", initial=textbook)]
    assert [point.key for point in points] == [row["point"] for row in rows]
    assert store.read(textbook) is not None
    for point, row in zip(points, rows, strict=True):
        figures = store.read(point).figures
        for name in ("test_accuracy", "silent_fraction", "events_in", "events_out", "energy_j_estimate"):
            assert figures[name] == float(row[name])
    assert store.read(points[0]).figures["bump_fraction"] == float(rows[0]["bump_fraction"])
    assert store.spikes(points[1]).shape == (100, 3)
