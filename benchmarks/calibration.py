"""Compare calibrations with the chip's own truth.

Reads the codes of a calibration table and the hidden mismatch that ``hxloop chip reveal`` wrote, computes what every
circuit truly does with the codes before and after calibration (the formulas of docs/chip.md, written out once more:
nothing of the emulator or of the calibration is used), and compares. One JSON line per method and serial, then one per
method with the worst of each figure and the residuals; with ``--table``, that as a table of a page.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

Floats = NDArray[np.float64]

GATES = {
    "v_leak_mv": 0.20, "v_reset_mv": 0.15, "v_threshold_mv": 0.25, "tau_mem_us": 0.30, "tau_syn_exc_us": 0.15,
    "tau_syn_inh_us": 0.15, "synapse_gain_exc_mv_per_us": 0.30, "synapse_gain_inh_mv_per_us": 0.30,
}  # fmt: skip
"""Largest std after / std before."""

PUBLISHED = {
    "v_leak_mv": 0.30, "v_reset_mv": 0.20, "v_threshold_mv": 0.35, "tau_mem_us": 0.45, "tau_syn_exc_us": 0.20,
    "tau_syn_inh_us": 0.20,
}  # fmt: skip
"""Bounds of calix, tests/hw/py/test_neuron_distribution.py: std of readings after / before, 5 % trimmed at each end."""

POTENTIALS = ("v_leak_mv", "v_reset_mv", "v_threshold_mv", "synaptic_reference_exc_mv", "synaptic_reference_inh_mv")
"""Their residuals are in mV, those of other parameters relative to the target."""

V_LEAK, V_RESET, V_THRESHOLD, I_LEAK, I_TAU, I_GM, I_SHIFT = 0, 1, 2, 7, slice(8, 10), slice(10, 12), slice(12, 14)

ARRAY = (0, 1, 2, 3, 4, 5, 6, -1, 7, -1, 8, 14, 12, 10, 9, 15, 13, 11, 16, 17, 18, 19, 20)
"""Cells of a circuit as they lie above one another; -1 is not modelled."""


def held(codes: Floats, m: dict[str, Floats]) -> Floats:
    """What cells [512, cells] hold with these codes in all circuits."""
    found = codes.copy()
    for side, step in ((0, -1), (1, 1)) if "cell_pull" in m else ():
        for place, cell in enumerate(ARRAY):
            if 0 <= place + step < len(ARRAY) and -1 not in (cell, ARRAY[place + step]):
                found[:, cell] += m["cell_pull"][side, cell] * (codes[:, ARRAY[place + step]] - codes[:, cell])
    for first in range(0, 512, 128) if "cell_crowding_codes" in m else ():
        own = codes[first : first + 128]
        near = (np.abs(own[:, None] - own[None, :]) <= 3).sum(axis=1) - 1
        found[first : first + 128] += m["cell_crowding_codes"][:, first : first + 128].T * near / 128
    return np.maximum(found, np.minimum(codes, 1.0))


def true_values(
    truth: h5py.File,
    codes: Floats,
    quadrant_codes: Floats,
    capacitance_code: Floats | float,
    leak_range: Floats | float,
    digital: Floats,
    cadc_at_mv: dict[str, float],
) -> dict[str, Floats]:
    """Physical values of 512 circuits with codes [512, cells]; gains are means over all synapses of a circuit."""
    m = {name: truth[f"mismatch/{name}"][()] for name in truth["mismatch"] if name != "weight_bits"}
    codes = held(codes, m)
    column = np.arange(512) % 256
    quadrant = 2 * (np.arange(512) // 256) + (column >= 128)
    v = [(18.75 + 1.875 * codes[:, k]) * m["voltage_gain"][k] + m["voltage_offset_mv"][k] for k in range(3)]
    c_pf = 0.1 + 2.2 * capacitance_code / 63 + m["capacitance_pf"]
    leak_ns = 1.5 * codes[:, I_LEAK] * 8.0 ** (leak_range - 1.0) * m["leak_conductance"]
    gm_us = 4e-3 * codes[:, I_GM].T * m["synaptic_input"]
    reference_mv = 0.1 * (codes[:, I_SHIFT].T - 511) + m["synaptic_reference_mv"]
    step_mv = 1.15 * 2.3 / (250 * 4e-3 * 800) * quadrant_codes[:, 0] * m["synapse_dac"]
    tau_syn = 306.0 / codes[:, I_TAU].T * m["tau_syn"]
    synapses = (m["driver"][:, :, None] * m["synapse"]).mean(axis=1).ravel()  # neighbours on the die are alike
    gain = gm_us * step_mv[quadrant] / c_pf * synapses
    ramp_offset, ramp_slope = quadrant_codes[quadrant, 1], quadrant_codes[quadrant, 2]
    found = {
        "v_leak_mv": v[V_LEAK] + 1e3 * (gm_us[0] * reference_mv[0] - gm_us[1] * reference_mv[1]) / leak_ns,
        "v_reset_mv": v[V_RESET],
        "v_threshold_mv": np.where(m["dead"] > 0, np.nan, v[V_THRESHOLD]),
        "tau_mem_us": 1e3 * c_pf / leak_ns,
        "tau_syn_exc_us": tau_syn[0], "tau_syn_inh_us": tau_syn[1],
        "synapse_gain_exc_mv_per_us": gain[0], "synapse_gain_inh_mv_per_us": gain[1],
        "synaptic_reference_exc_mv": reference_mv[0], "synaptic_reference_inh_mv": reference_mv[1],
    }  # fmt: skip
    for name, mv in cadc_at_mv.items():
        lsb = (20 - 150 / 4.5 + mv / 4.5 - 0.5 * (ramp_offset - 500)) * 500 / ramp_slope
        found[name] = m["cadc_gain"] * lsb + m["cadc_offset_lsb"] + digital
        found[f"{name}_rounded"] = np.rint(found[name])
    return found


def compare(table_file: Path, truth_file: Path) -> dict:
    """Spreads before and after, medians, success, and whether the reported residuals are honest."""
    with h5py.File(table_file) as table, h5py.File(truth_file) as truth:
        target = json.loads(table.attrs["target"])["neuron"]
        middle = 0.5 * (target["v_leak_mv"] + target["v_threshold_mv"])
        at = {"cadc_low": target["v_leak_mv"], "cadc_lsb": middle, "cadc_high": target["v_threshold_mv"]}
        n = table["neurons"]
        after = true_values(
            truth, n["capmem_code"][()].astype(float), table["shared/quadrant_code"][()].astype(float),
            n["capacitance_code"][()].astype(float), n["leak_range"][()].astype(float), n["cadc_offset_code"][()], at,
        )  # fmt: skip
        b = truth["boot"]
        codes = np.broadcast_to(b["capmem_code"][()].astype(float), n["capmem_code"].shape)
        before = true_values(
            truth, codes, b["quadrant_code"][()].astype(float), float(b["capacitance_code"][0]),
            float(b["leak_range"][0]), b["cadc_offset_code"][()].astype(float), at,
        )  # fmt: skip
        check = truth["circuits/v_leak_mv"][()]
        assert np.allclose(before["v_leak_mv"], check, atol=1e-6), "formulas differ from the chip's"
        usable = np.ones(512, bool)
        for name in table["parameters"]:
            reason = table[f"parameters/{name}/reason"][()]
            if len(reason) == 512:
                usable &= reason == 0
        parameters, honest = {}, {}
        for name, values in after.items():
            good = usable & np.isfinite(values)
            parameters[name] = {
                "std_before": float(np.nanstd(before[name])), "std_after": float(np.std(values[good])),
                "ratio": float(np.std(values[good]) / np.nanstd(before[name])),
                "median": float(np.median(values[good])),
            }  # fmt: skip
            aim = _aim(name, target)
            if aim is not None:
                residual = values[good] - aim if name in POTENTIALS else values[good] / aim - 1.0
                parameters[name]["residual_mean"] = float(residual.mean())
                parameters[name]["residual_std"] = float(residual.std())
            if aim:
                parameters[name]["median_off"] = abs(parameters[name]["median"] / aim - 1.0)
            if f"parameters/{name}/achieved" in table:
                parameters[name] |= _reported(table[f"parameters/{name}"], good, name)
                residual = np.abs(table[f"parameters/{name}/residual"][()])
                uncertainty = table[f"parameters/{name}/uncertainty"][()]
                aim = table[f"parameters/{name}/target"][()]
                kept = usable & np.isfinite(residual)
                honest[name] = float(np.mean((np.abs(values - aim) <= residual + uncertainty)[kept]))
                inside = np.abs(values - aim - table[f"parameters/{name}/residual"][()]) <= uncertainty
                parameters[name]["within_uncertainty"] = float(np.mean(inside[kept]))
        return {
            "chip": f"{truth.attrs['chip']}/{truth.attrs['serial']}", "success_fraction": float(usable.mean()),
            "parameters": parameters, "honest": honest,
        }  # fmt: skip


def _aim(name: str, target: dict[str, float]) -> float | None:
    if name.startswith("synaptic_reference"):
        return 0.0
    return target.get(name, target.get(name.replace("_exc", "").replace("_inh", "")))


def _reported(columns: h5py.Group, good: NDArray[np.bool_], name: str) -> dict[str, float]:
    """What the table itself says."""
    residual, scale = columns["residual"][()][good], 1.0 if name in POTENTIALS else columns["target"][0]
    achieved, before = (_trimmed(columns[key][()]) for key in ("achieved", "before"))
    found = {
        "reported_mean": float(np.nanmean(residual) / scale), "reported_std": float(np.nanstd(residual) / scale),
        "reported_ratio": float(np.std(achieved) / np.std(before)),
    }  # fmt: skip
    if name == "v_threshold_mv":
        all_of_them = columns["achieved"][()]
        found["reported_beyond_8_lsb"] = float(np.nanmean(np.abs(all_of_them - np.nanmedian(all_of_them)) > 8 * 4.5))
    return found


def _trimmed(values: Floats) -> Floats:
    """Without the 5 % smallest and the 5 % largest."""
    kept = np.sort(values[np.isfinite(values)])
    cut = round(0.05 * len(kept))
    return kept[cut : len(kept) - cut]


def _hxloop(*arguments: str) -> str:
    command = [sys.executable, "-P", "-m", "hxloop", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def worst(lines: list[dict]) -> dict:
    """Over all serials, the largest of what should be small and the smallest of what should be large."""
    names = lines[0]["parameters"]
    return {
        "method": lines[0]["method"],
        "worst_of": [line["chip"] for line in lines],
        "ratio": {n: max(line["parameters"][n]["ratio"] for line in lines) for n in GATES},
        "gates": GATES if lines[0]["method"] == "default" else PUBLISHED,
        "reported_ratio": _each(lines, "reported_ratio", max),
        "residual_mean": _each(lines, "residual_mean", np.mean),
        "residual_std": _each(lines, "residual_std", np.mean),
        "reported_mean": _each(lines, "reported_mean", np.mean),
        "reported_std": _each(lines, "reported_std", np.mean),
        "cadc_std_lsb": max(
            line["parameters"][n]["std_after"] for line in lines for n in names if n.endswith("_rounded")
        ),
        "median_off": max(
            line["parameters"][n].get("median_off", 0.0) for line in lines for n in names
        ),
        "beyond_8_lsb": max(line["parameters"]["v_threshold_mv"].get("reported_beyond_8_lsb", 0.0) for line in lines),
        "success_fraction": min(line["success_fraction"] for line in lines),
        "honest": min(value for line in lines for value in line["honest"].values()),
        "wall_s": max(line["wall_s"] for line in lines),
        "chip_time_s": max(line["chip_time_s"] for line in lines),
    }  # fmt: skip


def _each(lines: list[dict], key: str, over: Callable[[list[float]], float]) -> dict[str, float]:
    """A figure of every parameter that has it, over all chips."""
    names = [name for name, found in lines[0]["parameters"].items() if key in found]
    return {name: float(over([line["parameters"][name][key] for line in lines])) for name in names}


def table(found: list[dict]) -> str:
    """Residuals by truth and by report, mean +- std over circuits, mean over chips: one column pair per method."""
    heading = ["residual of", *(f"{s['method']}: {what}" for s in found for what in ("truth", "own report"))]
    rows = [heading, ["---"] * len(heading)]
    for name in found[0]["residual_std"]:
        factor, unit, digits = (1.0, "mV", 2) if name in POTENTIALS else (100.0, "%", 1)
        cells = [
            f"{factor * s[f'{kind}_mean'][name]:.{digits}f} +- {factor * s[f'{kind}_std'][name]:.{digits}f} {unit}"
            if name in s[f"{kind}_std"] else "-"
            for s in found for kind in ("residual", "reported")
        ]  # fmt: skip
        rows.append([f"`{name}`", *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serials", type=int, nargs="+", default=list(range(1, 11)))
    parser.add_argument("--chip", default="uncalibrated")
    parser.add_argument("--preset", default="lif-6us")
    parser.add_argument("--methods", nargs="+", default=["default"], choices=["default", "published"])
    parser.add_argument("--table", action="store_true", help="end with a table")
    options = parser.parse_args()
    found = [measured(method, options) for method in options.methods]
    if options.table:
        print(table(found))


def measured(method: str, options: argparse.Namespace) -> dict:
    """Calibrate all serials by a method; print a line for each, and what `worst` makes of them."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for serial in options.serials:
            file, truth = Path(folder) / f"table{serial}.h5", Path(folder) / f"truth{serial}.h5"
            chip = ("--chip", options.chip, "--serial", str(serial))
            begin = time.perf_counter()
            summary = json.loads(
                _hxloop("calibrate", *chip, "--preset", options.preset, "--method", method, "--out", str(file),
                        "--no-cache", "--json")
            )  # fmt: skip
            wall_s = time.perf_counter() - begin
            _hxloop("chip", "reveal", *chip, "--out", str(truth))
            lines.append(
                {"method": method, **compare(file, truth), "wall_s": wall_s, "chip_time_s": summary["chip_time_s"],
                 "cpus": 2}
            )  # fmt: skip
            print(json.dumps(lines[-1]), flush=True)
    summary = worst(lines)
    print(json.dumps(summary), flush=True)
    return summary


if __name__ == "__main__":
    main()
