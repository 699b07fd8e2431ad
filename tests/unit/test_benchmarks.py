"""What benchmarks print and decide; nothing here measures time."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import check, peers, run, table
from benchmarks.measuring.figures import Claim, Figure, line, machine, read_lines, write_lines
from benchmarks.measuring.other_processors import PROCESSORS
from benchmarks.measuring.timing import interleaved
from benchmarks.relative.__main__ import values
from benchmarks.relative.racing import RACER, interval
from benchmarks.relative.relative_claims import CLAIMS, RACES, name_for
from benchmarks.relative.trees import Tree
from benchmarks.suites import SUITES, Options, Suite
from benchmarks.workloads.activity import fan_out
from benchmarks.workloads.circuits import MODERATE, feedforward, recurrent
from hxloop.files.folders import cache_directory
from hxloop_chip.chip.emulated_chip import EmulatedChip

AT_LEAST = Claim("speed", "1/s", "a speed", 10.0, stretch=20.0)
AT_MOST = Claim("time", "s", "a time", 10.0, at_most=True)
OPEN = Claim("other", "1", "no bar")


@pytest.fixture(scope="module")
def chip():
    return EmulatedChip("typical", 1)


def test_a_line_has_the_agreed_fields_and_the_median_with_half_the_quartile_range():
    found = line(AT_LEAST, Figure("speed", [9.0, 12.0, 13.0, 14.0, 100.0], {"batch": 7}), machine())
    assert list(found)[:6] == ["name", "value", "unit", "bar", "met", "spread"]
    assert {"machine", "commit"} <= set(found)
    assert (found["value"], found["met"], found["spread"], found["batch"], found["repeats"]) == (13.0, True, 1.0, 7, 5)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("claim", "value", "met"),
    [
        (AT_LEAST, 10.0, True),
        (AT_LEAST, 9.99, False),
        (AT_MOST, 10.0, True),
        (AT_MOST, 10.01, False),
        (OPEN, 1.0, None),
    ],
)
def test_a_bar_is_met_from_its_own_side_only(claim, value, met):
    found = line(claim, Figure(claim.name, [value]), {})
    assert found["met"] is met
    assert found["spread"] is None
    assert found["bar"] == claim.bar


def test_files_of_lines_keep_other_figures_and_replace_those_of_the_same_name(tmp_path):
    path = tmp_path / "figures.jsonl"
    write_lines(path, [{"name": "a", "value": 1}, {"name": "b", "value": 2}])
    write_lines(path, [{"name": "b", "value": 3}])
    assert read_lines(path) == [{"name": "a", "value": 1}, {"name": "b", "value": 3}]


def test_cases_are_interleaved_after_one_untimed_call_each():
    calls = []
    seconds = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"
    assert [len(values) for values in seconds.values()] == [3, 3]


def test_patterns_choose_suites_by_name_and_figures_by_part_of_theirs():
    suites = [Suite("speed", (AT_LEAST, OPEN), None), Suite("late", (AT_MOST, Claim("late.speed", "1", "x")), None)]
    names = {pattern: [found for _, found in run.chosen(suites, [pattern])] for pattern in ("speed", "tim", "nothing")}
    assert names == {"speed": [{"speed", "other"}], "tim": [{"time"}], "nothing": []}
    assert sum(len(found) for _, found in run.chosen(suites, [])) == 4


def test_names_of_figures_are_unique_and_only_those_asked_for_are_printed():
    claims = [claim.name for suite in SUITES for claim in suite.claims] + [
        claim.name for claim in (*peers.CLAIMS, *CLAIMS)
    ]
    assert len(set(claims)) == len(claims)
    suite = Suite("s", (AT_LEAST, OPEN), lambda options: iter([Figure("speed", [1.0]), Figure("other", [2.0])]))
    assert [found["name"] for found in run.lines([suite], Options(), ["oth"])] == ["other"]


@pytest.mark.parametrize(("now", "regressed"), [(1.0, False), (1.19, False), (1.21, True), (0.5, False)])
def test_only_a_ratio_that_grew_beyond_the_tolerance_is_a_regression(now, regressed, capsys):
    verdicts = check.compare({"load": now, "new": 9.0}, {"load": 1.0, "gone": 1.0}, 0.2)
    assert [v.regressed for v in verdicts] == [regressed, False]
    assert check.report(verdicts) == int(regressed)
    assert ("SLOWER load" in capsys.readouterr().out) is regressed


def test_the_stored_ratios_are_those_that_are_measured():
    stored = json.loads(check.BASELINE.read_text(encoding="utf-8"))
    assert {"machine", "commit"} <= set(stored)
    assert all(value > 0 for value in stored["ratios"].values())


def test_peers_are_compared_with_the_fastest_of_each_step():
    def row(peer, dt_us, speed):
        return {
            "peer": peer, "version": "1", "workload": "dense", "dt_us": dt_us, "samples_per_core_s": speed,
            "threads": 1, "batch": 4, "repeats": 3, "missed_frac": 0.0, "extra_frac": 0.0,
        }  # fmt: skip

    rows = [row("slow", 0.1, 5.0), row("quick", 0.1, 10.0), row("quick", 1.0, 50.0), row("exact", None, 2.0)]
    rows.append(row("hxloop", None, 100.0))
    checked = {"dense": {"missed": 1, "extra": 2, "beyond_two_ticks": 3, "spikes": 9, "err_us_max": 0.1}}
    found = {figure.name: figure.values[0] for figure in peers.figures(rows, checked)}
    assert found == {
        "peers.dense.samples_per_core_s": 100.0, "peers.dense.over_fastest_at_0.1us": 10.0,
        "peers.dense.over_fastest_at_1us": 2.0, "peers.dense.over_exact": 50.0, "peers.dense.beyond_two_ticks": 6,
    }  # fmt: skip
    twice = list(peers.merged([list(peers.figures(rows, {})), list(peers.figures(rows, checked))]))
    assert {figure.name: len(figure.values) for figure in twice} == dict.fromkeys(found, 2) | {
        "peers.dense.beyond_two_ticks": 1
    }


def test_a_race_compares_repeats_that_ran_beside_each_other():
    claim = {claim.name.rpartition(".")[2]: claim for claim in CLAIMS}

    def racer(us, bare_us):
        times = {"cpu": us, "bare_cpu": bare_us}
        return SimpleNamespace(about={"batch": 50}, us_per_sample=lambda clock: times[clock])

    racers = {"here": racer([2.0, 4.0], [1.0, 1.0]), "other": racer([6.0, 8.0], [4.0, 4.0])}
    assert values(claim["speed"], racers, "cpu") == {"here": [3.0, 2.0]}
    assert values(claim["over_bare"], racers, "cpu") == {"here": [2.0, 4.0], "other": [1.5, 2.0]}
    assert values(claim["added_percent"], racers, "cpu")["here"] == [100.0, 300.0]
    assert values(claim["added_us"], racers, "cpu")["other"] == [100.0, 200.0]


def test_a_race_for_another_processor_has_kernels_and_figures_of_its_own():
    here, other = Tree("aaa", Path("/here")), Tree("bbb", Path("/other"), Path("/other/cache"))
    found = [tree.compiled_for(name).environment() for tree in (here, other) for name in PROCESSORS]
    places = {environment["HXLOOP_CACHE_DIR"] for environment in found} | {str(other.cache), str(cache_directory())}
    assert len(places) == len(found) + 2
    assert [environment["NUMBA_CPU_NAME"] for environment in found] == 2 * list(PROCESSORS)
    assert ["avx512" in environment["NUMBA_CPU_FEATURES"] for environment in found] == 2 * [False, True, True]
    assert "NUMBA_CPU_NAME" not in other.environment()

    told = {"value": 3.125, "clock": "cpu", "cpu_interval": None, "us_per_sample_cpu": {"here": 1.0}}
    last = list(PROCESSORS)[-1]
    lines = [
        told | {"name": name, "machine": "m", "commit": "c"}
        for name in (CLAIMS[0].name, name_for(CLAIMS[0].name, last))
    ]
    row = table.tables(lines)["ratios"].splitlines()[2]
    assert [cell.strip() for cell in row.split("|")][3:-1] == ["3.12", "", "1", "", "3.12"]


def test_of_a_sweep_the_ends_are_shown():
    told = {
        "machine": "m",
        "commit": "c",
        "spread": None,
        "synaptic_events_per_sample": 1000.0,
        "spikes_per_neuron": 2.0,
    }
    lines = [told | {"name": f"sweep.neurons.{n}.us_per_sample", "value": 2.0 * n} for n in (64, 128, 256, 512)]
    row = table.tables(lines)["sweep"].splitlines()[2]
    assert row == "| neurons | 64 .. 512 | 128 .. 1 024 | 2 .. 2 | 128 .. 1 024 |"


def test_the_interval_of_a_median_is_that_of_the_order_of_the_values():
    # The median lies between the second and the eighth of nine values unless at least eight fall on one side of it.
    assert 1 - 2 * (1 + 9) / 2**9 > 0.95 > 1 - 2 * (1 + 9 + 36) / 2**9
    assert interval([9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0]) == (2.0, 8.0)
    assert interval([1.0, 2.0, 3.0]) is None


def test_the_racers_know_every_load_and_count_the_time_of_their_children(monkeypatch):
    monkeypatch.syspath_prepend(str(RACER.parent))
    racer, loads = import_module("racer"), import_module("racer_loads")
    assert [race.load for race in RACES] == list(loads.LOADS)
    cpu_s, wall_s = racer.timed(lambda: sum(range(10**6)))
    assert 0 < cpu_s <= 1.2 * wall_s
    with subprocess.Popen([sys.executable, "-c", "sum(range(10**7)); input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in racer.family(os.getpid())
        while racer.cpu_s({child.pid}) < 0.05:
            pass


def test_every_table_has_its_place_and_is_that_of_the_figures():
    lines = read_lines(table.FIGURES)
    texts = [path.read_text(encoding="utf-8") for path in table.PAGES]
    assert [table.page(text, lines) for text in texts] == texts, "run: python -m benchmarks.table"
    assert [part for part in table.tables(lines) if f"<!-- begin {part} -->" not in "".join(texts)] == []


def test_the_whole_chip_uses_every_synapse_and_loses_nothing_to_its_buses(chip):
    load = feedforward(chip, replace(MODERATE, n_samples=2))
    assert len(load.config.synapses.row) == 512 * 256
    result = load.run(chip)
    assert result.lost_in == 0
    assert result.events_in == load.inputs.n_spikes
    used = np.count_nonzero(load.config.synapses.weight_code)
    assert fan_out(load.config, load.config.input_routes, chip.spec).sum() == used


def test_the_recurrent_network_is_legal_and_has_a_fifth_of_all_connections(chip):
    load = recurrent(chip, 0.5)
    assert len(load.config.synapses.row) / 512**2 == pytest.approx(0.2, abs=0.005)
    rate_khz = load.run(chip).events_out / 512 / 0.5
    assert 7 < rate_khz < 14
