"""A short training on a chip that needs no compiled emulator; prints a digest of everything it ends with.

Run by itself, so that each training meets the kernel cache that it shall meet.
"""

import hashlib

from support.chips.grid_chip import GridChip

from hxloop.kit.waiting import Silence, tell
from hxloop_host.learning.first_spike.closed_form import warm_up
from hxloop_host.network.chip_network import ChipNetwork
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.tasks.yin_yang import generate_yin_yang
from hxloop_host.training.trainer import Trainer

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
