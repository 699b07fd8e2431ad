"""Results of checks as files, and what follows from them."""

from dataclasses import replace

import numpy as np
import pytest

from hxloop.errors import RecordError
from hxloop_host.cli.rules import verdict
from hxloop_host.gradients.check_picture import draw_check
from hxloop_host.gradients.check_result import GradientCheck, Row, load_check

GOOD = Row("layers", "softmax_times", "input weights", "input weights", 20, 1, error=2e-7, cosine=1.0)


def check(*rows, exact=True):
    pairs = {"layers/softmax_times/input weights": np.array([[0.1, 0.2], [0.1, 0.21]])}
    return GradientCheck("mine", "ideal", exact, rows, ("a note",), {"seed": 3, "version": "1"}, pairs)


def test_a_file_says_all_again(tmp_path):
    measured = replace(GOOD, error=np.nan, low=0.9, high=np.inf, ceiling=0.99, attenuated=0.8, reliability=0.7)
    for given in (check(GOOD), check(measured, exact=False)):
        path = tmp_path / f"{given.exact}.h5"
        given.save(path)
        again = load_check(path)
        one, other = ({key: str(value) for key, value in found.values().items()} for found in (given, again))
        assert one == other
        np.testing.assert_array_equal(*(next(iter(g.pairs.values())) for g in (given, again)))
        draw_check(again, path.with_suffix(".png"))
        assert path.with_suffix(".png").stat().st_size > 5000
    (tmp_path / "other.h5").write_text("no")
    with pytest.raises(RecordError):
        load_check(tmp_path / "other.h5")


@pytest.mark.parametrize(
    ("row", "passed"),
    [
        (GOOD, True),
        (replace(GOOD, error=2e-5), False),
        (replace(GOOD, error=np.nan, compared=0), False),
        (replace(GOOD, compared=3, excluded=10), False),
        (replace(GOOD, error=np.inf), False),
    ],
)
def test_only_what_is_shown_passes(row, passed):
    assert check(GOOD, row).passed is passed
    assert verdict(check(GOOD, row)).startswith("passed" if passed else "failed")
    assert check(GOOD, row, exact=False).passed is None
    assert "no claim" in verdict(check(row, exact=False))
    assert check(GOOD, replace(row, ceiling=0.9)).passed is None  # a noisy chip
