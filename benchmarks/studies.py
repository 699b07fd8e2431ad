"""How studies scale with workers: the same study with one and two of them, by turns; one JSON line.

python -m benchmarks.studies [--points 12] [--epochs 10] [--repeats 2]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import hxloop
from hxloop.progress import silent

WORKERS = (1, 2)


def study_s(workers: int, points: int, epochs: int, folder: Path) -> tuple[float, bytes]:
    """Wall time of a whole study, with the start of its workers; and its table."""
    begin = time.perf_counter()
    hxloop.study(
        "grid", serials=f"1..{points}", set={"training.epochs": epochs}, workers=workers, out=folder, report=silent
    )  # fmt: skip
    return time.perf_counter() - begin, (folder / "table.csv").read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("points", 12), ("epochs", 10), ("repeats", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    times: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    tables = set()
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(given.repeats):
            for workers in WORKERS:
                wall_s, table = study_s(workers, given.points, given.epochs, Path(folder) / f"{repeat}-{workers}")
                times[workers].append(wall_s)
                tables.add(table)
    medians = {workers: statistics.median(values) for workers, values in times.items()}
    print(
        json.dumps(
            {
                "name": "studies.scaling",
                "points": given.points,
                "epochs": given.epochs,
                "wall_s": {str(workers): round(value, 2) for workers, value in medians.items()},
                "ratio": round(medians[1] / medians[2], 3),
                "same_table": len(tables) == 1,
            }
        )
    )


if __name__ == "__main__":
    main()
