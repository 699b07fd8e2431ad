"""Silent neurons, lifted while all others learn: a gradient for neurons whose spike times have none.

A neuron that did not spike is treated as if its membrane had to be higher when its neighbours spiked. The membrane is
linear in the weights, so this has a derivative whether or not the neuron spikes: minus the postsynaptic potential of
each input at that time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import numpy as np

from hxloop.errors import ArrayError
from hxloop_host.arithmetic.exp_log import exp_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_LATE = 1.0
"""tau_syn after the last input: where one event alone lifts a membrane most, with tau_mem = tau_syn."""


@final
class SilentLift:
    """Who is lifted, and how much.

    Neurons of the output are lifted in the samples whose label they are and in which they were silent. A neuron of
    another population is lifted in all samples in which it was silent, in proportion to ``(share - limit) / (1 -
    limit)``, where `share` is the running mean of its missing spikes: neurons that are silent only for some samples
    tell these apart, and are left alone.

    Parameters
    ----------
    limits : sequence of float
        Per population, tolerated share of missing spikes of a neuron, 0..1. That of the output is not used.
    strength : float
        Of the lift: weight of a hinge ``(1 - V)`` of the membrane beside the loss.
    memory : float
        How much of the running mean is left after a batch, 0..1.
    wanted_strength : float, optional
        The same as `strength` of outputs, of which a loss asks for more than of others; by default `strength`.
    """

    def __init__(
        self, limits: Sequence[float], strength: float, memory: float, wanted_strength: float | None = None
    ) -> None:
        self.limits, self.strength, self.memory = tuple(limits), strength, memory
        self.wanted_strength = strength if wanted_strength is None else wanted_strength
        self._shares: list[Array] = []

    def lifts(
        self, t_layers: Sequence[Array], output: int, label: NDArray[np.int64], *, all_silent: bool
    ) -> list[Array]:
        """How much each neuron is lifted in each sample; to be called once for every batch.

        Parameters
        ----------
        t_layers : sequence of float64 [n_samples, n_neurons], tau_syn
            First spike times of every population; not finite where none.
        output : int
            Which of them answers.
        label : int64 [n_samples]
        all_silent : bool
            Treat the output as silent, whatever it did: nothing that it did has a gradient.

        Returns
        -------
        list of float64 [n_samples, n_neurons]
            0..1, 0 where a neuron spiked.
        """
        silent = [~np.isfinite(times) for times in t_layers]
        shares = [np.add.reduce(missing, axis=0) / max(1, len(missing)) for missing in silent]
        if not self._shares:
            self._shares = shares
        else:
            self._shares = [
                self.memory * old + (1.0 - self.memory) * new for old, new in zip(self._shares, shares, strict=True)
            ]
        found = []
        for k, (missing, share, limit) in enumerate(zip(silent, self._shares, self.limits, strict=True)):
            if k == output:
                own = np.arange(missing.shape[1]) == label[:, None]
                found.append(np.where(own & (missing | all_silent), 1.0, 0.0))
            else:
                excess = np.maximum(share - limit, 0.0) / max(1.0 - limit, 1e-9)
                found.append(np.where(missing, excess, 0.0))
        return found

    def gradient(self, t_in: Array, times: Array, lift: Array, tau_ratio: int, *, wanted: bool = False) -> Array:
        """Gradient of the weights onto one population, mean over the samples.

        Parameters
        ----------
        t_in : float64 [n_samples, n_in], tau_syn
            Arrival times of its inputs, inf where none.
        times : float64 [n_samples, n_neurons], tau_syn
            Its first spikes.
        lift : float64 [n_samples, n_neurons]
            What `lifts` returned.
        tau_ratio : {1, 2}
            tau_mem / tau_syn.
        wanted : bool
            These are outputs.

        Returns
        -------
        float64 [n_in, n_neurons]
            Never above 0, its entries at most the strength.
        """
        gradient = np.zeros((t_in.shape[1], lift.shape[1]))
        chosen = np.flatnonzero(lift.any(axis=1))
        potential = _potentials(_lifted_at(t_in[chosen], times[chosen])[:, None] - t_in[chosen], tau_ratio)
        neurons = np.flatnonzero(lift.any(axis=0))
        part = np.zeros((t_in.shape[1], len(neurons)))
        for sample, one in zip(chosen, potential, strict=True):  # in this order on any machine, as no product is
            part -= one[:, None] * lift[sample, neurons]
        gradient[:, neurons] = part * ((self.wanted_strength if wanted else self.strength) / max(1, len(lift)))
        return gradient

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copy of the running means, ``silent_<number of the population>``; nothing before the first batch."""
        return {f"silent_{k}": share.copy() for k, share in enumerate(self._shares)}

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned.

        Raises
        ------
        ArrayError
            Other entries.
        """
        if set(state) not in (set(), {f"silent_{k}" for k in range(len(self.limits))}):
            raise ArrayError(
                f"must have silent_0..silent_{len(self.limits) - 1}, got {sorted(state)}", field="lift state"
            )
        self._shares = [np.array(state[f"silent_{k}"], np.float64) for k in range(len(state))]


def _lifted_at(t_in: Array, times: Array) -> Array:
    """When membranes should have been higher: at the median spike of the population, else after the last input."""
    count = np.isfinite(times).sum(axis=1)
    middle = np.sort(times, axis=1)[np.arange(len(times)), np.maximum(count - 1, 0) // 2]
    last = np.where(np.isfinite(t_in), t_in, -np.inf).max(axis=1, initial=-np.inf)
    last = np.where(np.isfinite(last), last, 0.0)
    return np.where(count > 0, middle, last + _LATE)


def _potentials(since: Array, tau_ratio: int) -> Array:
    """Membrane at some time after an event of weight 1, in tau_syn; 0 before it.

    ``t exp(-t)`` for equal time constants, ``2 (exp(-t / 2) - exp(-t))`` for ``tau_mem = 2 tau_syn``.
    """
    after = np.where(since > 0.0, since, 0.0)
    if tau_ratio == 1:
        return after * exp_of(-after)
    return 2.0 * (exp_of(-0.5 * after) - exp_of(-after))
