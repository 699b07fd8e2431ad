"""Picture of the weights of a run: matrices of codes, how often each code is taken, and receptive fields."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.kit.figures import DIVERGING, FAINT, GREY
from hxloop.network import INPUT
from hxloop.spec import HICANN_X
from hxloop.text import cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hxloop.network import Network, Population
    from hxloop_host.runs.trained_run import Run

LIMIT: Final = HICANN_X.weight_code_max
FIELDS: Final = 20
"""Neurons of a population whose receptive fields are shown."""
_ACROSS: Final = 10
_MATRIX_IN, _HISTOGRAM_IN, _EDGE_IN, _LINE_IN = 4.4, 2.6, 0.55, 0.16


def weights_size(run: Run) -> tuple[float, float]:
    """Width and height of the picture in inches."""
    return 8.0, 0.3 + sum(_heights(run))


def _driven(run: Run) -> list[Population]:
    """Populations with weights onto them; onto delay neurons there are delays."""
    network = run.origin.network
    return [population for population in network.populations if network.onto(population.name) and not population.relay]


def _heights(run: Run) -> list[float]:
    """Of a row for each population, and one for each that sees pixels."""
    heights = []
    for population in _driven(run):
        rows, lines = len(matrix_onto(run, population.name)), len(run.origin.network.onto(population.name))
        heights.append(_EDGE_IN + _LINE_IN * lines + float(np.clip(_MATRIX_IN * population.size / rows, 0.8, 3.0)))
    for fields in map(montage, _fields(run).values()):
        heights.append(_EDGE_IN + 7.0 * fields.shape[0] / fields.shape[1])
    return heights


def matrix_onto(run: Run, population: str) -> NDArray[np.float64]:
    """Codes of all projections onto a population, one below the other, NaN where nothing is connected."""
    network = run.origin.network
    parts = [
        np.where(network.connected(network.projections[k]), run.codes[k], np.nan) for k in network.onto(population)
    ]
    return np.vstack(parts).astype(np.float64)


def draw_weights(run: Run, figure: Figure) -> None:
    """A row for each population: matrix and histogram of the codes onto it; below, receptive fields."""
    populations, heights, colours = _driven(run), _heights(run), _colours()
    grid = figure.add_gridspec(len(heights), 2, width_ratios=(_MATRIX_IN, _HISTOGRAM_IN), height_ratios=heights)
    matrices = [figure.add_subplot(grid[k, 0]) for k in range(len(populations))]
    for k, (axes, population) in enumerate(zip(matrices, populations, strict=True)):
        axes.imshow(matrix_onto(run, population.name).T, cmap=colours, vmin=-LIMIT, vmax=LIMIT, aspect="auto")
        _describe(axes, run, population)
        _draw_histogram(figure.add_subplot(grid[k, 1]), run, population)
    for k, (name, fields) in enumerate(_fields(run).items(), len(populations)):
        axes, shown = figure.add_subplot(grid[k, :]), montage(fields)
        axes.imshow(shown, cmap=colours, vmin=-LIMIT, vmax=LIMIT)
        _, rows, columns = fields.shape
        axes.hlines(np.arange(0, len(shown) + 1, rows) - 0.5, -0.5, shown.shape[1] - 0.5, color="black", lw=0.8)
        axes.vlines(np.arange(0, shown.shape[1] + 1, columns) - 0.5, -0.5, len(shown) - 0.5, color="black", lw=0.8)
        size = run.origin.network.population(name).size
        axes.set_title(f"receptive fields of {len(fields)} of {size} neurons of {name}")
        axes.set_axis_off()


def _colours() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("codes", DIVERGING).with_extremes(bad=FAINT)


def source_words(network: Network, number: int) -> str:
    """What drives the synapses of a projection: a population, ``input`` or ``bias``."""
    projection = network.projections[number]
    first, last = network.sources(projection)
    name, size = cut(projection.source, 10), network.source_size(projection.source)
    if projection.source == INPUT:
        if first >= network.n_features:
            return "bias"
        size = network.n_features
    return name if (first, last) == (0, size) else f"{name}[{first}:{last}]"


def _describe(axes: Axes, run: Run, population: Population) -> None:
    network = run.origin.network
    words, first = [], 0
    for k in network.onto(population.name):
        rows = network.weight_shape(network.projections[k])[0]
        words.append(f"{source_words(network, k)} ({rows} {'row' if rows == 1 else 'rows'})")
        if first:
            axes.axvline(first - 0.5, color="black", lw=0.8)
        first += rows
    axes.set(title=fill(" | ".join(words), 60), xlabel="row", ylabel=f"neuron of {population.name}")
    axes.locator_params(integer=True)


def shares(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 [2 LIMIT + 1]: share of weights with each code in per cent; codes between two count for the nearest."""
    found = np.rint(codes[np.isfinite(codes)]).astype(np.int64)
    counts = np.bincount(np.clip(found, -LIMIT, LIMIT) + LIMIT, minlength=2 * LIMIT + 1)
    return np.asarray(100.0 * counts / max(1, len(found)))


def _draw_histogram(axes: Axes, run: Run, population: Population) -> None:
    """How often each code is taken; its colours are the key to those of the matrix."""
    network, values = run.origin.network, np.arange(-LIMIT, LIMIT + 1)
    share = shares(matrix_onto(run, population.name))
    axes.vlines(values, 0.0, share, colors=_colours()((values + LIMIT) / (2 * LIMIT)), lw=1.4)
    axes.stairs(share, np.append(values, LIMIT + 1) - 0.5, color=GREY, lw=0.6, zorder=3)
    words = []
    for k in network.onto(population.name):
        of = shares(np.where(network.connected(network.projections[k]), run.codes[k], np.nan))
        words.append(f"{source_words(network, k)}: {of[LIMIT]:.1f} % zero, {of[0] + of[-1]:.1f} % at ±{LIMIT}")
    axes.set_title("\n".join(words))
    axes.set(xlabel="weight code", ylabel="share (%)", xticks=(-LIMIT, -32, 0, 32, LIMIT), ylim=(0.0, None))
    axes.set_xlim(-LIMIT - 3, LIMIT + 3)


def _fields(run: Run) -> dict[str, NDArray[np.float64]]:
    """Where inputs are pixels: mean codes [n, rows, columns] of neurons of each population that sees all of them."""
    if "pictures/grid" not in run.record.quantities:
        return {}
    rows, columns = run.record.quantities["pictures/grid"].values.tolist()
    network = run.origin.network
    found: dict[str, NDArray[np.float64]] = {}
    if min(rows, columns) == 1:
        return found  # a line is no picture
    for k, p in enumerate(network.projections):
        if (
            p.source != INPUT
            or network.holds_delays(p)
            or network.sources(p)[0] > 0
            or network.sources(p)[1] < network.n_features
        ):
            continue
        size = network.population(p.target).size
        shown = np.unique(np.linspace(0, size - 1, min(size, FIELDS)).astype(np.int64))
        codes = np.where(network.connected(p), run.codes[k], 0)[: network.n_features * p.copies, shown]
        found[p.target] = codes.reshape(rows, columns, p.copies, -1).mean(axis=2).transpose(2, 0, 1)
    return found


def montage(fields: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pictures [n, rows, columns] side by side, in lines of `_ACROSS`, NaN where there are none left."""
    n, rows, columns = fields.shape
    lines = -(-n // _ACROSS)
    padded = np.full((lines * _ACROSS, rows, columns), np.nan)
    padded[:n] = fields
    return padded.reshape(lines, _ACROSS, rows, columns).swapaxes(1, 2).reshape(lines * rows, _ACROSS * columns)
