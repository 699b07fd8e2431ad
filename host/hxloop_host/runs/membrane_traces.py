"""Picture of the membranes of one test sample: what the chip measured, what the rule's model says, and the spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.kit.brief import brief
from hxloop.kit.figures import BLUE, FAINT, GREY, RED, color_of
from hxloop.text import cut
from hxloop_host.runs.run_content import SILENT, membranes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from numpy.typing import NDArray

    from hxloop.network import Population
    from hxloop_host.runs.trained_run import Run

_ACROSS: Final = 4
_SMALL_IN, _WIDE_IN, _EDGE_IN = 0.95, 2.5, 1.0
_LINE_CHARACTERS, _NAME_CHARACTERS = 96, 18
_MEMBRANE: Final = "membrane (model units)"
MOST_COLOURED: Final = 6
"""Outputs with a colour and an entry in the legend: the answer, the right one, those that rose highest."""


@brief
@dataclass(frozen=True, eq=False)
class Membranes:
    """What a run file has of the membranes of a population in one test sample.

    Attributes
    ----------
    population : Population
    time_us : float64 [n_reads]
    neuron : int64 [n]
        Neurons whose membranes these are.
    measured : float32 [n_reads, n]
        0 at leak, `Population.model_threshold` at threshold.
    modelled : float32 [n_reads, n] or None
        What the rule's model says, NaN where it says nothing; None if it never says something.
    spikes_us : list of float64 [n_spikes]
        Spikes of each of these neurons.
    """

    population: Population
    time_us: NDArray[np.float64]
    neuron: NDArray[np.int64]
    measured: NDArray[np.float32]
    modelled: NDArray[np.float32] | None
    spikes_us: list[NDArray[np.float64]]

    @property
    def distance(self) -> float:
        """Root mean square of measured minus modelled, NaN without a model."""
        if self.modelled is None:
            return np.nan
        return float(np.sqrt(np.nanmean((self.measured - self.modelled) ** 2)))


def stored_membranes(run: Run) -> list[Membranes]:
    """What a run file has of membranes, in the order of the network's populations."""
    get, stored, found = run.record.quantities, membranes_of(run.record), []
    for population in run.origin.network.populations:
        if population.name not in stored:
            continue
        path, spikes = f"pictures/membranes/{population.name}", f"pictures/raster/{population.name}"
        neuron = get[f"{path}/neuron"].values
        fired = [np.empty(0)] * len(neuron)
        if population.spiking:
            fired = [get[f"{spikes}/time_us"].values[get[f"{spikes}/neuron"].values == n] for n in neuron]
        modelled = get[f"{path}/modelled"].values if f"{path}/modelled" in get else None
        modelled = modelled if modelled is not None and np.isfinite(modelled).any() else None
        time_us, measured = get["pictures/membrane_time_us"].values, get[f"{path}/measured"].values
        found.append(Membranes(population, time_us, neuron, measured, modelled, fired))
    return found


def membranes_size(run: Run) -> tuple[float, float]:
    """Width and height of the picture in inches."""
    rows = _rows(stored_membranes(run), run.origin.network.output)
    return 8.0, _EDGE_IN + sum(height for _, height in rows)


