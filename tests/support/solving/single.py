"""Hand-made configurations: neurons side by side, each with one excitatory and one inhibitory input channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.codes.operating_point import Wanted, codes_for, nominal_boot
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop.spec import HICANN_X
from hxloop.spikes import SpikeBatch

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from hxloop.spec import ChipSpec


def side_by_side(
    n: int = 1,
    *,
    spec: ChipSpec = HICANN_X,
    v_leak_mv: ArrayLike = 360.0,
    v_reset_mv: ArrayLike = 360.0,
    v_threshold_mv: ArrayLike = 675.0,
    tau_mem_us: ArrayLike = 6.0,
    tau_exc_us: ArrayLike = 6.0,
    tau_inh_us: ArrayLike = 6.0,
    t_refractory_us: ArrayLike = 1.0,
    gain_mv_per_us: ArrayLike = 1.0,
    code_exc: ArrayLike = 60,
    code_inh: ArrayLike = 60,
) -> ChipConfig:
    """`n` neurons on circuits 0.. n-1; channel 0 excites all of them over row 0, channel 1 inhibits over row 1.

    Both rows belong to driver 0; labels 5 and 6 keep them apart. Every argument may be an array [n]; weight codes are
    magnitudes. Codes are nominal ones.
    """
    circuit = np.arange(n, dtype=np.int16)
    hemispheres = np.unique(circuit // spec.n_columns).astype(np.int16)
    values = (
        v_leak_mv,
        v_reset_mv,
        v_threshold_mv,
        tau_mem_us,
        tau_exc_us,
        tau_inh_us,
        t_refractory_us,
        gain_mv_per_us,
    )
    code = np.concatenate([np.broadcast_to(code_exc, n), -np.broadcast_to(code_inh, n)])
    row_sign = np.zeros((spec.n_hemispheres, spec.n_rows), np.int8)
    row_sign[:, 0], row_sign[:, 1] = 1, -1
    routes = Routes(
        np.repeat([0, 1], len(hemispheres)).astype(np.int32),
        np.tile(hemispheres * spec.n_drivers, 2).astype(np.int16),
        np.repeat([5, 6], len(hemispheres)).astype(np.uint8),
    )
    wanted = Wanted(circuit, circuit.copy(), *(np.broadcast_to(np.asarray(v, np.float64), n).copy() for v in values))
    boot = nominal_boot(spec)
    return ChipConfig(
        neurons=codes_for(wanted, boot, spec),
        shared=boot.shared,
        synapses=Synapses(
            np.tile(circuit, 2),
            np.repeat([0, 1], n).astype(np.int16),
            np.repeat([5, 6], n).astype(np.uint8),
            code.astype(np.float64 if spec.continuous_weights else np.int8),
        ),
        row_sign=row_sign,
        input_routes=routes,
        neuron_routes=Routes.none(),
    )


def events(*trains: list[tuple[int, int]]) -> SpikeBatch:
    """Input batch, one list of (tick, channel) per sample."""
    sample = [k for k, train in enumerate(trains) for _ in train]
    return SpikeBatch.from_arrays(
        sample, [tick for train in trains for tick, _ in train], [c for train in trains for _, c in train], len(trains)
    )
