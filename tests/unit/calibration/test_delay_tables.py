"""Delays in calibration tables: stored, read, used by whoever places, and refused where they make no sense."""

from dataclasses import replace

import numpy as np
import pytest
from support.tables.calibration_tables import SPEC, small_table
from support.tables.delay_tables import with_delays

from hxloop.codes.calibration_table import Reason, load_calibration
from hxloop.codes.measured_delays import OFFSET, STEP
from hxloop.errors import RecordError, UnreadableFileError
from hxloop_calibration.calibration_report import write_report


@pytest.mark.parametrize("seed", [0, 1])
def test_delays_come_back_as_they_were_written(tmp_path, seed):
    table = with_delays(small_table(seed), seed, failed=(3, 200))
    table.save(tmp_path / "t.h5")
    again = load_calibration(tmp_path / "t.h5")
    for name in ("offset_us", "step_us", "usable"):
        np.testing.assert_array_equal(getattr(again.delays, name), getattr(table.delays, name))
    assert np.flatnonzero(~again.delays.usable).tolist() == [3, 200]
    assert again.delays.offset_us.shape == (SPEC.n_columns, SPEC.n_drivers)
    np.testing.assert_array_equal(again.usable, small_table(seed).usable)  # circuits are as good as they were


def test_tables_without_delays_are_read_as_before(tmp_path):
    small_table().save(tmp_path / "t.h5")
    assert load_calibration(tmp_path / "t.h5").delays is None


def test_a_trigger_that_was_not_measured_counts_as_the_median_of_its_pair():
    table = with_delays(small_table(), 0)
    offset = table.parameters[OFFSET]
    achieved, reason = offset.achieved.copy(), offset.reason.copy()
    achieved[7], reason[7], reason[8] = np.nan, Reason.not_measurable, Reason.out_of_tolerance
    found = replace(
        table, parameters=table.parameters | {OFFSET: replace(offset, achieved=achieved, reason=reason)}
    ).delays
    assert found.offset_us[0, 7] == np.nanmedian(achieved[: SPEC.n_drivers])
    assert found.offset_us[0, 8] == achieved[8]  # late, but known
    assert found.usable.all()


def changed(table, name, **values):
    return replace(table, parameters=table.parameters | {name: replace(table.parameters[name], **values)})


def cut(parameter, n):
    names = ("target", "code", "before", "achieved", "uncertainty", "reason")
    return {key: getattr(parameter, key)[:n] for key in names}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (STEP, 0.0, "is 0 and is called a success"),
        (STEP, -128.0, "is -128 and"),
        (STEP, np.nan, "is nan and is called a success"),
        (OFFSET, np.nan, "is nan and is called a success"),
        (OFFSET, 1e5, "is 100000"),
    ],
)
def test_values_that_no_delay_has_are_refused(tmp_path, name, value, text):
    table = with_delays(small_table(), 0)
    achieved = table.parameters[name].achieved.copy()
    achieved[5] = value
    changed(table, name, achieved=achieved).save(tmp_path / "t.h5")
    with pytest.raises(RecordError, match=text):
        load_calibration(tmp_path / "t.h5")


def test_half_of_a_calibration_of_delays_is_refused(tmp_path):
    table = with_delays(small_table(), 0)
    for name in (STEP, OFFSET):
        others = {key: p for key, p in table.parameters.items() if key != name}
        replace(table, parameters=others).save(tmp_path / f"{name}.h5")
        with pytest.raises(RecordError, match="alone"):
            load_calibration(tmp_path / f"{name}.h5")
        changed(table, name, per="circuit" if name == OFFSET else "trigger").save(tmp_path / f"per-{name}.h5")
        with pytest.raises(RecordError):
            load_calibration(tmp_path / f"per-{name}.h5")


@pytest.mark.parametrize(("n", "text"), [(1000, "1000 entries"), (0, "0 entries")])
def test_triggers_that_are_not_as_many_of_each_pair_are_refused(tmp_path, n, text):
    table = with_delays(small_table(), 0)
    changed(table, OFFSET, **cut(table.parameters[OFFSET], n)).save(tmp_path / "t.h5")
    with pytest.raises(RecordError, match=text):
        load_calibration(tmp_path / "t.h5")


def test_fewer_triggers_than_the_chip_has_are_refused():
    class Chip:
        spec, identity = SPEC, small_table().identity

    table = with_delays(small_table(), 0)
    table.check_chip(Chip())
    with pytest.raises(UnreadableFileError, match="512 triggers"):
        changed(table, OFFSET, **cut(table.parameters[OFFSET], 512)).check_chip(Chip())


def test_a_table_of_delays_alone_has_a_page(tmp_path):
    table = with_delays(small_table(), 0, failed=(3,))
    alone = {name: table.parameters[name] for name in (STEP, OFFSET)}
    write_report(replace(table, parameters=alone), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    for expected in (OFFSET, STEP, "pair 3", "trigger 384", "never spikes"):
        assert expected in text
