"""`hxloop map` of a network from a settings file: what it takes, and the name of what does not fit."""

import json

import pytest
from support.own_network import NETWORK, settings_text
from typer.testing import CliRunner

from hxloop.cli import app


def hxloop_map(*arguments):
    return CliRunner().invoke(app, ["map", *(str(a) for a in arguments)])


@pytest.fixture
def file(tmp_path):
    def write(network=NETWORK):
        path = tmp_path / "mine.toml"
        path.write_text(settings_text(network))
        return path

    return write


def test_rows_labels_and_signs_are_told(file, tmp_path):
    done = hxloop_map(file(), "--inputs", 4, "--out", tmp_path / "map.png")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    # inputs 4 x 2 + bias + 64 exc + 16 inh; rows 2 x (8 + 1) + 64 + 16
    assert ["exc", "64", "x", "1", "89", "98"] in [line[:6] for line in lines]
    assert ["inh", "16", "x", "1", "64", "64"] in [line[:6] for line in lines]
    assert ["answer", "(LI)", "3", "x", "1", "64", "128"] in [line[:7] for line in lines]
    assert ["exc->inh", "64", "0", "64", "0", "64", "100%", "1024"] in lines
    assert ["inh->exc", "16", "0", "0", "16", "16", "100%", "1024"] in lines
    assert ["exc->answer", "64", "64", "0", "0", "128", "100%", "384"] in lines
    assert ["input", "channels", "5", "65536"] in lines
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_json_has_the_projections(file):
    values = json.loads(hxloop_map(file(), "--inputs", 4, "--json").stdout)
    recurrent = next(p for p in values["projections"] if p["name"] == "exc->exc")
    assert recurrent["synapses"] == round(recurrent["connected"] * 64 * 64)
    assert (recurrent["rows"], recurrent["excitatory"], recurrent["inhibitory"]) == (64, 64, 0)
    assert sum(p["synapses"] for p in values["projections"]) == values["totals"]["synapses"]["used"]
    assert [p["spiking"] for p in values["populations"]] == [True, True, False]


@pytest.mark.parametrize(
    ("old", "new", "field", "message"),
    [
        ("size = 64", "size = 500", "populations", "(exc 500 x 4, inh 16 x 2, answer 3 x 4), but"),
        ("tau_mem_us = 5.0", "tau_mem_us = 70.0", "inh.tau_mem_us", "70 is outside 0.5..60"),
        ("tau_syn_us = 3.0", "tau_syn_us = 0.1", "inh.tau_syn_us", "0.1 is outside 0.3..30"),
        ("t_refractory_us = 1.0", "t_refractory_us = 33.0", "inh.t_refractory_us", "33 is outside 0.04..32"),
        ("v_threshold_mv = 700.0", "v_threshold_mv = 1100.0", "inh.v_threshold_mv", "1100 is outside 285..1050"),
        ("v_threshold_mv = 700.0", "v_reset_mv = 200.0", "inh.v_reset_mv", "200 is outside 285..780"),
        ("tau_syn_us = 3.0", "model_threshold = 0.01", "inh.synapse_gain_mv_per_us", "outside 0..4.7"),
        ("size = 64", "size = 64\ncircuits_per_neuron = 1", "exc.circuits_per_neuron", "need 482 synapse rows"),
        ("copies = 2", "copies = 200000", "populations", "neuron circuits"),
        ('source = "exc"\ntarget = "answer"', 'source = "answer"\ntarget = "exc"', "network.projections.5.source",
         "answer does not spike, so it can drive nothing"),
        ('output = "answer"', "output = 3", "network.output", "valid string"),
        ("density = 0.3", 'density = 0.3\nscale_weights = 15.0', "network.projections.2.scale_weights", "one synaptic"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(file, old, new, field, message):
    inputs = 100 if "rows" in message else 4
    done = hxloop_map(file(NETWORK.replace(old, new)), "--inputs", inputs)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {field}: "), done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
