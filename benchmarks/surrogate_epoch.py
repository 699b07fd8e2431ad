"""Where an epoch of MNIST with surrogate gradients goes: wall time over the chip emulation it contains.

    python -m benchmarks.surrogate_epoch [--images 6000] [--repeats 3]

One JSON line, as in `benchmarks.run`. The first epoch, which compiles and measures, is not counted; nothing is
validated. `profile_s` is the time of the host's main parts in an epoch, from a profile of another one.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import sys
import time
from typing import TYPE_CHECKING, Final

from benchmarks.measuring.figures import Claim, Figure, line, machine
from benchmarks.suites import Options
from benchmarks.suites.suite_parts import Daemons
from benchmarks.workloads.networks import images
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.training.assembly import prepared, trainer_of

if TYPE_CHECKING:
    from hxloop_host.training.trainer import Trainer

CLAIM: Final = Claim(
    "surrogate_epoch.mnist16_over_emulation", "1",
    "preset mnist16_surrogate, through the service: wall time of an epoch over the emulation of the chip in it", 2.0,
    at_most=True,
)  # fmt: skip
PARTS: Final = ("take", "run", "record", "weight_gradients", "add", "step", "clip", "decode_membranes", "decode_spikes")
"""Functions whose time, with what they call, is told."""


def profiled(trainer: Trainer) -> dict[str, float]:
    """Seconds of the parts of an epoch."""
    profile = cProfile.Profile()
    profile.runcall(trainer.epoch, lambda _: None)
    found: dict[str, float] = {}
    for (file, _, name), (*_, cumulative, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if name in PARTS and "hxloop" in file:
            key = f"{file.rpartition('/')[2].removesuffix('.py')}.{name}"
            found[key] = round(cumulative, 3)
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def main() -> int:
    """Exit status 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    settings = load_settings("mnist16_surrogate").with_epochs(asked.repeats + 2)
    training = settings.training.model_copy(update={"evaluate_every": asked.repeats + 9})
    settings = settings.model_copy(update={"training": training})
    data, origin = images(asked.images, "train")
    with Daemons() as daemons:
        rule, runner = prepared(settings, daemons.start(Options())[0], data.n_inputs)
        trainer = trainer_of(settings, rule, runner, data, data.take(slice(100)), seed=1)
        trainer.epoch(lambda _: None)
        wall_s, ratio, emulation_s = [], [], []
        for _ in range(asked.repeats):
            begun = time.perf_counter()
            use = trainer.epoch(lambda _: None).use
            wall_s.append(time.perf_counter() - begun)
            emulation_s.append(use.emulation_s)
            ratio.append(wall_s[-1] / use.emulation_s)
        about = {"images": asked.images, "data": origin, "wall_s": wall_s, "emulation_s": emulation_s}
        found = line(CLAIM, Figure(CLAIM.name, ratio, about | {"profile_s": profiled(trainer)}), machine())
    print(json.dumps(found))
    return 0 if found["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
