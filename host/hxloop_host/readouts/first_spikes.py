"""Readouts of first spikes: losses on the first spike times of the output, and the class they read out.

Missing output spikes (time ``inf``) are treated alike by all losses:

- Without a spike of the label's own output there is no time to compare with: the sample contributes the constant
  `MISSING_LABEL_LOSS` and no gradient. Such samples are the business of the rule (weight bumping).
- A silent output of another class is as late as can be, which is what these losses ask for: it contributes nothing to
  the loss and gets no gradient. (Half of the wrong outputs of trained networks never spike.)

References
----------
Goeltz et al., "Fast and energy-efficient neuromorphic deep learning with first-spike times", Nature Machine
Intelligence 3, 823-835 (2021): `SoftmaxTimes` and its constants. Goeltz et al., "DelGrad: exact event-based gradients
for training delays and weights on spiking neuromorphic hardware", Nature Communications (2025): the squared errors.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hxloop.kit.ranges import TAU_SYN, NotNegative, Positive
from hxloop.kit.strict import WrongFieldError
from hxloop.readout import Readout, ReadoutSettings, check_labels, observed
from hxloop.rule import Observe

if TYPE_CHECKING:
    from hxloop.network import Network
    from hxloop.rule import Recording

Times = NDArray[np.float64]
Labels = NDArray[np.int64]

MISSING_LABEL_LOSS: Final = 100.0
"""Loss of a sample whose label output stays silent (the published constant)."""
STEEPEST: Final = 50.0
"""Largest exponent of a loss: a sample over its time scale."""

_KIND: Final[Any] = ReadoutSettings.model_fields["kind"].description


class FirstSpikeReadout(Readout):
    """First spike times of the output in its synaptic time constant; the class is the output that spikes first."""

    score_name: ClassVar[str] = "t_out"
    score_unit: ClassVar[str] = "tau_syn"
    score_text: ClassVar[str] = "first spike times of the output, inf where none"

    def check(self, network: Network, duration_us: float) -> None:
        """Refuse an output that does not spike, and times that no sample of this length has.

        Raises
        ------
        InvalidInputError
        """
        self.require_spikes(network)
        self.check_settings(duration_us / network.population(network.output).tau_syn_us)

    def observe(self, network: Network) -> Observe:
        """First spikes of the output."""
        return Observe("first", (network.output,))

    def scores(self, recording: Recording) -> Times:
        """float64 [n_samples, n_classes], tau_syn: times of the first spikes, inf where none."""
        output = recording.network.population(recording.network.output)
        ticks = observed(recording.first_ticks, output.name, "first spikes")
        return ticks * (recording.tick_us / output.tau_syn_us)

    @final
    def value_and_gradient(self, scores: Times, label: Labels) -> tuple[float, Times]:
        """Mean loss and its derivative.

        Parameters
        ----------
        scores : float64 [n_samples, n_classes], tau_syn
            First spike times of the output, ``inf`` where none.
        label : int64 [n_samples]
            Right class of each sample.

        Returns
        -------
        value : float
            Mean over the samples; 0 for no samples.
        gradient : float64 [n_samples, n_classes]
            Derivative of that mean, 0 for outputs that did not spike.

        Raises
        ------
        ArrayError
            Shapes that do not belong together, or labels that are not integers.
        OutOfRangeError
            A label without an output.
        """
        from hxloop_host.arithmetic.distances import take_mean  # compiled: not needed to read settings

        times, labels = check_labels(scores, label)
        n_samples = len(times)
        if n_samples == 0:
            return 0.0, np.zeros(times.shape)
        values, gradient = self._per_sample(times, labels)
        take_mean(times, labels, MISSING_LABEL_LOSS, values, gradient)
        return float(np.add.reduce(values) / n_samples), gradient

    def predict(self, scores: Times) -> Labels:
        """Class of each sample: the output that spikes first.

        Parameters
        ----------
        scores : float64 [n_samples, n_classes], tau_syn
            First spike times of the output.

        Returns
        -------
        int64 [n_samples]
            Class, the lower one of equals; -1 where no output spiked.
        """
        return _smallest(np.asarray(scores, np.float64))

    def derivative(self, recording: Recording, gradient: Times) -> Times:
        """float64 [n_samples, n_classes]: derivative of the loss by the first spike times in tau_syn."""
        del recording
        return gradient

    @abstractmethod
    def _per_sample(self, times: Times, labels: Labels) -> tuple[Times, Times]:
        """Loss [n] and derivative [n, n_classes] of samples; those of silent label outputs mean nothing."""


class _PullSettings(ReadoutSettings):
    """How much late answers cost."""

    alpha: NotNegative = Field(0.005, description="weight of the pull to early times")
    beta: Positive = Field(1.0, description="time scale of that pull", json_schema_extra=TAU_SYN)

    def check_duration(self, duration: float) -> None:
        """Refuse a pull that grows beyond all numbers within a sample."""
        if self.beta * STEEPEST < duration:
            raise WrongFieldError(
                "beta", f"beta must be at least coding.duration / {STEEPEST:g} ({duration / STEEPEST:g} tau_syn)"
            )

    def late(self, own: Times) -> tuple[Times, Times]:
        """Cost ``alpha exp(t / beta)`` of answers at `own` [n_samples] and its derivative; any number where none."""
        from hxloop_host.arithmetic.exp_log import exp_of  # compiled: not needed to read settings

        cost = self.alpha * exp_of(np.where(np.isfinite(own), own, 0.0) / self.beta)
        return cost, cost / self.beta


class SoftmaxTimesSettings(_PullSettings):
    """Soft minimum of the times."""

    kind: str = Field("softmax_times", description=_KIND)
    xi: Positive = Field(0.2, description="width of the comparison", json_schema_extra=TAU_SYN)


@final
class SoftmaxTimes(FirstSpikeReadout):
    """Cross entropy of a soft minimum of the times, and a cost of late answers.

    ``L = ln(sum_n exp(-(t_n - t_label) / xi)) + alpha exp(t_label / beta)``
    """

    Settings = SoftmaxTimesSettings
    reference = "Goeltz, Kriener et al., Nat. Mach. Intell. 3:823 (2021)"
    summary = "cross entropy of a soft minimum of the first spike times"

    settings: SoftmaxTimesSettings

    def _per_sample(self, times: Times, labels: Labels) -> tuple[Times, Times]:
        from hxloop_host.arithmetic.exp_log import exp_of, log_of  # compiled: not needed to read settings

        xi = self.settings.xi
        rows = np.arange(len(times))
        times = np.where(np.isfinite(times[rows, labels])[:, None], times, 0.0)
        first = times.min(axis=1, keepdims=True)
        weights = exp_of(-(times - first) / xi)
        total = weights.sum(axis=1)
        own = times[rows, labels]
        late, pull = self.settings.late(own)
        gradient = -weights / total[:, None] / xi
        gradient[rows, labels] += 1.0 / xi + pull
        return log_of(total) + (own - first[:, 0]) / xi + late, gradient


class ShiftInvariantMSESettings(ReadoutSettings):
    """Distance of the times."""

    kind: str = Field("shift_invariant_mse", description=_KIND)
    delta: Positive = Field(0.3, description="how much later wrong labels should spike", json_schema_extra=TAU_SYN)

    def check_duration(self, duration: float) -> None:
        """Refuse a distance that does not lie within a sample."""
        _require_shorter(self, duration, "delta")


@final
class ShiftInvariantMSE(FirstSpikeReadout):
    """The label's output shall spike a given time before the others, whenever that is.

    ``L = 1/2 sum_{n != label} (t_n - t_label - delta)^2`` over the outputs that spiked
    """

    Settings = ShiftInvariantMSESettings
    reference = "Goeltz et al., DelGrad, Nat. Commun. 16 (2025)"
    summary = "squared error of the distance between first spikes"

    settings: ShiftInvariantMSESettings

    def _per_sample(self, times: Times, labels: Labels) -> tuple[Times, Times]:
        return _of_distances(labels, _distances(times, labels, self.settings.delta))


class MarginSettings(_PullSettings):
    """Least distance of the times."""

    kind: str = Field("margin", description=_KIND)
    delta: Positive = Field(
        0.3, description="how much later wrong labels should spike at least", json_schema_extra=TAU_SYN
    )
    alpha: NotNegative = Field(
        0.001, description="weight of the pull to early times; answers that come late, behind delays, need less"
    )

    def check_duration(self, duration: float) -> None:
        """Refuse a distance that does not lie within a sample, and a pull that grows beyond all numbers there."""
        super().check_duration(duration)
        _require_shorter(self, duration, "delta")


@final
class Margin(FirstSpikeReadout):
    """The label's output shall spike at least a given time before the others, and early.

    ``L = 1/2 sum_{n != label} max(0, delta - (t_n - t_label))^2 + alpha exp(t_label / beta)`` over the outputs that
    spiked. What is right already is left alone, which leaves the network free for what is not. Nothing else holds the
    answers back from the end of the sample, behind which they are lost: hence the pull.
    """

    Settings = MarginSettings
    reference = "squared hinge; the pull: Goeltz, Kriener et al., Nat. Mach. Intell. 3:823 (2021)"
    summary = "squared error of first spikes that are not far enough apart"

    settings: MarginSettings

    def _per_sample(self, times: Times, labels: Labels) -> tuple[Times, Times]:
        distances = _distances(times, labels, self.settings.delta)
        values, gradient = _of_distances(labels, np.minimum(distances, 0.0, out=distances))
        rows = np.arange(len(times))
        late, pull = self.settings.late(times[rows, labels])
        gradient[rows, labels] += pull
        return values + late, gradient


class TargetTimesMSESettings(ReadoutSettings):
    """Target times."""

    kind: str = Field("target_times_mse", description=_KIND)
    t_correct: Positive = Field(1.6, description="target of the label neuron", json_schema_extra=TAU_SYN)
    t_wrong: Positive = Field(1.9, description="target of the others", json_schema_extra=TAU_SYN)

    def check_duration(self, duration: float) -> None:
        """Refuse targets that do not lie within a sample."""
        _require_shorter(self, duration, "t_correct", "t_wrong")


@final
class TargetTimesMSE(FirstSpikeReadout):
    """Every output shall spike at a given time: one for the label's output, one for the others.

    ``L = 1/2 sum_n (t_n - target_n)^2`` over the outputs that spiked. The class is the output nearest to `t_correct`.
    """

    Settings = TargetTimesMSESettings
    reference = "Goeltz et al., DelGrad, Nat. Commun. 16 (2025)"
    summary = "squared error of first spike times, with a target for each output"

    settings: TargetTimesMSESettings

    def predict(self, scores: Times) -> Labels:
        """Class of each sample: the output whose spike is nearest to `t_correct`; see `FirstSpikeReadout.predict`."""
        return _smallest(np.abs(np.asarray(scores, np.float64) - self.settings.t_correct))

    def _per_sample(self, times: Times, labels: Labels) -> tuple[Times, Times]:
        error = times - self.settings.t_wrong
        rows = np.arange(len(times))
        error[rows, labels] = times[rows, labels] - self.settings.t_correct
        error[~np.isfinite(times)] = 0.0
        return 0.5 * (error**2).sum(axis=1), error


def _distances(times: Times, labels: Labels, delta: float) -> Times:
    """How much later than `delta` after the label's output the others spike; 0 where one of both does not."""
    from hxloop_host.arithmetic.distances import fill_distances  # compiled, as above

    distances = np.empty(times.shape)
    fill_distances(times, labels, delta, distances)
    return distances


