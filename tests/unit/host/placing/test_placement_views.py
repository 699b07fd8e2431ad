"""What `hxloop map` shows, against counts taken entry by entry from the configuration."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from support.strangers.mutation import network_arrays
from typer.testing import CliRunner

import hxloop_host
from hxloop.cli import app
from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import InvalidInputError, MissingFileError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.spec import HICANN_X
from hxloop_host.network.placement_source import place_source
from hxloop_host.placing.mapping import place
from hxloop_host.placing.placement_picture import check_picture_name, draw_placement, label_map, neuron_map, synapse_map
from hxloop_host.placing.placement_table import as_dict, bus_uses, population_uses, ranges, totals
from hxloop_host.tasks.catalog import TASKS

NEURON = {
    "tau_mem_us": 6.0, "tau_syn_us": 6.0, "t_refractory_us": 1.0, "v_leak_mv": 420.0, "v_reset_mv": 420.0,
    "v_threshold_mv": 735.0, "synapse_gain_mv_per_us": 0.1,
}  # fmt: skip


def recurrent_network():
    populations = (Population("a", 140, **NEURON), Population("b", 130, **NEURON), Population("c", 3, **NEURON))
    projections = (
        Projection(INPUT, "a", 2), Projection("a", "b"), Projection("b", "c"), Projection("c", "a"),
        Projection(INPUT, "c", 3, (0, 4)),
    )  # fmt: skip
    return Network(20, populations, projections)


@pytest.fixture(scope="module")
def placement():
    return place(recurrent_network(), HICANN_X, nominal_boot(HICANN_X))


def listening(placement, name):
    """Drivers and labels that the population's synapses are set to, with both rows of a driver used."""
    synapses = placement.wiring.synapses
    mine = np.isin(synapses.circuit, placement.allocations[name].circuits)
    driver = synapses.circuit[mine] // 256 * 128 + synapses.row[mine] // 2
    return set(driver.tolist()), set(synapses.label[mine].tolist()), int(mine.sum())


def test_populations_are_counted(placement):
    for use in population_uses(placement):
        circuits = placement.allocations[use.name].circuits
        drivers, labels, synapses = listening(placement, use.name)
        assert (use.circuits, use.neurons) == (circuits.size, len(circuits))
        assert use.circuits == use.neurons * use.circuits_per_neuron
        assert (use.drivers, use.labels, use.synapses) == (len(drivers), len(labels), synapses)
    first = population_uses(placement)[0]
    assert (first.inputs, first.rows) == (20 * 2 + 3, 2 * (20 * 2 + 3))


