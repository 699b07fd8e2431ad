"""A network on a chip: model weights in, recordings out. The chip as rules and evaluation see it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from hxloop.codes import nominal
from hxloop.result import ChipUse
from hxloop.rule import Observe, Recording, Spikes
from hxloop.seeds import bench_trial_seed
from hxloop_host.arithmetic.one_ahead import worked_behind
from hxloop_host.network.measured_strength import MeasuredStrength
from hxloop_host.network.weight_codes import check_weight_bits, clipped, dequantise, quantise
from hxloop_host.placing.mapping import place
from hxloop_host.placing.placement import decode_first_ticks, first_of_each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop.chip import Chip
    from hxloop.codes.calibration_table import CalibrationTable
    from hxloop.network import Network, Population, Projection
    from hxloop.program import ChipConfig
    from hxloop.readout import Readout
    from hxloop.result import Readout as ChipReadout
    from hxloop.result import Recording as ChipRecord
    from hxloop.result import RunResult
    from hxloop.rule import Batch, Codes, Inputs, Strength, Weights
    from hxloop_host.placing.placement import Columns

    Array = NDArray[np.float64]

NOTHING: Final = Observe("none")


class _Asked(NamedTuple):
    """What a chip is asked for: readout, heads to be recorded (None: all), and where each population stands there."""

    readout: ChipReadout | None
    heads: tuple[int, ...] | None
    columns: dict[str, Columns]


class ChipRunner:
    """A network placed on a chip; satisfies `hxloop.rule.Runner`.

    Parameters
    ----------
    network : Network
    readout : Readout
        What answers.
    chip : Chip
    duration_ticks : int
        Length of a sample.
    weight_bits : int
        Bits of a weight's magnitude, as in `weight_codes.quantise`.
    observe : Observe
        What the rule asks for; what the readout needs is added.
    parts : int
        Runs in which a batch is sent to the chip, at least; results do not depend on it.
    calibration : CalibrationTable, optional
        Its codes take the place of those the chip boots with, circuits that failed are not used, and `strength` says
        what was measured.

    Attributes
    ----------
    spec : ChipSpec
    strength : Strength or None
    placement : Placement
    use : ChipUse
        Every run is added to it; put a new one in its place to count anew.
    clock : int or None
        Number of the next sample in the continuous trial of a chip that stays switched on; None: every run belongs to
        the trial it names.

    Raises
    ------
    DoesNotFitError, OutOfRangeError
        As in `placing.mapping.place`; a sample that is longer than the chip can run, or finer weights than it has.
    ChipMismatchError
        The calibration belongs to another chip.
    """

    def __init__(
        self,
        network: Network,
        readout: Readout,
        chip: Chip,
        *,
        duration_ticks: int,
        weight_bits: int,
        observe: Observe = NOTHING,
        parts: int = 1,
        calibration: CalibrationTable | None = None,
    ) -> None:
        self.network, self.readout, self.chip, self.spec = network, readout, chip, chip.spec
        self.duration_ticks, self.parts, self.observe = duration_ticks, parts, observe | readout.observe(network)
        self.use = ChipUse()
        self.clock: int | None = None
        self.strength: Strength | None = None
        self._bits = weight_bits
        self._asked_before: dict[Observe, _Asked] = {}
        if calibration is None:
            self.placement = place(network, chip.spec, chip.boot)
        else:
            calibration.check_chip(chip)
            self.placement = place(network, chip.spec, calibration.boot, calibration.usable, calibration.delays)
            self.strength = MeasuredStrength(calibration, self.placement)
        self._limits = [self._limits_of(k, p) for k, p in enumerate(network.projections)]

    def _limits_of(self, number: int, projection: Projection) -> tuple[Array, Array]:
        """Smallest and largest values that a projection's matrix may have, in its shape."""
        if number in self.placement.sites:
            return self.placement.sites[number].limits()
        shape = self.network.weight_shape(projection)
        low, high = (
            np.broadcast_to(limit, shape) for limit in self.network.limits(projection, self.spec.weight_code_max)
        )
        return np.ascontiguousarray(low), np.ascontiguousarray(high)

    def start_clock(self, at_s: float) -> None:
        """Make all runs to come one continuous trial, that of calibration, which goes on at this chip time."""
        self.clock = round(at_s * 1e6 / self._sample_us)

    @property
    def clock_s(self) -> float | None:
        """Chip time of the next sample in s, None without a running clock."""
        return None if self.clock is None else self.clock * self._sample_us * 1e-6

    @property
    def _sample_us(self) -> float:
        return self.duration_ticks * self.spec.tick_us

    def clip(self, weights: Weights) -> None:
        """Clip model weights in place to what codes, masks and signs allow: beyond, they would take ages to return."""
        for matrix, (low, high) in zip(weights, self._limits, strict=True):
            clipped(matrix, low, high, out=matrix)

    def codes(self, weights: Sequence[NDArray[np.float64]]) -> Codes:
        """Weight codes of each projection that stand for model weights on this chip, within limits, masks and signs.

        Raises
        ------
        OutOfRangeError
            A weight is not finite.
        """
        spec = self.spec
        check_weight_bits(self._bits, spec)
        return [
            self.placement.sites[k].counters(w)
            if k in self.placement.sites
            else quantise(
                w,
                p.scale_weights,
                spec.weight_code_max,
                self._bits,
                continuous=spec.continuous_weights,
                limits=limits,
            )
            for k, (p, w, limits) in enumerate(zip(self.network.projections, weights, self._limits, strict=True))
        ]

    def codes_again(self, codes: Codes, weights: Sequence[NDArray[np.float64]]) -> Codes:
        """Codes of a training, maybe on another chip, on this one: those of weights as they are, those of delays anew.

        A weight code is one on every chip. A refractory counter is worth another time where clocks or calibrated
        delays are others, so delays in us are what is taken over, clipped to those that this chip has.
        """
        sites = self.placement.sites
        return [sites[k].counters(weights[k]) if k in sites else matrix for k, matrix in enumerate(codes)]

    def run(
        self, batch: Batch, weights: Sequence[NDArray[np.float64]], *, trial: int = 0, observe: Observe | None = None
    ) -> Recording:
        """Run the samples of a batch; see `hxloop.rule.Runner.run`."""
        return self.record(
            batch.inputs, self.codes(weights), batch.trial_seed(trial), observe=observe, parts=self.parts
        )

    def record(
        self, inputs: Inputs, codes: Codes, trial_seed: int, *, observe: Observe | None = None, parts: int = 1,
        config: ChipConfig | None = None,
    ) -> Recording:  # fmt: skip
        """Run samples with given weight codes, in as many runs as the chip's memory for CADC reads takes.

        Parameters
        ----------
        inputs : Inputs
        codes : list of int8 or float64 [n_sources * copies, n_target]
            Of each projection. Codes between two others are rounded on a chip that has no such codes.
        trial_seed : int
            Names the trial; not used while the clock is running.
        observe : Observe, optional
            By default what rule and readout ask for.
        parts : int
            Send the samples in so many parts at least; the result is the same.
        config : ChipConfig, optional
            Write this instead of what the codes say.
        """
        wanted = self.observe if observe is None else NOTHING | observe  # tuples, whatever was given
        config, asked = self.placement.configure(codes) if config is None else config, self._asked(wanted)
        parts = min(max(parts, self._least_parts(inputs.n_samples, asked.readout)), max(1, inputs.n_samples))
        bounds = [0, inputs.n_samples]
        if parts > 1:
            bounds = np.linspace(0, inputs.n_samples, parts + 1).astype(int).tolist()
        record: ChipRecord = "first_ticks" if wanted.spikes == "first" else "spikes"

        def result(part: tuple[int, int]) -> RunResult:
            first, last = part
            seed, number = (trial_seed, first) if self.clock is None else (bench_trial_seed(), self.clock)
            done = self.chip.run(
                inputs.part(first, last).spikes,
                duration_ticks=self.duration_ticks,
                trial_seed=seed,
                first_sample=number,
                record=record,
                neurons=asked.heads,
                readout=asked.readout,
                config=config,
            )
            if self.clock is not None:
                self.clock += last - first
            self.use.add(done)
            return done

        def decoded(result: RunResult) -> dict[str, Any]:
            return self._decode(result, wanted, asked)

        results = map(result, pairwise(bounds))
        # The chip runs the next part while this one is decoded.
        found = worked_behind(decoded, results) if parts > 1 else [decoded(next(results))]
        return self._recording(inputs, codes, wanted, found)

    def _least_parts(self, n_samples: int, readout: ChipReadout | None) -> int:
        """Runs that samples take at least."""
        if readout is None or not readout.cadc_circuits:
            return 1
        most = max(1, self.spec.cadc_max_reads // readout.cadc_reads(self.duration_ticks))
        return -(-n_samples // most)

    def _recorded(self, observe: Observe) -> list[str]:
        """Populations whose spikes are recorded."""
        if observe.spikes == "none":
            return []
        return [n for n in self.network.spiking if observe.populations is None or n in observe.populations]

    def _asked(self, observe: Observe) -> _Asked:
        """What a chip is asked for; worked out once."""
        if observe not in self._asked_before:
            names, heads, readout = self._recorded(observe), None, None
            if len(names) < len(self.network.populations):
                heads = tuple(int(head) for name in names for head in self.placement.circuits(name))
            if observe.membranes or observe.counters or observe.correlation:
                readout = self.placement.readout(
                    membranes=observe.membranes,
                    period_us=observe.membrane_period_us,
                    counters=observe.counters,
                    correlation=observe.correlation,
                )
            self._asked_before[observe] = _Asked(readout, heads, self.placement.columns(names, heads))
        return self._asked_before[observe]

    def _decode(self, result: RunResult, observe: Observe, asked: _Asked) -> dict[str, Any]:
        """Arrays of one run by what they are and of which population; along the first axis, samples."""
        place, readout = self.placement, asked.readout
        found: dict[str, Any] = {}
        if result.first_ticks is not None:
            found["first_ticks"] = {
                name: decode_first_ticks(result.first_ticks, columns) for name, columns in asked.columns.items()
            }
        if observe.spikes == "all":
            n_samples = found["n_samples"] = result.spikes.n_samples
            found["spikes"] = {name: place.decode_spikes(result.spikes, name) for name in asked.columns}
            found["first_ticks"] = {
                name: first_of_each(spikes, n_samples, self.network.population(name).size)
                for name, spikes in found["spikes"].items()
            }
        if readout is not None:
            seen = result.observations
            readings = place.decode_membranes(seen, readout, observe.membranes)
            found["membranes"] = dict(readings)
            if observe.counters:
                found["counts"] = {name: place.decode_counts(seen, name) for name in self.network.spiking}
            if observe.correlation:
                found["correlation"] = self._fallen(place.decode_correlation(seen))
            found["period_ticks"] = readout.cadc_period_ticks
        return found

    def _fallen(self, readings: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """Sums of the correlation sensors: they lower readings from a baseline, here the nominal one of each row."""
        return [
            (nominal.CORRELATION_BASELINE_LSB * p.rows_per_input - lsb) * self.network.connected(p)
            for p, lsb in zip(self.network.projections, readings, strict=True)
        ]

    def _model_units(self, lsb: NDArray[np.uint8], name: str) -> NDArray[np.float32]:
        """Membranes from readings.

        One LSB is what the nominal CADC has. Channels differ in their offsets, so 0 is what a neuron reads first,
        before any event: there its membrane rests.
        """
        population: Population = self.network.population(name)
        per_mv = population.model_threshold / (population.v_threshold_mv - population.v_leak_mv)
        per_lsb = np.float32(nominal.CADC_MV_PER_LSB * per_mv)
        at_rest = lsb[:, :1].mean(axis=(0, 1), dtype=np.float64) if lsb.size else np.zeros(population.size)
        at_rest = at_rest.astype(np.float32)
        found = lsb.astype(np.float32)
        found -= at_rest
        found *= per_lsb
        return found

    def _recording(self, inputs: Inputs, codes: Codes, observe: Observe, parts: list[dict[str, Any]]) -> Recording:
        projections = self.network.projections
        joined: dict[str, Any] = {}
        for key in ("first_ticks", "membranes", "counts"):
            if key in parts[0]:
                joined[key] = {name: _joined([part[key][name] for part in parts]) for name in parts[0][key]}
        if "membranes" in joined:
            joined["membranes"] = {name: self._model_units(lsb, name) for name, lsb in joined["membranes"].items()}
        if observe.spikes == "all":
            joined["spikes"] = {name: _joined_spikes(parts, name) for name in parts[0]["spikes"]}
        if "correlation" in parts[0]:
            joined["correlation"] = [sum(part["correlation"][k] for part in parts) for k in range(len(projections))]
        if joined.get("membranes"):
            n_reads = next(iter(joined["membranes"].values())).shape[1]
            joined["membrane_times_us"] = np.arange(n_reads) * parts[0]["period_ticks"] * self.spec.tick_us
        return Recording(
            self.network,
            inputs,
            codes,
            [
                self.placement.sites[k].delays_us(np.asarray(c, np.float64))
                if k in self.placement.sites
                else dequantise(c, p.scale_weights)
                for k, (c, p) in enumerate(zip(codes, projections, strict=True))
            ],
            self.spec.tick_us,
            self.spec.routing_delay_ticks,
            self.duration_ticks,
            **joined,
        )


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _joined_spikes(parts: list[dict[str, Any]], name: str) -> Spikes:
    first, columns = 0, []
    for part in parts:
        sample, neuron, tick = part["spikes"][name]
        columns.append((sample + first, neuron, tick))
        first += part["n_samples"]
    return Spikes(*(_joined([column[k] for column in columns]) for k in range(3)))
