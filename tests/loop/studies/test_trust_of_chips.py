"""Published figures beside those of a chip, from the command to the page; and spreads that were planted."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.daemons.processes import run_hxloop, write_settings

from hxloop.codes.boot import OperatingPoint
from hxloop.codes.capmem import Cell
from hxloop_calibration.measuring.chip_bench import Bench
from hxloop_calibration.routines.cadc import Cadc
from hxloop_calibration.targets import Target, start_codes
from hxloop_host.link.launch import launch
from hxloop_host.studies.points import chip_bench_figures
from hxloop_host.studies.points.chip_bench_figures import _spreads

pytestmark = pytest.mark.processes


def test_one_command_makes_the_table_of_trust(tmp_path):
    training = write_settings(tmp_path / "tiny.toml", epochs=2, train=200, init_mean=(0.4, 0.6))
    command = [
        "study", "realism", "--training", training, "--serials", "2", "--set", "n_trials=2", "--workers", 1,
        "--out", tmp_path / "out",
    ]  # fmt: skip
    found = run_hxloop(*command)
    assert found.returncode == 0, found.stderr
    table = pd.read_csv(tmp_path / "out" / "table.csv").set_index("method")
    assert (table["status"] == "done").all()
    assert list(table.index) == [
        "ideal", "in_loop", "again", "again", "day_later", "from_ideal", "measured", "on_ideal"
    ]  # fmt: skip
    trust = pd.read_csv(tmp_path / "out" / "trust.csv").set_index("key")
    assert trust.loc["in_loop", "mean"] == pytest.approx(100 * table.loc["in_loop", "test_accuracy"])
    assert trust.loc["later", "mean"] == pytest.approx(100 * table.loc["again", "test_accuracy"].mean())
    assert trust.loc["in_loop", "verdict"] == "grey"  # not the published training
    assert 0.0 < trust.loc["trial_rms", "mean"] < 0.3
    # Far from those of an uncalibrated chip, whose ratios are 1; the bounds of the public tests are 0.2 to 0.45.
    ratios = [key for key in trust.index if key.endswith("_ratio")]
    assert len(ratios) == 6
    for key in ratios:
        assert 0.02 < trust.loc[key, "mean"] < 0.4, key
    for key in ("thresholds_far", "rates_above", "rates_below", "sensors_low", "sensors_causal", "events_back"):
        assert trust.loc[key, "verdict"] == "green", key
    page = (tmp_path / "out" / "report.html").read_text()
    assert '<td class="green">' in page
    again = run_hxloop(*command, "--resume")
    assert "8 of 8 points are done already" in again.stderr


@pytest.mark.parametrize(("serial", "planted"), [(3, 0.0), (4, 30.0)])
def test_spreads_are_told_by_what_the_same_codes_leave(serial, planted, monkeypatch):
    """An uncalibrated chip has equal codes: the ratio is 1. Codes that scatter add their variance to that of leaks."""
    monkeypatch.setattr(
        chip_bench_figures, "_EQUALISED", {"v_leak_mv": chip_bench_figures._EQUALISED["v_leak_mv"]}
    )  # fmt: skip
    target = Target(neuron=OperatingPoint())
    with launch("uncalibrated", serial, threads=1) as chip:
        codes = start_codes(target, chip.boot, chip.spec)
        scatter = np.rint(np.random.default_rng(serial).normal(0.0, planted, chip.spec.n_circuits)).astype(np.int16)
        capmem = codes.capmem_code.copy()
        capmem[:, Cell.v_leak] += scatter
        bench = Bench(chip, replace(codes, capmem_code=capmem))
        Cadc().find(bench, target, None)  # spreads are told by readings, to which channels would add their own
        bench.known |= Cadc().measure(bench, target)
        ratio = _spreads(bench, target)["v_leak_mv_ratio"]
    of_chip_mv, of_codes_mv = 25.0, 1.875 * planted  # docs/chip.md: 25 mV between circuits, 1.875 mV a code
    assert ratio == pytest.approx(np.hypot(of_chip_mv, of_codes_mv) / of_chip_mv, rel=0.12)
