"""The page about tasks says what they are, and its code runs."""

import re

from support.places import ROOT

from hxloop_host.tasks.catalog import TASKS

PAGE = (ROOT / "docs" / "tasks.md").read_text()


def test_the_table_is_true():
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| (\d+) \| ([\d, ]+) \|", PAGE, re.M)
    assert [row[0] for row in rows] == list(TASKS)
    for name, inputs, n_classes, sizes in rows:
        task = TASKS[name]
        numbers = [int(n) for n in re.findall(r"\d+", inputs)]
        assert task.n_classes == int(n_classes)
        assert list(task.n_samples) == [int(n) for n in sizes.split(",")]
        if "pixels" in inputs:
            assert task.grid == tuple(numbers[:2])
        else:
            assert task.n_inputs == numbers[0]
        if " us" in inputs:
            assert round(task.duration_us) == numbers[-1]


def test_its_code_makes_a_task():
    found = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, re.S).group(1), found)
    assert (found["task"].name, found["task"].n_inputs, found["task"].n_classes) == ("rougher", 40, 4)
    assert found["task"].loaded("test").n_samples == 1000
