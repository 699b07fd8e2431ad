"""Trainings that begin on the chip: resumed from their first checkpoint, counted, and with a beginning in a file."""

import re
from dataclasses import replace

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.listeners import Stop
from support.places import ROOT, SHORT

from hxloop.errors import InvalidInputError
from hxloop.progress import Advanced, silent
from hxloop.task import Task
from hxloop_host.settings.experiment_settings import BEGINNING_SECTION, Settings, load_settings
from hxloop_host.tasks.yin_yang import generate_yin_yang
from hxloop_host.training.experiment import train

PAGE = (ROOT / "docs" / "your-own.md").read_text(encoding="utf-8")
OWN = re.search(r"```python\n(from hxloop import Beginning[^`]*)```", PAGE)[1]
"""The example of docs/your-own.md."""


def run(out, report=silent, **more):
    values = load_settings(SHORT).model_dump()
    values["network"] |= {"sizes": [6, 3], "init_std": [0.4, 0.4]}
    values["training"] |= {"epochs": 2}
    values["rule"] |= {"silent": "lift", "limits": [0.7, 0.05]}
    sets = {split: generate_yin_yang(60, k) for k, split in enumerate(("train", "validation", "test"))}
    sets = {split: replace(data, class_names=("a", "b", "c")) for split, data in sets.items()}
    task = Task.from_sets(sets, name="few")
    return train(task, preset=Settings(**values), chip=GridChip(), out=out, report=report, **more)


@pytest.fixture
def file(tmp_path):
    """Forgets what was named, as another process does."""
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    yield path
    BEGINNING_SECTION._own.clear()


@pytest.mark.parametrize("stop", [1, 3])
def test_a_training_that_began_on_the_chip_goes_on_bit_by_bit(tmp_path, stop):
    """Stopped in its first epoch, when there is only the checkpoint of the beginning, or in its second."""
    whole = run(tmp_path / "a", beginning="first_spikes")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", beginning="first_spikes", report=Stop(Advanced, stop))
    again = run(tmp_path / "b", beginning="first_spikes", resume=True)
    for a, b in zip(whole.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.use.chip_time_s == whole.use.chip_time_s
    epochs = sum(m.use.chip_time_s for m in whole.metrics) + whole.record.attributes["after_chip_time_s"]
    assert whole.use.chip_time_s > epochs
    assert whole.origin.settings.beginning.kind == "first_spikes"
    with pytest.raises(InvalidInputError) as caught:
        run(tmp_path / "b", resume=True)
    assert caught.value.field.startswith("beginning")


def test_a_beginning_in_a_file_runs_only_if_it_is_named(tmp_path, file):
    name = f"{file}:Louder"
    done = run(tmp_path / "a", beginning=name)
    given = done.origin.settings.beginning
    assert (given.kind, given.share, len(given.sha256)) == (name, 0.5, 64)
    own = BEGINNING_SECTION.part(name)
    assert run(tmp_path / "b", beginning=own(share=0.9)).origin.settings.beginning.share == 0.9
    BEGINNING_SECTION._own.clear()
    with pytest.raises(InvalidInputError, match="only if you name it yourself"):
        train("yin-yang", preset=done.origin.settings, chip=GridChip(), out=tmp_path / "c", report=silent)


@pytest.mark.parametrize(
    ("body", "says"),
    [("1 / 0", "Louder failed in begin"), ("return 3", "must return a list"), ("return drawn[:1]", "expected")],
)
def test_faults_of_own_beginnings_are_told(tmp_path, file, body, says):
    file.write_text(re.sub(r"(batch, say\):\n).*", rf"\1        {body}\n", OWN, flags=re.DOTALL))
    with pytest.raises(InvalidInputError, match=says):
        run(tmp_path / "a", beginning=f"{file}:Louder")


def test_weights_of_another_run_are_begun_with_as_they_are(tmp_path):
    first = run(tmp_path / "a")
    plain, asked = (run(tmp_path / n, initial=first, beginning=b) for n, b in (("b", None), ("c", "first_spikes")))
    assert all(map(np.array_equal, plain.weights, asked.weights))
