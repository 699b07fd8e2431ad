"""Rules and data of somebody's own in studies: the same on every worker, and refused where they are others."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from support.chips.grid_chip import GridChip
from support.daemons.processes import write_settings
from support.tables.sheets import sheets  # noqa: F401 (a fixture)

import hxloop
from hxloop.errors import InvalidInputError, UnknownKeyError
from hxloop_host.runs.trained_run import load_run
from hxloop_host.studies.cost import work_of_point
from hxloop_host.studies.design import own_parts
from hxloop_host.studies.design.own_parts import training_of_task
from hxloop_host.studies.design.point import Point
from hxloop_host.studies.output.study_table import make_table
from hxloop_host.studies.points import work
from hxloop_host.studies.points.point_store import Store
from hxloop_host.studies.study_request import Request, read_request, read_settings, work_of
from hxloop_host.studies.study_verb import command_of
from hxloop_host.tasks.catalog import TASKS

RULE = """
import numpy as np
from pydantic import Field
from hxloop import Column, Observe, Rule, RuleSettings, Update


class Settings(RuleSettings):
    rate: float = Field(0.5, gt=0, description="step size")


class Shrink(Rule):
    Settings = Settings
    columns = (Column("size", "mean size of the weights"),)

    def observe(self, network):
        return Observe("first")

    def check(self, network, readout):
        if len(network.populations) > 2:
            from hxloop.errors import InvalidInputError
            raise InvalidInputError("two populations are enough", field="network")

    def step(self, runner, batch, weights):
        recording = runner.run(batch, weights)
        scores = runner.readout.scores(recording)
        loss, _ = runner.readout.value_and_gradient(scores, batch.label)
        new = [(1.0 - 0.001 * self.settings.rate) * w for w in weights]
        size = float(np.mean([np.abs(w).mean() for w in new]))
        return Update(loss, runner.readout.predict(scores), weights=new, diagnostics={"size": size})
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "shrinking.py"
    path.write_text(RULE)
    return path


@pytest.fixture
def training(tmp_path):
    return str(write_settings(tmp_path / "tiny.toml", epochs=1, train=80))


@pytest.fixture
def chips(monkeypatch):
    monkeypatch.setattr(work, "chip_of_this_thread", lambda point: GridChip(point.serial))


def asked(file, training, **more):
    return Request(**({"study": "grid", "rule": f"{file}:Shrink", "training": training, "serials": "3"} | more))


def sent(point):
    """Point as a worker reads it that knows nothing of the driver's classes."""
    return own_parts.read_point(point.model_dump_json())


def a_test_of(point):
    values = {name: getattr(point, name) for name in Point.model_fields}
    return Point(**(values | {"action": "test", "initial": point, "serial": 4}))


def test_its_settings_are_knobs_and_its_columns_are_figures(tmp_path, file, training, sheets, chips):  # noqa: F811
    request = asked(file, training)
    values = read_settings(request, ["rule.rate=0.25,2"])
    assert values == {"rule.rate": [0.25, 2]}
    found = work_of(request.model_copy(update={"set": values}))
    assert [row.labels for row in found.rows] == [{"rate": 0.25}, {"rate": 2}]
    store, outcomes = Store(tmp_path / "study"), {}
    for point in found.points():
        assert sent(point).key == point.key
        outcomes[point.key] = work.do_point(sent(point), store, lambda _: None, print)
        run = load_run(store.run_directory(point))
        assert run.origin.rule.sha256 == point.rule.sha256
        assert outcomes[point.key].figures["size"] == run.summary()["size"]
    table = make_table(found, outcomes, {})
    assert "bump_fraction" not in table
    sizes = table.set_index("rate")["size"]
    assert sizes[0.25] > sizes[2] > 0.0
    assert f"--rule {file}:Shrink" in command_of(found.request)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rule.rate": 0}, "rule.rate"),
        ({"rule.speed": 1}, "rule.speed"),
        ({"rule.bump": 0.1}, "rule.bump"),  # belongs to another rule
    ],
)
def test_what_its_settings_cannot_be_is_refused(file, training, changes, field, sheets):  # noqa: F811
    with pytest.raises((InvalidInputError, UnknownKeyError)) as caught:
        work_of(asked(file, training, set=changes))
    assert caught.value.field == field


def test_a_network_that_it_cannot_train_is_refused_before_anything_runs(file, tmp_path, sheets):  # noqa: F811
    deep = tmp_path / "deep.toml"
    three = {"sizes": "[4, 4, 3]", "copies": "[5, 1, 1]", "bias_copies": "[0, 0, 0]", "bias_times": "[0.0, 0.0, 0.0]"}
    text = write_settings(tmp_path / "tiny.toml", epochs=1, train=80).read_text()
    lines = [
        f"{line.split(' = ')[0]} = {three[line.split(' = ')[0]]}" if line.split(" = ")[0] in three else line
        for line in text.splitlines()
    ]
    lines = [f"{line.split(' = ')[0]} = [0.1, 0.1, 0.1]" if line.startswith("init_") else line for line in lines]
    deep.write_text("\n".join(lines))
    with pytest.raises(InvalidInputError, match="two populations are enough"):
        work_of(asked(file, str(deep)))


def test_another_source_is_another_point_and_no_worker_takes_it_for_the_first(file, training, sheets):  # noqa: F811
    (point,) = work_of(asked(file, training)).points()
    file.write_text(RULE + "\nraise SystemExit('this must not run')\n")
    with pytest.raises(InvalidInputError, match="is not what it was when the study was planned") as caught:
        sent(point)
    assert caught.value.field == "rule"
    with pytest.raises(InvalidInputError, match="is not what it was"):
        own_parts.rule_of(point)
    file.write_text(RULE + "\n# another one\n")
    (other,) = work_of(asked(file, training)).points()
    assert other.key != point.key
    file.write_text(RULE)
    assert sent(point) == Point.model_validate_json(point.model_dump_json())


