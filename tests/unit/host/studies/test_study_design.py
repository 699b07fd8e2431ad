"""What a study may turn, how designs combine it, and the points that follow."""

import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats
from support.places import SHORT
from support.tables.sheets import fake_sheet, sheets  # noqa: F401 (a fixture)
from typer.testing import CliRunner

from hxloop.cli import app
from hxloop.errors import HxloopError, InvalidInputError, OutOfRangeError, UnknownKeyError
from hxloop.naming.serials import parse_serials
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.studies.design.axes import Axis, checked_axis, combinations, read_axis
from hxloop_host.studies.design.draws import drawn
from hxloop_host.studies.design.kind import Base
from hxloop_host.studies.design.knobs import Knobs
from hxloop_host.studies.design.point import Point
from hxloop_host.studies.design.study_options import OPTIONS
from hxloop_host.studies.kinds import KINDS, find_kind
from hxloop_host.studies.study_request import Request, read_request, read_settings, work_of
from hxloop_host.studies.study_verb import command_of

KNOBS = Knobs(load_settings(SHORT), fake_sheet("typical"))


def point(**changes):
    given = {
        "action": "train", "task": "yin-yang", "settings": load_settings(SHORT), "chip": "typical", "serial": 1,
        "seed": 0, "model": "4",
    }  # fmt: skip
    return Point(**(given | changes))


@pytest.mark.parametrize(
    ("setting", "error", "field", "says"),
    [
        ("chip.noise.jitter_trail_us=0.1", UnknownKeyError, "chip.noise.jitter_trail_us", "chip.noise.jitter_trial_us"),
        ("chip.noise.jitter_trial_ms=0.1", UnknownKeyError, "chip.noise.jitter_trial_ms", "chip.noise.jitter_trial_us"),
        ("chip.jitter_trial_us=0.1", UnknownKeyError, "chip.jitter_trial_us", "chip.noise.jitter_trial_us"),
        ("optimiser.learning_rate=1", UnknownKeyError, "optimiser.learning_rate", "optimizer.learning_rate"),
        ("optimizer.learning_rat=1", UnknownKeyError, "optimizer.learning_rat", "optimizer.learning_rate"),
        ("chip.noise.jitter_trial_us=0.1ms", InvalidInputError, "chip.noise.jitter_trial_us", "is in us"),
        ("training.epochs=3 us", InvalidInputError, "training.epochs", "has no unit"),
        ("chip.noise.jitter_trial_us=-1", OutOfRangeError, "chip.noise.jitter_trial_us", "must be 0..1"),
        ("chip.noise.jitter_trial_us=nan", OutOfRangeError, "chip.noise.jitter_trial_us", "must be 0..1"),
        ("chip.noise.jitter_trial_us=soft", InvalidInputError, "chip.noise.jitter_trial_us", "must be a number"),
        ("chip.mismatch.dead_fixed=1.5", OutOfRangeError, "chip.mismatch.dead_fixed", "must be 0..1"),
        ("training.epochs=0", InvalidInputError, "training.epochs", ""),
        ("training.epochs=2.5", InvalidInputError, "training.epochs", ""),
        ("training.epochs=3,3", InvalidInputError, "training.epochs", "twice"),
        ("training.epochs=", InvalidInputError, "set", "KEY=VALUE"),
        ("chip.noise.jitter_trial_us=0.3..0.1", OutOfRangeError, "chip.noise.jitter_trial_us", "no interval"),
    ],
)
def test_bad_overrides_are_refused_with_the_nearest_right_name(setting, error, field, says):
    with pytest.raises(error) as caught:
        read_axis(setting, KNOBS)
    assert caught.value.field == field
    assert says in str(caught.value)


