"""What a training makes of a calibration table: codes, circuits, storage, refusals."""

from dataclasses import replace

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.daemons.processes import write_settings
from support.listeners import Heard, Stop
from support.tables.chip_tables import table_for
from support.training_parts import make_runner

from hxloop.codes.boot import OperatingPoint
from hxloop.codes.calibration_table import load_calibration
from hxloop.codes.capmem import Cell
from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import ChipMismatchError, DoesNotFitError, InvalidInputError, MissingFileError, RecordError
from hxloop.files.records import read_record, write_record
from hxloop.network import Network, Population, Projection
from hxloop.progress import EpochDone, silent
from hxloop.seeds import generator
from hxloop.spec import HICANN_X
from hxloop_host.network.calibrated import find_calibration
from hxloop_host.network.measured_strength import MeasuredStrength
from hxloop_host.placing.allocation import allocate
from hxloop_host.placing.crossbar import bus_of_circuits
from hxloop_host.placing.mapping import place
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.training.experiment import evaluate, load_run, train


@pytest.fixture
def preset(tmp_path):
    return write_settings(tmp_path / "tiny.toml", epochs=2, train=60, batch_size=20, init_mean=(0.4, 0.6))


def network(hidden, inputs=4, merged=None):
    point = OperatingPoint().model_dump()
    populations = (Population("hidden", hidden, **point, circuits_per_neuron=merged), Population("output", 3, **point))
    projections = (Projection("input", "hidden"), Projection("hidden", "output"))
    return Network(inputs, populations, projections)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("merged", "hidden", "share"), [(None, 150, 0.3), (2, 60, 0.2), (4, 30, 0.1)])
def test_failed_circuits_are_never_placed(seed, merged, hidden, share):
    usable = generator(seed, "usable").random(HICANN_X.n_circuits) > share
    placed = allocate(network(hidden, merged=merged), HICANN_X, usable)
    taken = np.concatenate([a.circuits.ravel() for a in placed])
    assert usable[taken].all() and len(set(taken.tolist())) == len(taken)
    assert placed[0].circuits.shape == (hidden, merged or 1)
    if merged:
        assert usable.reshape(2, -1)[:, placed[0].circuits % HICANN_X.n_columns].all()


def test_without_a_mask_nothing_changes():
    boot = nominal_boot(HICANN_X)
    plain = place(network(80), HICANN_X, boot).wiring
    masked = place(network(80), HICANN_X, boot, np.ones(HICANN_X.n_circuits, np.bool_)).wiring
    assert plain.sha256() == masked.sha256()


@pytest.mark.parametrize(
    ("merged", "hidden", "text"),
    [
        (None, 500, r"needs 512 .* has 250 \(262 of 512 failed in calibration\): 262 short"),
        (2, 200, r"has 412 \(100 of 512 failed in calibration\): .* need 203 columns .*, there are 156: 47 short"),
    ],
)
def test_too_many_failures_are_named(merged, hidden, text):
    usable = np.ones(HICANN_X.n_circuits, np.bool_)
    usable[: 262 if merged is None else 100] = False
    with pytest.raises(DoesNotFitError, match=text):
        allocate(network(hidden, merged=merged), HICANN_X, usable)


