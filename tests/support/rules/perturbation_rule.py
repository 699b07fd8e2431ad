"""Simultaneous perturbation of all weights: two runs of the chip a step, and what its spike counters say.

Spall, IEEE Transactions on Automatic Control 37:332 (1992): the loss at w + d and at w - d gives the slope along d.
"""

import numpy as np

from hxloop import Column, Observe, Rule, RuleSettings, Update


class Settings(RuleSettings):
    width: float = 0.1  # of the perturbation, in units of model weight
    directions: int = 1  # perturbations a step, each with two runs


class Perturbation(Rule):
    Settings = Settings
    summary = "simultaneous perturbation of all weights"
    reference = "Spall, IEEE Trans. Autom. Control 37:332 (1992)"
    observes = "spike counters of the output, in two runs"
    columns = (Column("difference", "size of the difference of the loss between two runs", per="batch"),)

    def observe(self, network):
        return Observe("none", counters=True)

    def step(self, runner, batch, weights):
        rng, readout = batch.generator("perturbation"), runner.readout
        gradients, losses, differences = [np.zeros_like(w) for w in weights], [], []
        for trial in range(self.settings.directions):
            signs = [rng.choice([-1.0, 1.0], w.shape) for w in weights]
            found = []
            for way in (1.0, -1.0):
                moved = [w + way * self.settings.width * s for w, s in zip(weights, signs, strict=True)]
                # Both under the same noise: their difference is that of the weights.
                scores = readout.scores(runner.run(batch, moved, trial=trial))
                found.append(readout.value_and_gradient(scores, batch.label)[0])
            slope = (found[0] - found[1]) / (2.0 * self.settings.width) / self.settings.directions
            gradients = [g + slope * s for g, s in zip(gradients, signs, strict=True)]
            losses += found
            differences.append(abs(found[0] - found[1]))
        answers = readout.predict(scores)
        return Update(
            float(np.mean(losses)), answers, gradients, diagnostics={"difference": float(np.mean(differences))}
        )
