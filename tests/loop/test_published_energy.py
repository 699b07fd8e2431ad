"""Energy of an image in two published workloads, from short trainings with our presets."""

import os
from pathlib import Path

import pytest

from benchmarks.workloads.published_energy import WORKLOADS, measure
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_host.tasks.published_files import DATA_DIR

MNIST = Path(os.environ.get(DATA_DIR, "")) / "mnist"


@pytest.mark.skipif(not MNIST.is_dir(), reason=f"MNIST is not in {DATA_DIR}")
@pytest.mark.parametrize("name", WORKLOADS)
def test_an_image_costs_what_is_published(name):
    found = measure(name, n_train=200, n_test=100, chip=EmulatedChip("typical", 2))
    assert found["samples"] > 300
    assert found["counts"]["synaptic_events"] > 10_000
    assert found["ratio"] == pytest.approx(1.0, abs=0.1)
    assert sum(found["items_uj"].values()) == pytest.approx(found["uj"])
