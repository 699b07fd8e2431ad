"""What an epoch of MNIST with surrogate gradients takes over the chip emulation it contains."""

from __future__ import annotations

import cProfile
import pstats
import time
from typing import TYPE_CHECKING, Final

from benchmarks.measuring.figures import Claim, Figure
from benchmarks.suites.suite_parts import Daemons, Options, Suite
from benchmarks.workloads.networks import images
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.training.assembly import prepared, trainer_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hxloop_host.training.trainer import Trainer

CLAIM: Final = Claim(
    "training.surrogate_epoch_over_emulation", "1",
    "preset mnist16_surrogate, through the service, without validation: wall time of an epoch over the emulation in it",
    2.0, at_most=True,
)  # fmt: skip
PARTS: Final = ("take", "record", "weight_gradients", "add", "decode_membranes", "decode_spikes")
"""Functions of the host whose time, with what they call, is told."""


def measure(options: Options) -> Iterator[Figure]:
    """After an epoch that compiles."""
    settings = load_settings("mnist16_surrogate").with_epochs(options.repeats + 2)
    training = settings.training.model_copy(update={"evaluate_every": options.repeats + 9})
    n_images = options.size(6000, 2000)
    data, origin = images(n_images, "train")
    with Daemons() as daemons:
        settings = settings.model_copy(update={"training": training})
        rule, runner = prepared(settings, daemons.start(options)[0], data.n_inputs)
        trainer = trainer_of(settings, rule, runner, data, data.take(slice(100)), seed=1)
        trainer.epoch(lambda _: None)
        found, walls_s = [], []
        for _ in range(options.repeats):
            begun = time.perf_counter()
            emulation_s = trainer.epoch(lambda _: None).use.emulation_s
            walls_s.append(round(time.perf_counter() - begun, 3))
            found.append(walls_s[-1] / emulation_s)
        about = options.about(images=n_images, data=origin, wall_s=walls_s, profile_s=_profile(trainer))
    yield Figure(CLAIM.name, found, about)


def _profile(trainer: Trainer) -> dict[str, float]:
    """Seconds of the host's parts in one more epoch."""
    profile = cProfile.Profile()
    profile.runcall(trainer.epoch, lambda _: None)
    found: dict[str, float] = {}
    for (file, _, name), (*_, cumulative, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if name in PARTS and "hxloop" in file:
            found[f"{file.rpartition('/')[2].removesuffix('.py')}.{name}"] = round(cumulative, 3)
    return found


SUITES = (Suite("surrogate_epoch", (CLAIM,), measure),)
