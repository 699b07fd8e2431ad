"""Settings files: presets, and what is said about mistakes."""

import json
import tomllib
from pathlib import Path

import pytest
from support.places import SHORT

import hxloop_host
from hxloop.errors import HxloopError, InvalidInputError, MissingFileError, UnknownKeyError
from hxloop_host.network.building import build_network
from hxloop_host.settings.experiment_settings import PRESETS, Settings, load_settings
from hxloop_host.training.assembly import check_parts, find_rule

SMALL = (Path(hxloop_host.__file__).parent / "presets" / "small.toml").read_text()


def changed(tmp_path, old, new):
    assert old in SMALL
    path = tmp_path / "mine.toml"
    path.write_text(SMALL.replace(old, new, 1))
    return path


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_complete_and_survive_json(preset):
    settings = load_settings(preset)
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_paper_preset_is_the_published_network():
    paper, small = load_settings("paper"), load_settings("small")
    assert (paper.network.sizes, paper.network.copies, paper.network.bias_copies) == ([120, 3], [5, 1], [5, 0])
    assert (paper.training.batch_size, paper.network.bias_times[0]) == (40, 0.9)
    assert (small.network.sizes, small.network.bias_copies, small.neuron.model_threshold) == ([30, 3], [0, 0], 2.6)
    for settings in (paper, small):
        assert settings.neuron.t_refractory_us >= settings.coding.duration * settings.neuron.tau_syn_us


def test_gain_puts_the_threshold_where_the_model_has_it():
    """An input of model weight w adds w x (threshold in mV / model threshold) / tau_syn to the membrane's slope."""
    neuron = load_settings("paper").neuron
    slope = neuron.synapse_gain_mv_per_us * neuron.scale_weights
    assert slope * neuron.tau_syn_us * neuron.model_threshold == pytest.approx(735.0 - 420.0)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("learning_rate", "lerning_rate", UnknownKeyError, "did you mean 'optimizer.learning_rate'"),
        ("bump = 0.0005", "bumb = 0.0005", UnknownKeyError, r"did you mean 'rule\.bump'"),
        ("epochs = 300", 'epochs = "300"', InvalidInputError, r"training\.epochs"),
        ("epochs = 300", "epochs = 0", InvalidInputError, r"training\.epochs"),
        ("t_late = 2.0", "t_late = 6.0", InvalidInputError, "duration must be longer"),
        ("v_threshold_mv = 735.0", "v_threshold_mv = 300.0", InvalidInputError, "above v_leak_mv"),
        ("delta = 0.3", "delta = nan", InvalidInputError, r"loss\.delta"),
        ("[network]", "[network", InvalidInputError, "cannot read"),
    ],
)
def test_mistakes_are_named(tmp_path, old, new, error, message):
    with pytest.raises(error, match=message):
        load_settings(changed(tmp_path, old, new))


def test_any_time_constants_are_settings_and_a_rule_refuses_them(tmp_path):
    settings = load_settings(changed(tmp_path, "tau_mem_us = 6.0", "tau_mem_us = 9.0"))
    assert settings.neuron.tau_mem_us == 9.0
    with pytest.raises(InvalidInputError, match="equal to, or twice, tau_syn_us") as error:
        check_parts(settings, build_network(settings, 4), find_rule(None, settings)[0])
    assert error.value.field == "neuron.tau_mem_us"


def test_the_kind_of_an_optimizer_says_its_keys(tmp_path):
    assert load_settings("small").optimizer.kind == "adam"
    sgd = load_settings(changed(tmp_path, "step_epochs = 20", 'kind = "sgd"\nmomentum = 0.9')).optimizer
    assert (type(sgd).__name__, sgd.momentum, sgd.learning_rate, sgd.step_epochs) == ("SGDSettings", 0.9, 0.002, 20)
    for wrong, message in (
        ('kind = "sgd"\nbeta1 = 0.5', r"unknown key 'optimizer\.beta1'"),
        ('kind = "sgd"\nmomentun = 0.5', r"did you mean 'optimizer\.momentum'"),
        ('kind = "sdg"', r"optimizer\.kind: no optimizer is called 'sdg'.*did you mean 'sgd'"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            load_settings(changed(tmp_path, "step_epochs = 20", wrong))


def test_files_of_before_rules_had_a_section_are_read(tmp_path):
    text = (Path(hxloop_host.__file__).parent / "presets" / "small.toml").read_text()
    before = text.replace('[rule]\nkind = "fast_and_deep"\nmax_dw_norm = 0.2\n', "[silence]\n")
    assert before != text
    (tmp_path / "before.toml").write_text(before.replace("step_epochs = 20", "step_epochs = 20\nmax_dw_norm = 0.2"))
    assert load_settings(tmp_path / "before.toml") == load_settings("small")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("limits = [0.3, 0.05]", "limits = [0.3]", "limits needs one entry for each of the 2 populations"),
        ("tau_mem_us = 6.0", "tau_mem_us = 9.0", "equal to, or twice, tau_syn_us"),
        ('"shift_invariant_mse"\ndelta = 0.3', '"count_cross_entropy"', "needs a loss of first spike times"),
    ],
)
def test_the_rule_of_the_settings_must_suit_the_network(tmp_path, old, new, message):
    settings = load_settings(changed(tmp_path, old, new))
    with pytest.raises(InvalidInputError, match=message):
        check_parts(settings, build_network(settings, 4), find_rule(None, settings)[0])


def test_the_kind_of_a_loss_says_its_keys(tmp_path):
    new = 'kind = "membrane_cross_entropy"\nscore = "sum"'
    assert load_settings(changed(tmp_path, 'kind = "shift_invariant_mse"\ndelta = 0.3', new)).loss.score == "sum"
    for old, new, message in (
        ("delta = 0.3", "delta = 0.3\nscale = 2.0", r"unknown key 'loss\.scale'"),
        ("delta", "detla", r"did you mean 'loss\.delta'"),
        ("shift_invariant_mse", "shift_mse", r"loss\.kind: no readout is called 'shift_mse'"),
        ('kind = "shift_invariant_mse"\n', "", r"loss\.kind.*required.*known: shift_invariant_mse"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            load_settings(changed(tmp_path, old, new))


def test_settings_of_before_are_read():
    """Files of earlier versions hold the keys of all losses, whatever the kind, and no kind of optimiser."""
    tree = json.loads(load_settings("small").model_dump_json())
    tree["loss"] |= {"xi": 0.2, "alpha": 0.005, "beta": 1.0, "t_correct": 1.6, "t_wrong": 1.9}
    del tree["optimizer"]["kind"]
    assert Settings.model_validate_json(json.dumps(tree)) == load_settings("small")


def test_a_file_is_read_like_a_preset(tmp_path):
    path = changed(tmp_path, "epochs = 300", "epochs = 7")
    assert load_settings(path) == load_settings(str(path)) == load_settings("small").with_epochs(7)
    assert load_settings(path).model_dump()["network"] == tomllib.loads(SMALL)["network"]


def test_missing_presets_and_files_are_named():
    with pytest.raises(InvalidInputError, match=r"no preset is called 'papr'.*did you mean 'paper'"):
        load_settings("papr")
    with pytest.raises(MissingFileError, match=r"nowhere\.toml"):
        load_settings("nowhere.toml")
    with pytest.raises(HxloopError, match=r"epochs: must be 1\.\."):
        load_settings(SHORT).with_epochs(0)