def test_values_are_read_with_units_lists_and_intervals():
    assert read_axis("chip.noise.jitter_trial_us=0, 0.1us,0.3 us", KNOBS).values == (0, 0.1, 0.3)
    assert read_axis("rule.limits=[0.3,0.05],[0.5,0.5]", KNOBS).values == ([0.3, 0.05], [0.5, 0.5])
    assert read_axis("loss.kind=softmax_times", KNOBS).values == ("softmax_times",)
    assert read_axis("chip.factor.trial=0..2.5", KNOBS).interval == (0, 2.5)


def test_a_chip_has_one_name_whatever_turns_its_knobs():
    assert KNOBS.apply({})[1] == "typical"
    assert KNOBS.apply({"chip.noise.jitter_trial_us": 0.04})[1] == "typical"
    ways = [{"chip.noise.jitter_trial_us": 0.1, "chip.mismatch.tau_mem_residual": 0.0}]
    ways.append(dict(reversed(ways[0].items())))
    assert len({KNOBS.apply(way)[1] for way in ways}) == 1
    factored = KNOBS.apply({"chip.factor.trial": 2, "chip.noise.jitter_trial_us": 0.5})[1]
    assert "jitter_trial_us=0.5" in factored
    assert "membrane_trial_mv=0.08" in factored
    assert "residual" not in factored
    none = Knobs(load_settings(SHORT), fake_sheet("typical[all=0]"))
    assert none.apply({"chip.mismatch.synapse_fixed": 0.2})[1] == "typical[all=0,synapse_fixed=0.2]"


def test_settings_are_changed_and_nothing_else():
    settings, chip = KNOBS.apply({"training.epochs": 3, "network.copies": [4, 1]})
    expected = load_settings(SHORT).model_dump()
    expected["training"]["epochs"], expected["network"]["copies"] = 3, [4, 1]
    assert settings.model_dump() == expected
    assert chip == "typical"


def test_keys_of_every_kind_are_knobs_and_listed():
    listed = {turned.key: turned for turned in KNOBS.listed()}
    assert listed["optimizer.beta1"].value == "0.9"
    assert listed["optimizer.beta1"].meaning.startswith("adam, adamw: ")
    assert listed["optimizer.momentum"].value == "0.0"
    assert listed["optimizer.momentum"].meaning.startswith("sgd: ")
    assert listed["optimizer.learning_rate"].value == "0.03"
    assert listed["optimizer.learning_rate"].meaning.startswith("step size")
    assert listed["optimizer.kind"].meaning == "what turns gradients into new weights: adam, adamw, sgd, smorms3"
    assert listed["loss.delta"].value == "0.2"
    assert listed["loss.delta"].meaning.startswith("shift_invariant_mse, margin: how much later")
    assert listed["loss.delta"].unit == listed["loss.t_wrong"].unit == "tau_syn"
    assert listed["loss.scale"].meaning.startswith("count_cross_entropy, membrane_cross_entropy: ")
    assert len(listed) == len(KNOBS.listed())
    assert set(listed) == set(KNOBS.keys)
    assert read_axis("optimizer.momentum=0,0.9", KNOBS).values == (0, 0.9)


def test_another_kind_takes_what_it_has_and_its_own_defaults():
    was = load_settings(SHORT).optimizer
    now = KNOBS.apply({"optimizer.kind": "sgd", "optimizer.momentum": 0.9})[0].optimizer
    assert (now.kind, now.momentum, now.nesterov) == ("sgd", 0.9, False)
    assert (now.learning_rate, now.schedule, now.floor) == (was.learning_rate, was.schedule, was.floor)
    assert KNOBS.apply({"optimizer.kind": "adamw"})[0].optimizer.beta1 == was.beta1
    assert KNOBS.apply({"optimizer.kind": "adam"})[0] == load_settings(SHORT)
    softmax = KNOBS.apply({"loss.kind": "softmax_times", "loss.xi": 0.4})[0].loss.model_dump()
    assert softmax == {"kind": "softmax_times", "xi": 0.4, "alpha": 0.005, "beta": 1.0}
    assert KNOBS.apply({"loss.kind": "membrane_mse"})[0].loss.score == "max"


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"optimizer.momentum": 0.5}, "optimizer.momentum", "belongs to sgd, but optimizer.kind is 'adam'"),
        ({"optimizer.kind": "sgd", "optimizer.beta1": 0.5}, "optimizer.beta1", "belongs to adam, adamw"),
        ({"optimizer.kind": "sgd", "optimizer.momentum": 1.0}, "optimizer.momentum", "less than 1"),
        ({"optimizer.kind": "adan"}, "optimizer.kind", "did you mean 'adam'"),
        ({"optimizer.kind": [1]}, "optimizer.kind", "name of a kind"),
    ],
)
def test_values_and_keys_of_a_wrong_kind_are_refused(changes, field, says):
    with pytest.raises(InvalidInputError, match=says) as caught:
        KNOBS.apply(changes)
    assert caught.value.field == field


