"""Cores that may be used, where the system says it and where it does not."""

import os
import subprocess
import sys

import pytest

from hxloop.kit.cores import n_cores, usable_cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to cores")
def test_a_process_bound_to_a_core_has_that_one():
    last = max(os.sched_getaffinity(0))
    program = (
        f"import os\nos.sched_setaffinity(0, {{{last}}})\n"
        "from hxloop.kit.cores import n_cores, usable_cores\nprint(n_cores(), usable_cores())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"1 ({last},)"


def test_where_nobody_says_all_cores_count(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert (n_cores(), usable_cores()) == (3, (0, 1, 2))
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == (0,)
