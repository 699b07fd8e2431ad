"""The page about a population: complete, and its numbers and curves are those of independent computations."""

import base64
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from hxloop.errors import InvalidInputError
from hxloop.spec import HICANN_X
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.report import write_report
from hxloop_chip.report.curves import circuit_curves, converter_curves, weight_curves
from hxloop_chip.report.population import mismatch_parameters
from hxloop_chip.report.recordings import record_membranes
from hxloop_chip.report.scatter import trial_scatter
from hxloop_chip.report.sections import identity
from hxloop_chip.report.specimens import put_on_bench, with_changes
from hxloop_chip.report.spectrum import held_diffusion, lorentzian, membrane_spectrum
from hxloop_chip.report.summary import summarise
from hxloop_chip.silicon.mismatch import Mismatch
from hxloop_chip.silicon.presets import TYPICAL, named_chip
from hxloop_chip.truth import circuits_at_boot

NAME, SERIALS = "typical[dead_fixed=0.01]", (3, 4)
RAW = "uncalibrated[dead_fixed=0.01]"
SECTIONS = ["identity", "datasheet", "parameters", "mismatch", "curves", "converters", "traces", "noise", "trials"]
QUIET = ",".join(f"{name}=0" for name in type(TYPICAL).model_fields if "_trial" in name)


class Page(HTMLParser):
    """Sections, tables by section, and pictures of a page."""

    def __init__(self, text):
        super().__init__()
        self.sections, self.tables, self.pictures, self.links = [], {}, [], []
        self._cell = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "section":
            self.sections.append(found["id"])
            self.tables[found["id"]] = []
        elif tag == "table":
            self.tables[self.sections[-1]].append([])
        elif tag == "tr":
            self.tables[self.sections[-1]][-1].append([])
        elif tag in {"td", "th"}:
            self._cell = ""
        elif tag == "img":
            self.pictures.append(found["src"])
        elif tag in {"script", "link", "iframe"}:
            self.links.append(found)

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data

    def handle_endtag(self, tag):
        if tag in {"td", "th"}:
            self.tables[self.sections[-1]][-1][-1].append(self._cell)
            self._cell = None

    def rows(self, section, table=0):
        heading, *rows = self.tables[section][table]
        return {row[0]: dict(zip(heading, row, strict=True)) for row in rows}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path, said = tmp_path_factory.mktemp("report") / "report.html", []
    rows = write_report(NAME, SERIALS, path, say=said.append)
    return Page(path.read_text()), {row["name"]: row for row in rows}, said, path


@pytest.fixture(scope="module")
def true():
    """Circuits of both chips, as they boot and uncalibrated, straight from the emulated chips."""
    return {
        name: [circuits_at_boot(c.mismatch, c.boot, c.spec) for c in (EmulatedChip(name, s) for s in SERIALS)]
        for name in (NAME, RAW)
    }


def test_all_sections_are_there_and_nothing_comes_from_elsewhere(report):
    page, _, said, path = report
    assert page.sections == SECTIONS
    assert page.links == []
    assert re.findall(r'(?:src|href)="(?!data:image/png|#)', path.read_text()) == []
    assert len(said) > len(SERIALS)


def test_all_pictures_decode(report):
    page = report[0]
    assert len(page.pictures) >= 9
    for source in page.pictures:
        picture = Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,"))))
        picture.load()
        assert picture.width > 400
        assert len(np.unique(np.asarray(picture.convert("L")))) > 20  # not empty


@pytest.mark.parametrize(
    ("name", "get", "target", "bound"),
    [
        ("v_leak", lambda c: c.v_leak_mv, 420.0, 0.30),
        ("v_threshold", lambda c: c.v_threshold_mv[np.isfinite(c.v_threshold_mv)], 735.0, 0.35),
        ("tau_mem", lambda c: 1e3 * c.capacitance_pf / c.leak_ns, 6.0, 0.45),
        ("tau_syn_inh", lambda c: c.tau_syn_us[1], 6.0, 0.20),
        ("gain_exc", lambda c: c.step_na[0] / c.capacitance_pf, 1.15, None),
    ],
)
def test_numbers_of_a_parameter(report, true, name, get, target, bound):
    page, rows, *_ = report
    after, before = ([get(c) for c in true[chip]] for chip in (NAME, RAW))
    values = np.concatenate(after)

    def trimmed(v):
        v = np.sort(v)
        cut = round(0.05 * (v.size - 1) + 0.5)  # everything beyond the interpolated quantiles
        return v[cut : v.size - cut].std()

    ratios = [trimmed(a) / trimmed(b) for a, b in zip(after, before, strict=True)]
    wanted = {
        "target": target, "mean": values.mean(), "std": values.std(), "5 %": np.quantile(values, 0.05),
        "95 %": np.quantile(values, 0.95), "values": values.size, "chips": 2,
        "std uncalibrated": np.concatenate(before).std(), "ratio, mean": np.mean(ratios), "ratio, largest": max(ratios),
    }  # fmt: skip
    row = page.rows("parameters")[name]
    for column, value in wanted.items():
        assert float(row[column]) == pytest.approx(value, rel=1.5e-3 if "ratio" in column else 6e-4), column
    assert row["published"] == (f"ratio < {bound:.2f}" if bound else "")
    assert rows[name]["mean"] == pytest.approx(values.mean(), rel=1e-12)
    if bound:
        assert rows[name]["largest_ratio"] < bound


