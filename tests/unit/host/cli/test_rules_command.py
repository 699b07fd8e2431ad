"""`hxloop rules` and `hxloop new rule`: what is listed, and that the file works as it is."""

import json

from support.chips.grid_chip import GridChip
from typer.testing import CliRunner

from hxloop.cli import app
from hxloop.progress import silent
from hxloop_host.learning.registry import RULES
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.training.experiment import train


def hxloop(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_rules_are_listed_with_what_they_observe_and_where_they_come_from():
    listed = {entry["rule"]: entry for entry in json.loads(hxloop("rules", "--json").stdout)["rules"]}
    assert list(listed) == [*RULES.built_in]
    found = listed["fast_and_deep"]
    assert found["observes"] == "first spikes of all neurons"
    assert "Goeltz" in found["reference"]
    assert "bump_fraction" in found["columns"]
    assert {"limits", "bump", "max_dw_norm"} <= found["settings"].keys()
    for entry in listed.values():
        assert entry["summary"]
        assert entry["rule"] in hxloop("rules").stdout


def test_a_new_rule_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = hxloop("new", "rule", "my_first")
    assert done.exit_code == 0
    assert "hxloop train yin-yang --rule my_first.py:MyFirst" in done.stdout
    found = load_settings("small")
    changes = {
        "network": {"sizes": [12, 3], "init_mean": [0.4, 0.6]},
        "training": {"epochs": 4, "batch_size": 10, "evaluate_every": 1},
        "optimizer": {"learning_rate": 0.03},
        "data": {"train": 60, "validation": 20, "test": 30},
    }
    settings = found.model_copy(
        update={name: getattr(found, name).model_copy(update=values) for name, values in changes.items()}
    )
    run = train(preset=settings, chip=GridChip(), out=tmp_path / "run", rule="my_first.py:MyFirst", report=silent)
    assert run.origin.settings.rule.model_dump() == {"kind": "my_first.py:MyFirst", "width": 0.1, "moves": 4}
    losses = [metrics.loss for metrics in run.metrics]
    assert losses[-1] < 0.8 * losses[0]
    assert all(metrics.named["spread"] > 0 for metrics in run.metrics)
