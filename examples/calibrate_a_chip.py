"""Calibrate raw silicon, look at what became of it, and train on it.

Run it with ``python examples/calibrate_a_chip.py``; it takes about two minutes, half of them once for compiling.
"""

from __future__ import annotations

import sys

import hxloop


def main(only: tuple[str, ...] = (), epochs: int = 10) -> None:
    """Calibrate all parameters, or some, and train a few epochs."""
    with hxloop.launch(chip="uncalibrated", serial=7) as chip:
        table = hxloop.calibrate(chip, preset="lif-6us", only=only)
        for name, parameter in table.parameters.items():
            found = parameter.summary()
            before, after = ("-" if found[key] is None else f"{found[key]:.3g}" for key in ("std_before", "std"))
            print(f"{name:28} std {before:>8} -> {after:>8} {parameter.unit}")
        for circuit, name, reason in table.failures():
            print(f"circuit {circuit}: {name}: {reason}")
        run = hxloop.train("yin-yang", chip=chip, calibration=table, epochs=epochs)
    print(f"{100 * table.success_fraction:.1f} % of the circuits usable, test accuracy {100 * run.test_accuracy:.1f} %")


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
