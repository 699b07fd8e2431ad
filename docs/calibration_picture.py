"""Draw docs/images/calibration.png from finished runs: what training makes of a chip without and with calibration."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hxloop.kit.figures import BLUE, GREY, ORANGE, draw
from hxloop_host.runs.trained_run import load_run

KINDS = {"uncalibrated": ("not calibrated", GREY), "calibrated": ("calibrated", BLUE), "typical": ("typical", ORANGE)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, help="folder with runs KIND-SERIAL")
    parser.add_argument("--serials", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    options = parser.parse_args()
    accuracy = {
        kind: [100 * load_run(options.runs / f"{kind}-{serial}").test_accuracy for serial in options.serials]
        for kind in KINDS
    }

    def fill(figure) -> None:  # noqa: ANN001
        axes = figure.subplots()
        for k, (kind, (label, color)) in enumerate(KINDS.items()):
            place = np.arange(len(options.serials)) + 0.27 * (k - 1)
            axes.bar(place, accuracy[kind], 0.25, color=color, label=f"{label}: mean {np.mean(accuracy[kind]):.1f} %")
        axes.set_xticks(np.arange(len(options.serials)), [str(s) for s in options.serials])
        axes.set_xlabel("serial number of the silicon")
        axes.set_ylabel("test accuracy in the loop (%)")
        axes.set_ylim(70, 101)
        axes.legend(loc="upper left", ncols=3)

    (Path(__file__).parent / "images" / "calibration.png").write_bytes(draw(6.0, 2.6, fill, dpi=110))
    for kind, values in accuracy.items():
        print(kind, " ".join(f"{v:.1f}" for v in values), f"mean {np.mean(values):.2f}")


if __name__ == "__main__":
    main()
