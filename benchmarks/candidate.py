"""The emulator beside the peers: `ideal`, in this process, from spike lists to spike lists.

For `run_all.py run --candidate` of the peers' folder, which must be on PYTHONPATH; `--check` compares with the exact
solution that has the chip's 8 ns grid between its layers instead of measuring time.
"""

from __future__ import annotations

import json

from common import Peer, batches, measure, start

ARGS, WORKLOAD = start(
    "Peer hxloop: the emulated chip `ideal`.", batch=256, flags={"--check": "how far spikes lie from the exact ones"}
)

import numpy as np  # noqa: E402
from workload import Spikes  # noqa: E402

from hxloop.spikes import SpikeBatch  # noqa: E402
from hxloop.version import __version__  # noqa: E402
from hxloop_chip.chip.emulated_chip import EmulatedChip  # noqa: E402
from hxloop_host.placing.network_file import read_network_file  # noqa: E402
from hxloop_host.placing.network_run import map_network  # noqa: E402

WITHIN_TICKS = 2
_MATCH_US = 0.5
"""Spikes of one neuron closer than this are the same one, early or late."""


class Emulator(Peer[list[Spikes]]):
    """All samples of a batch in one run; conversions from and to lists are part of `forward`."""

    name, version, has_refractory = "hxloop", __version__, True

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.parts = [(last - first, WORKLOAD.inputs.part(first, last)) for first, last in batches(WORKLOAD, batch)]
        self.n_batches = len(self.parts)
        self.chip = EmulatedChip("ideal", 1, ARGS.threads)
        self.placement, codes, changed = map_network(read_network_file(ARGS.workload), self.chip.spec, self.chip.boot)
        if changed:
            raise SystemExit(f"the chip cannot do this workload as it is: {'; '.join(changed)}")
        self.chip.configure(self.placement.configure(codes))
        self.tick_us, self.delay_ticks = self.chip.spec.tick_us, self.chip.spec.routing_delay_ticks
        self.last_tick = int(np.floor(WORKLOAD.duration_us / self.tick_us + 1e-6))

    def forward(self, batch: int) -> list[Spikes]:
        """Spikes of every layer, the routing delay taken off."""
        n_samples, part = self.parts[batch]
        tick = np.minimum(np.rint(part.time_us / self.tick_us).astype(np.int64), self.last_tick)
        inputs = SpikeBatch(np.searchsorted(part.sample, np.arange(n_samples + 1)), tick, part.neuron)
        hops = len(WORKLOAD.weights) - 1
        spikes = self.chip.run(inputs, duration_ticks=self.last_tick + 1 + hops * self.delay_ticks).spikes
        layers = []
        for k, population in enumerate(self.placement.network.populations):
            sample, neuron, late = self.placement.decode_spikes(spikes, population.name)
            own = late - k * self.delay_ticks
            within = own <= self.last_tick
            layers.append(Spikes(sample[within].astype(np.int32), neuron[within], own[within] * self.tick_us))
        return layers

    def decode(self, raw: list[Spikes]) -> list[Spikes]:
        """As they are."""
        return raw


def check() -> None:
    """Print how many exact spikes have none of ours within two ticks, and how many of ours no exact one."""
    import exact
    from scoring import match_spikes

    peer = Emulator(WORKLOAD.n_samples)
    wanted = exact.run_network(WORKLOAD, hop=lambda t: np.ceil(t / peer.tick_us) * peer.tick_us)
    largest, missed, extra, late, total = 0.0, 0, 0, 0, 0
    for ours, theirs in zip(peer.forward(0), wanted, strict=True):
        error_us, n_missed, n_extra = match_spikes(theirs, ours, WORKLOAD.duration_us, _MATCH_US)
        largest = max(largest, float(np.abs(error_us).max(initial=0.0)))
        late += int((np.abs(error_us) > WITHIN_TICKS * peer.tick_us).sum())
        missed, extra, total = missed + n_missed, extra + n_extra, total + len(theirs.time_us)
    found = {"workload": WORKLOAD.name, "spikes": total, "missed": missed, "extra": extra, "beyond_two_ticks": late}
    print(json.dumps(found | {"err_us_max": float(f"{largest:.4g}")}))


if __name__ == "__main__":
    if ARGS.check:
        check()
    else:
        measure(ARGS, WORKLOAD, lambda: Emulator(ARGS.batch))
