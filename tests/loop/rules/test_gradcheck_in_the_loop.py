"""Gradients against slopes measured on a chip behind a daemon: alike with the same seed, and near the truth."""

import numpy as np
import pytest

import hxloop

pytestmark = pytest.mark.processes

TINY = {"trials": 4, "directions": 12, "samples": 24, "report": []}


def test_first_spikes_on_a_noisy_chip():
    with hxloop.launch("typical", serial=101, threads=1) as chip:
        one, other = (hxloop.gradcheck("fast_and_deep", chip=chip, seed=1, **TINY) for _ in range(2))
    assert one.is_measured
    assert one.passed is None
    assert one.chip == "typical/101"
    assert [str(row) for row in one.rows] == [str(row) for row in other.rows]
    whole = next(row for row in one.rows if row.projection == "all")
    assert whole.cosine > 0.8
    assert whole.low <= whole.cosine <= whole.high
    assert whole.ceiling > 0.5
    assert all(np.isfinite(row.reliability) for row in one.rows)