def test_a_grid_is_the_product_of_its_axes():
    axes = [Axis("a", (1, 2, 3)), Axis("b", ("x", "y"))]
    expected = [{"a": a, "b": b} for a, b in itertools.product((1, 2, 3), ("x", "y"))]
    assert combinations(axes, "grid", 0, 0) == expected
    with pytest.raises(InvalidInputError, match="single values"):
        combinations([Axis("a", (), (0.0, 1.0))], "grid", 0, 0)


@pytest.mark.parametrize("design", ["random", "sobol"])
def test_designs_fill_their_space_and_are_the_same_every_time(design):
    axes = [Axis("a", (), (2.0, 4.0)), Axis("b", ("x", "y", "z")), Axis("c", (), (1, 3))]
    found = combinations(axes, design, 256, 7)
    assert found == combinations(axes, design, 256, 7)
    assert found != combinations(axes, design, 256, 8)
    a = np.array([row["a"] for row in found])
    assert stats.kstest(a, stats.uniform(2.0, 2.0).cdf).pvalue > 1e-3
    for key, values in (("b", ("x", "y", "z")), ("c", (1, 2, 3))):
        counts = [sum(row[key] == v for row in found) for v in values]
        assert sum(counts) == 256
        assert stats.chisquare(counts).pvalue > 1e-3
    if design == "sobol":  # far more even than independent draws: every 1/256th holds one
        assert sorted(((a - 2.0) * 128).astype(int)) == list(range(256))


def test_a_design_without_samples_or_axes_is_refused():
    for axes, samples, field in (([Axis("a", (1,))], 0, "samples"), ([], 4, "set")):
        with pytest.raises(InvalidInputError) as caught:
            combinations(axes, "random", samples, 0)
        assert caught.value.field == field


def test_a_point_is_named_by_everything_its_result_depends_on():
    first = point()
    assert first.key == point().key
    others = [
        point(serial=2), point(seed=1), point(chip="rough"), point(model="5"), point(calibrated_at_s=0.0),
        point(settings=load_settings(SHORT).with_epochs(3)), point(initial=first),
        point(action="test", initial=first), point(action="test", initial=first, trial=1),
        point(action="test", initial=first, at_s=0.0), point(action="test", initial=point(seed=1)),
    ]  # fmt: skip
    assert len({p.key for p in [first, *others]}) == 1 + len(others)
    assert Point.model_validate_json(others[-1].model_dump_json()).key == others[-1].key
    for wrong in ({"action": "test"}, {"trial": 1}, {"at_s": 1.0}, {"serial": -1}, {"serial": 1.0}):
        with pytest.raises(InvalidInputError):
            point(**wrong)


