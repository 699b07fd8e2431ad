"""How mutated files end: each format's valid file is changed thousands of times, with its checksums made right again.

Prints one JSON object. Only typed errors and successes are right; exit code 1 if there is a traceback, a hang or a
death. Workers are processes with bounds on memory and time, so that none of these ends the count.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

sys.path[0] = str(
    Path(__file__).resolve().parent.parent / "tests"
)  # in place of this folder, which has a calibration.py

MEMORY_BYTES = 4 * 2**30
HANG_S = 10
KINDS = ("read", "refused", "traceback", "hang", "death")


def work(seed: int, cases: int, first: int) -> None:
    """Try cases ``first..``, one line of JSON for each; whoever reads them sees where they end."""
    from support.strangers.mutation import targets

    from hxloop.errors import HxloopError

    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    with tempfile.TemporaryDirectory() as folder:
        every = targets(Path(folder))
        print(json.dumps([target.name for target in every]), flush=True)
        for case in range(first, cases):
            target = every[case % len(every)]
            target.spoil(random.Random(f"{seed}/{case}"))
            end, begin = {"case": case, "format": target.name}, time.perf_counter()
            print(json.dumps(end), flush=True)
            signal.alarm(HANG_S)
            try:
                target.read(target.path)
                end["end"] = "read"
            except HxloopError as error:
                text = str(error)
                right = error.exit_code == 2 and "\n" not in text and len(text) < 2500
                end |= {"end": "refused"} if right else {"end": "traceback", "said": f"{error.exit_code} {text[:300]}"}
            except Exception:
                end |= {"end": "traceback", "said": traceback.format_exc()[-600:]}
            signal.alarm(0)
            print(json.dumps(end | {"s": time.perf_counter() - begin}), flush=True)
        print(json.dumps({"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}), flush=True)


def count(seed: int, cases: int) -> dict[str, object]:
    """Let workers try all cases; one that dies or hangs is counted, and another goes on behind it."""
    counts: dict[str, Counter[str]] = {}
    faults, slowest, peak_mib, first = [], {"s": 0.0}, 0, 0
    while first < cases:
        command = [sys.executable, __file__, "--work", str(first), "--cases", str(cases), "--seed", str(seed)]
        last: dict[str, object] = {}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            for line in worker.stdout:
                found = json.loads(line)
                if isinstance(found, list):
                    counts = counts or {name: Counter() for name in found}
                elif "peak_mib" in found:
                    peak_mib = max(peak_mib, found["peak_mib"])
                else:
                    last = found
                    if "end" in found:
                        counts[found["format"]][found["end"]] += 1
                        slowest = max(slowest, found, key=lambda one: one["s"])
                        faults += [found] if found["end"] == "traceback" else []
        if not last:
            raise SystemExit("the worker cannot begin")
        if "end" not in last:
            end = "hang" if worker.returncode == -signal.SIGALRM else "death"
            counts[str(last["format"])][end] += 1
            faults.append(last | {"end": end, "said": f"ended with {worker.returncode}"})
        first = int(str(last["case"])) + 1
    return {
        "cases": cases,
        "seed": seed,
        "ends": {name: {kind: ends[kind] for kind in KINDS} for name, ends in counts.items()},
        "sums": {kind: sum(ends[kind] for ends in counts.values()) for kind in KINDS},
        "slowest": slowest,
        "peak_mib": peak_mib,
        "faults": faults[:50],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="file for the JSON object, beside stdout")
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        work(options.seed, options.cases, options.work)
        return 0
    found = count(options.seed, options.cases)
    text = json.dumps(found, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