def test_numbers_of_the_mismatch(report):
    page, rows, *_ = report
    silicon = [Mismatch(HICANN_X, named_chip(NAME).imperfections, s) for s in SERIALS]
    for name in ("driver", "cadc_gain", "capacitance_pf", "tau_syn"):
        values = np.concatenate([getattr(m, name).ravel() for m in silicon])
        assert float(page.rows("mismatch")[name]["std"]) == pytest.approx(values.std(), rel=6e-4)
        assert rows[name]["n_values"] == values.size
    place = np.indices((2, 32, 256)).reshape(3, -1)
    bit = np.concatenate([m.weight_bits(*place)[:, 5] for m in silicon]) / 32
    assert rows["weight_bits: 5"]["std"] == pytest.approx(bit.std(), rel=1e-9)
    dead = sum(int(m.dead.sum()) for m in silicon)
    assert dead > 0
    assert [int(row["dead circuits"]) for row in page.rows("identity").values()] == [int(m.dead.sum()) for m in silicon]
    assert int(page.rows("parameters")["v_threshold"]["values"]) == 2 * HICANN_X.n_circuits - dead


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_dead_rows_are_counted_and_left_out_of_the_spread(share):
    name = f"typical[dead_row_fixed={share}]"
    chips = [put_on_bench(name, serial) for serial in SERIALS]
    factors = [Mismatch(HICANN_X, named_chip(name).imperfections, serial).driver for serial in SERIALS]
    n_dead = [int((factor == 0).sum()) for factor in factors]
    assert min(n_dead) > 20
    (found,) = (p for p in mismatch_parameters(chips) if p.name == "driver")
    if share < 1:
        np.testing.assert_array_equal(np.concatenate(found.values), np.concatenate([f[f > 0] for f in factors]))
        assert summarise(found).std == pytest.approx(TYPICAL.driver_fixed, rel=0.15)
    else:
        assert summarise(found).mean == 0.0
    heading, rows = (section := identity(name, chips, "4")).tables[0].heading, section.tables[0].rows
    assert [dict(zip(heading, row, strict=True))["dead rows"] for row in rows] == n_dead
    assert any(f"pass no events: {sum(n_dead)} of 1024" in line for line in section.text)


def test_transfer_curves_are_those_of_the_circuits():
    alone = "typical[crosstalk_neighbour_fixed=0,crosstalk_crowding_fixed_codes=0]"
    chips = [put_on_bench(alone, s) for s in (1, 2)]
    curves = {(c.name, c.x_label): c for c in circuit_curves(chips)}
    tau = curves["synaptic time constant", "code i_tau_syn_exc"]
    factor = np.concatenate([c.mismatch.tau_syn[0] for c in chips])
    np.testing.assert_allclose(tau.nominal, 306.0 / tau.x, rtol=1e-12)
    np.testing.assert_allclose(tau.quantiles[2], 306.0 / tau.x * np.median(factor), rtol=1e-12)
    reset = curves["reset potential", "code v_reset"]
    m = chips[0].mismatch
    np.testing.assert_allclose(
        reset.examples[1], (18.75 + 1.875 * reset.x) * m.voltage_gain[1, 1] + m.voltage_offset_mv[1, 1], rtol=1e-12
    )
    cadc, _ = converter_curves(chips)
    inside = (cadc.x > 150) & (cadc.x < 1050)
    np.testing.assert_allclose(cadc.nominal[inside], 20 + (cadc.x[inside] - 150) / 4.5, rtol=1e-12)
    dac, error, step = weight_curves(chips)
    np.testing.assert_allclose(dac.examples[0] - dac.x, error.examples[0], atol=1e-12)
    np.testing.assert_allclose(np.diff(dac.examples[0]), step.examples[0], rtol=1e-12)
    assert dac.examples[0][[1, 2]].sum() == pytest.approx(dac.examples[0][3], rel=1e-12)


def test_madc_trace_reaches_the_true_threshold_and_falls_to_reset():
    chip = EmulatedChip(f"typical[{QUIET},madc_gain_fixed=0,madc_offset_fixed_lsb=0]", 5)
    true = circuits_at_boot(chip.mismatch, chip.boot, chip.spec)
    found = record_membranes(chip, true.v_leak_mv, true.v_threshold_mv)
    lsb_mv = 1200 / 1023
    assert len(found.spike_us[0]) == 2
    for spike in found.spike_us[0]:
        before = found.madc_us < spike - 0.008
        assert found.madc_mv[before][-1] <= true.v_threshold_mv[0] + lsb_mv
        assert found.madc_mv[before][-1] > true.v_threshold_mv[0] - 0.05 * 100 - lsb_mv  # at most 100 mV/us
        after = (found.madc_us > spike) & (found.madc_us < spike + 10)
        assert np.abs(found.madc_mv[after] - true.v_reset_mv[0]).max() <= 0.51 * lsb_mv


