"""Published networks through the service: from input times on the host to spike times on the host."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.measuring.figures import Claim, Figure
from benchmarks.measuring.timing import interleaved
from benchmarks.suites.suite_parts import Daemons, Options, Suite, speedup
from benchmarks.workloads.activity import activity
from benchmarks.workloads.networks import MNIST, YIN_YANG, loop_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.workloads.networks import LoopNetwork
    from hxloop.chip import Chip

_SAME = "256-246-10, 42 us an image, all images in one call: input times on the host to first spikes"
CLAIMS = (
    Claim(f"{MNIST}.images_per_s", "1/s", f"{_SAME} of all neurons there, through the service", 20_800, stretch=85_000),
    Claim(
        f"{MNIST}.images_per_s_label_layer", "1/s", f"{_SAME} of the label layer there, through the service", 20_800,
        stretch=85_000,
    ),
    Claim(f"{YIN_YANG}.samples_per_s", "1/s", "25-120-3, 30 us a sample, batches of 1000, as above", 60_000),
)  # fmt: skip


def measure(options: Options) -> Iterator[Figure]:
    with Daemons() as daemons:
        chips = [daemons.start(options)[0] for _ in range(2)]  # one each: a network counts on being alone on its chip
        mnist = loop_network(MNIST, chips[0], options.size(10_000, 1000))
        yin_yang = loop_network(YIN_YANG, chips[1], 1000)
        cases: dict[str, Callable[[], object]] = {
            CLAIMS[0].name: partial(_all_layers, mnist),
            CLAIMS[1].name: partial(label_layer, mnist, chips[0]),
            CLAIMS[2].name: partial(_all_layers, yin_yang),
        }
        seconds = interleaved(cases, options.repeats)
        for claim, loop, chip in zip(CLAIMS, (mnist, mnist, yin_yang), (chips[0], chips[0], chips[1]), strict=True):
            n, times = loop.load.inputs.n_samples, seconds[claim.name]
            context = options.about(
                batch=n, data=loop.data, speedup_over_biology=speedup(loop.load.chip_time_s(chip), times),
                **activity(loop.load, chip),
            )  # fmt: skip
            yield Figure(claim.name, [n / s for s in times], context)


def _all_layers(loop: LoopNetwork) -> None:
    loop.runner.record(loop.inputs, loop.codes, 1)


def label_layer(loop: LoopNetwork, chip: Chip) -> None:
    """Spikes in, first spikes of the label layer out."""
    spikes = loop.load.run(chip, record="first_spikes", neurons=loop.label_heads).spikes
    loop.runner.placement.decode_first_spikes(spikes, loop.runner.network.output)


SUITES = (Suite("inference", CLAIMS, measure),)
