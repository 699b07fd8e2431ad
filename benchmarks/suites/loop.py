"""Training in the loop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.measuring.figures import Claim, Figure
from benchmarks.suites.suite_parts import Daemons, Options, Suite
from benchmarks.workloads.networks import first, images
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.tasks.yin_yang import yin_yang
from hxloop_host.training.assembly import prepared, trainer_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hxloop.task import Dataset
    from hxloop_host.settings.experiment_settings import Settings

EPOCHS = 300
CLAIMS = (
    Claim(
        "training.yin_yang_paper_300_epochs_s", "s",
        "preset paper, 300 epochs of 5000 samples, each validated on 1000, through the service", 120.0, at_most=True,
    ),
    Claim(
        "training.mnist16_epochs_per_min", "1/min",
        "preset mnist16, epochs of 50 000 images, each validated on 10 000, through the service", 5.0,
    ),
)  # fmt: skip


def measure(options: Options) -> Iterator[Figure]:
    seconds, about = _epochs(
        load_settings("paper").with_epochs(EPOCHS), yin_yang("train"), yin_yang("validation"), options,
        options.size(EPOCHS, 20),
    )  # fmt: skip
    # The first epochs bump and learn little; --quick takes the others to be like the last of those it measured.
    late = seconds[len(seconds) // 2 :]
    whole = sum(seconds) + (EPOCHS - len(seconds)) * float(np.mean(late))
    yield Figure(CLAIMS[0].name, [whole], about)
    settings = load_settings("mnist16")
    share = options.size(1, 20)
    (train, origin), (validation, _) = images(50_000 // share, "train"), images(10_000 // share, "test")
    seconds, about = _epochs(settings, train, validation, options, options.size(5, 3))
    yield Figure(CLAIMS[1].name, [60.0 / (share * s) for s in seconds[1:]], about | {"data": origin})


def _epochs(
    settings: Settings, train: Dataset, validation: Dataset, options: Options, n_epochs: int
) -> tuple[list[float], dict[str, object]]:
    """Wall seconds of the first epochs of a training, and what to say about them."""
    with Daemons() as daemons:
        rule, runner = prepared(settings, daemons.start(options)[0], train.n_inputs)
        few = first(train, 400), first(validation, 100)
        trainer_of(settings, rule, runner, *few, seed=2).epoch(lambda _: None)  # compile
        rule, _ = prepared(settings, runner.chip, train.n_inputs)
        trainer = trainer_of(settings, rule, runner, train, validation, seed=1)
        seconds, chip_s, emulation_s = [], 0.0, 0.0
        for _ in range(n_epochs):
            begun = time.perf_counter()
            metrics = trainer.epoch(lambda _: None)
            seconds.append(time.perf_counter() - begun)
            chip_s, emulation_s = chip_s + metrics.use.chip_time_s, emulation_s + metrics.use.emulation_s
    about = options.about(
        batch=settings.training.batch_size,
        samples_per_epoch=train.n_samples,
        epochs_measured=n_epochs,
        validation_accuracy=round(trainer.best_accuracy, 4),
        share_of_time_in_emulator=round(emulation_s / sum(seconds), 3),
        speedup_over_biology=round(1000 * chip_s / sum(seconds), 1),
    )
    return seconds, about


SUITES = (Suite("training", CLAIMS, measure),)
