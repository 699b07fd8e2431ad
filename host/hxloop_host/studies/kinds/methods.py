"""Ways to get weights for a chip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop_host.studies.design.kind import Base
    from hxloop_host.studies.design.point import Point

METHODS: Final = {
    "in_loop": "trained on the chip",
    "transferred": "trained elsewhere, run as they are",
    "fine_tuned": "trained elsewhere, then a few epochs on the chip",
}

OFF_LOOP: Final = "off_loop"
EVERY_METHOD: Final = METHODS | {OFF_LOOP: "trained on virtual chips, another one in every batch, run as they are"}
"""All methods; the first ones are what studies compare where nothing is said."""

FINE_TUNE_RATE: Final = 0.01
"""Learning rate of a fine-tuning. Chosen by validation accuracy on chips not reported (serials above 100)."""


def by_method(
    method: str, base: Base, elsewhere: Point, serial: int, seed: int, options: Mapping[str, Any]
) -> Point:  # fmt: skip
    """Point of a chip with one of `EVERY_METHOD`; `elsewhere` is the training whose weights are taken over."""
    if method == "in_loop":
        return base.train(serial, seed)
    if method == OFF_LOOP:
        return base.test(off_loop(base, seed), serial)
    if method == "transferred":
        return base.test(elsewhere, serial)
    return fine_tuned(base, elsewhere, serial, seed, options["fine_tune_epochs"][0])


def off_loop(base: Base, seed: int) -> Point:
    """Training on virtual chips with the statistics of the settings, or published ones; of the chip it knows nothing.

    One training stands for all chips: that is what a deployment has.
    """
    return base.reference().on_virtual_chips().train(1, seed)


def fine_tuned(base: Base, elsewhere: Point, serial: int, seed: int, epochs: int) -> Point:
    """Train on for some epochs; the schedule is that of the preset, over these epochs."""
    changes = {"training.epochs": epochs, "optimizer.learning_rate": FINE_TUNE_RATE}
    return base.turned(changes).train(serial, seed, initial=elsewhere)