@pytest.mark.parametrize("preset", ["quick", "paper"])
@pytest.mark.parametrize("name", list(KINDS))
def test_every_study_has_points_in_order_and_columns(name, preset, sheets):  # noqa: F811
    sizes = find_kind(name).presets[preset]
    bases = sizes.options.get("n_base", [])
    assert all(n > 1 and n & (n - 1) == 0 for n in bases)
    few = {"n_base": [8]} if bases else {}
    two = ",".join(map(str, parse_serials(sizes.serials)[:2]))  # others are like them
    work = work_of(Request(study=name, preset=preset, serials=two, set=few))
    labels = {tuple(row.labels) for row in work.rows}
    assert len(labels) == 1
    assert set(work.kind.groups) <= set(next(iter(labels))) | {"kept"}
    points = work.points()
    seen = set()
    for p in points:
        assert p.initial is None or p.initial.key in seen
        assert p.key not in seen
        seen.add(p.key)
    assert {row.point.key for row in work.rows} <= seen


@pytest.mark.parametrize("name", list(KINDS))
def test_everything_that_can_be_set_has_a_meaning(name, sheets):  # noqa: F811
    work = work_of(Request(study=name))
    assert set(work.kind.presets["quick"].options) | set(work.kind.presets["paper"].options) <= set(OPTIONS)
    knobs = work.base.knobs.listed()
    assert [knob.key for knob in knobs if not knob.meaning] == []
    assert {knob.key for knob in knobs} == set(work.base.knobs.keys)


def test_fixed_patterns_are_what_the_label_says(sheets):  # noqa: F811
    work = work_of(Request(study="mismatch", preset="paper", serials="1,2"))
    height = 735.0 - 420.0
    for row in work.rows:
        labels, chip = row.labels, row.point.chip
        spread = labels["spread_percent"] / 100
        if spread == 0.0:
            assert chip == "typical[all=0]"
        elif labels["mechanism"] == "threshold":
            assert chip == f"typical[all=0,v_threshold_residual_mv={spread * height!r}]"
        elif labels["mechanism"] == "all":
            assert chip.count("=") == 6
        weights = row.point.initial
        assert (weights is None) == (labels["method"] == "in_loop")
        assert weights is None or (weights.chip, weights.action) == ("ideal", "train")
        assert (row.point.action == "test") == (labels["method"] == "transferred")


def test_points_that_are_the_same_are_done_once(sheets):  # noqa: F811
    work = work_of(read_request("mismatch", {"serials": "1,2", "set": {"spread_percent": [0], "method": ["in_loop"]}}))
    assert len(work.rows) == 2 * len(work.kind.presets["quick"].options["mechanism"])
    assert [(p.chip, p.serial) for p in work.points()] == [("typical[all=0]", 1)]  # all these chips are one
    assert [row.serial for row in work.rows[:2]] == [1, 2]


def test_chips_are_the_same_only_if_nothing_about_them_is_drawn(sheets):  # noqa: F811
    drawn_alike = {
        "typical": False, "ideal": True, "typical[all=0]": True, "typical[all=0,synapse_fixed=0.1]": False,
        "typical[all=0,v_leak_residual_mv=1.0]": False, "typical[all=0,jitter_trial_us=0.1]": False,
        "typical[all=0,v_threshold_residual_mean_mv=3.0]": True,  # moves all circuits of all chips alike
    }  # fmt: skip
    for chip, same in drawn_alike.items():
        assert (drawn(point(chip=chip, serial=7)) == drawn(point(chip=chip, serial=8))) is same, chip
        test = {"action": "test", "initial": point(chip="typical"), "chip": chip, "serial": 7}
        quiet = same or ("jitter" not in chip and chip != "typical")
        assert (drawn(point(**test, trial=1)) == drawn(point(**test, trial=2))) is quiet, chip
    first, second = (
        drawn(point(action="test", initial=point(chip="ideal", serial=s), serial=5, chip="typical")) for s in (3, 4)
    )
    assert first == second  # weights of the same textbook chip
    assert first.serial == 5