@pytest.mark.parametrize("seed", range(4))
def test_neurons_move_to_other_buses_where_circuits_failed(seed):
    """Any 128 circuits of a hemisphere have room on the buses if all buses get 32; its first 128 usable ones do not."""
    usable = np.ones(HICANN_X.n_circuits, np.bool_)
    usable[generator(seed, "failed").choice(128, 5, replace=False)] = False
    hidden, output = allocate(network(128), HICANN_X, usable)
    assert hidden.circuits.shape == (128, 1) and output.circuits.shape == (3, 1)
    assert usable[hidden.circuits].all() and len(set(hidden.circuits[:, 0] // HICANN_X.n_columns)) == 1
    np.testing.assert_array_equal(np.bincount(bus_of_circuits(hidden.circuits[:, 0], HICANN_X)), [32] * 4)


def test_neurons_stay_in_the_first_columns_where_buses_have_room():
    usable = np.ones(HICANN_X.n_circuits, np.bool_)
    usable[[3, 40, 41]] = False
    np.testing.assert_array_equal(
        allocate(network(100), HICANN_X, usable)[0].circuits[:, 0], np.delete(np.arange(103), [3, 40, 41])
    )


def test_a_shortage_on_a_bus_names_failures():
    usable = np.ones(HICANN_X.n_circuits, np.bool_)
    on_bus = bus_of_circuits(np.arange(HICANN_X.n_circuits), HICANN_X) == 2
    usable[on_bus] = False
    narrow = network(128)
    output = replace(narrow.populations[1], circuits_per_neuron=1)
    with pytest.raises(DoesNotFitError, match=r"PADI bus .* short \(128 of 512 failed in calibration\)"):
        allocate(replace(narrow, populations=(narrow.populations[0], output)), HICANN_X, usable)


def test_codes_and_usable_circuits_are_those_of_the_table(preset):
    chip = GridChip()
    leaks = generator(1, "codes").integers(190, 230, HICANN_X.n_circuits)
    failed = (0, 1, 5, 256)
    table = table_for(chip, failed=failed, cells={Cell.v_leak: leaks})
    neurons = make_runner(load_settings(preset), chip, 4, table).placement.wiring.neurons
    assert not set(neurons.circuit.tolist()) & set(failed)
    np.testing.assert_array_equal(neurons.capmem_code[:, Cell.v_leak], leaks[neurons.circuit])


@pytest.mark.parametrize(("inputs", "merged"), [(6, 1), (6, 2), (200, 2), (300, 4)])
def test_weight_factors_are_those_of_the_circuits_that_receive_the_rows(inputs, merged):
    n = HICANN_X.n_circuits
    exc, inh = generator(merged, "factors").uniform(0.5, 2.0, (2, n))
    table = table_for(GridChip(), exc=exc, inh=inh, tau=1.07)
    placed = place(network(6, inputs, merged), HICANN_X, nominal_boot(HICANN_X))
    strength = MeasuredStrength(table, placed)
    assert strength.tau_factor == pytest.approx(1.07)
    code = generator(merged, "codes").integers(-1, 2, (inputs, 6))
    factors = strength.factor(0, code)
    synapses = placed.configure([code, np.zeros((6, 3), int)]).synapses
    column = placed.allocations["hidden"].circuits.astype(int)
    for row, neuron in np.argwhere(code != 0).tolist():
        # The only circuit of this neuron whose synapses on the row's driver are of this input.
        wire = placed.wires[0]
        circuit = column[neuron, wire.slot[row]]
        driver = wire.driver[row, circuit // HICANN_X.n_columns] % HICANN_X.n_drivers
        sign_row = 2 * driver + (code[row, neuron] < 0)
        mine = (synapses.circuit == circuit) & (synapses.row % HICANN_X.n_rows == sign_row)
        assert np.abs(synapses.weight_code[mine]).sum() == 1
        assert factors[row, neuron] == pytest.approx((inh if code[row, neuron] < 0 else exc)[circuit], rel=1e-12)
    received = exc[column[:, placed.wires[0].slot].T]
    np.testing.assert_allclose(factors[code == 0], received[code == 0], rtol=1e-12)


def test_circuits_that_were_not_measured_count_as_nominal():
    table = table_for(GridChip(), exc=1.3, inh=0.8, failed=(2,))
    assert table.weight_factor[:, 2].tolist() == [1.0, 1.0]
    np.testing.assert_allclose(table.weight_factor[:, 3], [1.3, 0.8])


def test_a_table_of_another_chip_is_refused(preset, tmp_path):
    table = table_for(GridChip(serial=2))
    with pytest.raises(ChipMismatchError, match="grid/2"):
        make_runner(load_settings(preset), GridChip(), 4, table)
    with pytest.raises(ChipMismatchError, match="grid/2"):
        run(preset, tmp_path / "run", calibration=table)
    table.save(tmp_path / "t.h5")
    with pytest.raises(ChipMismatchError):
        run(preset, tmp_path / "other", calibration=tmp_path / "t.h5")


def run(preset, out, chip=None, **changes):
    return train(preset=preset, chip=chip or GridChip(), out=out, **{"report": silent, **changes})


def weights(found):
    return [found.record.quantities[f"weights/{k}/model"].values for k in range(2)]


def test_a_run_keeps_its_table(preset, tmp_path):
    table = table_for(GridChip(), exc=1.1, inh=0.9)
    found = run(preset, tmp_path / "run", calibration=table)
    assert found.origin.calibration == table.key and found.summary()["calibration"] == "a" * 12
    assert (tmp_path / "run" / "calibration.h5").exists()
    again = load_run(tmp_path / "run")
    assert again.origin.calibration == table.key
    same = evaluate(again, chip=GridChip())
    assert same.test_accuracy == found.test_accuracy
    np.testing.assert_array_equal(same.scores, found.record.quantities["test/t_out"].values)
    assert same.summary()["calibration"] == "a" * 12
    plain = run(preset, tmp_path / "plain")
    assert plain.summary()["calibration"] is None and not (tmp_path / "plain" / "calibration.h5").exists()
    assert not np.array_equal(weights(plain)[0], weights(found)[0])


def test_a_table_that_says_nothing_new_changes_nothing(preset, tmp_path):
    plain, with_table = run(preset, tmp_path / "a"), run(preset, tmp_path / "b", calibration=table_for(GridChip()))
    for one, other in zip(weights(plain), weights(with_table), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_chip_runs_the_weights_with_its_own_codes(preset, tmp_path):
    found = run(preset, tmp_path / "run", calibration=table_for(GridChip(), failed=(0, 1)))
    other = GridChip(serial=2)
    assert evaluate(found, chip=other).summary()["calibration"] is None
    with pytest.raises(ChipMismatchError):
        evaluate(found, chip=other, calibration=tmp_path / "run" / "calibration.h5")
    assert evaluate(found, chip=other, calibration=table_for(other, key="c" * 64)).calibration == "c" * 64


def test_resumed_runs_use_their_own_table(preset, tmp_path):
    table = table_for(GridChip(), exc=1.2, inh=0.8, tau=1.05, failed=(3,))
    whole = run(preset, tmp_path / "whole", calibration=table)
    with pytest.raises(KeyboardInterrupt):
        train(preset=preset, chip=GridChip(), out=tmp_path / "part", calibration=table, report=Stop(EpochDone))
    assert len(load_run(tmp_path / "part").metrics) == 1
    other = table_for(GridChip(), key="b" * 64)
    with pytest.raises(InvalidInputError, match="aaaaaaaaaaaa, not bbbbbbbbbbbb"):
        run(preset, tmp_path / "part", calibration=other, resume=True)
    for given in (None, "auto", table):
        resumed = run(preset, tmp_path / "part", calibration=given, resume=True)
        for one, two in zip(weights(whole), weights(resumed), strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_finished_run_is_not_returned_for_another_table(preset, tmp_path):
    table = table_for(GridChip())
    whole = run(preset, tmp_path / "run", calibration=table)
    with pytest.raises(InvalidInputError, match="aaaaaaaaaaaa, not bbbbbbbbbbbb"):
        run(preset, tmp_path / "run", calibration=table_for(GridChip(), key="b" * 64), resume=True)
    assert run(preset, tmp_path / "run", calibration=table, resume=True).path == whole.path


def test_resuming_on_another_chip_names_the_chip_of_the_run(preset, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(
            preset=preset,
            chip=GridChip(),
            out=tmp_path / "run",
            calibration=table_for(GridChip()),
            report=Stop(EpochDone),
        )
    with pytest.raises(ChipMismatchError, match="trained on chip grid/1") as caught:
        run(preset, tmp_path / "run", chip=GridChip(serial=2), resume=True)
    assert caught.value.field == "chip"


def test_a_table_that_was_put_beside_a_run_is_not_taken_for_its_own(preset, tmp_path):
    found = run(preset, tmp_path / "whole", calibration=table_for(GridChip()))
    with pytest.raises(KeyboardInterrupt):
        train(
            preset=preset,
            chip=GridChip(),
            out=tmp_path / "part",
            calibration=table_for(GridChip()),
            report=Stop(EpochDone),
        )
    for name in ("whole", "part"):
        table_for(GridChip(), key="b" * 64).save(tmp_path / name / "calibration.h5")
    text = "is the calibration bbbbbbbbbbbb, but the run was trained with aaaaaaaaaaaa"
    with pytest.raises(RecordError, match=text):
        evaluate(found, chip=GridChip())
    with pytest.raises(RecordError, match=text):
        run(preset, tmp_path / "part", resume=True)


def without_calibration(path):
    """Make a run file what it was before there were calibrations."""
    record = read_record(path, "run")
    attributes = {name: value for name, value in record.attributes.items() if name != "calibration"}
    assert len(attributes) == len(record.attributes) - 1
    write_record(path, replace(record, attributes=attributes))


def test_run_files_from_before_calibrations_go_on(preset, tmp_path):
    whole = run(preset, tmp_path / "whole")
    without_calibration(whole.path)
    assert load_run(whole.path).summary()["calibration"] is None
    assert evaluate(whole.path, chip=GridChip()).test_accuracy == whole.test_accuracy
    with pytest.raises(KeyboardInterrupt):
        train(preset=preset, chip=GridChip(), out=tmp_path / "part", report=Stop(EpochDone))
    for file in (tmp_path / "part" / "checkpoints").glob("*.h5"):
        without_calibration(file)
    resumed = run(preset, tmp_path / "part", resume=True)
    for one, two in zip(weights(whole), weights(resumed), strict=True):
        np.testing.assert_array_equal(one, two)


def test_auto_calibrates_for_the_operating_point_of_the_run(preset, tmp_path, monkeypatch):
    preset.write_text(preset.read_text().replace("[neuron]", "[neuron]\nt_refractory_us = 12.0\nscale_weights = 25.0"))
    wanted = []

    def calibrate(chip, *, target, method, report):
        report.message("measuring")
        wanted.append((chip.identity, target.neuron, method))
        return table_for(chip, failed=(0,))

    monkeypatch.setattr("hxloop_calibration.calibrate_verb.calibrate", calibrate)
    listener = Heard()
    found = train(preset=preset, chip=GridChip(), out=tmp_path / "run", calibration="auto", report=listener)
    neuron = found.origin.settings.neuron
    point = OperatingPoint(**{name: getattr(neuron, name) for name in OperatingPoint.model_fields})
    assert point.t_refractory_us == 12.0 and point.synapse_gain_mv_per_us != OperatingPoint().synapse_gain_mv_per_us
    assert wanted == [(GridChip().identity, point, "default")] and "measuring" in listener.messages
    assert found.origin.calibration == load_calibration(tmp_path / "run" / "calibration.h5").key == "a" * 64
    other = GridChip(serial=2)
    assert evaluate(found, chip=other, calibration="auto:published").calibration == "a" * 64
    assert wanted[1:] == [(other.identity, point, "published")]
    run(preset, tmp_path / "run", calibration="auto", resume=True)
    evaluate(found, chip=GridChip())
    assert len(wanted) == 2  # both had a table


@pytest.mark.parametrize(("preset_name", "given"), [("yin_yang_delays", True), ("yin_yang_no_delays", False)])
def test_auto_measures_delays_where_there_are_delay_neurons(monkeypatch, preset_name, given):
    wanted = []

    def calibrate(chip, *, target, method, report):
        wanted.append(target.delays is not None)
        return table_for(chip)

    monkeypatch.setattr("hxloop_calibration.calibrate_verb.calibrate", calibrate)
    settings = load_settings(preset_name)
    for method in ("auto", "auto:published"):
        find_calibration(method, GridChip(), settings.neuron, delays=settings.network.has_delays)
    assert wanted == [given, False]  # calix knows no delay neurons


def test_a_run_without_table_goes_on_without(preset, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(preset=preset, chip=GridChip(), out=tmp_path / "run", report=Stop(EpochDone))
    with pytest.raises(InvalidInputError, match="no calibration"):
        run(preset, tmp_path / "run", calibration=table_for(GridChip()), resume=True)
    assert len(run(preset, tmp_path / "run", resume=True).metrics) == 2


def test_lost_and_damaged_tables_are_named(preset, tmp_path):
    found = run(preset, tmp_path / "run", calibration=table_for(GridChip()))
    file = tmp_path / "run" / "calibration.h5"
    content = file.read_bytes()
    file.write_bytes(content[:-40] + b"x" * 40)
    with pytest.raises(RecordError, match=r"calibration\.h5 is damaged"):
        evaluate(found, chip=GridChip())
    file.unlink()
    with pytest.raises(MissingFileError, match=r"calibration\.h5"):
        evaluate(found, chip=GridChip())
    with pytest.raises(MissingFileError):
        run(preset, tmp_path / "new", calibration=tmp_path / "none.h5")


def kill_before_the_first_checkpoint(preset, out, table, monkeypatch):
    """Leave what a run leaves that is killed when its table is written, but no checkpoint."""
    with monkeypatch.context() as patched:
        patched.setattr("hxloop_host.runs.checkpoint.RunDirectory.save", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(preset, out, calibration=table)
    assert [path.name for path in out.iterdir()] == ["calibration.h5"]


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_killed_before_its_first_checkpoint_does_not_go_on_without_its_table(
    preset, tmp_path, monkeypatch, resume
):
    table, out = table_for(GridChip(), exc=1.2), tmp_path / "run"
    whole = run(preset, tmp_path / "whole", calibration=table)
    kill_before_the_first_checkpoint(preset, out, table, monkeypatch)
    content = (out / "calibration.h5").read_bytes()
    for wrong in (None, table_for(GridChip(), key="b" * 64)):
        with pytest.raises(
            InvalidInputError, match=r"run/calibration\.h5 is the calibration aaaaaaaaaaaa, but"
        ) as caught:
            run(preset, out, calibration=wrong, resume=resume)
        assert caught.value.field == "out" and "--calibration" in caught.value.hint
        assert [path.name for path in out.iterdir()] == ["calibration.h5"]
        assert (out / "calibration.h5").read_bytes() == content
    listener = Heard()
    same = train(
        preset=preset, chip=GridChip(), out=out, calibration=out / "calibration.h5", resume=resume, report=listener
    )
    for one, two in zip(weights(whole), weights(same), strict=True):
        np.testing.assert_array_equal(one, two)
    assert any("has no checkpoint" in line for line in listener.messages) == resume


def test_a_damaged_table_in_the_way_is_named(preset, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "calibration.h5").write_text("notes")
    with pytest.raises(RecordError, match=r"calibration\.h5"):
        run(preset, tmp_path / "run", calibration=table_for(GridChip()))
    assert (tmp_path / "run" / "calibration.h5").read_text() == "notes"
