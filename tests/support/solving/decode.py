"""What the codes of a configuration mean without mismatch, written down once more from docs/chip.md.

Independent of `codes.nominal` and of the emulator, so that the reference solver shares nothing with them. Values are
rounded to 14 digits: a time constant of 6 us is then exactly 6, which the reference treats as a case of its own.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hxloop.program import ChipConfig
    from hxloop.spec import ChipSpec

COLUMNS = {
    "v_leak": 0,
    "v_reset": 1,
    "v_threshold": 2,
    "leak": 7,
    "tau_exc": 8,
    "tau_inh": 9,
    "gm_exc": 10,
    "gm_inh": 11,
}


def decode(config: ChipConfig, spec: ChipSpec) -> SimpleNamespace:
    """Physical values of every configured circuit, by the names of `hxloop.codes.operating_point.Wanted`."""
    neurons = config.neurons
    code = {name: neurons.capmem_code[:, k].astype(np.float64) for name, k in COLUMNS.items()}
    capacitance_pf = 0.1 + 2.2 * neurons.capacitance_code / 63
    leak_ns = 1.5 * code["leak"] * np.array([1 / 8, 1.0, 8.0])[neurons.leak_range]
    hemisphere = neurons.circuit.astype(int) // spec.n_columns
    right = neurons.circuit % spec.n_columns >= spec.n_columns // 2
    dac = config.shared.quadrant_code[2 * hemisphere + right, 0]
    scale = config.shared.clock_scale[hemisphere, neurons.refractory_clock].astype(float)
    # 1.15 mV/us at transconductance code 250, DAC code 800 and 2.3 pF
    gain = 1.15 * (dac / 800) * 2.3 / capacitance_pf / 250
    values = {
        "v_leak_mv": 18.75 + 1.875 * code["v_leak"],
        "v_reset_mv": 18.75 + 1.875 * code["v_reset"],
        "v_threshold_mv": 18.75 + 1.875 * code["v_threshold"],
        "tau_mem_us": 1e3 * capacitance_pf / leak_ns,
        "tau_syn_exc_us": 306 / code["tau_exc"],
        "tau_syn_inh_us": 306 / code["tau_inh"],
        "t_refractory_us": neurons.refractory_counter * 0.008 * 2.0**scale,
        "gain_exc_mv_per_us": gain * code["gm_exc"],
        "gain_inh_mv_per_us": gain * code["gm_inh"],
    }
    assert not neurons.switches.any(), "the reference knows leaky integrate-and-fire only"
    assert (neurons.capmem_code[:, 12:14] == 511).all(), "the reference knows no constant currents"
    rounded = {name: np.array([float(f"{v:.14g}") for v in value]) for name, value in values.items()}
    return SimpleNamespace(circuit=neurons.circuit, head=neurons.head, **rounded)