def _of_distances(labels: Labels, distances: Times) -> tuple[Times, Times]:
    """Half of squared `distances` [n_samples, n_classes] per sample, and in their place its derivative by the times."""
    from hxloop_host.arithmetic.distances import set_own  # compiled, as above

    values = 0.5 * np.add.reduce(distances * distances, axis=1)
    set_own(labels, np.add.reduce(distances, axis=1), distances)
    return values, distances


def without_keys_of_others(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """Settings of a loss as files of earlier versions have them, as of today.

    There was one section for the three losses on first spikes, and files hold the keys of all three whatever the kind.
    Those of the other two, which never had a meaning, are dropped.
    """
    of_kind = {
        part.Settings.model_fields["kind"].default: part.Settings.model_fields.keys() - {"kind"}
        for part in (SoftmaxTimes, ShiftInvariantMSE, TargetTimesMSE)
    }
    if kind not in of_kind:
        return values
    others = set().union(*of_kind.values()) - of_kind[kind]
    return {key: value for key, value in values.items() if key not in others}


def _smallest(values: Times) -> Labels:
    from hxloop_host.arithmetic.distances import fill_smallest  # compiled, as above

    found = np.empty(len(values), np.int64)
    fill_smallest(np.ascontiguousarray(values), found)
    return found


def _require_shorter(settings: ReadoutSettings, duration: float, *names: str) -> None:
    for name in names:
        if getattr(settings, name) >= duration:
            raise WrongFieldError(name, f"{name} must be shorter than coding.duration ({duration:g} tau_syn)")