def test_buses_are_counted(placement):
    uses, config = bus_uses(placement), placement.wiring
    assert [(b.hemisphere, b.bus) for b in uses] == [(h, b) for h in range(2) for b in range(4)]
    for use in uses:
        there = range(use.hemisphere * 128 + use.bus * 32, use.hemisphere * 128 + use.bus * 32 + 32)
        heard = {}
        for kind, routes in (("external", config.input_routes), ("on-chip", config.neuron_routes)):
            for source, driver, label in zip(routes.source, routes.driver, routes.label, strict=True):
                if driver in there:
                    heard.setdefault(kind, set()).add(int(source))
                    heard.setdefault(int(driver), set()).add(int(label))
        rows = {
            (c // 256, r) for c, r in zip(config.synapses.circuit.tolist(), config.synapses.row.tolist(), strict=True)
        }
        assert use.rows == sum((use.hemisphere, 2 * (d % 128) + k) in rows for d in there for k in (0, 1))
        assert (use.excitatory, use.inhibitory) == (use.rows // 2, use.rows // 2)
        assert use.on_chip_sources == len(heard.get("on-chip", ()))
        assert use.external_sources == len(heard.get("external", ()))
        assert use.labels == max((len(heard.get(d, ())) for d in there), default=0)
        assert use.drivers == sum(d in heard for d in there)


def test_totals_of_the_published_network():
    placement, changed = place_source("mnist16", HICANN_X)
    assert changed == []
    assert totals(placement) == {
        "neuron circuits": (512, 512),
        "synapse drivers": (256, 256),
        "synapse rows": (512, 512),
        "synapses": (2 * 246 * 256 + 2 * 10 * 246, 131072),
        "labels per driver": (2, 64),
        "input channels": (256, 65536),
    }
    assert [use.columns for use in population_uses(placement)] == [("0..245",) * 2, ("246..255",) * 2]


def test_json_is_the_same_as_the_table(placement):
    values = json.loads(json.dumps(as_dict(placement)))
    assert values["populations"][1]["neurons"] == 130
    assert len(values["buses"]) == 8
    assert values["totals"]["neuron circuits"] == {"used": totals(placement)["neuron circuits"][0], "available": 512}


def test_maps_show_every_synapse_and_neuron_once(placement):
    shown, config = synapse_map(placement), placement.wiring
    sizes = [2 * int(np.prod(placement.network.weight_shape(p))) for p in placement.network.projections]
    assert [int((shown == k).sum()) for k in range(1, 6)] == sizes
    sign = np.broadcast_to(config.row_sign[:, :, None], shown.shape)
    assert (sign[shown > 0] != 0).all()
    neurons = neuron_map(placement)
    for k, allocation in enumerate(placement.allocations.values(), 1):
        hemisphere, column = np.divmod(allocation.circuits, 256)
        assert (neurons[hemisphere, column] == k).all()
        assert int((neurons == k).sum()) == allocation.circuits.size
    assert label_map(placement).max() == totals(placement)["labels per driver"][0]


def test_the_picture_is_drawn(placement):
    content = draw_placement(placement, "png")
    assert content.startswith(b"\x89PNG")
    assert len(content) > 20_000


def test_names_of_pictures():
    assert check_picture_name(Path("map.PNG"), "out") == "png"
    for name in ("map.wrong", "map", "map.pgf"):
        with pytest.raises(InvalidInputError, match=r"does not end in \.png or"):
            check_picture_name(Path(name), "out")


def test_ranges():
    assert ranges(np.array([3, 1, 2, 7, 9, 10, 9])) == "1..3 7 9..10"
    assert ranges(np.array([], np.int64)) == ""


def test_features_are_those_of_the_task():
    assert TASKS["yin-yang"].load("test").features.shape[1] == TASKS["yin-yang"].n_inputs


def hxloop(*arguments):
    return CliRunner().invoke(app, ["map", *(str(a) for a in arguments)])


def save(path, *sizes):
    rng = np.random.default_rng(0)
    weights = {f"weights_{k + 1}": rng.normal(0, 0.02, (a, b)) for k, (a, b) in enumerate(itertools.pairwise(sizes))}
    np.savez(
        path, n_samples=1, duration_us=9.0, tau_mem_us=6.0, tau_syn_us=6.0, t_ref_us=1.0, input_sample=[0],
        input_neuron=[0], input_time_us=[1.0], **weights,
    )  # fmt: skip
    return path


def test_the_command_prints_a_table(tmp_path):
    done = hxloop(save(tmp_path / "net.npz", 20, 30, 3), "--out", tmp_path / "map.png")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["layer1", "30", "x", "1", "20", "40", "20", "2", "1200", "0..29"] in lines
    assert ["neuron", "circuits", "33", "512"] in lines
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert (tmp_path / "map.png").exists()
    assert "map.png" in done.stderr
    assert "warning: weights_1 are rounded" in done.stderr


def test_the_command_prints_json(tmp_path):
    done = hxloop("small", "--json")
    values = json.loads(done.stdout)
    assert [p["neurons"] for p in values["populations"]] == [30, 3]
    assert values["totals"]["input channels"]["used"] == 4
    again = json.loads(hxloop(save(tmp_path / "net", 4, 6).with_suffix(".npz"), "--json").stdout)
    assert again["populations"][0]["inputs"] == 4


def test_what_does_not_fit_is_one_line_and_2(tmp_path):
    done = hxloop(save(tmp_path / "net.npz", 256, 260, 10), "--json")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: populations: the network needs 560 neuron circuits (layer1 260 x 2, layer2 10 x 4), but HICANN-X v3 "
        "has 512: 48 short (use fewer neurons, or at most 128 inputs per circuit, 256 with a sign each)"
    ]


def test_settings_files_need_their_inputs(tmp_path):
    with pytest.raises(MissingFileError):
        place_source("nowhere.toml", HICANN_X)
    with pytest.raises(MissingFileError):
        place_source(str(tmp_path / "nowhere.npz"), HICANN_X)
    path = tmp_path / "mine.toml"
    path.write_text((Path(hxloop_host.__file__).parent / "presets" / "small.toml").read_text())
    with pytest.raises(InvalidInputError, match="--inputs N"):
        place_source(str(path), HICANN_X)
    assert place_source(str(path), HICANN_X, 4)[0].wiring.sha256() == place_source("small", HICANN_X)[0].wiring.sha256()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["quick", "--inputs", "7"], ("7 inputs", "quick is a preset for yin-yang, which has 4", "leave --inputs out")),
        (["mnist16", "--inputs", "255"], ("255 inputs", "mnist16, which has 256")),
        (["yin-yang"], ("yin-yang is a task", "quick, paper, small")),
    ],
)
def test_what_contradicts_a_known_task_is_refused_with_both_names(arguments, words):
    refused = CliRunner().invoke(app, ["map", *arguments])
    assert refused.exit_code == 2 and refused.stdout == ""
    for word in words:
        assert word in refused.stderr


def test_the_number_of_a_known_task_may_be_said():
    same = place_source("quick", HICANN_X, 4)[0].wiring
    assert same.sha256() == place_source("quick", HICANN_X)[0].wiring.sha256()


def test_a_network_file_has_its_own_number_of_inputs(tmp_path):
    np.savez(tmp_path / "net.npz", **network_arrays())
    with pytest.raises(InvalidInputError, match="says itself how many inputs") as caught:
        place_source(str(tmp_path / "net.npz"), HICANN_X, 4)
    assert caught.value.field == "inputs"


def test_a_file_may_be_called_as_a_task(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "net.npz", **network_arrays())
    (tmp_path / "net.npz").rename("yin-yang")
    assert place_source("yin-yang", HICANN_X)[0].network.n_inputs == 4
