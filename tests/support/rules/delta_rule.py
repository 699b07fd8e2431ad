"""The delta rule on spike counts: it hands back new weights, and needs no optimiser.

Widrow, Hoff, IRE WESCON Convention Record 4:96 (1960): a weight changes by its input times the error of its output.
"""

import numpy as np

from hxloop import Column, Observe, Rule, RuleSettings, Update


class DeltaSettings(RuleSettings):
    rate: float = 0.02  # change of a model weight for one input spike and one output spike too few
    decay: float = 0.99  # of the rate, from one batch to the next
    decay_after: int = 10  # batches


class Delta(Rule):
    Settings = DeltaSettings
    summary = "delta rule on spike counts"
    reference = "Widrow, Hoff, IRE WESCON Conv. Rec. 4:96 (1960)"
    observes = "all spikes of the output"
    columns = (
        Column("distance", "mean distance of the counts from their targets"),
        Column("rate_left", "what remains of the rate", per="batch", curve=False),
    )

    def __init__(self, settings=None, **values):
        super().__init__(settings, **values)
        self.batches = 0

    def observe(self, network):
        return Observe("all", (network.output,))

    def step(self, runner, batch, weights):
        recording = runner.run(batch, weights)
        readout, spikes = runner.readout, batch.inputs.spikes
        counts = readout.scores(recording)
        loss, by_count = readout.value_and_gradient(counts, batch.label)
        inputs = np.zeros((batch.n_samples, runner.network.n_inputs))
        np.add.at(inputs, (spikes.sample, spikes.source), 1.0)
        rate = self.settings.rate * self.settings.decay ** max(0, self.batches - self.settings.decay_after)
        self.batches += 1
        new = []
        for projection, matrix in zip(runner.network.projections, weights, strict=True):
            first, last = runner.network.sources(projection)
            rows = np.repeat(inputs[:, first:last], projection.copies, axis=1)
            new.append(matrix - rate * rows.T @ by_count)
        distance = float(np.abs(by_count).mean() * batch.n_samples)
        return Update(loss, readout.predict(counts), weights=new, diagnostics={"distance": distance, "rate_left": rate})

    def state(self):
        return {"batches": np.array(self.batches)}

    def load_state(self, state):
        self.batches = int(state["batches"])
