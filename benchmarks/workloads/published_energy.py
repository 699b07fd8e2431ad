"""Energy of an image in two published workloads, from runs of our presets with the published time of an image.

``python -m benchmarks.workloads.published_energy --out energy.json`` trains each for a moment, because how much a
network spikes depends on that, and prints a line of JSON for each: uJ of an image by item, the published figure, and
their ratio.

Published: Goeltz et al. 2021 (first spikes, 8.4 uJ in 48 us), Cramer et al. 2022 (membranes read by the CADC, 2.4 uJ in
11.8 us).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, Final

import hxloop
from hxloop.progress import silent
from hxloop_host.settings.experiment_settings import Settings, load_settings

WORKLOADS: Final[dict[str, dict[str, Any]]] = {
    "first spikes": {"preset": "mnist16", "image_us": 48.0, "published_uj": 8.4},
    # The published code reads for 34 us where it trains, and has images of 11.8 us where it is fast.
    "membranes": {"preset": "mnist16_surrogate", "image_us": 11.8, "published_uj": 2.4, "t_late": 1.2},
}
COUNTED: Final = ("events_in", "events_out", "synaptic_events", "cadc_reads")


def settings_of(preset: str, image_us: float, n_train: int, n_test: int, t_late: float | None = None) -> Settings:
    """A preset with images of another length, and as few of them as are needed."""
    tree = load_settings(preset).model_dump()
    tree["coding"]["duration"] = image_us / tree["neuron"]["tau_syn_us"]
    if t_late is not None:
        tree["coding"]["t_late"] = t_late
    tree["training"] |= {"epochs": 1}
    tree["data"] |= {"train": n_train, "validation": 100, "test": n_test}
    return Settings(**tree)


def measure(name: str, n_train: int, n_test: int, serial: int = 1, chip: hxloop.Chip | None = None) -> dict[str, Any]:
    """Energy of an image of one workload, on a chip that is there or one of its own."""
    published = dict(WORKLOADS[name])
    published_uj = published.pop("published_uj")
    settings = settings_of(**published, n_train=n_train, n_test=n_test)
    with tempfile.TemporaryDirectory() as folder:
        run = hxloop.train(
            "mnist16", preset=settings, chip=chip or "typical", serial=None if chip else serial,
            out=Path(folder) / "run", report=silent,
        )  # fmt: skip
    cost = run.cost()
    each = 1e6 / cost.n_samples
    return {
        "workload": name, **WORKLOADS[name], "serial": serial, "samples": cost.n_samples,
        "test_accuracy": run.test_accuracy, "uj": cost.chip_uj_per_sample,
        "ratio": cost.chip_uj_per_sample / published_uj,
        "items_uj": {item: each * value for item, value in cost.chip_j.items()},
        "counts": {n: getattr(run.use, n) / cost.n_samples for n in COUNTED},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=10000, help="images of the training")
    parser.add_argument("--test", type=int, default=1000, help="images of the test")
    parser.add_argument("--serial", type=int, default=1)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = []
    for name in WORKLOADS:
        rows.append(measure(name, given.train, given.test, given.serial))
        print(json.dumps(rows[-1]), flush=True)
    if given.out:
        given.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
