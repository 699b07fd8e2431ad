"""The backward pass of surrogate gradients as it is written in PyTorch: dense [batch, time, neuron] tensors, unrolled.

The model is that of `hxloop_host.readings`, with measured spikes and membranes in the forward pass
(Cramer, Billaudelle et al., PNAS 2022). Matrix products of inputs and outputs take all times at once.
"""

# Needs PyTorch, which is no dependency of the package.
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN202, ANN205

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from hxloop.network import INPUT
from hxloop_host.readings.kernels import (
    ADAPTATION,
    CURRENT,
    CURRENT_LEFT,
    MEMBRANE,
    MEMBRANE_RISE,
    RISE,
)
from hxloop_host.readings.reading_grid import ReadingGrid

if TYPE_CHECKING:
    from benchmarks.workloads.recorded import Recorded


class _Spike(torch.autograd.Function):
    """Measured spikes; their derivative is SuperSpike at the measured membrane, and 1 where a neuron spiked."""

    @staticmethod
    def forward(ctx, u, measured, steepness):
        ctx.save_for_backward(u)
        ctx.steepness = steepness
        return measured

    @staticmethod
    def backward(ctx, grad):
        (u,) = ctx.saved_tensors
        return grad / (ctx.steepness * torch.abs(u) + 1.0) ** 2, None, None


class _Measured(torch.autograd.Function):
    """Measured membranes; the derivative goes on to the model's."""

    @staticmethod
    def forward(ctx, modelled, measured):
        return measured

    @staticmethod
    def backward(ctx, grad):
        return grad, None


class DenseGraph:
    """A population of neurons that may be recurrent, and an output that does not spike, with their recording.

    Parameters
    ----------
    recorded : Recorded
    exact : bool
        Events at their own times, as in the rule, each with two values; and resets, past which no derivative goes.
        Otherwise as in textbooks: events count at readings, one value each, and there are no resets.
    """

    def __init__(self, recorded: Recorded, *, exact: bool) -> None:
        recording, self.exact, self.steepness = recorded.recording, exact, recorded.steepness
        network, self.scale = recording.network, recorded.readout.settings.scale
        period = round(recording.membrane_times_us[1] / recording.tick_us)
        grid = ReadingGrid(network, period, recording.tick_us, recording.delay_ticks)
        assert not grid.decay[ADAPTATION:].any()
        hidden, output = network.populations
        self.label = torch.from_numpy(recorded.label)
        self.weights = [torch.from_numpy(w.astype(np.float32)).requires_grad_() for w in recording.weights]
        self.parts = [(p.source, p.target, network.sources(p)) for p in network.projections]
        self.v = {p.name: torch.from_numpy(recording.membranes[p.name]) for p in (hidden, output)}
        self.names = hidden.name, output.name
        self.constants = {
            p.name: [float(grid.decay[row, grid.part[p.name].start]) for row in (MEMBRANE, CURRENT, RISE)]
            for p in (hidden, output)
        }
        n_reads = self.v[hidden.name].shape[1]
        spikes, inputs = recording.spikes[hidden.name], recording.inputs.spikes
        sample = np.repeat(np.arange(recording.n_samples), np.diff(inputs.offsets))
        events = {INPUT: (sample, inputs.tick, inputs.source, network.n_inputs)}
        events[hidden.name] = (spikes.sample, spikes.tick + recording.delay_ticks, spikes.neuron, hidden.size)
        self.drive = []
        for source, target, (first, last) in self.parts:
            table = grid.kernels[0 if target == hidden.name else 1]
            of_source = events[source]
            self.drive.append(_drive(of_source, table, period, recording.n_samples, n_reads, exact)[..., first:last])
        no_delay = (spikes.sample, spikes.tick, spikes.neuron, hidden.size)
        self.counts = _drive(no_delay, table, period, recording.n_samples, n_reads, False)[0]
        self.spiked = self.counts > 0

    def loss(self) -> torch.Tensor:
        """Cross entropy of the maximum over time, of the graph to be differentiated."""
        hidden, output = self.names
        z = self._population(hidden, None)
        v = self._population(output, z)
        return torch.nn.functional.cross_entropy(self.scale * v.max(dim=1).values, self.label)

    def backward(self, loss: torch.Tensor) -> None:
        """Derivatives of all weights."""
        for w in self.weights:
            w.grad = None
        loss.backward()

    def _population(self, name, z):
        left, kept, rises = self.constants[name]
        jump, came, recurrent = 0, 0, None
        for w, (source, target, (first, last)), drive in zip(self.weights, self.parts, self.drive, strict=True):
            if target != name:
                continue
            if source == name:
                recurrent = (w, first, last)
            if self.exact:
                jump, came = jump + drive[0] @ w, came + drive[1] @ w
                if source not in (INPUT, name):
                    came = came + (z - z.detach())[..., first:last] @ w
            elif source != name:
                came = came + (drive[0] if source == INPUT else z[..., first:last]) @ w
        measured, found, spikes = self.v[name], [], []
        v, i, size = measured[:, 0] * 0, measured[:, 0] * 0, measured.shape[1]
        threshold = z is None
        for k in range(size):
            u = left * v + rises * i
            if self.exact:
                u = u + jump[:, k]
            v = _Measured.apply(u, measured[:, k])
            i = kept * i + came[:, k]
            if threshold:
                x = v - 1.0
                if self.exact:
                    x = torch.where(self.spiked[:, k], u - u.detach(), x)
                    v = torch.where(self.spiked[:, k], measured[:, k], v)
                spikes.append(_Spike.apply(x, self.counts[:, k], self.steepness))
                if recurrent is not None:
                    w, first, last = recurrent
                    z_k = spikes[-1] - spikes[-1].detach() if self.exact else spikes[-1]
                    i = i + z_k[:, first:last] @ w
            else:
                found.append(v)
        return torch.stack(spikes if threshold else found, dim=1)


def _drive(events, table, period, n_samples, n_reads, exact):
    """[kinds, n_samples, n_reads, n_sources]: what events of a weight of 1 bring by the next reading."""
    sample, tick, source, size = events
    reading = -(-tick // period)
    since = reading * period - tick
    inside = reading < n_reads
    rows = (table[MEMBRANE_RISE], table[CURRENT_LEFT]) if exact else (np.ones(period + 1, np.float32),)
    found = np.zeros((len(rows), n_samples, n_reads, size), np.float32)
    for values, row in zip(found, rows, strict=True):
        np.add.at(values, (sample[inside], reading[inside], source[inside]), row[since[inside]])
    return torch.from_numpy(found)
