"""Rules in files of the user's and in notebooks: named, resumed, refused, and what their faults become."""

import hashlib
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.listeners import Stop
from support.notebook import cell, write_cell

import hxloop
from hxloop.errors import ArrayError, InvalidInputError, MissingFileError, OutOfRangeError, UnknownKeyError
from hxloop.progress import EpochDone, silent
from hxloop_host.learning.registry import RULES
from hxloop_host.runs.epoch_metrics import TAKEN
from hxloop_host.runs.run_content import read_origin
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.studies.output.study_table import COLUMNS
from hxloop_host.training.assembly import find_rule
from hxloop_host.training.experiment import evaluate, load_run, train
from hxloop_host.training.guarded_rule import rule_of

RULE = '''
import numpy as np
from hxloop import Column, Observe, Rule, RuleSettings, Update


class Settings(RuleSettings):
    rate: float = 0.02
    steps: int = 0


class Delta(Rule):
    """Onto the output, more weight from what spiked before a right answer, less before a wrong one."""

    Settings = Settings
    columns = (Column("moved", "mean change of the weights"),)

    def __init__(self, settings=None, **values):
        super().__init__(settings, **values)
        self.steps = 0

    def observe(self, network):
        return Observe("first")

    def step(self, runner, batch, weights):
        recording = runner.run(batch, weights)
        scores = runner.readout.scores(recording)
        loss, _ = runner.readout.value_and_gradient(scores, batch.label)
        answers = runner.readout.predict(scores)
        early = np.exp(-recording.first_times_us("hidden") / 6.0)
        error = np.eye(3)[batch.label] - np.exp(-scores)
        change = self.settings.rate * early.T @ error / len(early) / (1.0 + 0.01 * self.steps)
        self.steps += 1
        new = [*weights[:-1], weights[-1] + change]
        return Update(loss, answers, weights=new, diagnostics={"moved": float(np.abs(change).mean())})

    def state(self):
        return {"steps": np.array(self.steps)}

    def load_state(self, state):
        self.steps = int(state["steps"])
'''


@pytest.fixture
def settings():
    found = load_settings("small")
    changes = {
        "network": {"sizes": [12, 3], "init_mean": [0.4, 0.6]},
        "training": {"epochs": 3, "batch_size": 20, "evaluate_every": 1, "checkpoint_every": 1},
        "data": {"train": 60, "validation": 20, "test": 30},
    }
    return found.model_copy(
        update={name: getattr(found, name).model_copy(update=values) for name, values in changes.items()}
    )


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_rules.py"
    path.write_text(RULE)
    return path


def run(settings, out, rule, **more):
    return train(preset=settings, chip=GridChip(), out=out, rule=rule, **{"report": silent, **more})


def refused(match, *, kind=InvalidInputError):
    return pytest.raises(kind, match=match)


def test_a_run_says_what_trained_it(settings, file, tmp_path):
    found = run(settings, tmp_path / "run", f"{file}:Delta")
    source = found.origin.rule
    assert source.name == f"{file}:Delta"
    assert source.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert found.origin.settings.rule.rate == 0.02
    assert str(source) in found.origin.title
    again = load_run(found.path)
    assert again.origin.rule == source
    assert again.origin.settings.rule.model_dump() == {"kind": f"{file}:Delta", "rate": 0.02, "steps": 0}
    moved = [metrics.named["moved"] for metrics in again.metrics]
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] > 0
    lines = (tmp_path / "run" / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line)["moved"] for line in lines] == pytest.approx(moved)


