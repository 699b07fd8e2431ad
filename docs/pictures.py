"""Draw the pictures of docs/chip.md from emulated chips (half a minute).

Names as arguments: only those. With --check, only say whether every mechanism has its picture.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import panels as p
from PIL import Image
from tables import EQUATIONS

from hxloop.codes.capmem import Switch
from hxloop.kit.figures import draw
from hxloop_chip.report.curve_figures import curve_picture
from hxloop_chip.report.curves import circuit_curves
from hxloop_chip.report.population import circuit_parameters
from hxloop_chip.report.population_figures import histograms
from hxloop_chip.report.specimens import put_on_bench
from hxloop_chip.report.summary import BOUNDS, summarise

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

FOLDER = Path(__file__).parent / "images" / "mechanisms"
SERIALS = range(1, 21)
CALIBRATED = (*BOUNDS, "gain_exc", "gain_inh")

Panel = tuple["Callable[..., None]", str, dict[str, Any]]
PICTURES: dict[str, list[Panel]] = {
    "neuron": [
        (p.plain_neuron, "lif", {}),
        (p.neuron_model, "adaptation", {}),
        (p.neuron_model, "exponential", {}),
        (p.neuron_model, "coba", {}),
    ],
    "fixed_potentials": [
        (p.fixed_circuit, "v_leak_fixed_mv", {}),
        (p.fixed_circuit, "v_reset_fixed_mv", {"burst": True}),
        (p.fixed_circuit, "v_threshold_fixed_mv", {"burst": True}),
        (p.fixed_circuit, "voltage_gain_fixed", {"burst": True}),
        (p.fixed_upswing, "v_other_fixed_mv", {}),
        (p.fixed_circuit, "dead_fixed", {"burst": True, "strength": 0.3}),
    ],
    "fixed_currents": [
        (p.fixed_circuit, "leak_conductance_fixed", {}),
        (p.fixed_circuit, "capacitance_fixed_pf", {"capacitance_code": 4, "code": 12}),
        (p.fixed_circuit, "tau_syn_fixed", {}),
        (p.fixed_circuit, "synaptic_input_fixed", {}),
        (p.fixed_circuit, "synaptic_reference_fixed_mv", {}),
        (p.compressed_input, "input_compression_fixed", {"strength": 0.1}),
        (p.compressed_input, "input_headroom_fixed", {"strength": 0.1}),
        (p.compressed_input, "input_compression_spread_fixed", {"strength": 0.3, "input_compression_fixed": 0.1}),
        (p.fixed_adaptation, "adaptation_fixed", {}),
        (p.fixed_upswing, "exponential_fixed", {}),
        (p.fixed_circuit, "coba_fixed", {"switches": Switch.coba_exc | Switch.coba_inh}),
    ],
    "fixed_synapses": [
        (p.fixed_quadrant, "synapse_dac_fixed", {}),
        (p.fixed_row, "driver_fixed", {}),
        (p.busy_drivers, "driver_depletion_fixed", {"strength": 0.05}),
        (p.busy_drivers, "driver_depletion_spread_fixed", {"strength": 0.3, "driver_depletion_fixed": 0.05}),
        (p.fixed_row, "synapse_fixed", {}),
        (p.fixed_weight, "weight_dac_fixed", {}),
    ],
    "fixed_readout": [
        (p.fixed_converter, "cadc_gain_fixed", {}),
        (p.fixed_converter, "cadc_offset_fixed_lsb", {}),
        (p.fixed_converter, "madc_gain_fixed", {}),
        (p.fixed_converter, "madc_offset_fixed_lsb", {}),
        (p.fixed_sensor, "correlation_amplitude_fixed", {}),
        (p.fixed_sensor, "correlation_tau_fixed", {}),
    ],
    "fixed_neighbours": [
        (p.cell_pull, "crosstalk_neighbour_fixed", {"strength": 0.005}),
        (p.cell_crowding, "crosstalk_crowding_fixed_codes", {"strength": 3.0}),
        (p.correlated, "correlated_fixed", {"strength": 0.8}),
    ],
    "temporal": [
        (p.trial_membrane, "membrane_trial_mv", {}),
        (p.trial_spikes, "threshold_trial_mv", {}),
        (p.trial_spikes, "amplitude_trial", {}),
        (p.trial_jitter, "jitter_trial_us", {}),
        (p.trial_rewrite, "rewrite_trial_codes", {}),
        (p.trial_drift, "drift_trial_mv", {}),
        (p.trial_converter, "cadc_trial_lsb", {}),
        (p.trial_converter, "madc_trial_lsb", {}),
    ],
    "temperature": [
        (p.walk, "temperature_trial_k", {"strength": 1.0}),
        (p.at_temperatures, "threshold_temperature_mean_fixed_mv_per_k", {"strength": 0.5}),
        (p.at_temperatures, "threshold_temperature_fixed_mv_per_k", {"strength": 0.3}),
        (p.at_temperatures, "tau_mem_temperature_mean_fixed_per_k", {"strength": 0.003}),
        (p.at_temperatures, "tau_mem_temperature_fixed_per_k", {"strength": 0.001}),
        (p.at_temperatures, "tau_syn_temperature_mean_fixed_per_k", {"strength": 0.003}),
        (p.at_temperatures, "tau_syn_temperature_fixed_per_k", {"strength": 0.001}),
    ],
    "load": [
        (p.waiting, "event_wait_fixed", {"strength": 1.0}),
        (p.waiting, "event_wait_trial", {"strength": 0.3}),
    ],
    "links": [(p.link_loss, "links", {})],
}
"""Panels of every picture: what draws them, its mechanism, and options."""
ALL = [*PICTURES, "curves", "calibration"]


def multiples(panels: list[Panel]) -> bytes:
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)

    def fill(figure: Figure) -> None:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for place, (function, name, options) in zip(axes, panels, strict=False):
            function(place, name, **options)
        for place in axes[len(panels) :]:
            place.set_axis_off()

    return draw(2.75 * columns + 0.5, 2.1 * rows, fill, dpi=90)


def calibration() -> bytes:
    chips = [put_on_bench("typical", serial) for serial in SERIALS]
    shown = [q for q in circuit_parameters(chips) if q.name in CALIBRATED]
    (picture,) = histograms(shown, [summarise(q) for q in shown])
    return picture


def curves() -> bytes:
    return curve_picture(circuit_curves([put_on_bench("typical", serial) for serial in SERIALS]))


def small(picture: bytes) -> bytes:
    """The picture with at most 32 colours."""
    content = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(32).save(content, format="png", optimize=True)
    return content.getvalue()


def check() -> int:
    """0 if every mechanism with an equation has a panel in the picture of its group, and all files are there."""
    missing = [
        f"{group}: {name}"
        for group, equations in EQUATIONS.items()
        if group != "residual"  # the picture of calibration
        for name in equations.keys() ^ {name for _, name, _ in PICTURES[group]}
    ]
    missing += [f"{name}.png" for name in ALL if not (FOLDER / f"{name}.png").exists()]
    for name in missing:
        print(f"missing: {name}")
    return int(bool(missing))


def main() -> int:
    if "--check" in sys.argv[1:]:
        return check()
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:] or ALL
    for name in wanted:
        special = {"curves": curves, "calibration": calibration}
        picture = small(special[name]() if name in special else multiples(PICTURES[name]))
        (FOLDER / f"{name}.png").write_bytes(picture)
        print(f"{name}.png: {len(picture) / 1000:.0f} kB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
