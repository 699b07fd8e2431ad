"""A learning rule of my own: gradients of first spikes, from the membranes of a readout that never spikes.

    hxloop train yin-yang --rule examples/my_rule.py:SpikeProp --preset examples/my_rule.toml

A spike of weight w moves a membrane by w k(t), t after it. So an error at a reading moves the weights onto the readout
by k, the hidden spikes by -w k', and the weights of a hidden neuron by dt/dw = -k / V' (Bohte, Kok, La Poutre 2002).
"""

import numpy as np

from hxloop import Column, Observe, Rule, RuleSettings, Update


class Settings(RuleSettings):
    slope: float = 0.2  # smaller slopes of a membrane at its threshold, 1/us, count as this
    wake: float = 0.001  # push on the weights of a neuron that is silent in all samples


def kernel(t, population):
    """Membrane t us after a spike of weight 1, and its slope."""
    mem, syn = population.tau_mem_us, population.tau_syn_us
    mem = mem if abs(mem - syn) > 1e-3 * syn else 1.001 * syn  # one formula for equal time constants too
    m, s = (np.exp(-np.maximum(t, 0.0) / tau) * (t > 0) for tau in (mem, syn))
    return (m - s) * mem / (mem - syn), (s / syn - m / mem) * mem / (mem - syn)


class SpikeProp(Rule):
    Settings = Settings
    summary = "gradients of first spikes, from the membranes of a readout"
    reference = "Bohte, Kok, La Poutre, Neurocomputing 48:17 (2002)"
    observes = "first spikes of the hidden population, membranes of the output"
    columns = (Column("silent", "share of hidden neurons without a spike", short="silent"),)

    def observe(self, network):
        return Observe("first")  # and the loss asks for the membranes

    def step(self, runner, batch, weights):
        network, readout, seen = runner.network, runner.readout, runner.run(batch, weights)
        loss, by_score = readout.value_and_gradient(readout.scores(seen), batch.label)
        by_reading = readout.derivative(seen, by_score)  # [sample, reading, class]
        # Times of spikes at the rows of each projection, us; silence is late.
        at = [np.minimum(seen.arrival_ticks(p) * seen.tick_us, 1e6) for p in network.projections]
        (out,) = network.onto(network.output)
        hidden = network.population(network.projections[out].source)
        value, slope = kernel(seen.membrane_times_us[:, None] - at[out][:, None], network.population(network.output))
        by_spike = -np.einsum("nrh,nrc,hc->nh", slope, by_reading, seen.weights[out], optimize=True)
        fired = np.minimum(seen.first_times_us(hidden.name), 1e6)
        onto = {k: kernel(fired[:, None] - at[k][:, :, None], hidden) for k in network.onto(hidden.name)}
        steep = sum(np.einsum("nph,ph->nh", slope, seen.weights[k]) for k, (_, slope) in onto.items())
        by_drive = -by_spike / np.maximum(steep, self.settings.slope)
        silent = (fired == 1e6).mean(axis=0)
        wake = self.settings.wake * (silent == 1.0)
        gradients = {k: np.einsum("nph,nh->ph", value, by_drive) - wake for k, (value, _) in onto.items()}
        gradients[out] = np.einsum("nrh,nrc->hc", value, by_reading)
        answers = readout.predict(readout.scores(seen))
        diagnostics = {"silent": silent.mean()}
        return Update(loss, answers, [gradients[k] for k in range(len(weights))], diagnostics=diagnostics)
