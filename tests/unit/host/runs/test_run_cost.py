"""What a run costs, against its own metrics and figures; files of before are refused by name."""

import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from support.strangers.mutation import small_run
from typer.testing import CliRunner

from hxloop.cli import app
from hxloop.energy.energy_model import BSS2_ENERGY
from hxloop.energy.itemised import chip_energy_j, cost_of
from hxloop.errors import InvalidInputError
from hxloop.files.records import Quantity, write_record
from hxloop.result import ChipUse
from hxloop_host.runs.epoch_metrics import LATER
from hxloop_host.runs.run_cost import draw_cost
from hxloop_host.runs.trained_run import load_run

USED = {"synaptic_events": 10**9, "cadc_reads": 500, "madc_reads": 70, "circuit_time_s": 0.25}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a chip that counts as if it were silicon."""
    bare = load_run(small_run(tmp_path_factory.mktemp("cost")))
    n = len(bare.metrics)
    counted = {f"metrics/{name}": Quantity(np.full(n, value), "1", name) for name, value in USED.items()}
    write_record(bare.path, replace(bare.record, quantities={**bare.record.quantities, **counted}))
    return load_run(bare.path)


def test_the_cost_of_a_run_is_that_of_its_counts(run):
    cost, use = run.cost(), run.use
    assert use.synaptic_events == 2 * 10**9
    by_hand = chip_energy_j(
        chip_time_s=use.chip_time_s, circuit_time_s=0.5, events=use.events_in + use.events_out,
        synaptic_events=2 * 10**9, cadc_reads=1000, madc_reads=140,
    )  # fmt: skip
    assert cost.chip_j == by_hand
    # two epochs of 40 + 10, the test, and what is drawn of it
    assert cost.n_samples == round(use.chip_time_s / (run.origin.settings.duration_us * 1e-6)) > 2 * 50 + 20
    assert cost.chip_uj_per_sample == pytest.approx(1e6 * sum(by_hand.values()) / cost.n_samples)
    assert sum(cost.here_s.values()) == pytest.approx(max(run.wall_s, use.emulation_s))


def test_time_and_energy_between_runs():
    use = ChipUse(chip_time_s=2.0, circuit_time_s=20.0, emulation_s=3.0)
    cost = cost_of(use, n_samples=4, weight_writes=100, n_synapses=1000, wall_s=10.0)
    between_s = 0.02 + 100 * 1000 * 2e-9 + 100 * 150e-6
    assert sum(cost.silicon_s.values()) == pytest.approx(2.0 + between_s)
    idle_w = BSS2_ENERGY.leakage_w + BSS2_ENERGY.link_w + 10 * BSS2_ENERGY.neuron_w
    assert cost.beside_j == pytest.approx({
        "chip between runs": idle_w * between_s, "board": BSS2_ENERGY.board_w * (2.0 + between_s),
    })  # fmt: skip
    assert cost.here_s == {"emulator": 3.0, "host": 7.0}
    nothing = cost_of(ChipUse(), n_samples=0, weight_writes=0, n_synapses=0, wall_s=0.0)
    assert sum(sum(items.values()) for _, items in nothing.parts().values()) == 0.0
    assert np.isnan(nothing.chip_uj_per_sample)


def test_bars_stack_up_to_the_sums(run):
    figure, cost = Figure(), run.cost()
    draw_cost(cost, figure)
    energy, time = figure.axes
    assert max(bar.get_y() + bar.get_height() for bar in energy.patches) == pytest.approx(cost.chip_uj_per_sample)
    assert max(bar.get_y() + bar.get_height() for bar in time.patches) == pytest.approx(sum(cost.silicon_s.values()))


def test_the_command_prints_what_python_has(run):
    done = CliRunner().invoke(app, ["runs", "cost", str(run.path), "--plot", "--json"])
    assert done.exit_code == 0, done.output
    told, cost = json.loads(done.stdout), run.cost()
    assert (told["samples"], told["chip (J)"]) == (cost.n_samples, cost.chip_j)
    assert (run.directory / "cost.png").read_bytes().startswith(b"\x89PNG")
    table = CliRunner().invoke(app, ["runs", "cost", str(run.path)]).output
    assert all(item in table for _, items in cost.parts().values() for item in items)


def test_a_run_of_before_is_read_and_says_that_it_cannot_be_itemised(run, tmp_path):
    before = {k: v for k, v in run.record.quantities.items() if k.removeprefix("metrics/") not in LATER}
    attributes = {k: v for k, v in run.record.attributes.items() if k.removeprefix("after_") not in LATER}
    assert len(before) == len(run.record.quantities) - len(LATER)
    write_record(tmp_path / "run.h5", replace(run.record, quantities=before, attributes=attributes))
    old = load_run(tmp_path / "run.h5")
    assert old.summary()["events_in"] == run.summary()["events_in"]
    with pytest.raises(InvalidInputError, match="stored before"):
        old.cost()
