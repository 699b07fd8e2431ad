"""A short training on a chip that needs no compiled emulator; prints a digest of everything it ends with.

Run by itself, so that each training meets the kernel cache that it shall meet.
"""

import hashlib

from support.chips.grid_chip import GridChip
from support.places import SHORT
from support.training_parts import make_trainer, stacked

from hxloop.kit.waiting import Silence, tell
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.spike_times.closed_form import warm_up
from hxloop_host.tasks.yin_yang import generate_yin_yang

EPOCHS = 2


def main() -> None:
    tell(Silence)
    warm_up()
    settings = load_settings(SHORT)
    trainer = make_trainer(settings, GridChip(), generate_yin_yang(400, 5), generate_yin_yang(40, 6))
    for _ in range(EPOCHS):
        trainer.epoch(lambda _: None)
    digest = hashlib.sha256()
    state, network = trainer.optimizer.state(), trainer.runner.network
    moments = [
        stacked(network, [state[f"{name}.{k}"] for k in range(len(trainer.weights))]) for name in ("first", "second")
    ]
    by_layer = [moment for layer in zip(*moments, strict=True) for moment in layer]
    for values in (*stacked(network, trainer.weights), state["steps"], *by_layer):
        digest.update(values.tobytes())
    print(digest.hexdigest(), sum(m.named["bump_fraction"][-1] for m in trainer.metrics))


if __name__ == "__main__":
    main()
