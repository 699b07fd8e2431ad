"""Read-outs a chip refuses, with the field, the value and the allowed range in the message."""

import numpy as np
import pytest

from hxloop.errors import InvalidInputError, OutOfRangeError
from hxloop.result import Readout
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop_chip.checks.readout_limits import check_readout

IN_USE = np.array([5, 3, 300, 0], np.int16)


def check(readout, spec=HICANN_X, duration_ticks=10_000, n_samples=10):
    check_readout(readout, IN_USE, spec, duration_ticks, n_samples)


@pytest.mark.parametrize(
    "readout",
    [
        Readout(),
        Readout(counters=True, correlation=True),
        Readout(cadc_circuits=(300, 0, 5), cadc_period_ticks=213),
        Readout(cadc_circuits=(3,), cadc_period_ticks=10**9, madc_circuit=3),
        Readout(madc_circuit=0),
    ],
)
def test_what_the_datasheet_allows_is_accepted(readout):
    check(readout)
    check(readout, TEXTBOOK)


@pytest.mark.parametrize(
    ("readout", "field", "words"),
    [
        (Readout(cadc_circuits=(0,), cadc_period_ticks=212), "readout.cadc_period_ticks", ("212", "213", "1.7 us")),
        (Readout(cadc_circuits=(0,), cadc_period_ticks=0), "readout.cadc_period_ticks", ("0", "213")),
        (Readout(cadc_circuits=(0,), cadc_period_ticks=-256), "readout.cadc_period_ticks", ("-256", "213")),
        (Readout(cadc_circuits=(0, 3, 5, 512)), "readout.cadc_circuits[3]", ("512", "0..511")),
        (Readout(cadc_circuits=(0, -1)), "readout.cadc_circuits[1]", ("-1", "0..511")),
        (Readout(madc_circuit=512), "readout.madc_circuit", ("512", "0..511")),
    ],
)
def test_numbers_out_of_range(readout, field, words):
    with pytest.raises(OutOfRangeError) as caught:
        check(readout)
    assert caught.value.field == field
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("readout", "field", "words"),
    [
        (Readout(cadc_circuits=(0, 4)), "readout.cadc_circuits[1]", ("circuit 4", "neurons.circuit")),
        (Readout(cadc_circuits=(5, 3, 5)), "readout.cadc_circuits[2]", ("circuit 5", "twice")),
        (Readout(madc_circuit=511), "readout.madc_circuit", ("circuit 511", "neurons.circuit")),
    ],
)
def test_circuits_that_cannot_be_read(readout, field, words):
    with pytest.raises(InvalidInputError) as caught:
        check(readout)
    assert not isinstance(caught.value, OutOfRangeError)
    assert caught.value.field == field
    assert all(word in str(caught.value) for word in words)


def test_as_many_cadc_reads_as_the_memory_holds():
    readout = Readout(cadc_circuits=(0,), cadc_period_ticks=256)
    check(readout, duration_ticks=2560, n_samples=20_480)
    for duration, samples in ((2561, 20_480), (2560, 20_481)):
        with pytest.raises(OutOfRangeError, match="204800") as caught:
            check(readout, duration_ticks=duration, n_samples=samples)
        assert caught.value.field == "readout.cadc_period_ticks"
    check(Readout(), duration_ticks=2**32, n_samples=10**6)


def test_as_many_madc_samples_as_a_recording_holds():
    readout = Readout(madc_circuit=5)
    longest = int(65_535 * 4.25)
    check(readout, duration_ticks=longest)
    with pytest.raises(OutOfRangeError, match="65535") as caught:
        check(readout, duration_ticks=longest + 2)
    assert caught.value.field == "readout.madc_circuit"
    assert "65536" in str(caught.value)
