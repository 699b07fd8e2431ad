"""A short training on a chip that needs no compiled emulator; prints a digest of everything it ends with.

Run by itself, so that each training meets the kernel cache that it shall meet.
"""

import hashlib

from support.grid_chip import GridChip

from host.chip_network import ChipNetwork
from host.datasets import generate_yin_yang
from host.learning.first_spike import warm_up
from host.settings import load_settings
from host.training import Trainer
from hxloop.waiting import Silence, tell

EPOCHS = 2


def main() -> None:
    tell(Silence)
    warm_up()
    settings = load_settings("quick")
    trainer = Trainer(
        settings, ChipNetwork(settings, GridChip(), 4), generate_yin_yang(400, 5), generate_yin_yang(40, 6), seed=3
    )
    for _ in range(EPOCHS):
        trainer.epoch(lambda _: None)
    digest = hashlib.sha256()
    for values in (*trainer.weights, *trainer.optimizer.state().values()):
        digest.update(values.tobytes())
    print(digest.hexdigest(), sum(m.bump_fraction[-1] for m in trainer.metrics))


if __name__ == "__main__":
    main()
