"""A chip without the emulator: the circuit equations on a coarse time grid, plain numpy, for tests of the host."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from support.chips.run_counters import counts

from hxloop.chip import ChipIdentity
from hxloop.codes import nominal
from hxloop.codes.capmem import Cell, QuadrantCell
from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import SessionError
from hxloop.result import Observations, RunResult
from hxloop.seeds import generator
from hxloop.spec import HICANN_X
from hxloop.spikes import SpikeBatch

STEP_TICKS = 16


def decode(neurons, shared):
    """Physical values of circuits by the published curves; the synaptic gain is that of excitation."""
    code = neurons.capmem_code.astype(float)
    capacitance_pf = nominal.capacitance_pf(neurons.capacitance_code)
    step_mv = nominal.synapse_step_mv(shared.quadrant_code[0, QuadrantCell.i_synapse_dac])
    return {
        "v_leak_mv": nominal.voltage_mv(code[:, Cell.v_leak]),
        "v_reset_mv": nominal.voltage_mv(code[:, Cell.v_reset]),
        "v_threshold_mv": nominal.voltage_mv(code[:, Cell.v_threshold]),
        "tau_mem_us": 1e3 * capacitance_pf / nominal.leak_conductance_ns(code[:, Cell.i_leak], neurons.leak_range),
        "tau_syn_exc_us": nominal.tau_syn_us(code[:, Cell.i_tau_syn_exc]),
        "t_refractory_us": nominal.refractory_us(
            neurons.refractory_counter, shared.clock_scale[0, neurons.refractory_clock]
        ),
        "synapse_gain_mv_per_us": nominal.transconductance_us(code[:, Cell.i_gm_exc]) * step_mv / capacitance_pf,
    }


class GridChip:
    """Exponential Euler with steps of 0.128 us; per neuron a fixed threshold offset, per sample one of its trial."""

    def __init__(self, serial=1, *, spread_mv=10.0, noise_mv=2.0, spec=HICANN_X):
        self.spec = spec
        self.boot = nominal_boot(spec)
        self.identity = ChipIdentity(chip="grid", serial=serial, spec=spec.name, model="grid-1")
        self.runs = 0
        self._offset_mv = generator(serial, "threshold").normal(0.0, spread_mv, spec.n_circuits)
        self._noise_mv = noise_mv
        self._config = None

    def configure(self, config):
        neurons, synapses = config.neurons, config.synapses
        self._config = config
        values = decode(neurons, config.shared)
        self._heads = np.unique(neurons.head)
        column = np.full(self.spec.n_circuits, -1)
        column[neurons.circuit] = np.searchsorted(self._heads, neurons.head)
        share = np.zeros(self.spec.n_circuits)
        share[neurons.circuit] = values["synapse_gain_mv_per_us"] / np.bincount(neurons.head)[neurons.head]
        rows = self.spec.n_hemispheres * self.spec.n_rows * self.spec.n_labels
        by_place = np.zeros((rows, len(self._heads)))
        hemisphere = synapses.circuit // self.spec.n_columns
        np.add.at(
            by_place,
            (self._place(hemisphere, synapses.row, synapses.label), column[synapses.circuit]),
            synapses.weight_code * share[synapses.circuit],
        )
        ins, outs = config.input_routes, config.neuron_routes
        self._w_in = np.zeros((int(ins.source.max(initial=0)) + 1, len(self._heads)))
        self._add_routes(self._w_in, ins.source, ins, by_place)
        self._w_chip = np.zeros((len(self._heads), len(self._heads)))
        self._add_routes(self._w_chip, column[outs.source], outs, by_place)
        order = np.argsort(neurons.circuit)
        where = order[np.searchsorted(neurons.circuit[order], self._heads)]
        self._neurons = {name: value[where] for name, value in values.items()}
        return config.sha256()

    def _add_routes(self, weights, source, routes, by_place):
        hemisphere, driver = np.divmod(routes.driver.astype(np.int64), self.spec.n_drivers)
        for row in (2 * driver, 2 * driver + 1):
            np.add.at(weights, source, by_place[self._place(hemisphere, row, routes.label)])

    def _place(self, hemisphere, row, label):
        place = hemisphere.astype(np.int64) * self.spec.n_rows + row
        return place * self.spec.n_labels + label

    def run(
        self,
        inputs,
        *,
        duration_ticks,
        trial_seed=0,
        first_sample=0,
        record="spikes",
        neurons=None,
        readout=None,
        config=None,
    ):
        if config is not None:
            self.configure(config)
        if self._config is None:
            raise SessionError("not configured")
        inputs.check("inputs", duration_ticks=duration_ticks, n_sources=self.spec.n_input_channels)
        self.runs += 1
        size, n_neurons = inputs.n_samples, len(self._heads)
        steps = duration_ticks // STEP_TICKS
        arriving = np.zeros((steps + 1, size, n_neurons))
        at = np.minimum(-(-inputs.tick // STEP_TICKS), steps)
        np.add.at(arriving, (at, inputs.sample), self._w_in[inputs.source])
        noise_mv = [generator(trial_seed, first_sample + k).normal(0.0, self._noise_mv) for k in range(size)]
        threshold = self._neurons["v_threshold_mv"] + self._offset_mv[self._heads] + np.array(noise_mv)[:, None]
        spikes, v_mv = self._integrate(arriving, threshold)
        if record != "spikes":
            _, first = np.unique(spikes[:, [1, 2]], axis=0, return_index=True)
            spikes = spikes[first]
        step, sample, neuron = spikes.T
        batch = SpikeBatch.from_arrays(sample, step * STEP_TICKS, self._heads[neuron], size)
        if neurons is not None:
            batch = batch.select(np.isin(batch.source, neurons))
        first_ticks = None
        if record == "first_ticks":
            columns = self._heads if neurons is None else np.array(neurons)
            batch, first_ticks = SpikeBatch.empty(size), batch.first_ticks(columns.astype(np.int64))
        chip_time_us = size * duration_ticks * self.spec.tick_us
        energy = self.spec.power_w * chip_time_us * 1e-6
        return RunResult(
            batch,
            first_ticks=first_ticks,
            observations=self._observe(v_mv, duration_ticks, readout),
            **counts(inputs.n_spikes, len(spikes), chip_time_us=chip_time_us, energy_j=energy),
        )

    def _observe(self, v_mv, duration_ticks, readout):
        """Readings of the CADC, the nominal one, at the step before each."""
        if readout is None or not readout.cadc_circuits:
            return Observations.none()
        step = np.arange(readout.cadc_reads(duration_ticks)) * readout.cadc_period_ticks // STEP_TICKS
        read = v_mv[np.ix_(step, np.arange(v_mv.shape[1]), np.searchsorted(self._heads, readout.cadc_circuits))]
        lsb = np.clip(np.round(nominal.cadc_lsb(read)), 0, 255).astype(np.uint8)
        return replace(Observations.none(), cadc=lsb.swapaxes(0, 1).copy())

    def _integrate(self, arriving, threshold):
        """int [n, 3]: step, sample, neuron of every spike, sorted by step; and [n_steps, n_samples, n_neurons]: mV."""
        dt_us, delay = STEP_TICKS * self.spec.tick_us, self.spec.routing_delay_ticks // STEP_TICKS
        par, found, v_mv = self._neurons, [], np.empty(arriving.shape, np.float32)
        keep_v, keep_i = np.exp(-dt_us / par["tau_mem_us"]), np.exp(-dt_us / par["tau_syn_exc_us"])
        v = np.broadcast_to(par["v_leak_mv"], threshold.shape).copy()
        current, free_at = np.zeros_like(v), np.zeros_like(v)
        for step in range(len(arriving)):
            free = free_at <= step
            new = par["v_leak_mv"] + (v - par["v_leak_mv"]) * keep_v + current * dt_us
            v_mv[step] = v = np.where(free, new, par["v_reset_mv"])
            current = current * keep_i + arriving[step]
            sample, neuron = np.nonzero((v >= threshold) & free)
            if len(sample):
                v[sample, neuron] = par["v_reset_mv"][neuron]
                free_at[sample, neuron] = step + np.ceil(par["t_refractory_us"][neuron] / dt_us)
                found.append(np.stack([np.full(len(sample), step), sample, neuron], axis=1))
                if step + delay < len(arriving):
                    np.add.at(arriving[step + delay], sample, self._w_chip[neuron])
        last = len(arriving) - 1
        spikes = np.concatenate(found) if found else np.empty((0, 3), np.int64)
        return spikes[spikes[:, 0] < last], v_mv