def test_a_worker_with_another_current_directory_finds_it(file, training, tmp_path, monkeypatch, sheets):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    (point,) = work_of(asked("shrinking.py", training)).points()
    assert point.rule.name == f"{file}:Shrink"
    assert point.key == work_of(asked(file, training)).points()[0].key
    code = "import sys; from hxloop_host.studies.design.own_parts import read_point; p = read_point(sys.stdin.read()); "
    code += "print(p.key, type(p.settings.rule).__name__)"
    found = subprocess.run(
        [sys.executable, "-c", code], input=point.model_dump_json(), capture_output=True, text=True, cwd="/", check=True
    )
    assert found.stdout.split() == [point.key, "Settings"]


def test_objects_and_classes_are_named_by_their_file(file, monkeypatch, sheets):  # noqa: F811
    monkeypatch.syspath_prepend(file.parent)
    import shrinking

    assert own_parts.named_rule(shrinking.Shrink) == (f"{file}:Shrink", {})
    name, changes = own_parts.named_rule(shrinking.Shrink(rate=0.125))
    assert (name, changes) == (f"{file}:Shrink", {"rule.rate": [0.125]})
    (point,) = work_of(Request(study="grid", rule=name, set=changes, serials="1")).points()
    assert point.settings.rule.rate == 0.125
    assert own_parts.named_rule("fast_and_deep") == ("fast_and_deep", {})


def test_what_no_worker_could_find_is_refused_by_name(file, tmp_path):
    space = {"__name__": "__main__"}
    exec(RULE, space)
    with pytest.raises(InvalidInputError, match="no file that the workers") as caught:
        hxloop.study("grid", rule=space["Shrink"](rate=0.1), out=tmp_path / "out")
    assert caught.value.field == "rule"
    assert "my_rules.py:CLASS" in caught.value.hint
    label = np.arange(8) % 2
    task = hxloop.Task.from_arrays(label[:, None] / 2.0, label, name="mine")
    with pytest.raises(InvalidInputError, match="could not find mine") as caught:
        hxloop.study("grid", task=task, out=tmp_path / "out")
    assert caught.value.field == "task"
    assert not (tmp_path / "out").exists()


TASK = """
import numpy as np
import hxloop


def halves():
    label = np.arange(40) % 2
    features = np.stack([label * 0.8, 1.0 - label * 0.8, np.linspace(0, 1, 40)], axis=1)
    return hxloop.Task.from_arrays(features, label, name="halves")
"""


def test_data_of_ones_own_are_told_by_their_digest(tmp_path, monkeypatch, sheets, chips):  # noqa: F811
    path = tmp_path / "my_tasks.py"
    path.write_text(TASK)
    monkeypatch.chdir(tmp_path)
    asked = read_request("grid", {"task": "my_tasks.py:halves", "set": {"training.epochs": 1}, "serials": "3"})
    (point,) = work_of(asked).points()
    assert (point.task, point.data["name"]) == (f"{path}:halves", "halves")
    assert point.settings.network.sizes[-1] == 2
    assert str(tmp_path) not in point.text
    assert work_of_point(point) > 0.0
    outcome = work.do_point(sent(point), Store(tmp_path / "study"), lambda _: None, print)
    assert outcome.figures["chip_time_s"] > 0.0
    test = a_test_of(point)
    assert work.do_point(sent(test), Store(tmp_path / "study"), lambda _: None, print).figures["events_in"] > 0
    own_parts.task_again.cache_clear()
    path.write_text(TASK.replace("0.8", "0.7"))
    with pytest.raises(InvalidInputError, match="halves is not what it was") as caught:
        own_parts.task_of(point)
    assert caught.value.field == "task"
    assert work_of(asked).points()[0].key != point.key


def test_a_study_of_spike_times_needs_a_loss_of_them(tmp_path, sheets):  # noqa: F811
    training = write_settings(tmp_path / "tiny.toml", epochs=1, train=80)
    text = training.read_text()
    begin = text.index("[loss]")
    end = text.index("\n[", begin)
    training.write_text(text[:begin] + '[loss]\nkind = "count_mse"\n' + text[end:])
    with pytest.raises(InvalidInputError, match="realism compares first spikes of the output, but count_mse") as caught:
        work_of(Request(study="realism", training=str(training)))
    assert caught.value.field == "loss.kind"


def test_scores_of_other_readouts_are_stored_by_their_own_name(tmp_path, file, training, sheets, chips):  # noqa: F811
    text = (tmp_path / "tiny.toml").read_text()
    begin = text.index("[loss]")
    end = text.index("\n[", begin)
    (tmp_path / "counts.toml").write_text(text[:begin] + '[loss]\nkind = "count_mse"\n' + text[end:])
    (point,) = work_of(asked(file, str(tmp_path / "counts.toml"))).points()
    test = a_test_of(point)
    store = Store(tmp_path / "study")
    for each in (point, test):
        work.do_point(sent(each), store, lambda _: None, print)
    from hxloop.files.records import read_record

    record = read_record(store.point_file(test), "study-point")
    assert "t_out" not in record.quantities
    assert [q.values.shape for q in record.quantities.values()] == [(100, 3)]
    assert json.loads(record.attributes["point"])["rule"]["name"] == "Shrink"
    assert pd.isna(store.read(test).figures["val_accuracy"])


def test_a_rule_is_trained_with_a_preset_that_is_made_for_it():
    task = TASKS["yin-yang"]
    assert training_of_task(task, "quick", "surrogate") == "yin_yang_surrogate"
    assert training_of_task(task, "paper", "fast_and_deep") == training_of_task(task, "paper") == "paper"
