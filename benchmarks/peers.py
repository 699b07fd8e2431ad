"""Other simulators on the same workloads beside the emulator: runs their scripts, prints ratios against the bars.

    python -m benchmarks.peers --peers ../shared/peers

The folder has a `run_all.py` with verbs `install` and `run`, which writes the workloads and measures peers and
candidates (`benchmarks/candidate.py`) in one run: samples for each second of a core, forward. Peers start from inputs
in a format of their own, the emulator from spike lists.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.measuring.figures import Claim, Figure, line, machine, write_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CANDIDATE = Path(__file__).with_name("candidate.py")
OURS: Final = "hxloop"
DEFAULT_PEERS: Final = ("exact", "brian2", "jaxsnn")
WORKLOADS: Final = ("yin_yang", "mnist16", "dense")

_BARS: Final[dict[str, tuple[tuple[float, float | None], ...]]] = {
    "over_fastest_at_0.1us": ((2.5, 8.0), (3.5, 10.0), (4.0, 20.0)),
    "over_fastest_at_1us": ((0.3, 1.0), (0.8, 1.0), (0.5, 1.0)),
    "over_exact": ((5.0, None), (15.0, None), (40.0, None)),
}
_WHAT: Final = {
    "over_fastest_at_0.1us": "speed over that of the fastest peer with a time step of 0.1 us",
    "over_fastest_at_1us": "speed over that of the fastest peer with a time step of 1 us",
    "over_exact": "speed over that of the exact event-driven solver",
}
CLAIMS: Final = (
    *(
        Claim(f"peers.{workload}.{kind}", "1", f"{workload}: {_WHAT[kind]}", bar, stretch=stretch)
        for kind, bars in _BARS.items()
        for workload, (bar, stretch) in zip(WORKLOADS, bars, strict=True)
    ),
    *(
        Claim(
            f"peers.{w}.beyond_two_ticks", "1", f"{w}: spikes missed, invented, or more than 16 ns off", 0, at_most=True
        )
        for w in WORKLOADS
    ),
    *(Claim(f"peers.{w}.samples_per_core_s", "1/s", f"{w}: `ideal`, spike lists to spike lists") for w in WORKLOADS),
)


def peers_folder() -> Path:
    """Where the peers' scripts keep their environments and workloads."""
    return Path(os.environ.get("HXLOOP_PEERS_VENVS", "~/.cache/hxloop-peers")).expanduser()


def fastest(rows: Sequence[Mapping[str, Any]], workload: str, dt_us: float) -> Mapping[str, Any] | None:
    """Result of the fastest peer with this time step."""
    mine = [r for r in rows if r["workload"] == workload and r["dt_us"] == dt_us and r["peer"] != OURS]
    return max(mine, key=lambda r: r["samples_per_core_s"], default=None)


def figures(rows: Sequence[Mapping[str, Any]], checks: Mapping[str, Mapping[str, Any]]) -> Iterator[Figure]:
    """Figures from the peers' result lines and from what `candidate.py --check` said of each workload."""
    for workload in dict.fromkeys(r["workload"] for r in rows):
        ours = next((r for r in rows if r["workload"] == workload and r["peer"] == OURS), None)
        if ours is None:
            continue
        speed = ours["samples_per_core_s"]
        about = {"threads": ours["threads"], "chip": "ideal/1", "batch": ours["batch"]}
        yield Figure(f"peers.{workload}.samples_per_core_s", [speed], about | {"repeats_inside": ours["repeats"]})
        others = {
            "over_fastest_at_0.1us": fastest(rows, workload, 0.1),
            "over_fastest_at_1us": fastest(rows, workload, 1.0),
            "over_exact": next((r for r in rows if r["workload"] == workload and r["peer"] == "exact"), None),
        }
        for kind, other in others.items():
            if other is not None:
                than = {
                    "peer": other["peer"],
                    "peer_version": other["version"],
                    "peer_samples_per_core_s": other["samples_per_core_s"],
                }
                than |= {"peer_missed_frac": other["missed_frac"], "peer_extra_frac": other["extra_frac"]}
                yield Figure(f"peers.{workload}.{kind}", [speed / other["samples_per_core_s"]], about | than)
        if workload in checks:
            found = checks[workload]
            wrong = found["missed"] + found["extra"] + found["beyond_two_ticks"]
            context = {"spikes": found["spikes"], "err_us_max": found["err_us_max"]}
            yield Figure(f"peers.{workload}.beyond_two_ticks", [wrong], about | context)


def merged(rounds: Sequence[Sequence[Figure]]) -> Iterator[Figure]:
    """Figures with a value from every round; their context is that of the last one."""
    by_name = {figure.name: figure for found in rounds for figure in found}
    for name, last in by_name.items():
        values = [value for found in rounds for figure in found if figure.name == name for value in figure.values]
        yield Figure(name, values, last.context)


def measure(folder: Path, asked: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Result lines of peers and candidate, and the check of each workload."""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory(prefix="hxloop-peers-") as temporary:
        out = Path(temporary) / "results.jsonl"
        command = [sys.executable, str(folder / "run_all.py"), "run", "--out", str(out), "--train"]
        command += ["--peers", *asked.only_peers, "--workloads", *asked.workloads, "--repeats", str(asked.repeats)]
        command += ["--candidate", f"{sys.executable} {CANDIDATE}"]
        subprocess.run(command, env=environment, stdout=sys.stderr, check=False)  # failures are told, others count
        rows = [json.loads(text) for text in out.read_text(encoding="utf-8").splitlines()] if out.exists() else []
    root = peers_folder()
    path = os.pathsep.join(filter(None, (str(folder), environment.get("PYTHONPATH"))))
    checks = {}
    for workload in asked.workloads:
        command = [sys.executable, str(CANDIDATE), str(root / "workloads" / f"{workload}.npz"), "--check"]
        done = subprocess.run(
            command, env=environment | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(done.stderr, file=sys.stderr)
        else:
            checks[workload] = json.loads(done.stdout)
    return rows, checks


def main() -> int:
    """Exit status 1 if nothing could be compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"), help="folder with run_all.py")
    parser.add_argument("--only-peers", nargs="+", default=list(DEFAULT_PEERS), metavar="PEER")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="WORKLOAD")
    parser.add_argument("--repeats", type=int, default=5, help="timed passes of a process, of which the median counts")
    parser.add_argument(
        "--rounds", type=int, default=1, help="processes of everyone, in turn; ratios are within a round"
    )
    parser.add_argument("--out", type=Path, help="also put the lines into this file, in place of older ones")
    asked = parser.parse_args()
    folder = asked.peers.resolve()
    if not (folder / "run_all.py").is_file():
        print(f"no peers in {folder}: nothing to compare with", file=sys.stderr)
        return 0
    claims = {claim.name: claim for claim in CLAIMS}
    lines = [
        line(claims[figure.name], figure, machine())
        for figure in merged([list(figures(*measure(folder, asked))) for _ in range(asked.rounds)])
    ]
    for found in lines:
        print(json.dumps(found))
    if asked.out is not None:
        write_lines(asked.out, lines)
    compared = any("peer" in found for found in lines)
    if not compared:
        print(f"no peer and no figure of ours: python {folder / 'run_all.py'} install", file=sys.stderr)
    return 0 if compared else 1


if __name__ == "__main__":
    sys.exit(main())
