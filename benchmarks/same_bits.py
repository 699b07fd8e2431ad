"""Does a training end with the same bytes whatever the kernel cache holds? Minutes; one JSON line a training.

``python -m benchmarks.same_bits [--seeds 3] [--epochs 3] [--out FILE]`` trains Yin-Yang with each seed on a chip of its
own: with an empty cache, with the one that this leaves, and twice with half of its kernels missing, drawn so that
callers lose kernels they call and the other way round. All processes are fresh, and so are both halves of each cache:
the daemon's kernels and the host's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hxloop_host.training.experiment import load_run

_KEPT = ("weights/", "state/", "test/")


def trained(cache: Path, out: Path, seed: int, epochs: int) -> tuple[str, float]:
    """Digest of all that a training ends with, spikes of the test included, and what it took in seconds."""
    begin = time.perf_counter()
    subprocess.run(
        [
            sys.executable, "-m", "hxloop", "train", "yin-yang", "--preset", "quick", "--no-plots",
            "--epochs", str(epochs), "--serial", str(seed + 1), "--seed", str(seed), "--out", str(out),
        ],
        env=os.environ | {"HXLOOP_CACHE_DIR": str(cache)}, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    quantities = load_run(out).record.quantities
    digest = hashlib.sha256()
    for name in sorted(quantities):
        if name.startswith(_KEPT):
            digest.update(name.encode() + quantities[name].values.tobytes())
    return digest.hexdigest(), time.perf_counter() - begin


def halves(cache: Path, folder: Path, seed: int) -> list[Path]:
    """Two copies of a cache, each without the kernels that the other one has."""
    files = sorted(path.relative_to(cache) for path in cache.rglob("*.kernel"))
    first = set(random.Random(seed).sample(files, len(files) // 2))
    made = []
    for number in range(2):
        made.append(folder / f"half-{number}")
        shutil.copytree(cache, made[-1])
        for path in files:
            if (path in first) == (number == 0):
                (made[-1] / path).unlink()
    return made


def measure(seed: int, epochs: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="hxloop-bits-") as name:
        folder = Path(name)
        cache = folder / "cache"
        found = {"cold": trained(cache, folder / "cold", seed, epochs)}
        n_kernels = len(list(cache.rglob("*.kernel")))
        first, second = halves(cache, folder, seed)
        for state, place in (("warm", cache), ("half", first), ("other_half", second)):
            found[state] = trained(place, folder / state, seed, epochs)
    return {
        "name": "same_bits",
        "seed": seed,
        "chip": f"typical/{seed + 1}",
        "same": len({digest for digest, _ in found.values()}) == 1,
        "sha256": {state: digest for state, (digest, _) in found.items()},
        "wall_s": {state: round(wall_s, 1) for state, (_, wall_s) in found.items()},
        "kernels": n_kernels,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = []
    for seed in range(options.seeds):
        lines.append(json.dumps(measure(seed, options.epochs)))
        print(lines[-1], flush=True)
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if all(json.loads(line)["same"] for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
