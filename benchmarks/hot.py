"""The hottest instructions of the compiled kernels, with the code around them.

    python -m benchmarks.hot --load recurrent

Samples a run with ``perf`` (its software clock, which works without hardware counters) and disassembles the memory of
the kernels with ``objdump``, because compiled kernels have no symbols. A sample names the instruction after a slow one.
"""

from __future__ import annotations

import argparse
import collections
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.instructions import LOADS, prepared
from benchmarks.measuring.figures import ROOT


def child(load_name: str, chip_name: str, seconds: float, folder: Path) -> None:
    """Run a load for a while, then write the memory in which compiled code lies, a file for each region."""
    load, chip = prepared(load_name, chip_name)
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        load.run(chip)
    with Path("/proc/self/mem").open("rb", buffering=0) as memory:
        for entry in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            bounds, access, *_, name = [*entry.split(), ""] if len(entry.split()) == 5 else entry.split()
            if access.startswith("r-x") and not name:
                first, last = (int(bound, 16) for bound in bounds.split("-"))
                memory.seek(first)
                (folder / f"{first:x}.code").write_bytes(memory.read(last - first))


def listing(file: Path, counts: collections.Counter[int], total: int, context: int, least: float) -> list[str]:
    """Instructions of a region near those with at least this share of all samples."""
    base = int(file.stem, 16)
    if not any(base <= address < base + file.stat().st_size for address in counts):
        return []
    command = ["objdump", "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "--no-show-raw-insn"]
    done = subprocess.run([*command, f"--adjust-vma={base:#x}", str(file)], capture_output=True, text=True, check=True)
    rows: list[tuple[int, str]] = []
    for text in done.stdout.splitlines():
        address, colon, instruction = text.strip().partition(":")
        if colon and instruction.startswith("\t"):
            rows.append((counts[int(address, 16)], f"{address}  {instruction.strip()}"))
    hot = [k for k, (count, _) in enumerate(rows) if count >= least * total]
    shown = sorted({near for k in hot for near in range(max(0, k - context), min(len(rows), k + context + 1))})
    lines = []
    for before, k in zip([-1, *shown], shown, strict=False):
        lines += ["..."] if k != before + 1 else []
        lines.append(f"{100 * rows[k][0] / total:6.2f} %  {rows[k][1]}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", choices=LOADS, default="whole_chip")
    parser.add_argument("--chip", default="typical")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--context", type=int, default=8, help="instructions shown before and after a hot one")
    parser.add_argument("--least", type=float, default=0.01, help="share of all samples that makes one hot")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child is not None:
        child(asked.load, asked.chip, asked.seconds, asked.child)
        return 0
    missing = [tool for tool in ("perf", "objdump") if shutil.which(tool) is None]
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="hxloop-bench-") as name:
        folder = Path(name)
        work = [sys.executable, "-m", "benchmarks.hot", "--load", asked.load, "--chip", asked.chip]
        work += ["--seconds", str(asked.seconds), "--child", name]
        record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "2000", "-o", str(folder / "perf.data")]
        subprocess.run([*record, *work], cwd=ROOT, check=True)
        script = ["perf", "script", "-i", str(folder / "perf.data"), "-F", "ip"]
        done = subprocess.run(script, capture_output=True, text=True, check=True)
        counts = collections.Counter(int(address, 16) for address in done.stdout.split())
        for file in sorted(folder.glob("*.code")):
            print("\n".join(listing(file, counts, counts.total(), asked.context, asked.least)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
