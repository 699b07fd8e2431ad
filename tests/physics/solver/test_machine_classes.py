"""The same bytes on machines with and without AVX-512, which is hidden from the compiler and the libraries."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from support.places import PYTHONPATH, ROOT
from support.solving.small_runs import digests

from hxloop_chip.solver import vector
from hxloop_chip.solver.layout import LANES

_FEATURES = np._core._multiarray_umath.__cpu_features__
LONG = [name for name, here in _FEATURES.items() if here and (name.startswith("AVX512") or name == "X86_V4")]
HIDDEN = {
    "NUMBA_CPU_NAME": "x86-64-v3",
    "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+f16c,+lzcnt,+popcnt,+movbe",
    "NPY_DISABLE_CPU_FEATURES": " ".join(LONG),
    "OPENBLAS_CORETYPE": "Haswell",
}


@pytest.mark.skipif(vector.WIDTH == LANES, reason="this machine has no AVX-512 to hide")
def test_a_machine_without_avx512_gives_the_same_bytes(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "support.solving.small_runs"],
        cwd=ROOT,
        env=os.environ | HIDDEN | {"HXLOOP_CACHE_DIR": str(tmp_path), "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=900,
        check=True,
    )
    found = json.loads(done.stdout)
    for case, expected in digests().items():
        different = [name for name, digest in expected.items() if found[case][name] != digest]
        assert not different, (case, different)
