"""Faulty links: each event between host and chip may be lost, in either direction."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Passing, Strength

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mechanisms.addressed_draws import TrialDraws

    Ints = NDArray[np.int64]


class LossyLinks(Mechanism):
    """Events are lost by themselves; what is lost has taken its place on the link all the same."""

    reference = "docs/chip.md"
    strengths: ClassVar = {
        "link_loss_trial": Strength(
            "1",
            "assumed",
            "probability that an event is lost on the link between host and chip, in either direction, each by itself",
            "lost with probability s",
            "faults",
            highest=1.0,
        )
    }

    def on_way_in(self, s: Imperfections, passing: Passing, draws: TrialDraws) -> Passing:
        """Lose events of the host."""
        from hxloop_chip.solver.random import STREAM_LINK_IN

        return _thinned(passing, s.link_loss_trial, STREAM_LINK_IN, draws)

    def on_way_out(self, s: Imperfections, passing: Passing, draws: TrialDraws) -> Passing:
        """Lose spikes of the chip."""
        from hxloop_chip.solver.random import STREAM_LINK_OUT

        return _thinned(passing, s.link_loss_trial, STREAM_LINK_OUT, draws)


def _thinned(passing: Passing, probability: float, stream: int, draws: TrialDraws) -> Passing:
    batch, arrives = passing
    kept = received(batch.offsets, batch.tick, batch.source, probability, stream, draws.key, draws.first_sample)
    return Passing(batch, arrives & kept)


def received(
    offsets: Ints,
    tick: Ints,
    name: NDArray[np.int32],
    probability: float,
    stream: int,
    key: np.uint64,
    first_sample: int,
) -> NDArray[np.bool_]:
    """Events that a faulty link does not lose: each is lost with the same probability, independent of all others.

    Whether an event is lost is a function of the trial's key, the sample's number, the direction, the event's tick and
    name, and how many events of the same tick and name came before it in its sample. Whatever else there is on the
    link makes no difference.

    Parameters
    ----------
    offsets : int64 [n_samples + 1]
        Sample ``k`` owns the events ``offsets[k]:offsets[k + 1]``.
    tick : int64 [n_events]
        Sorted within each sample, 0 .. 2^32 - 1.
    name : int32 [n_events]
        Input channel, or circuit that spiked: 0 .. 65535. The first 65536 events of the same tick and name are
        independent, then draws repeat.
    probability : float
        0..1, in steps of 2^-32.
    stream : int
        Direction: ``STREAM_LINK_IN`` or ``STREAM_LINK_OUT`` of `hxloop_chip.solver.random`.
    key : uint64
        Of chip and trial.
    first_sample : int
        Number of the first sample within the trial.

    Returns
    -------
    bool [n_events]
        Whether the event arrives.
    """
    from hxloop_chip.solver.edges.bucket import pass_faults

    return np.asarray(
        pass_faults(
            np.ascontiguousarray(offsets, np.int64),
            np.ascontiguousarray(tick, np.int64),
            np.ascontiguousarray(name, np.int64),
            int(name.max(initial=-1)) + 1,
            probability,
            stream,
            key,
            first_sample,
        )
    )