def _rows(stored: list[Membranes], output: str) -> list[tuple[Membranes, float]]:
    """Rows of panels with their heights: one for the output, as many as it takes for the neurons of others."""
    rows = []
    for membranes in stored:
        if membranes.population.name == output:
            rows.append((membranes, _WIDE_IN))
        else:
            rows += [(membranes, _SMALL_IN)] * -(-len(membranes.neuron) // _ACROSS)
    return rows


def draw_membranes(run: Run, figure: Figure) -> None:
    """Small panels for neurons of hidden populations, and one for all of the output."""
    stored, output = stored_membranes(run), run.origin.network.output
    rows = _rows(stored, output)
    grid = figure.add_gridspec(len(rows), _ACROSS, height_ratios=[height for _, height in rows])
    row = 0
    for membranes in stored:
        if membranes.population.name == output:
            panels = [figure.add_subplot(grid[row, :])]
            _draw_output(run, membranes, panels[0])
            row += 1
        else:
            places = [grid[row + k // _ACROSS, k % _ACROSS] for k in range(len(membranes.neuron))]
            first = figure.add_subplot(places[0])
            panels = [first, *(figure.add_subplot(place, sharex=first, sharey=first) for place in places[1:])]
            _draw_neurons(membranes, panels)
            row += -(-len(panels) // _ACROSS)
        is_output = membranes.population.name == output
        panels[0].set(xlim=(0, run.origin.settings.duration_us), ylim=_limits(membranes, 0.5 if is_output else 0.3))
    for axes in panels[-_ACROSS:]:
        axes.set_xlabel("hardware time (us)")
    figure.suptitle(words_of_sample(run), x=0.01, ha="left", fontsize="medium")
    figure.legend(handles=_keys(stored), loc="outside lower center", ncols=4)


def _limits(membranes: Membranes, room_of_spikes: float) -> tuple[float, float]:
    """Of the axis of membranes; above what is drawn there is so much of its room for spikes."""
    drawn = [membranes.measured, *([] if membranes.modelled is None else [membranes.modelled])]
    low, high = min(np.nanmin(d) for d in drawn), max(np.nanmax(d) for d in drawn)
    if membranes.population.spiking:
        low, high = min(low, 0.0), max(high, membranes.population.model_threshold)
    room = max(high - low, 1e-6)
    return low - 0.05 * room, high + (room_of_spikes if membranes.population.spiking else 0.05) * room


def words_of_sample(run: Run) -> str:
    """Which test sample spikes and membranes show, and what the chip answered."""
    if "pictures/sample" not in run.record.quantities:
        return f"one test sample on chip {run.origin.identity}"
    names, answer, label = _class_names(run), *_answer_and_label(run)
    said = "no answer" if answer == SILENT else f"answer {names[answer]}"
    sample = int(run.record.quantities["pictures/sample"].values[0])
    return f"test sample {sample} ({names[label]}) on chip {run.origin.identity}: {said}"


def _answer_and_label(run: Run) -> tuple[int, int]:
    get = run.record.quantities
    sample = int(get["pictures/sample"].values[0])
    return int(get["pictures/answer"].values[0]), int(get["test/label"].values[sample])


def _class_names(run: Run) -> list[str]:
    return str(run.record.attributes["class_names"]).split(", ")


def _keys(stored: list[Membranes]) -> list[Line2D]:
    from matplotlib.lines import Line2D

    keys = [Line2D([], [], ls="", marker=".", ms=6, color="black", label="measured")]
    if any(m.modelled is not None for m in stored):
        keys.append(Line2D([], [], color=BLUE, lw=1.4, label="modelled"))
    if any(m.population.spiking for m in stored):
        keys.append(Line2D([], [], ls="", marker="|", ms=8, mew=1.6, color=RED, label="spike"))
        keys.append(Line2D([], [], color=GREY, lw=0.9, ls="--", label="threshold"))
    return keys


def _draw_neurons(membranes: Membranes, panels: list[Axes]) -> None:
    """A panel each."""
    n = len(panels)
    for k, axes in enumerate(panels):
        axes.plot(membranes.time_us, membranes.measured[:, k], ".", color="black", ms=3.5, mew=0)
        if membranes.modelled is not None:
            axes.plot(membranes.time_us, membranes.modelled[:, k], color=BLUE, lw=1.0)
        _draw_spikes(axes, membranes.spikes_us[k], RED, 0.84, 0.98)
        _draw_levels(axes, membranes.population)
        axes.set_title(f"neuron {membranes.neuron[k]}", pad=2)
        axes.tick_params(labelbottom=k + _ACROSS >= n, labelleft=k % _ACROSS == 0)
    panels[0].set_title(f" \nneuron {membranes.neuron[0]}", pad=2)
    # Wider than its panel: as part of the title it would push the columns apart.
    panels[0].annotate(_words(membranes), (0, 1), (0, 16), "axes fraction", "offset points").set_in_layout(False)
    panels[(n - 1) // _ACROSS // 2 * _ACROSS].set_ylabel(_MEMBRANE)


def _draw_output(run: Run, membranes: Membranes, axes: Axes) -> None:
    """All in one panel, in the colours of their classes."""
    names, answer, label = _class_names(run), *_answer_and_label(run)
    highest = np.argsort(-membranes.measured.max(axis=0), kind="stable").tolist()
    coloured = list(dict.fromkeys(n for n in (answer, label, *highest) if n != SILENT))[:MOST_COLOURED]
    lines = membranes.measured if membranes.modelled is None else membranes.modelled
    size = 3.2 if len(membranes.time_us) < 50 else 1.8
    for k, neuron in enumerate(membranes.neuron.tolist()):
        # There are eight colours: the next eight classes have them again, with dashes and squares.
        dashes, marker = ("-", "o") if neuron % 16 < 8 else ("--", "s")
        color, edge, width, order, words = FAINT, FAINT, 0.8, 1, None
        if neuron in coloured:
            color, edge, width, order = color_of(neuron), "black", 2.0 if neuron == answer else 1.0, 2
            roles = ", ".join(role for role, who in (("answer", answer), ("right", label)) if who == neuron)
            words = cut(names[neuron], _NAME_CHARACTERS) + (f" ({roles})" if roles else "")
        at_us, measured = membranes.time_us, membranes.measured[:, k]
        axes.plot(at_us, measured, marker, color=color, ms=size, mew=0.4, mec=edge, zorder=order)
        axes.plot(at_us, lines[:, k], dashes, color=color, lw=width, zorder=order, label=words)
        if neuron in coloured:  # one line of spikes below the other, in the order of the legend
            low = 0.98 - 0.3 * (1 + sorted(coloured).index(neuron)) / len(coloured)
            _draw_spikes(axes, membranes.spikes_us[k], color, low, low + 0.25 / len(coloured))
    _draw_levels(axes, membranes.population)
    axes.set_ylabel(_MEMBRANE)
    _draw_legend(axes, _words(membranes))


def _draw_legend(axes: Axes, title: str) -> None:
    """Above the panel, in one line or two; what does not fit must not squeeze the panels."""
    labels = axes.get_legend_handles_labels()[1]
    n_lines = 1 if sum(len(label) + 9 for label in labels) <= _LINE_CHARACTERS else 2
    axes.set_title(title, pad=4 + 14 * n_lines)
    legend = axes.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=-(-len(labels) // n_lines), borderpad=0.1, labelspacing=0.2
    )
    legend.set_in_layout(False)


def _words(membranes: Membranes) -> str:
    population, shown = membranes.population, len(membranes.neuron)
    said = f"{population.name}, {'all' if shown == population.size else f'{shown} of'} {population.size} neurons"
    if membranes.modelled is not None:
        said += f"; measured and modelled differ by {membranes.distance:.2g} (RMS)"
    return said


def _draw_spikes(axes: Axes, times_us: NDArray[np.float64], color: str, low: float, high: float) -> None:
    """Ticks between these heights, in units of that of the panel."""
    axes.vlines(times_us, low, high, color=color, lw=1.6, transform=axes.get_xaxis_transform())


def _draw_levels(axes: Axes, population: Population) -> None:
    axes.axhline(0.0, color=FAINT, lw=0.6, zorder=0)
    if population.spiking:
        axes.axhline(population.model_threshold, color=GREY, lw=0.9, ls="--", zorder=0)
