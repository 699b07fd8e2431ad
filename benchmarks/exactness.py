"""Spike times of the ideal chip against the independent reference on random networks.

Prints one line per network that is not exact and a summary; exit code 1 if any is not.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.solving.comparison import Tally, check_network

from hxloop_chip.chip.emulated_chip import EmulatedChip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first network")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    options = parser.parse_args()
    chip = EmulatedChip("ideal", 1)
    total, failed, started = Tally(), [], time.perf_counter()
    for index in range(options.first, options.first + options.networks):
        tally, _ = check_network(chip, index, options.seed)
        if not tally.exact:
            failed.append(index)
            print(f"network {index}: {tally}", file=sys.stderr)
        total.add(tally)
    summary = {name: value for name, value in vars(total).items() if name != "worst"}
    summary |= {"networks": options.networks, "seed": options.seed, "failed_networks": failed}
    summary |= {"wall_s": round(time.perf_counter() - started, 1)}
    text = "\n".join(f"{key}: {value}" for key, value in summary.items())
    print(json.dumps(summary, default=int) if options.json else text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
