"""A network given as arrays, run on a chip."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.errors import OutOfRangeError
from hxloop.kit.brief import brief
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.spikes import SpikeBatch, ticks_from_times_us
from hxloop_host.placing.allocation import allocate
from hxloop_host.placing.mapping import place
from hxloop_host.placing.network_file import LayerSpikes, NetworkFile
from hxloop_host.placing.probes import Probes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.chip import Chip
    from hxloop.codes.boot import BootSettings
    from hxloop.result import RunResult
    from hxloop.spec import ChipSpec
    from hxloop_host.placing.allocation import Allocation
    from hxloop_host.placing.placement import Placement

_GRID_TOLERANCE = 1e-6


@brief
@dataclass(frozen=True, eq=False)
class NetworkRun:
    """What a network of a file did.

    Attributes
    ----------
    layers : list of LayerSpikes
        Spikes within ``duration_us`` of every layer.
    result : RunResult
        As the chip returned it.
    changed : list of str
        What the chip could not do exactly as the file says, one sentence each.
    recordings : dict of str to array
        What was recorded of membranes, by its names in the spike file.
    """

    layers: list[LayerSpikes]
    result: RunResult
    changed: list[str]
    recordings: dict[str, NDArray[Any]]


def run_network_file(
    network: NetworkFile, chip: Chip, *, trial_seed: int = 0, probes: Probes | None = None
) -> NetworkRun:
    """Run all samples of a network file.

    Values that the chip's datasheet does not have are replaced by the nearest it has.

    Parameters
    ----------
    network : NetworkFile
    chip : Chip
        Reconfigured by this.
    trial_seed : int
        Names the trial on a noisy chip.
    probes : Probes, optional
        Membranes to record.

    Raises
    ------
    DoesNotFitError
        The network is too large for the chip.
    OutOfRangeError
        A sample is longer than the chip can run.
    """
    placement, codes, changed = map_network(network, chip.spec, chip.boot)
    tick_us, delay_ticks = chip.spec.tick_us, chip.spec.routing_delay_ticks
    # No more than a number of ticks that is too long in any case: a float may be too large for an integer.
    last_tick = int(min(np.floor(network.duration_us / tick_us + _GRID_TOLERANCE), chip.spec.max_run_ticks))
    # A spike of layer k is k - 1 hops late; the last tick of the sample still counts.
    duration_ticks = last_tick + 1 + (len(network.weights) - 1) * delay_ticks
    if duration_ticks > chip.spec.max_run_ticks:
        raise OutOfRangeError(
            f"{network.duration_us:g} us is longer than {chip.spec.name} can run "
            f"({chip.spec.max_run_ticks * tick_us:g} us)",
            field="duration_us",
        )
    ticks = ticks_from_times_us(network.input_time_us, tick_us, "input_time_us")
    if not np.allclose(ticks * tick_us, network.input_time_us, rtol=0, atol=_GRID_TOLERANCE):
        changed.append(f"input times are rounded to the {tick_us * 1000:g} ns clock")
    ticks = np.minimum(ticks, last_tick)  # the rest of a tick at the end of a sample
    inputs = SpikeBatch.from_arrays(network.input_sample, ticks, network.input_neuron, network.n_samples)
    probes = probes or Probes()
    readout = probes.readout(placement)
    chip.configure(placement.configure(codes))
    result = chip.run(inputs, duration_ticks=duration_ticks, trial_seed=trial_seed, readout=readout)
    layers = []
    for k, population in enumerate(placement.network.populations):
        sample, neuron, tick = placement.decode_spikes(result.spikes, population.name)
        within = tick - k * delay_ticks <= last_tick
        delay_us = k * delay_ticks * tick_us
        own_time_us = np.asarray((tick[within] - k * delay_ticks) * tick_us, np.float64)
        layers.append(LayerSpikes(sample[within], neuron[within], _delayed(own_time_us, delay_us), delay_us))
    return NetworkRun(layers, result, changed, probes.recordings(placement, readout, result.observations))


def _delayed(time_us: NDArray[np.float64], delay_us: float) -> NDArray[np.float64]:
    """Times that fall back to no more than `time_us` when the delay is taken off, so that none passes the end."""
    late = time_us + delay_us
    return np.where(late - delay_us > time_us, np.nextafter(late, 0.0), late)


def map_network(
    network: NetworkFile, spec: ChipSpec, boot: BootSettings
) -> tuple[Placement, list[NDArray[np.float64]], list[str]]:
    """Place a network on a chip: one population per weight matrix, weights as codes times a synaptic gain.

    The 0 and 1 of a file lie at the leak potential and the threshold of the operating point that the chip boots with.

    Returns
    -------
    placement : Placement
    codes : list of float64 [n_in, n_out]
        Weight codes, whole numbers where the datasheet has no continuous weights.
    changed : list of str
        What differs from the file.

    Raises
    ------
    DoesNotFitError
        The network is too large for the chip.
    """
    changed: list[str] = []
    populations, projections = _layers(network, spec, boot, changed)
    wanted = Network(network.weights[0].shape[0], populations, projections)
    allocations = allocate(wanted, spec)  # a network that does not fit is refused before its weights are looked at
    scales = [
        _scale(matrix, named, spec, f"weights_{k}", changed)
        for k, (matrix, named) in enumerate(zip(network.weights, network.weight_scales, strict=True), 1)
    ]
    possible = replace(wanted, populations=_with_gains(allocations, scales, boot, spec, changed))
    codes = [_codes(matrix, scale, spec) for matrix, scale in zip(network.weights, scales, strict=True)]
    return place(possible, spec, boot), codes, changed


def _layers(
    network: NetworkFile, spec: ChipSpec, boot: BootSettings, changed: list[str]
) -> tuple[tuple[Population, ...], tuple[Projection, ...]]:
    """One population and one projection per weight matrix; the synaptic gains are still any."""
    tau_mem_us = _nearest("tau_mem_us", network.tau_mem_us, spec.tau_mem_us, "us", changed)
    tau_syn_us = _nearest("tau_syn_us", network.tau_syn_us, spec.tau_syn_us, "us", changed)
    t_ref_us = _nearest("t_ref_us", network.t_ref_us, spec.t_refractory_us, "us", changed)
    values = boot.target.model_dump() | {
        "tau_mem_us": tau_mem_us, "tau_syn_us": tau_syn_us, "t_refractory_us": t_ref_us,
        "v_reset_mv": boot.target.v_leak_mv, "synapse_gain_mv_per_us": spec.synapse_gain_mv_per_us[0],
    }  # fmt: skip
    populations = tuple(Population(f"layer{k}", w.shape[1], **values) for k, w in enumerate(network.weights, 1))
    sources = [INPUT, *(population.name for population in populations)]
    return populations, tuple(Projection(source, p.name) for source, p in zip(sources, populations, strict=False))


def _with_gains(
    allocations: list[Allocation], scales: list[float], boot: BootSettings, spec: ChipSpec, changed: list[str]
) -> tuple[Population, ...]:
    """Populations with synaptic gains that their circuits can have; merged circuits share the neuron's gain."""
    found = []
    low, high = spec.synapse_gain_mv_per_us
    for k, (allocation, scale) in enumerate(zip(allocations, scales, strict=True), 1):
        merged = allocation.circuits.shape[1]
        gain = scale * (boot.target.v_threshold_mv - boot.target.v_leak_mv)
        nearest = _nearest(f"synaptic gain of weights_{k}", gain, (low / merged, high / merged), "mV/us", changed)
        found.append(replace(allocation.population, synapse_gain_mv_per_us=nearest, circuits_per_neuron=merged))
    return tuple(found)


