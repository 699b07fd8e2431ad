"""Calibration tables as files, and what they tell."""

import json

import numpy as np
import pytest
from support.tables.calibration_tables import small_table

from hxloop.codes.calibration_table import TEXTS, Reason, load_calibration
from hxloop.errors import ChipMismatchError, InvalidInputError, MissingFileError, RecordError
from hxloop.files.records import read_record, write_record
from hxloop.program import flatten
from hxloop_calibration.calibration_report import write_report

FAILED = [("v_leak_mv", 5, Reason.out_of_tolerance), ("v_threshold_mv", 300, Reason.never_spiked)]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_table_comes_back_as_it_was_written(tmp_path, seed):
    table = small_table(seed, failed=FAILED)
    table.save(tmp_path / "t.h5")
    again = load_calibration(tmp_path / "t.h5")
    again.save(tmp_path / "u.h5")
    assert (tmp_path / "t.h5").read_bytes() == (tmp_path / "u.h5").read_bytes()
    for prefix in ("neurons", "shared"):
        for name, array in flatten(getattr(table, prefix)).items():
            found = flatten(getattr(again, prefix))[name]
            assert found.dtype == array.dtype and (found == array).all()
    assert (again.key, again.identity, again.costs, again.ended_s) == (table.key, table.identity, table.costs, 1.5)
    np.testing.assert_array_equal(again.usable, table.usable)


def test_files_describe_themselves(tmp_path):
    small_table(failed=FAILED).save(tmp_path / "t.h5")
    record = read_record(tmp_path / "t.h5", "calibration")
    assert record.quantities["parameters/v_leak_mv/achieved"].units == "mV"
    assert "what v_leak_mv is" in record.quantities["parameters/v_leak_mv/uncertainty"].long_name
    assert json.loads(record.attributes["reasons"]) == {str(r.value): TEXTS[r] for r in Reason}
    residual = record.quantities["parameters/v_leak_mv/residual"].values
    np.testing.assert_array_equal(residual, record.quantities["parameters/v_leak_mv/achieved"].values - 420.0)


def test_failures_are_named_and_their_circuits_not_usable():
    table = small_table(failed=FAILED)
    assert np.flatnonzero(~table.usable).tolist() == [5, 300]
    assert table.failures() == [
        (5, "v_leak_mv", TEXTS[Reason.out_of_tolerance]),
        (300, "v_threshold_mv", TEXTS[Reason.never_spiked]),
    ]
    summary = table.summary()
    assert summary["success_fraction"] == 510 / 512 and summary["failed_circuits"] == [5, 300]
    assert summary["parameters"]["v_threshold_mv"]["failures"] == {"never_spiked": 1}
    json.dumps(summary)


def test_a_quadrant_that_failed_takes_no_circuit_with_it():
    assert small_table(failed=[("quadrant_gain_mv_per_us", 2, Reason.code_at_edge)]).usable.all()


@pytest.mark.parametrize(
    "change", [{"serial": 8}, {"chip": "typical"}, {"model": "3"}, {"spec": "another"}], ids=lambda c: next(iter(c))
)
def test_another_chip_is_refused(change):
    table = small_table()
    table.check_identity(table.identity)
    with pytest.raises(ChipMismatchError, match="calibrate this chip"):
        table.check_identity(table.identity.model_copy(update=change))


def test_damage_and_other_files_are_noticed(tmp_path):
    file = tmp_path / "t.h5"
    small_table().save(file)
    content = bytearray(file.read_bytes())
    for place in (600, len(content) // 2, len(content) - 10):
        broken = content.copy()
        broken[place] ^= 4
        file.write_bytes(broken)
        with pytest.raises(RecordError, match="damaged"):
            load_calibration(file)
    with pytest.raises(MissingFileError):
        load_calibration(tmp_path / "none.h5")
    record = small_table().to_record()
    quantities = {n: q for n, q in record.quantities.items() if n != "parameters/v_leak_mv/code"}
    write_record(file, type(record)(record.kind, record.attributes, quantities))
    with pytest.raises(RecordError, match="does not describe a calibration"):
        load_calibration(file)


def test_the_report_shows_everything_and_needs_no_network(tmp_path):
    table = small_table(failed=FAILED)
    page = tmp_path / "page.html"
    write_report(table, page)
    text = page.read_text()
    for expected in ("uncalibrated/7", "510 of 512", "circuit 300", TEXTS[Reason.never_spiked], "0.89", table.key):
        assert expected in text, expected
    assert text.count("data:image/png;base64") == 2
    assert "http" not in text.replace("http-equiv", "")
    with pytest.raises(InvalidInputError, match="html"):
        write_report(table, tmp_path / "page.pdf")


def test_the_report_of_a_table_without_failures_says_so(tmp_path):
    write_report(small_table(), tmp_path / "page.html")
    assert "Everything is as wanted" in (tmp_path / "page.html").read_text()
