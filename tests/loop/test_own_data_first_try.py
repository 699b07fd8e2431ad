"""A first try on data of somebody's own, on an emulated chip with noise; all five sets: ``benchmarks/own_data.py``."""

import pytest
from support.people_data import people_task, perceptron_accuracy

from hxloop_host.link.launch import launch
from hxloop_host.training.experiment import train

pytestmark = pytest.mark.processes


def test_bursts_are_told_apart_as_by_a_perceptron(tmp_path):
    task = people_task("bursts", 300)
    with launch("typical", 2) as chip:
        run = train(task, chip=chip, out=tmp_path / "run", epochs=4, report=[])
    assert run.test_accuracy >= 0.9 * perceptron_accuracy(task)
