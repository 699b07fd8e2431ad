"""One network, many chips.

Train once, then give the weights to other chips: as they are, and after one epoch on each of them. Written as cells of
a notebook (``# %%``); as a script, ``python examples/one_network_many_chips.py`` takes about a minute.
"""

# %%
from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import hxloop


def main(serials: str = "2..4", preset: str = "quick", epochs: int = 10) -> None:
    """Train on chip 1, test on others, and fine-tune there."""
    with tempfile.TemporaryDirectory() as folder:
        # %% Train on one chip.
        first = hxloop.train("yin-yang", preset=preset, chip="typical", serial=1, epochs=epochs, out=Path(folder) / "1")

        # %% Its weights on others, before and after an epoch there; the daemon of each chip is started once.
        print(f"chip 1: {100 * first.test_accuracy:.1f} %")
        for serial in chips_of(serials):
            with hxloop.launch(chip="typical", serial=serial) as chip:
                before = hxloop.evaluate(first, chip=chip).test_accuracy
                tuned = hxloop.train(
                    "yin-yang", preset=preset, chip=chip, initial=first, epochs=1, out=Path(folder) / str(serial)
                )
            print(f"chip {serial}: {100 * before:.1f} % as they are, {100 * tuned.test_accuracy:.1f} % after an epoch")


def chips_of(text: str) -> range:
    """Serial numbers ``a..b``."""
    first, last = map(int, text.split(".."))
    return range(first, last + 1)


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:4]))