@pytest.mark.parametrize("tau_us", [1.0, 6.0, 40.0])
def test_spectrum_of_the_held_noise_folds_to_that_of_the_sampled_process(tau_us):
    # At the steps the membrane is AR(1): V' = a V + (1 - a) b; a part p of a step later it is e V + (1 - e) b.
    step_us, sigma = 0.512, 2.0
    f = np.linspace(0.001, 0.97, 40) / (2 * step_us)
    k = np.arange(-2000, 2001)[:, None] / step_us
    folded = held_diffusion(np.abs(f + k), tau_us, sigma, 0.008).sum(axis=0)
    a, z = np.exp(-step_us / tau_us), np.exp(2j * np.pi * f * step_us)
    shift = sigma * np.sqrt((1 + a) / (1 - a))
    node, weight = np.polynomial.legendre.leggauss(20)
    e = np.exp(-0.5 * (node + 1) * step_us / tau_us)[:, None]
    transfer = np.abs(e * (1 - a) / (z - a) + 1 - e) ** 2
    np.testing.assert_allclose(folded, 2 * step_us * shift**2 * (0.5 * weight @ transfer), rtol=1e-6)
    low = np.array([1e-3 / tau_us])
    np.testing.assert_allclose(held_diffusion(low, tau_us, sigma, 0.008), lorentzian(low, tau_us, sigma), rtol=0.03)


@pytest.mark.parametrize("serial", [1, 2, 3])
def test_measured_noise_has_the_closed_forms_power(serial):
    chip, imperfections = EmulatedChip("typical", serial), named_chip("typical").imperfections
    tau_us = circuits_at_boot(chip.mismatch, chip.boot, chip.spec).tau_mem_us[7]
    found = membrane_spectrum(chip, 7, tau_us, imperfections)
    ratio = found.measured / found.expected
    # Welch, 8 samples of 13 half-overlapping segments: a bin has a relative error near 0.11, bands average over bins
    for low, high, tolerance in ((0.0, 0.05, 0.14), (0.05, 0.5, 0.04), (0.5, 1.5, 0.03), (1.5, 15.0, 0.01)):
        band = (found.f_mhz > low) & (found.f_mhz <= high)
        assert abs(ratio[band].mean() - 1) < tolerance, (low, high)
    assert found.std_mv == pytest.approx(found.expected_std_mv, rel=0.05)


def test_scatter_of_jitter_alone_is_the_jitter():
    found = trial_scatter("typical", 2, named_chip("typical").imperfections)
    jitter = named_chip("typical").imperfections.jitter_trial_us
    assert found.n_always == 64
    assert found.alone_us["jitter_trial_us"] == pytest.approx(np.hypot(jitter, 0.008 / np.sqrt(12)), rel=0.025)
    assert found.std_us == pytest.approx(np.sqrt(sum(s**2 for s in found.alone_us.values())), rel=0.1)
    assert found.deviation_us.std() == pytest.approx(found.std_us, rel=0.01)


def test_changed_names_stand_for_changed_chips():
    once = with_changes("rough", jitter_trial_us=0.0)
    twice = with_changes(once, synapse_fixed=0.5)
    rough = named_chip("rough").imperfections
    assert named_chip(twice).imperfections == rough.model_copy(update={"jitter_trial_us": 0.0, "synapse_fixed": 0.5})


def test_a_page_of_chips_without_any_imperfection(tmp_path):
    rows = write_report("ideal", (1,), tmp_path / "ideal.html")
    assert all(row["std"] <= 1e-9 * abs(row["mean"]) for row in rows)
    page = Page((tmp_path / "ideal.html").read_text())
    assert page.sections == SECTIONS


@pytest.mark.parametrize(
    ("out", "words"), [("report.pdf", "does not end in .html"), ("there.html", "is there already")]
)
def test_refused_files(tmp_path, out, words):
    (tmp_path / "there.html").write_text("mine")
    with pytest.raises(InvalidInputError, match=words) as caught:
        write_report("typical", (1,), tmp_path / out)
    assert caught.value.field == "out"
    assert (tmp_path / "there.html").read_text() == "mine"


def test_command(tmp_path):
    out = tmp_path / "r.html"
    command = [sys.executable, "-m", "hxloop_chip", "report", "--serials", "2,5", "--out", str(out), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {p["name"]: p["n_chips"] for p in found["parameters"]}["tau_mem"] == 2
    assert "silicon typical/5 (2 of 2)" in done.stderr
    assert out.stat().st_size < 5_000_000
    refused = subprocess.run(
        [*command[:4], "--serials", "5..2", "--out", str(out)], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: serials: ")