def _scale(matrix: NDArray[np.float64], named: float | None, spec: ChipSpec, name: str, changed: list[str]) -> float:
    """Weight of one code: that of the file where it gives whole codes in range, else what spans the range."""
    largest = float(np.abs(matrix).max())
    if named is not None and largest <= (spec.weight_code_max + 0.5) * named and _on_grid(matrix, named):
        return named
    scale = largest / spec.weight_code_max or 1.0
    if not spec.continuous_weights and not _on_grid(matrix, scale):
        changed.append(f"{name} are rounded to the nearest of {2 * spec.weight_code_max + 1} codes of {scale:.4g}")
    return scale


def _on_grid(matrix: NDArray[np.float64], scale: float) -> bool:
    code = matrix / scale
    return bool(np.abs(code - np.rint(code)).max() < _GRID_TOLERANCE)


def _codes(matrix: NDArray[np.float64], scale: float, spec: ChipSpec) -> NDArray[np.float64]:
    code = matrix / scale
    if not spec.continuous_weights or _on_grid(matrix, scale):
        code = np.rint(code)
    return np.clip(code, -spec.weight_code_max, spec.weight_code_max)


def _nearest(name: str, value: float, allowed: tuple[float, float], unit: str, changed: list[str]) -> float:
    nearest = min(max(value, allowed[0]), allowed[1])
    if nearest != value:
        changed.append(f"{name} is {nearest:g} {unit} instead of {value:g} {unit}, the nearest the chip has")
    return nearest
