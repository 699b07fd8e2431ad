"""Does a first try on data of somebody's own succeed? Five data sets, trained without options, against a perceptron.

``python benchmarks/own_data.py --out own_data.json`` prints a table and writes it as JSON, one object a data set and
serial: rule that was taken, epochs, test accuracy, that of scikit-learn's perceptron with 100 hidden neurons (on the
features, or the spikes counted in ten bins), seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import hxloop
from hxloop.progress import Message


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from support.people_data import NAMES, people_task, perceptron_accuracy

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(NAMES), metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--serials", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rule")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = []
    for name in given.names:
        task = people_task(name)
        perceptron = perceptron_accuracy(task)
        for serial in given.serials:
            rows.append({"data": name} | _first_try(task, serial, given.rule) | {"perceptron": perceptron})
            rows[-1]["share"] = rows[-1]["test_accuracy"] / perceptron
            print(json.dumps(rows[-1]), flush=True)
            if given.out:
                given.out.write_text(json.dumps(rows, indent=1) + "\n")


def _first_try(task: hxloop.Task, serial: int, rule: str | None) -> dict[str, Any]:
    trial: list[str] = []

    def listen(event: object) -> None:
        if isinstance(event, Message) and event.text.startswith("trial: "):
            trial.append(event.text.removeprefix("trial: "))

    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        run = hxloop.train(task, serial=serial, rule=rule, out=Path(folder) / "run", report=listen)
        wall_s = time.perf_counter() - begin
    return {
        "serial": serial,
        "rule": run.origin.settings.rule.kind,
        "trial": "".join(trial),
        "epochs": len(run.metrics),
        "training_s": round(sum(m.wall_s for m in run.metrics), 1),
        "wall_s": round(wall_s, 1),
        "test_accuracy": run.test_accuracy,
    }


if __name__ == "__main__":
    main()
