"""What comes with a kernel that was compiled before: not Numba's compiler, which takes 0.4 s to load."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from support.places import ALONE_PYTHONPATH

from hxloop.kernels.kernel_library import KernelLibrary

SOURCE = Path(__file__)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HXLOOP_CACHE_DIR", str(tmp_path))


def spread(values):
    """A kernel with functions of Numba's own, new arrays and an error."""
    if values.size == 0:
        raise ValueError("nothing to spread")
    return np.sort(values - values.sum() / values.size)[::-1].copy()


def kept():
    return KernelLibrary([SOURCE], numba).keep(numba.njit(spread))


def in_a_process(statements):
    """What fresh processes print; they share the cache."""
    program = f"import sys, numba, numpy as np; from {SOURCE.stem} import *; {statements}"
    environment = os.environ | {"PYTHONPATH": str(SOURCE.parent) + os.pathsep + ALONE_PYTHONPATH}
    return subprocess.check_output([sys.executable, "-c", program], env=environment, text=True, timeout=120).split()


def test_a_kernel_that_was_compiled_brings_nothing_of_a_compiler_with_it():
    call = "k = kept(); print(*k(np.array([1.0, 6.0, 2.0]))); "
    brought = "print('numba.np.arraymath' in sys.modules, sum(k.stats.cache_misses.values()))"
    assert in_a_process(call + brought) == ["3.0", "-1.0", "-2.0", "True", "1"]
    assert in_a_process(call + brought) == ["3.0", "-1.0", "-2.0", "False", "0"]


def test_beside_kernels_that_were_compiled_others_compile_as_ever():
    call = "k = kept(); k(np.ones(2)); "
    other = "print(numba.njit(lambda x: np.linalg.norm(x) + x.max() + len({1: x}))(np.array([3.0, 4.0])))"
    fails = "\ntry: k(np.empty(0))\nexcept ValueError as error: print(error)"
    for _ in range(2):
        assert in_a_process(call + other + fails) == ["10.0", "nothing", "to", "spread"]
