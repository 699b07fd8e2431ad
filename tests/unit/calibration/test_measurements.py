"""Files of measurements: what a laboratory may write, what comes of it, and what is refused."""

import numpy as np
import pytest

import hxloop
from hxloop.errors import InvalidInputError, MissingFileError, UnknownKeyError, UnreadableFileError
from hxloop.files.records import Quantity, Record, write_record
from hxloop.naming.chip_file import chip_name, load_chip_file
from hxloop_calibration.characterising.fit_verb import ESTIMATORS, NOT_MEASURED
from hxloop_calibration.characterising.measurements import DATASETS, Measurements, load_measurements
from hxloop_calibration.characterising.noise_runs import _of_their_own

CHIP = hxloop.ChipIdentity(chip="ours", serial=3, spec="HICANN-X v3", model="silicon")
N = 512


def of_a_laboratory(seed):
    """A few recordings of a made-up chip: thresholds 8 mV, time constants 5 %, stamps 0.2 us, one event of 100 lost."""
    rng = np.random.default_rng(seed)
    code = np.full((N, 21), 300.0)
    stamps = 5.0 + np.clip(rng.normal(0.0, 0.2, (200, N)), -0.512, 0.512)
    return {
        "boot/v_threshold_mv": 735.0
        + rng.normal(4.0, 8.0, N)
        + rng.normal(0.0, 2.0, (3, N))
        + rng.uniform(-0.94, 0.94, N),
        "boot/v_leak_mv": 420.0 + rng.normal(0.0, 2.0, N) + rng.normal(0.0, 0.5, (2, N)),
        "boot/rise_mv": np.array([315.0]),
        "boot/tau_mem_us": 6.0 * np.exp(rng.normal(0.0, 0.05, N) + rng.normal(0.0, 0.02, (2, N))),
        "boot/code": code,
        "noise/stamp_us": np.ceil(stamps / 0.008) * 0.008,
        "events/sent": np.array([1000]),
        "events/lost": np.array([10]),
    }


def test_a_laboratory_can_write_what_it_has(tmp_path):
    files = []
    for seed in (3, 4):
        files.append(tmp_path / f"{seed}.h5")
        Measurements(CHIP, of_a_laboratory(seed), note="recorded by hand").save(files[-1])
    assert load_measurements(files[0]).note == "recorded by hand"
    fitted = hxloop.fit_chip(files)
    found = {e.name: e for e in fitted.estimates}
    planted = {
        "v_threshold_residual_mv": 8.0, "v_threshold_residual_mean_mv": 4.0, "v_leak_residual_mv": 2.0,
        "tau_mem_residual": 0.05, "jitter_trial_us": 0.2, "link_loss_trial": 0.01,
    }  # fmt: skip
    assert set(found) == {*planted, "dead_fixed"}
    for name, value in planted.items():
        assert found[name].low <= value <= found[name].high, name
        assert found[name].value == pytest.approx(value, rel=0.15 if name != "link_loss_trial" else 0.5)
    assert found["v_threshold_residual_mv"].draws == pytest.approx(2 * N, abs=2)
    fitted.file.save(tmp_path / "ours.toml")
    name = chip_name(tmp_path / "ours.toml")
    assert name.startswith("typical[")
    assert "jitter_trial_us=0.2" in name or "jitter_trial_us=0.19" in name
    assert "dead_fixed" not in name  # none of 1024: the base knows better
    assert fitted.kept["membrane_trial_mv"].startswith("noise/membrane")
    assert fitted.kept["coba_fixed"] == NOT_MEASURED["coba_fixed"]


def test_all_that_is_needed_can_be_stored():
    assert {name for e in ESTIMATORS for name in e.needs} <= set(DATASETS)


@pytest.mark.parametrize(
    ("arrays", "error", "words"),
    [
        ({"boot/tau_men_us": np.ones((2, 4))}, UnknownKeyError, "tau_mem_us"),
        ({"boot/tau_mem_us": np.ones(4)}, InvalidInputError, "writing, circuit"),
        ({"boot/tau_mem_us": np.ones((2, 0))}, InvalidInputError, "writing, circuit"),
        ({"boot/tau_mem_us": np.array([["a"]])}, InvalidInputError, "numbers"),
        ({"boot/tau_mem_us": np.full((2, 4), np.inf)}, InvalidInputError, "beyond"),
        ({"boot/tau_mem_us": np.ones((2, 4)), "boot/v_leak_mv": np.ones((2, 5))}, InvalidInputError, "circuits"),
    ],
)
def test_other_arrays_are_refused(arrays, error, words):
    with pytest.raises(error, match=words):
        Measurements(CHIP, arrays)


def test_files_of_others_are_refused(tmp_path):
    (tmp_path / "text.h5").write_text("no measurements")
    with pytest.raises(UnreadableFileError):
        load_measurements(tmp_path / "text.h5")
    record = Record("measurements", {"chip_identity": CHIP.model_dump_json(), "note": ""}, {
        "boot/tau": Quantity(np.ones((2, 4)), "us", "misspelt")
    })  # fmt: skip
    write_record(tmp_path / "misspelt.h5", record)
    with pytest.raises(UnknownKeyError, match=r"misspelt\.h5"):
        load_measurements(tmp_path / "misspelt.h5")


def test_nothing_that_tells_a_strength_is_an_error():
    with pytest.raises(InvalidInputError, match="tells a strength"):
        hxloop.fit_chip(Measurements(CHIP, {"boot/rise_mv": np.array([315.0])}))


def test_messages_name_what_was_given_and_what_writes_it(tmp_path):
    file = tmp_path / "m.h5"
    Measurements(CHIP, {"noise/stamp_us": np.ones((2, N))}).save(file)
    with pytest.raises(InvalidInputError, match="kind 'measurements'") as caught:
        hxloop.load_calibration(file)
    assert (caught.value.field, caught.value.hint) == ("calibration", "hxloop calibrate writes one")
    with pytest.raises(MissingFileError) as caught:
        load_measurements(tmp_path / "none.h5")
    assert caught.value.field == "measurements"
    with pytest.raises(MissingFileError) as caught:
        load_chip_file(tmp_path / "none.toml")
    assert caught.value.field == "chip"


@pytest.mark.parametrize(("circuits", "dead"), [(8, 0), (8, 3), (2, 0)])
def test_what_circuits_have_in_common_in_a_sample_is_taken_off_their_stamps(circuits, dead):
    """And no more: each varies on average as much as it does by itself."""
    rng = np.random.default_rng(5)
    own = rng.normal(0.0, 2.0, (40_000, circuits)) + np.arange(circuits)
    ticks = own + rng.normal(0.0, 3.0, (40_000, 1))
    ticks[:, :dead] = np.nan
    found = _of_their_own(ticks)
    assert np.isnan(found[:, :dead]).all()
    np.testing.assert_allclose(found[:, dead:].mean(axis=0), ticks[:, dead:].mean(axis=0))
    assert found[:, dead:].std(axis=0) == pytest.approx(2.0, rel=0.02)
    alone = _of_their_own(ticks[:, -1:])
    np.testing.assert_array_equal(alone, ticks[:, -1:])
