"""Mechanisms made here, in a test: each acts through a hook as said, is listed, is off at 0, and knows no batches."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from support.solving.single import events, side_by_side

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell
from hxloop.errors import InvalidInputError
from hxloop.result import Readout
from hxloop.seeds import generator
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.circuits import true_circuits
from hxloop_chip.silicon.describe import describe_chip
from hxloop_chip.silicon.imperfections import Imperfections, with_mechanisms
from hxloop_chip.silicon.mechanisms.mechanism import HIGHEST, KINDS, Mechanism, Passing, Strength
from hxloop_chip.silicon.mechanisms.mechanism_registry import MECHANISMS, strengths_of
from hxloop_chip.silicon.mismatch import Mismatch
from hxloop_chip.silicon.presets import CHIPS, NamedChip, named_chip
from hxloop_chip.truth import reveal

HOOKS = ("drawn", "circuits", "at_temperature", "written", "on_way_in", "in_solver", "on_way_out", "reading")
SERIAL = 5
ENDINGS = {"1": "", "LSB": ("_lsb", "_codes"), "mV/K": "_mv_per_k", "1/K": "_per_k"}


def strength(unit="1", highest=None):
    return Strength(unit, "a test", "what a test varies", "x", highest=highest)


class RefractorySpread(Mechanism):
    strengths: ClassVar = {"own_refractory_fixed": strength()}
    reference = "this test"
    deviations: ClassVar = {"own_refractory": ("1", "factor of the refractory period (circuit)")}

    def drawn(self, s, draws, before):
        return {"own_refractory": draws.factor("own_refractory", s.own_refractory_fixed, draws.spec.n_circuits)}

    def circuits(self, s, circuits, circuit, silicon):
        factor = silicon.deviation("own_refractory")[circuit]
        return replace(circuits, t_refractory_us=circuits.t_refractory_us * factor)


class LeakTooHigh(Mechanism):
    strengths: ClassVar = {"own_leak_trial_codes": strength("LSB")}
    reference = "this test"

    def written(self, s, cells, neurons, shared, draws):
        cells = cells.copy()
        cells[:, Cell.v_leak] += s.own_leak_trial_codes
        return cells


class LateInputs(Mechanism):
    strengths: ClassVar = {"own_delay_trial_us": strength("us")}
    reference = "this test"

    def on_way_in(self, s, passing, draws):
        batch = passing.batch
        tick = batch.tick + round(s.own_delay_trial_us / TEXTBOOK.tick_us)
        return Passing(SpikeBatch(batch.offsets, tick, batch.source), passing.arrives)


class LostAndDoubled(Mechanism):
    """Spikes come twice with one probability, and inputs are lost with another."""

    strengths: ClassVar = {"own_doubled_trial": strength(highest=1.0), "own_deaf_trial": strength(highest=1.0)}
    reference = "this test"

    def on_way_in(self, s, passing, draws):
        return Passing(passing.batch, passing.arrives & ~draws.chosen("deaf", passing.batch, s.own_deaf_trial))

    def on_way_out(self, s, passing, draws):
        batch, arrives = passing
        times = 1 + draws.chosen("afterpulse", batch, s.own_doubled_trial).astype(np.int64)
        offsets = np.concatenate([[0], np.cumsum(times)])[batch.offsets]
        doubled = SpikeBatch(offsets, np.repeat(batch.tick, times), np.repeat(batch.source, times))
        return Passing(doubled, np.repeat(arrives, times))


class Hum(Mechanism):
    """Every reading of a sample has the same error."""

    strengths: ClassVar = {"own_hum_trial_lsb": strength("LSB")}
    reference = "this test"

    def reading(self, s, lsb, reads):
        hum = [reads.draws.stream("hum", k).standard_normal() for k in range(len(lsb))]
        return lsb + s.own_hum_trial_lsb * np.reshape(hum, (-1, 1, 1))


class Untouchable(Mechanism):
    strengths: ClassVar = {"own_untouchable_trial": strength()}
    reference = "this test"


def refuse(*_):
    raise AssertionError


for hook in HOOKS:
    setattr(Untouchable, hook, refuse)


@pytest.fixture
def chip_with(monkeypatch):
    def make(mechanism, spec=TEXTBOOK, threads=1, base=None, **strengths):
        known = with_mechanisms((*MECHANISMS, mechanism))
        values = (base.model_dump() if base is not None else {}) | strengths
        monkeypatch.setitem(CHIPS, "own", NamedChip(spec, known(**values), calibrated=False))
        return EmulatedChip("own", SERIAL, threads)

    return make


def storm(n_samples=24):
    """Events of channel 0 at random times, drawn for each sample by itself."""
    trains = [np.sort(generator(3, "storm", k).integers(0, 3000, 40)) for k in range(n_samples)]
    return events(*[[(int(t), 0) for t in train] for train in trains])


def run(chip, inputs, *, n=6, spec=TEXTBOOK, **options):
    chip.configure(side_by_side(n, spec=spec))
    return chip.run(inputs, duration_ticks=6000, trial_seed=2, **options)


def same(one, two):
    for name in ("offsets", "tick", "source"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_what_is_drawn_reaches_circuits_truth_and_digest(chip_with):
    chip = chip_with(RefractorySpread(), HICANN_X, own_refractory_fixed=0.2)
    expected = np.exp(0.2 * generator(SERIAL, "mismatch", "own_refractory").standard_normal(HICANN_X.n_circuits))
    every = np.arange(HICANN_X.n_circuits, dtype=np.int16)[::-1]
    codes = chip.boot.of(every, every)
    plain = Mismatch(HICANN_X, Imperfections(), SERIAL)
    bent, straight = (true_circuits(codes, chip.boot.shared, m, HICANN_X) for m in (chip.mismatch, plain))
    np.testing.assert_allclose(bent.t_refractory_us, straight.t_refractory_us * expected[::-1])
    np.testing.assert_array_equal(bent.leak_ns, straight.leak_ns)
    assert chip.mismatch.digest() != plain.digest()
    quantity = reveal("own", SERIAL).quantities["mismatch/own_refractory"]
    np.testing.assert_allclose(quantity.values, expected)
    assert (quantity.units, quantity.long_name) == ("1", "factor of the refractory period (circuit)")


def test_a_spread_of_the_refractory_period_is_seen_in_spikes(chip_with):
    chip = chip_with(RefractorySpread(), own_refractory_fixed=0.5)
    chip.configure(side_by_side(8, spec=TEXTBOOK, t_refractory_us=10.0, tau_exc_us=1.0, v_threshold_mv=362.0))
    pulses = events([(t, 0) for t in range(0, 12_000, 5)])  # at once above threshold, whenever that is possible
    spikes = chip.run(pulses, duration_ticks=12_000).spikes
    factor = chip.mismatch.deviation("own_refractory")[:8]
    for k in range(8):
        period = np.diff(spikes.tick[spikes.source == k]).mean()
        assert 0 < period - 10.0 * factor[k] / TEXTBOOK.tick_us < 60


def test_what_is_written_reaches_the_membrane(chip_with):
    readout, silent = Readout(madc_circuit=2), events([])
    found = [
        run(chip_with(LeakTooHigh(), HICANN_X, own_leak_trial_codes=x), silent, spec=HICANN_X, readout=readout)
        .observations.madc[0, 200:]
        .mean()
        for x in (0.0, 40.0)
    ]
    rise_lsb = nominal.madc_lsb(np.array(40.0 * nominal.V_MV_PER_CODE)) - nominal.madc_lsb(np.array(0.0))
    assert found[1] - found[0] == pytest.approx(rise_lsb, abs=1.0)


def test_inputs_that_come_late_make_spikes_late(chip_with):
    inputs = storm()
    now, late = (run(chip_with(LateInputs(), own_delay_trial_us=x), inputs) for x in (0.0, 1.0))
    assert now.spikes.n_spikes > 100
    expected = SpikeBatch(now.spikes.offsets, now.spikes.tick + 125, now.spikes.source)
    same(late.spikes, expected)
    assert (late.events_in, late.lost_in, late.lost_out) == (now.events_in, 0, 0)


def test_what_is_lost_or_doubled_on_links_is_counted(chip_with):
    plain = run(chip_with(LostAndDoubled()), storm())
    doubled = run(chip_with(LostAndDoubled(), own_doubled_trial=0.25), storm(), readout=Readout(counters=True))
    before, after = (
        Counter(zip(r.spikes.sample.tolist(), r.spikes.tick.tolist(), r.spikes.source.tolist(), strict=True))
        for r in (plain, doubled)
    )
    assert before.keys() == after.keys() and set(before.values()) == {1} and set(after.values()) == {1, 2}
    n, more = len(before), len([x for x in after.values() if x == 2])
    assert abs(more / n - 0.25) < 4.5 * np.sqrt(0.25 * 0.75 / n)
    assert doubled.lost_out == 0 and doubled.observations.spike_count.sum() == n  # the chip itself spiked once
    deaf = run(chip_with(LostAndDoubled(), own_deaf_trial=0.25), storm())
    assert abs(deaf.lost_in / deaf.events_in - 0.25) < 4.5 * np.sqrt(0.25 * 0.75 / deaf.events_in)
    assert deaf.spikes.n_spikes < plain.spikes.n_spikes
    assert run(chip_with(LostAndDoubled(), own_deaf_trial=1.0), storm()).spikes.n_spikes == 0


def test_every_converter_has_readings_that_a_mechanism_changes(chip_with):
    readout = Readout(cadc_circuits=(0, 4), madc_circuit=3, correlation=True)
    plain, hum = (
        run(chip_with(Hum(), HICANN_X, own_hum_trial_lsb=x), storm(4), spec=HICANN_X, readout=readout).observations
        for x in (0.0, 8.0)
    )
    for name in ("cadc", "madc"):
        error = getattr(hum, name).astype(float) - getattr(plain, name)
        error = error[:, 200:] if name == "madc" else error
        assert np.ptp(error.reshape(4, -1), axis=1).max() <= 1.0, "one error in a sample, but for rounding"
        assert len(np.unique(np.rint(error.reshape(4, -1).mean(axis=1)))) > 1
    assert len(np.unique(hum.correlation.astype(int) - plain.correlation)) <= 2
    assert (hum.correlation != plain.correlation).any()


@pytest.mark.parametrize("threads", [1, 2])
def test_results_do_not_depend_on_threads_or_on_how_a_batch_is_split(chip_with, threads):
    inputs, readout = storm(), Readout(cadc_circuits=(0, 4), madc_circuit=3)
    strengths: ClassVar = {"own_doubled_trial": 0.3, "own_deaf_trial": 0.1}
    whole = run(chip_with(LostAndDoubled(), **strengths), inputs)
    chip = chip_with(LostAndDoubled(), threads=threads, **strengths)
    parts = [run(chip, inputs.part(a, b), first_sample=a).spikes for a, b in ((0, 1), (1, 10), (10, 24))]
    same(SpikeBatch.concatenate(parts), whole.spikes)
    whole = run(chip_with(Hum(), own_hum_trial_lsb=5.0), inputs, readout=readout).observations
    chip = chip_with(Hum(), threads=threads, own_hum_trial_lsb=5.0)
    last = run(chip, inputs.part(10, 24), first_sample=10, readout=readout).observations
    for name in ("cadc", "madc"):
        np.testing.assert_array_equal(getattr(last, name), getattr(whole, name)[10:])


def test_other_trials_and_serials_draw_otherwise(chip_with):
    chip = chip_with(LostAndDoubled(), own_deaf_trial=0.5)
    chip.configure(side_by_side(2, spec=TEXTBOOK))
    one, again, other = (chip.run(storm(), duration_ticks=6000, trial_seed=k).lost_in for k in (1, 1, 2))
    assert one == again != other
    elsewhere = EmulatedChip("own", SERIAL + 1)
    elsewhere.configure(side_by_side(2, spec=TEXTBOOK))
    assert elsewhere.run(storm(), duration_ticks=6000, trial_seed=1).lost_in != one


@pytest.mark.parametrize("name", ["typical", "ideal"])
def test_strength_0_is_the_chip_without_the_mechanism(chip_with, name):
    spec = CHIPS[name].spec
    readout = Readout(cadc_circuits=(0,), madc_circuit=0, counters=True, correlation=True)
    found = []
    for chip in (
        EmulatedChip(name, SERIAL),
        chip_with(Untouchable(), spec, base=CHIPS[name].imperfections),
    ):
        chip.configure(side_by_side(4, spec=spec))
        found.append((chip, chip.run(storm(), duration_ticks=6000, trial_seed=1, readout=readout)))
    (one, expected), (two, result) = found
    assert one.mismatch.digest() == two.mismatch.digest()
    same(result.spikes, expected.spikes)
    for item, array in vars(expected.observations).items():
        np.testing.assert_array_equal(getattr(result.observations, item), array)
    with pytest.raises(AssertionError):
        chip_with(Untouchable(), own_untouchable_trial=0.5)


def test_a_mechanism_is_listed_with_source_and_bounds_and_can_be_named(chip_with):
    chip_with(LostAndDoubled())
    entry = {e["name"]: e for e in describe_chip("own")}["own_doubled_trial"]
    assert entry["source"] == "a test" and entry["value"] == 0.0
    assert (entry["lowest"], entry["highest"]) == (0.0, 1.0)
    assert named_chip("own[own_doubled_trial=0.5]").imperfections.own_doubled_trial == 0.5
    with pytest.raises(InvalidInputError) as caught:
        named_chip("own[own_doubled_trial=1.5]")
    assert caught.value.field == "chip[own_doubled_trial]"
    with pytest.raises(InvalidInputError):
        named_chip("typical[own_doubled_trial=0.5]")


def test_names_of_strengths_say_kind_and_unit():
    endings = {u: f"_{u.lower()}" for u in HIGHEST} | ENDINGS
    names = [name for mechanism in MECHANISMS for name in mechanism.strengths]
    assert len(names) == len(set(names)) and list(Imperfections.model_fields) == list(strengths_of(MECHANISMS))
    kinds = [[kind for kind in KINDS if f"_{kind}" in name] for name in names]
    assert {len(found) for found in kinds} == {1}
    ordered = [KINDS.index(kind) for name in Imperfections.model_fields for kind in KINDS if f"_{kind}" in name]
    assert ordered == sorted(ordered)
    for name, found in strengths_of(MECHANISMS).items():
        assert name.endswith(endings[found.unit]) and found.source and found.equation
        if found.unit == "1":
            assert name.endswith(KINDS), name


def test_every_mechanism_does_something_or_says_where():
    for mechanism in MECHANISMS:
        assert mechanism.reference and type(mechanism).__doc__
        assert mechanism.does("drawn") or not mechanism.deviations
        assert {hook for hook in vars(type(mechanism)) if not hook.startswith("_")} <= {
            *HOOKS, "strengths", "reference", "deviations",
        }  # fmt: skip


def test_strengths_are_told_without_a_compiler():
    code = "import sys, hxloop_chip.silicon.describe as d; d.describe_chip('typical'); sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