def test_settings_add_columns_or_change_all_points(sheets):  # noqa: F811
    given = {"set": {"training.epochs": [3, 4], "training.batch_size": 20, "quality": ["uncalibrated"]}}
    work = work_of(read_request("calibration", given | {"serials": "5"}))
    assert work.columns == ["epochs"]
    assert {row.labels["epochs"] for row in work.rows} == {3, 4}
    assert all(row.point.settings.training.batch_size == 20 for row in work.rows)
    assert all(row.point.settings.training.epochs == row.labels["epochs"] for row in work.rows)
    assert {row.labels["quality"] for row in work.rows} == {"residual", "uncalibrated"}
    assert {row.point.serial for row in work.rows} == {5}


@pytest.mark.parametrize(
    ("name", "given", "field"),
    [
        ("mismatsch", {}, "study"),
        ("mismatch", {"set": {"spread_procent": [1]}}, "spread_procent"),
        ("mismatch", {"set": {"mechanism": ["treshold"]}}, "mechanism"),
        ("mismatch", {"set": {"spread_percent": [-1]}}, "spread_percent"),
        ("mismatch", {"set": {"spread_percent": ["much"]}}, "spread_percent"),
        ("mismatch", {"set": {"spread_percent": [1, 1]}}, "spread_percent"),
        ("mismatch", {"serials": "9..1"}, "serials"),
        ("mismatch", {"seeds": "a"}, "seeds"),
        ("mismatch", {"chip": "tipical"}, "chip"),
        ("mismatch", {"task": "yinyang"}, "task"),
        ("mismatch", {"task": "mnist16", "training": "quick"}, "network.sizes"),
        ("mismatch", {"training": "papre"}, "preset"),
        ("mismatch", {"preset": "large"}, "preset"),
        ("mismatch", {"samples": 3, "design": "sobol"}, "set"),
        ("sensitivity", {"set": {"n_base": [3]}}, "n_base"),
        ("none.toml", {}, "settings"),
    ],
)
def test_bad_requests_are_refused_naming_the_field(name, given, field, sheets):  # noqa: F811
    with pytest.raises(HxloopError) as caught:
        work_of(read_request(name, given))
    assert caught.value.field == field


def test_a_file_asks_for_the_same_study_as_the_command(tmp_path, sheets):  # noqa: F811
    file = tmp_path / "mine.toml"
    file.write_text(
        'study = "noise"\nserials = "1..2"\nquestion = "How?"\n[set]\nstrength_percent = [0, 5]\n'
        '"training.epochs" = 3\n"coding.jitter" = [0.0, 0.1]\n'
    )
    work = work_of(read_request(str(file), {}))
    request = read_request("noise", {"serials": "1..2"})
    typed = ["strength_percent=0,5", "training.epochs=3", "coding.jitter=0.0,0.1"]
    request = request.model_copy(update={"set": read_settings(request, typed)})
    assert [r.point.key for r in work.rows] == [r.point.key for r in work_of(request).rows]
    command = command_of(work.request)
    assert command.startswith("hxloop study noise --preset quick --serials 1..2 --set strength_percent=0,5")
    assert command.endswith("--question 'How?'")
    file.write_text('study = "noise"\nserial = "1..2"\n')
    with pytest.raises(UnknownKeyError, match="serials"):
        read_request(str(file), {})


def test_sizes_of_the_textbook_are_not_those_of_a_chip(sheets):  # noqa: F811
    base = Base("yin-yang", load_settings(SHORT), "typical").turned(
        {"chip.noise.jitter_trial_us": 0.3, "training.epochs": 4}
    )
    reference = base.reference().train(1, 0)
    assert reference.chip == "ideal"
    assert reference.settings.training.epochs == 4
    assert base.calibrating(True).train(1, 0).calibrated_at_s == 0.0
    assert base.calibrating(True).reference().train(1, 0).calibrated_at_s is None


