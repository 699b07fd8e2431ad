"""What a race must show: ratios to another tree, and of a load to the same one without what it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.measuring.figures import Claim


@dataclass(frozen=True)
class Race:
    """A load, and what is claimed of it.

    Attributes
    ----------
    load : str
        Name in `racer_loads.LOADS`.
    speed : Claim or None
        How many times faster than the other tree; None: the other tree is not asked.
    over_bare, added_us : Claim or None
        Time of one call over that of the bare one, and their difference.
    """

    load: str
    speed: Claim | None
    over_bare: Claim | None = None
    added_us: Claim | None = None

    @property
    def claims(self) -> tuple[Claim, ...]:
        """All of them."""
        return tuple(claim for claim in (self.speed, self.over_bare, self.added_us) if claim is not None)


def _speed(load: str, what: str, bar: float | None = None) -> Claim:
    return Claim(f"relative.{load}.speed", "1", f"{what}: times the speed of the other tree", bar)


def _race(load: str, what: str, bar: float | None = None) -> Race:
    return Race(load, _speed(load, what, bar))


def _service(load: str, what: str, percent: float, us: float | None) -> Race:
    return Race(
        load,
        _speed(load, f"{what}, through the service"),
        Claim(f"relative.{load}.added_percent", "%", f"{what}: what the service adds", percent, at_most=True),
        Claim(f"relative.{load}.added_us", "us", f"{what}: the same of one call", us, at_most=True),
    )


_WHOLE: Final = "whole chip, 512 neurons x 256 inputs, `typical`, neurons at some"
RACES: Final = (
    _race("whole_chip_28khz", f"{_WHOLE} 28 kHz", 2.5),
    _race("whole_chip_80khz", f"{_WHOLE} 80 kHz", 2.7),
    _race("mnist_typical", "MNIST 256-246-10, `typical`", 1.7),
    _race("mnist_ideal", "MNIST 256-246-10, `ideal`", 2.2),
    _race("yin_yang_typical", "Yin-Yang 25-120-3, `typical`, batch 1000", 1.6),
    _race("recurrent", "recurrent, 512 neurons, `typical`", 2.0),
    Race(
        "membranes", None,
        Claim(
            "relative.membranes.over_bare", "1", "MNIST, membranes of 256 neurons every 1.7 us: time over that without",
            1.3, at_most=True,
        ),
    ),
    _service("service_yin_yang_50", "Yin-Yang, batch 50, first spikes", 15.0, 200.0),
    _service("service_mnist_1000", "MNIST, batch 1000, first spikes", 4.0, None),
    _race("training_paper", "training `paper`, epochs end to end through the service", 2.0),
    _race("training_mnist16", "training `mnist16`, a tenth of an epoch, as above", 1.8),
    _race("first_start", "first start: `hxloop train`, one epoch of `quick`, with an empty cache, on all cores", 2.0),
    _race("peer_yin_yang", "peers' workload `yin_yang`, `ideal`, spike lists to spike lists"),
    _race("peer_mnist16", "peers' workload `mnist16`, as above"),
    _race("peer_dense", "peers' workload `dense`, as above"),
)  # fmt: skip
CLAIMS: Final = tuple(claim for race in RACES for claim in race.claims)


def name_for(name: str, processor: str) -> str:
    """Name of a figure that was measured in the place of another processor, see `other_processors`."""
    return f"{name}.{processor}"