def test_what_stops_goes_on_bit_by_bit(settings, file, tmp_path):
    rule = f"{file}:Delta"
    whole = run(settings, tmp_path / "whole", rule)
    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "parts", rule, report=Stop(EpochDone, 2))
    parts = run(settings, tmp_path / "parts", rule, resume=True)
    for one, other in zip(whole.weights, parts.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert whole.test_accuracy == parts.test_accuracy
    assert [m.named for m in whole.metrics] == [m.named for m in parts.metrics]


def test_nothing_goes_on_with_another_source(settings, file, tmp_path):
    rule, out = f"{file}:Delta", tmp_path / "run"
    first = run(settings, out, rule)
    assert evaluate(out, chip=GridChip(), rule=rule, report=silent).test_accuracy == first.test_accuracy
    more = settings.with_epochs(4)
    for go_on in (
        lambda rule: run(more, out, rule, resume=True, epochs=4),
        lambda rule: evaluate(out, chip=GridChip(), rule=rule, report=silent),
    ):
        with refused("runs only if you name it.*--rule"):
            go_on(None)
        with refused("was trained with .*Delta .*, not with fast_and_deep"):
            go_on("fast_and_deep")
    moved = tmp_path / "elsewhere.py"
    moved.write_text(RULE)
    assert evaluate(out, chip=GridChip(), rule=f"{moved}:Delta", report=silent).test_accuracy == first.test_accuracy
    file.write_text(RULE.replace("0.01 *", "0.02 *"))
    for go_on in (
        lambda: run(more, out, rule, resume=True, epochs=4),
        lambda: evaluate(out, chip=GridChip(), rule=rule, report=silent),
    ):
        with refused("put the source back"):
            go_on()
    built_in = run(settings, tmp_path / "built in", None)
    with refused("was trained with fast_and_deep, not with"):
        evaluate(built_in, chip=GridChip(), rule=rule, report=silent)


def test_settings_of_a_rule_are_its_own_section(settings, file, tmp_path):
    text = (
        '[rule]\nkind = "my_rules.py:Delta"\nrate = 0.5\n'  # the name in a file says which class, not where it lies
        "[network]\nsizes = [5, 3]\ncopies = [1, 1]\nbias_copies = [1, 0]\nbias_times = [0.9, 0.9]\n"
        "init_mean = [0.1, 0.1]\ninit_std = [0.1, 0.1]\n"
        '[neuron]\nmodel_threshold = 1.5\n[loss]\nkind = "softmax_times"\n[optimizer]\nlearning_rate = 0.1\n'
        "[training]\nepochs = 1\n[coding]\nt_early = 0.1\nt_late = 2.0\nduration = 5.0\n"
    )
    preset = tmp_path / "mine.toml"
    preset.write_text(text)
    with refused("runs only if you name it yourself.*--rule"):
        find_rule(None, load_settings(preset))
    rule, _, found = find_rule(f"{file}:Delta", load_settings(preset))
    assert rule.settings.rate == 0.5
    assert found.rule.kind == f"{file}:Delta"
    preset.write_text(text.replace("rate = 0.5", "rat = 0.5"))
    with refused("rat", kind=UnknownKeyError):
        find_rule(f"{file}:Delta", load_settings(preset))
    preset.write_text(text.replace("rate = 0.5", 'rate = "fast"'))
    with refused("rule.rate"):
        find_rule(f"{file}:Delta", load_settings(preset))
    assert find_rule(f"{file}:Delta", settings)[0].settings.rate == 0.02  # not those of another rule


def test_a_rule_of_the_program_keeps_its_name_as_an_object(settings, tmp_path):
    from hxloop_host.learning.first_spike.fast_and_deep import FastAndDeep

    by_name = run(settings, tmp_path / "name", "fast_and_deep")
    by_object = run(settings, tmp_path / "object", FastAndDeep(**settings.rule.model_dump()))
    assert by_object.origin.rule == by_name.origin.rule
    assert by_object.origin.rule.name == "fast_and_deep"
    for one, other in zip(by_name.weights, by_object.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_class_of_a_notebook(settings, tmp_path):
    with cell(RULE) as space:
        found = run(settings, tmp_path / "run", space.Delta(rate=0.01))
        assert found.origin.rule.name == "__main__:Delta"
        assert found.origin.settings.rule.rate == 0.01
        again = evaluate(found, chip=GridChip(), rule=space.Delta, report=silent)
        assert again.test_accuracy == found.test_accuracy
        with refused("runs only if you name it"):
            evaluate(found, chip=GridChip(), report=silent)
        write_cell(RULE.replace("0.01 *", "0.02 *"))
        with refused("put the source back"):
            evaluate(found, chip=GridChip(), rule=space.Delta, report=silent)


def test_a_rule_of_an_installed_package(settings, tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "others_rules-1.2.dist-info").mkdir(parents=True)
    (site / "others_rules-1.2.dist-info" / "METADATA").write_text("Name: others-rules\nVersion: 1.2\n")
    (site / "others_rules-1.2.dist-info" / "entry_points.txt").write_text(
        "[hxloop.rules]\nothers = others_rules:Delta\nbroken = others_rules:Nothing\n"
    )
    (site / "others_rules.py").write_text(RULE)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "others_rules", raising=False)
    assert {"others", "broken"} <= set(RULES.names())
    found = run(settings, tmp_path / "run", "others")
    source = found.origin.rule
    assert (source.name, source.module, source.version) == ("others", "others_rules", "1.2")
    assert source.sha256 == hashlib.sha256(RULE.encode()).hexdigest()
    for again in (None, "others", sys.modules["others_rules"].Delta):
        evaluate(found, chip=GridChip(), rule=again, report=silent)
    with refused("'broken' of another package cannot be loaded: AttributeError"):
        run(settings, tmp_path / "other", "broken")
    (site / "others_rules.py").write_text(RULE + "# version 1.3\n")
    more = settings.with_epochs(4).with_rule(found.origin.settings.rule)
    with refused("put the source back"):
        run(more, tmp_path / "run", None, resume=True)


@pytest.mark.parametrize(
    ("name", "match", "kind"),
    [
        ("fast_and_dep", "no rule is called 'fast_and_dep'.*fast_and_deep", InvalidInputError),
        ("{file}:Dleta", "has no 'Dleta'.*Delta", InvalidInputError),
        ("{file}:np", "must be a class that derives from hxloop.Rule", InvalidInputError),
        ("{file}:Settings", "must be a class that derives from hxloop.Rule", InvalidInputError),
        ("{file}.gone.py:Delta", "gone", MissingFileError),
        ("", "rule", InvalidInputError),
        (7, "rule", InvalidInputError),
        (int, "rule", InvalidInputError),
    ],
)
def test_what_is_no_rule(name, match, kind, settings, file, tmp_path):
    named = name.format(file=file) if isinstance(name, str) else name
    with refused(match, kind=kind):
        run(settings, tmp_path / "run", named)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("code", "match"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError.*line 1 of broken.py"),
        ("x = 1\nclass (:\n", "SyntaxError.*line 2 of broken.py"),
        ("def f():\n    return 1 / 0\n\nf()\n", "ZeroDivisionError.*line 2 of broken.py"),
    ],
)
def test_a_file_that_cannot_be_run_says_where(code, match, settings, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text(code)
    with refused(match):
        run(settings, tmp_path / "run", f"{broken}:Delta")


RETURN = 'return Update(loss, answers, weights=new, diagnostics={"moved": float(np.abs(change).mean())})'
LATER = "if batch.epoch == 1:\n            "
FAULTS = {
    "raises": (LATER + "raise ValueError('out of ideas')", r"failed in step: ValueError: out of ideas, line \d+"),
    "raises inside numpy": (LATER + "np.linalg.inv(np.zeros((2, 2)))", r"LinAlgError: .*, line 35 of my_rules.py"),
    "nothing": (LATER + "return None", "step must return a hxloop.Update"),
    "shape": (LATER + "new[0] = new[0][:-1]", "new weights: of .* must have the shape"),
    "number": (LATER + "new = new[:-1]", "expected 2 matrices, got 1"),
    "NaN": (LATER + "new[1] = new[1] * np.nan", "new weights: of .* are not finite"),
    "text": (LATER + "new[1] = 'heavy'", "new weights"),
    "in place": (LATER + "weights[0] += 1.0", "ValueError: .*read-only"),
    "answers": (LATER + "answers = answers[:3]", "update.answers"),
    "real answers": (LATER + "answers = answers * 1.0", "update.answers"),
    "loss": (LATER + "loss = float('nan')", "update.loss"),
    "no loss": (LATER + "loss = None", "update.loss"),
    "column": (LATER + "return Update(loss, answers, weights=new)", "'moved', which the rule's columns promise"),
    "value of a column": (
        LATER + "return Update(loss, answers, weights=new, diagnostics={'moved': 'a lot'})", "update.diagnostics",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_rule_is_told_and_loses_nothing(fault, settings, file, tmp_path):
    """What went wrong in the second epoch is told by name; the first is kept, and goes on when the fault is mended."""
    code, match = FAULTS[fault]
    broken = RULE.replace(RETURN, f"{code}\n        {RETURN}")
    assert broken != RULE
    file.write_text(broken)
    with refused(match) as told:
        run(settings, tmp_path / "run", f"{file}:Delta")
    assert "\n" not in str(told.value).splitlines()[0]
    kept = sorted((tmp_path / "run" / "checkpoints").glob("*.h5"))
    assert [read_origin(hxloop_record(path)).rule.name for path in kept] == [f"{file}:Delta"] * 2


def hxloop_record(path):
    from hxloop_host.runs.run_content import read_run

    return read_run(path)


@pytest.mark.parametrize(
    ("old", "new", "match", "kind"),
    [
        ('Observe("first")', '"first"', "observe must return a hxloop.Observe", InvalidInputError),
        ('Observe("first")', 'Observe("first", ("hiden",))', "'hiden', which the network does not have",
         InvalidInputError),
        ('Observe("first")', 'Observe("first", membranes=("out",))', "'out', which the network", InvalidInputError),
        ('Observe("first")', 'Observe("frist")', "observe.spikes: must be one of none, first, all", InvalidInputError),
        ('Observe("first")', "Observe(membranes=True)", "membranes: must be a list of names", InvalidInputError),
        ('Observe("first")', "Observe(counters=1)", "observe.counters: must be True or False", InvalidInputError),
        ('Observe("first")', "Observe(membrane_period_us=0)", "observe.membrane_period_us: must be positive",
         OutOfRangeError),
        ("def observe", "def begin(self, network, seed):\n        return 7\n\n    def observe", "begin must return",
         InvalidInputError),
        ("def observe", "def begin(self, network, seed):\n        return [np.zeros(3)]\n\n    def observe",
         "initial weights", ArrayError),
        ("def observe", "def check(self, network, readout):\n        raise KeyError(3)\n\n    def observe",
         "failed in check: KeyError", InvalidInputError),
        ("super().__init__(settings, **values)", "super().__init__()", "hand them to super", InvalidInputError),
        ("super().__init__(settings, **values)", "pass", "hand them to super", InvalidInputError),
        ('Column("moved"', 'Column("loss"', "has a column 'loss'", InvalidInputError),
        ('Column("moved"', 'Column("status"', "has a column 'status'", InvalidInputError),
        ('weights"),)', 'weights"), "more")', "columns of the type hxloop.Column", InvalidInputError),
        ('weights"),)', 'weights"), Column("moved", "again"))', "each once", InvalidInputError),
        ('return {"steps"', 'return 7 or {"steps"', "state must return a dict", InvalidInputError),
        ("np.array(self.steps)", "self", "state must return arrays of numbers", InvalidInputError),
        ('self.steps = int(state["steps"])', "pass", None, None),
    ],
)  # fmt: skip
def test_a_rule_that_promises_rubbish(old, new, match, kind, settings, file, tmp_path):
    assert old in RULE
    file.write_text(RULE.replace(old, new))
    if kind is None:
        run(settings, tmp_path / "run", f"{file}:Delta")
        return
    with refused(match, kind=kind):
        run(settings, tmp_path / "run", f"{file}:Delta")


def test_names_of_summaries_and_tables_are_taken(settings, file, tmp_path):
    found = run(settings, tmp_path / "run", f"{file}:Delta").summary()
    beside = {"silent_fraction", "moved"}  # the first is of the test; a rule may have one of the training
    assert (found.keys() | COLUMNS.keys()) - beside <= TAKEN


class Modeller(hxloop.Rule):
    """Says of membranes what it is told to say."""

    def step(self, runner, batch, weights):
        raise NotImplementedError

    says = None

    def modelled(self, recording, strength):
        return self.says(recording.membranes["output"])


@pytest.mark.parametrize(
    "says",
    [
        lambda read: [read],
        lambda read: {"hidden": read},
        lambda read: {"output": read[:, :-1]},
        lambda read: {"output": None},
        lambda read: {"output": "high"},
        lambda read: {7: read},
        lambda read: {"output": read[None]} | 1,
    ],
)
def test_what_a_model_says_of_membranes_is_checked(says, monkeypatch):
    read = np.zeros((2, 5, 3), np.float32)
    recording = SimpleNamespace(membranes={"output": read})
    rule = rule_of(Modeller, Modeller.Settings())
    monkeypatch.setattr(Modeller, "says", staticmethod(says))
    with refused("Modeller.modelled must return|Modeller failed in modelled: TypeError"):
        rule.modelled(recording, None)
    monkeypatch.setattr(Modeller, "says", staticmethod(lambda read: {"output": read.astype(float) + 0.5}))
    (found,) = rule.modelled(recording, None).values()
    assert (found.dtype, found.shape, found.max()) == (np.float32, read.shape, 0.5)
    assert rule_of(_Nothing, _Nothing.Settings()).modelled(recording, None) == {}


def test_public_names_are_the_seam():
    from hxloop import rule

    for name in ("Column", "Observe", "Recording", "Rule", "RuleSettings", "Update"):
        assert getattr(hxloop, name) is getattr(rule, name)
    with pytest.raises(OutOfRangeError):
        _Nothing().load_state({"a": np.zeros(1)})


class _Nothing(hxloop.Rule):
    def step(self, runner, batch, weights):
        return hxloop.Update(0.0, np.zeros(batch.n_samples, int))
