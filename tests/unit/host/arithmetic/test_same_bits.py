"""The same spikes give the same weights, bit by bit: whatever the state of the kernel cache, and on any machine."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from decimal import Decimal, localcontext

import numpy as np
import pytest
from support.places import ALONE_PYTHONPATH, ROOT

from hxloop.seeds import generator
from hxloop_host.arithmetic import compiled
from hxloop_host.arithmetic.exp_log import exp_of, log_of
from hxloop_host.arithmetic.whole_power import whole_power
from hxloop_host.readouts.first_spikes import SoftmaxTimes
from hxloop_host.spike_times.closed_form import FirstSpikeLayer

CALLERS = ("add_block", "add_blocks", "first_spike_times", "_wait_1", "_coefficients_1", "exp_each")


def trained(cache):
    """Digest of all that a short training in a process of its own ends with."""
    done = subprocess.run(
        [sys.executable, "-m", "support.small_training"],
        cwd=ROOT,
        env=os.environ
        | {"HXLOOP_CACHE_DIR": str(cache), "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": ALONE_PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """A cache that one training has filled, and the digest of that training."""
    cache = tmp_path_factory.mktemp("cache")
    return cache, trained(cache)


def test_a_warm_cache_gives_the_bytes_of_a_cold_one(cold):
    cache, digest = cold
    assert len(list(cache.rglob("*.kernel"))) > 5
    assert trained(cache) == digest


@pytest.mark.parametrize("callers", [True, False], ids=["callers are missing", "callees are missing"])
def test_a_half_warm_cache_does_so_too(cold, tmp_path, callers):
    shutil.copytree(cold[0], tmp_path / "cache")
    files = list((tmp_path / "cache").rglob("*.kernel"))
    removed = [file for file in files if file.name.split("-")[0].endswith(CALLERS) == callers]
    assert 0 < len(removed) < len(files)
    for file in removed:
        file.unlink()
    assert trained(tmp_path / "cache") == cold[1]


def test_the_learning_rule_gives_these_bytes():
    """On any machine, with any version of Python, NumPy and Numba: nothing in it is left to a library or a compiler."""
    digest = hashlib.sha256()
    g = generator(1, "bits")
    for tau_ratio in (1, 2):
        t_in, weights = g.uniform(0.0, 3.0, (50, 37)), g.uniform(-0.2, 0.7, (37, 40))
        rule = FirstSpikeLayer(tau_ratio, 1.0)
        times = rule.times(t_in, weights)
        loss, slopes = SoftmaxTimes().value_and_gradient(times, g.integers(0, 40, 50))
        assert np.isfinite(times).mean() > 0.5
        for values in (times, np.array(loss), slopes, *rule.gradients(t_in, weights, times, slopes, 0.2)):
            digest.update(np.ascontiguousarray(values).tobytes())
    assert digest.hexdigest() == "1386f8cb6f9d30053a37f8ec29c53c8fb0e3dacfdf635c3d77084bddf45363e3"


def exact(method, value):
    """`Decimal.exp` or `Decimal.ln` of a float64, to 40 digits."""
    with localcontext() as context:
        context.prec = 40
        return getattr(Decimal(float(value)), method)()


@pytest.mark.parametrize(
    ("function", "method", "low", "high"), [(exp_of, "exp", -708.0, 709.0), (exp_of, "exp", -2.0, 2.0),
                                            (log_of, "ln", 1e-3, 1e3), (log_of, "ln", 0.7, 1.5)],
)  # fmt: skip
def test_functions_are_within_one_unit_of_the_last_place(function, method, low, high):
    values = generator(2, method).uniform(low, high, 2000)
    for value, found in zip(values, function(values), strict=True):
        true = exact(method, value)
        assert abs(Decimal(float(found)) - true) < Decimal("1.01") * Decimal(float(np.spacing(abs(float(true)))))


def test_functions_at_the_ends():
    given = np.array([0.0, -np.inf, np.inf, np.nan, -745.2, -745.0, 709.9])
    np.testing.assert_array_equal(exp_of(given), [1.0, 0.0, np.inf, np.nan, 0.0, 5e-324, np.inf])
    np.testing.assert_array_equal(log_of(np.array([1.0, 0.5, 2.0**1023])), np.array([0.0, -1.0, 1023.0]) * np.log(2.0))
    assert whole_power(0.9, 0) == 1.0
    assert whole_power(0.999, 1) == 0.999
    assert whole_power(0.5, 40) == 2.0**-40
    assert whole_power(0.9, 1000) == pytest.approx(0.9**1000, rel=1e-13)


def test_kernels_are_compiled_as_written():
    """Without fast math, in one way; and in a file whose change makes stored kernels stale."""
    for package in ("host/hxloop_host", "chip_emulator/hxloop_chip"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "fastmath" not in text, path
            assert path.name == "compiled.py" or not re.search(r"\b(njit|jit|vectorize|guvectorize)\b", text), path
            if re.search(r"^from \S*compiled import", text, re.MULTILINE):
                assert path in compiled.SOURCES or "solver" in path.parts, path
