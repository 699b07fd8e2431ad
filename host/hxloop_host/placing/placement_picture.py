"""Picture of a placement: both synapse arrays with their drivers, buses and neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.files.writing import check_ending
from hxloop.kit.figures import COLORS, GREY, color_of, draw_alone, forms
from hxloop_host.placing.crossbar import drivers_per_bus

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hxloop_host.placing.placement import Placement

FREE: Final = 0
"""Value of places that nothing uses."""


def synapse_map(placement: Placement) -> NDArray[np.int64]:
    """int64 [n_hemispheres, n_rows, n_columns]: 1 + projection that uses the synapse, 0 where it is free."""
    spec, synapses = placement.spec, placement.wiring.synapses
    found = np.full((spec.n_hemispheres, spec.n_rows, spec.n_columns), FREE, np.int64)
    network = placement.network
    sizes = [p.rows_per_input * int(network.connected(p).sum()) for p in network.projections]
    hemisphere, column = np.divmod(synapses.circuit.astype(np.int64), spec.n_columns)
    found[hemisphere, synapses.row, column] = 1 + np.repeat(np.arange(len(sizes)), sizes)
    return found


def neuron_map(placement: Placement) -> NDArray[np.int64]:
    """int64 [n_hemispheres, n_columns]: 1 + population of the circuit, 0 where it is free."""
    spec = placement.spec
    found = np.full(spec.n_circuits, FREE, np.int64)
    for k, allocation in enumerate(placement.allocations.values(), 1):
        found[allocation.circuits.ravel()] = k
    return found.reshape(spec.n_hemispheres, spec.n_columns)


def label_map(placement: Placement) -> NDArray[np.int64]:
    """int64 [n_hemispheres, n_drivers]: labels in use on each driver."""
    spec, config = placement.spec, placement.wiring
    pairs = np.concatenate([np.stack([r.driver, r.label], axis=1) for r in (config.input_routes, config.neuron_routes)])
    count = np.bincount(np.unique(pairs, axis=0)[:, 0], minlength=spec.n_hemispheres * spec.n_drivers)
    return count.reshape(spec.n_hemispheres, spec.n_drivers)


def draw_placement(placement: Placement, form: str) -> bytes:
    """Picture in a form of `hxloop.kit.figures.forms`; hemisphere 0 is above hemisphere 1, its row 0 at the top."""

    def fill(figure: Figure) -> None:
        axes = figure.subplot_mosaic(
            [["labels0", "synapses0"], [".", "neurons0"], [".", "neurons1"], ["labels1", "synapses1"]],
            height_ratios=[20, 1, 1, 20], width_ratios=[1, 20],
        )  # fmt: skip
        for hemisphere in range(placement.spec.n_hemispheres):
            _draw_hemisphere(placement, hemisphere, {name: axes[f"{name}{hemisphere}"] for name in _PANELS})
        _legend(placement, axes["synapses0"], axes["synapses1"])

    return draw_alone(6.6, 9.6, fill, form)[0]


def check_picture_name(path: Path, field: str) -> str:
    """Form of a picture, from its name.

    Raises
    ------
    InvalidInputError
        The name ends on no form of pictures.
    """
    return check_ending(path, [".png", *sorted({f".{form}" for form in forms()} - {".png"})], field=field)[1:]


_PANELS: Final = ("labels", "synapses", "neurons")


def _draw_hemisphere(placement: Placement, hemisphere: int, axes: dict[str, Axes]) -> None:
    spec = placement.spec
    per_bus = drivers_per_bus(spec)
    axes["synapses"].imshow(
        _colored(synapse_map(placement)[hemisphere], 0), aspect="auto", interpolation="nearest",
        extent=(0, spec.n_columns, spec.n_rows, 0),
    )  # fmt: skip
    for edge in range(1, spec.n_padi_buses):
        axes["synapses"].axhline(2 * edge * per_bus, color=GREY, lw=0.4)
    axes["synapses"].set(title=f"hemisphere {hemisphere}: synapses by row and column", yticks=[], xticks=[])
    axes["neurons"].imshow(
        _colored(neuron_map(placement)[hemisphere][None], len(placement.network.projections)), aspect="auto",
        interpolation="nearest", extent=(0, spec.n_columns, 1, 0),
    )  # fmt: skip
    axes["neurons"].set(yticks=[])
    name = axes["neurons"].annotate("neurons", (0, 0.5), (-4, 0), textcoords="offset points", ha="right", va="center")
    name.set_in_layout(False)  # it has room beside the labels' column
    step = spec.n_columns // spec.n_event_outputs
    axes["neurons"].set_xticks(range(0, spec.n_columns + 1, step), minor=False)
    axes["neurons"].tick_params(labelbottom=hemisphere == 0, length=2)
    labels = label_map(placement)[hemisphere]
    axes["labels"].imshow(
        labels[:, None], aspect="auto", interpolation="nearest", cmap="Blues", vmin=0, vmax=max(4, labels.max()),
        extent=(0, 1, spec.n_drivers, 0),
    )  # fmt: skip
    middle = per_bus * (np.arange(spec.n_padi_buses) + 0.5)
    most = labels.reshape(spec.n_padi_buses, per_bus).max(axis=1)
    texts = [f"bus {b}\n{n} {'label' if n == 1 else 'labels'}" for b, n in enumerate(most)]
    axes["labels"].set(xticks=[], yticks=middle, yticklabels=texts)
    axes["labels"].tick_params(length=0)


def _colored(values: NDArray[np.int64], first: int) -> NDArray[np.float64]:
    """float64 [..., 3]: colours of numbered things, white for `FREE`."""
    from matplotlib.colors import to_rgb

    palette = np.array([to_rgb(c) for c in COLORS])
    image = palette[(values - 1 + first) % len(palette)]
    image[values == FREE] = 1.0
    return image


def _legend(placement: Placement, upper: Axes, lower: Axes) -> None:
    from matplotlib.patches import Patch

    names = [p.name for p in placement.network.projections]
    colors = [color_of(k) for k in range(len(names) + len(placement.allocations))]
    upper.legend(
        handles=[Patch(color=c, label=n) for c, n in zip(colors, names, strict=False)],
        title="projections", loc="lower center", bbox_to_anchor=(0.5, 1.05), ncols=3,
    )  # fmt: skip
    lower.legend(
        handles=[Patch(color=c, label=n) for c, n in zip(colors[len(names) :], placement.allocations, strict=True)],
        title="populations", loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3,
    )  # fmt: skip
