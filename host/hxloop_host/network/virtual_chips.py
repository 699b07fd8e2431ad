"""Virtual chips: another draw of mismatch for every batch, on a chip that has none of its own.

Nothing is done inside the chip. What differs between circuits are parameters that the host writes anyway, and the
textbook chip takes any real number as their code: potentials, leak and synaptic biases of every circuit, and the codes
of weights. The rule sees a recording as from any chip: nominal weights, and what came of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes.capmem import Cell
from hxloop.errors import InvalidInputError
from hxloop.rule import Inputs
from hxloop.spikes import SpikeBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop.program import ChipConfig
    from hxloop.rule import Batch, Codes, Observe, Recording, Strength
    from hxloop.spec import ChipSpec
    from hxloop_host.network.chip_runner import ChipRunner
    from hxloop_host.settings.virtual_chip_settings import VirtualChipSettings

    Array = NDArray[np.float64]

ROOM: Final = 2.0
"""Factor by which biases of synaptic inputs are raised and codes of weights lowered, exactly, where the bias can be:
synapses that are too strong would need codes above the largest one."""
_LEAST: Final = 0.1
"""Share of the way from reset to threshold that is left of it by the most extreme draw, or neurons spike for ever."""
_SMALLEST_CODE: Final = 1e-3


def check_textbook(spec: ChipSpec) -> None:
    """Refuse to draw virtual chips where codes are rounded.

    Raises
    ------
    InvalidInputError
    """
    if not (spec.continuous_codes and spec.continuous_weights):
        raise InvalidInputError(
            f"virtual chips are drawn on the textbook chip, and {spec.name} has rounded codes and mismatch of its own",
            field="virtual_chips",
            hint="train with --chip ideal, and run the weights on other chips with hxloop eval",
        )


class VirtualChips:
    """The runner of a rule whose every batch runs on another virtual chip; satisfies `hxloop.rule.Runner`.

    Gradients are taken at what the virtual chip did, with nominal parameters: as in the loop.

    Parameters
    ----------
    runner : ChipRunner
        On a chip with continuous codes and weights.
    statistics : VirtualChipSettings

    Raises
    ------
    InvalidInputError
        As `check_textbook`.

    References
    ----------
    Buechel et al., Sci. Rep. 11:23376 (2021), networks that run on chips that they were not trained on; Joshi et al.,
    Nat. Commun. 11:2473 (2020), noise that is drawn for every batch, with gradients as without.
    """

    def __init__(self, runner: ChipRunner, statistics: VirtualChipSettings) -> None:
        spec = runner.spec
        check_textbook(spec)
        self.runner, self.statistics = runner, statistics
        self.network, self.readout, self.spec = runner.network, runner.readout, spec
        self.strength: Strength | None = runner.strength
        self.duration_ticks = runner.duration_ticks
        neurons = runner.placement.wiring.neurons
        gm = neurons.capmem_code[:, [Cell.i_gm_exc, Cell.i_gm_inh]]
        self._room = ROOM if gm.max() * ROOM * ROOM <= spec.capmem_code_max else 1.0
        spiking = [c for name in runner.network.spiking for c in runner.placement.allocations[name].circuits.ravel()]
        self._spiking = np.isin(neurons.circuit, spiking)

    def run(
        self, batch: Batch, weights: Sequence[Array], *, trial: int = 0, observe: Observe | None = None
    ) -> Recording:
        """Run the samples of a batch on its chip; see `hxloop.rule.Runner.run`. All runs of a batch have the same."""
        runner = self.runner
        codes = runner.codes(weights)
        random = batch.generator(f"virtual jitter {trial}")
        recording = runner.record(
            self._late(batch.inputs, random), codes, batch.trial_seed(trial), observe=observe, parts=runner.parts,
            config=self.configuration(codes, batch.generator("virtual chip")),
        )  # fmt: skip
        return replace(recording, inputs=batch.inputs, first_ticks=self._seen(recording, random))

    def configuration(self, codes: Codes, random: np.random.Generator) -> ChipConfig:
        """Configuration of a virtual chip.

        Parameters
        ----------
        codes : list of int8 or float64 [n_sources * copies, n_target]
            Of each projection, as a chip that has only these gets them.
        random : Generator
            Draws the chip.
        """
        placement, own = self.runner.placement, self.statistics
        neurons, top = placement.wiring.neurons, float(self.spec.capmem_code_max)
        drawn = random.standard_normal((6, len(neurons.circuit)))
        cells = neurons.capmem_code.astype(np.float64)
        cells[:, Cell.v_threshold] = self._thresholds(cells, drawn[0])
        for cell, factor in (
            (Cell.i_leak, np.exp(-own.tau_mem * drawn[1])),  # a smaller current is a longer time constant
            (Cell.i_tau_syn_exc, np.exp(-own.tau_syn * drawn[2])),
            (Cell.i_tau_syn_inh, np.exp(-own.tau_syn * drawn[3])),
            (Cell.i_gm_exc, self._room * np.exp(own.strength * drawn[4])),
            (Cell.i_gm_inh, self._room * np.exp(own.strength * drawn[5])),
        ):
            cells[:, cell] = np.clip(cells[:, cell] * factor, _SMALLEST_CODE, top)
        given = placement.configure([np.asarray(c, np.float64) / self._room for c in codes]).synapses.weight_code
        spread = np.exp(own.synapse * random.standard_normal(len(given)))
        limit = self.spec.weight_code_max
        written = replace(placement.wiring, neurons=replace(neurons, capmem_code=cells))
        weights: Array = np.clip(given * spread, -limit, limit)
        return written.with_weight_codes(weights)

    def _thresholds(self, cells: Array, drawn: Array) -> Array:
        """Codes of thresholds; those of neurons that do not spike stay out of reach."""
        nominal_code, own = cells[:, Cell.v_threshold], self.statistics
        moved = nominal_code + (nominal_code - cells[:, Cell.v_leak]) * (own.threshold_shift + own.threshold * drawn)
        lowest = cells[:, Cell.v_reset] + _LEAST * (nominal_code - cells[:, Cell.v_reset])
        return np.where(self._spiking, np.clip(moved, lowest, self.spec.capmem_code_max), nominal_code)

    def _late(self, inputs: Inputs, random: np.random.Generator) -> Inputs:
        """Inputs at times that differ a little from those that the host means."""
        if not self.statistics.jitter_us:
            return inputs
        spikes = inputs.spikes
        tick = self._jittered(spikes.tick.astype(np.float64), random).astype(np.int64)
        return Inputs(SpikeBatch.from_arrays(spikes.sample, tick, spikes.source, spikes.n_samples))

    def _seen(self, recording: Recording, random: np.random.Generator) -> dict[str, Array]:
        """First spikes as they are stamped. Where all spikes were asked for, membranes say when they were: no noise."""
        if not self.statistics.jitter_us or recording.spikes:
            return dict(recording.first_ticks)
        return {name: self._jittered(ticks, random) for name, ticks in recording.first_ticks.items()}

    def _jittered(self, ticks: Array, random: np.random.Generator) -> Array:
        noise = self.statistics.jitter_us / self.spec.tick_us * random.standard_normal(ticks.shape)
        moved = np.clip(np.rint(ticks + noise), 0.0, self.duration_ticks - 1.0)
        return np.where(np.isfinite(ticks), moved, ticks)