def test_saltelli_samples_give_the_indices_of_a_linear_model(sheets):  # noqa: F811
    """For y = sum a_k x_k with independent uniform x_k, index k is a_k^2 / sum a^2, first order and total alike."""
    import pandas as pd

    names = ["threshold", "tau_mem", "jitter"]
    given = {"set": {"mechanism": names, "n_base": [256]}, "serials": "1"}
    work = work_of(read_request("sensitivity", given))
    slopes = dict(zip(names, (0.03, 0.02, 0.01), strict=True))
    lines = [
        {**row.labels, "serial": 1, "seed": 0, "status": "done", "point": row.point.key}
        | {"test_accuracy": 0.9 - sum(slopes[n] * row.labels[f"factor_{n}"] for n in names)}
        for row in work.rows
    ]
    found = find_kind("sensitivity").analyse(pd.DataFrame(lines), None)["sensitivity"].set_index("mechanism")
    total = sum(a * a for a in slopes.values())
    for name, slope in slopes.items():
        assert found.loc[name, "effect_points"] == pytest.approx(100 * 5 * slope)
        for index in ("first_index", "total_index"):
            assert found.loc[name, index] == pytest.approx(slope**2 / total, abs=0.06)
    assert not math.isnan(found["total_index_low"].min())


def test_an_interval_needs_both_ends():
    with pytest.raises(InvalidInputError, match="low and high"):
        checked_axis("training.epochs", {"low": 1}, KNOBS)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"optimizer.beta1": [0.9, 1.0]}, "optimizer.beta1"),
        ({"optimizer.gamma": [0.9, 1e300]}, "optimizer.gamma"),
        ({"loss.delta": [0.1, 0.0]}, "loss.delta"),
        ({"coding.t_early": [0.1, 3.5]}, "coding.t_late"),
        ({"coding.duration": [5.0, 2.5], "coding.t_late": [2.0, 3.0]}, "coding.duration"),  # one of four together
        ({"network.bias_times": [[0.9, 0.0], [6.0, 0.0]]}, "network.bias_times[0]"),
        ({"network.sizes": [[120, 3], [600, 3]]}, "populations"),
        ({"neuron.tau_mem_us": [6.0, 7.0]}, "neuron.tau_mem_us"),
        ({"network.sizes": [[120, 3], [120, 4]]}, "network.sizes"),
        ({"neuron.weight_bits": [6, 8]}, "neuron.weight_bits"),
        ({"data.train": [100, 6000]}, "data.train"),
        ({"chip.factor.residual": [1, 1e9]}, "chip.mismatch."),
        ({"chip.noise.jitter_trial_us": [0.1, 1e300]}, "chip.noise.jitter_trial_us"),
        ({"rule.limits": {"low": [0.1, 0.1], "high": [0.2, 0.2]}}, "rule.limits"),
        ({"rule.doubling": {"low": False, "high": True}}, "rule.doubling"),
        ({"loss.kind": {"low": "a", "high": "b"}}, "loss.kind"),
    ],
)
def test_every_training_is_checked_before_the_first(values, field, sheets):  # noqa: F811
    with pytest.raises(HxloopError) as caught:
        work_of(Request(set=values))
    assert isinstance(caught.value, InvalidInputError)
    assert caught.value.field.startswith(field)


def test_long_samples_are_not_refused_where_the_chip_can(sheets):  # noqa: F811
    asked = Request(training=str(SHORT), set={"coding.duration": [5.0, 1e6], "neuron.tau_syn_us": [6.0]})
    assert work_of(asked).rows


def test_all_studies_are_listed_with_their_questions():
    done = CliRunner().invoke(app, ["study", "--list", "--json"])
    assert json.loads(done.stdout)["studies"] == {name: kind.question for name, kind in KINDS.items()}
    printed = CliRunner().invoke(app, ["study", "--list"]).stdout
    for name, kind in KINDS.items():
        assert f" {name} " in printed and kind.question in printed
    done = CliRunner().invoke(app, ["study"])
    assert done.exit_code == 2 and "hxloop study --list" in done.stderr
