"""What every optimiser is: a learning rate and its schedule, a step in place, and a state to go on from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, final

import numpy as np
from pydantic import Field

from hxloop.errors import ArrayError, InvalidInputError
from hxloop.kit.ranges import Count, Fraction, NotNegative
from hxloop.kit.strict import Strict, given_or_made
from hxloop_host.optimizers.schedules import Constant, Cosine, Schedule, StepDecay

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


class OptimizerSettings(Strict):
    """Learning rate and schedule; subclasses add fields. ``kind`` names the optimiser."""

    kind: str = Field("", description="what turns gradients into new weights")
    learning_rate: Annotated[float, Field(gt=0, le=1e3)] = Field(description="step size in model weights")
    delay_rate: NotNegative = Field(
        1.0, description="steps of delays, in us, are as large as those of weights, in model weights, times this"
    )
    schedule: Literal["step", "cosine", "constant"] = Field(
        "step", description="how the learning rate changes over the epochs"
    )
    step_epochs: Count = Field(20, description="step: epochs between two decays")
    gamma: Annotated[float, Field(gt=0, le=1)] = Field(0.95, description="step: factor of a decay")
    floor: Fraction = Field(0.0, description="cosine: share of the learning rate left at the end")
    clip_norm: NotNegative = Field(
        0.0, description="longest gradient of all weights together (root of the sum of squares): longer ones are made "
        "that long; 0: any. Loops make gradients explode (Pascanu, Mikolov, Bengio, ICML 2013)"
    )  # fmt: skip


class Optimizer(ABC):
    """An optimiser.

    Attributes
    ----------
    Settings : subclass of OptimizerSettings
        Section ``[optimizer]`` of a settings file.
    reference, summary : str
        Where it comes from, and what it does in a few words.
    memory : mapping of str to float
        What it remembers of each weight, and the value that this begins with.

    Parameters
    ----------
    settings : OptimizerSettings, optional
        An object of the class's `Settings`.
    epochs : int, optional
        Epochs of the whole training, which the cosine schedule needs.
    **values
        Fields of `Settings`, instead of `settings`.

    Raises
    ------
    InvalidInputError
        Wrong settings, or a cosine schedule without the number of epochs.
    """

    Settings: ClassVar[type[OptimizerSettings]] = OptimizerSettings
    reference: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    memory: ClassVar[Mapping[str, float]] = {}

    def __init__(self, settings: OptimizerSettings | None = None, *, epochs: int | None = None, **values: Any) -> None:
        self.settings = given_or_made(self.Settings, settings, values)
        self.schedule = _schedule(self.settings, epochs)
        self._factor = self.schedule.factor(0)
        self._steps = 0
        self._memory: dict[str, list[NDArray[np.float64]]] = {name: [] for name in self.memory}
        self._shapes: list[tuple[int, ...]] = []

    @property
    def current_rate(self) -> float:
        """Learning rate of the current epoch."""
        return self.settings.learning_rate * self._factor

    def start_epoch(self, epoch: int) -> None:
        """Set the rate of an epoch, counted from 0."""
        self._factor = self.schedule.factor(epoch)

    @final
    def step(
        self,
        parameters: Sequence[NDArray[np.float64]],
        gradients: Sequence[NDArray[np.float64]],
        factors: Sequence[float] = (),
    ) -> None:
        """Move the parameters in place.

        Parameters
        ----------
        parameters, gradients : sequences of float64 arrays
            Pairs of equal shapes, the same ones in every call.
        factors : sequence of float, optional
            By which each parameter's steps are longer, by default 1.

        Raises
        ------
        ArrayError
            Shapes or numbers of arrays that differ, also from those of earlier calls; nothing was moved.
        """
        shapes = [p.shape for p in parameters]
        if shapes != [g.shape for g in gradients] or shapes != (self._shapes or shapes):
            raise ArrayError(f"must have the shapes of the parameters, {shapes}, in every step", field="gradients")
        if not self._shapes:
            self._shapes = shapes
            self._memory = {name: [np.full(shape, v) for shape in shapes] for name, v in self.memory.items()}
        self._steps += 1
        for k, (parameter, gradient) in enumerate(zip(parameters, self._clipped(gradients), strict=True)):
            change = self.change(parameter, gradient, self._steps, *(arrays[k] for arrays in self._memory.values()))
            np.subtract(parameter, change if not factors or factors[k] == 1.0 else factors[k] * change, out=parameter)

    def _clipped(self, gradients: Sequence[NDArray[np.float64]]) -> Sequence[NDArray[np.float64]]:
        longest = self.settings.clip_norm
        if not longest:
            return gradients
        from hxloop_host.arithmetic.moments import largest, sum_of_squares  # compiled: not needed to read settings

        flat = [np.ravel(gradient) for gradient in gradients]
        scale = max((largest(gradient) for gradient in flat), default=0.0)  # squares of huge numbers are infinite
        length = scale * math.sqrt(sum(sum_of_squares(gradient, scale) for gradient in flat)) if scale else 0.0
        return gradients if length <= longest else [gradient * (longest / length) for gradient in gradients]

    @abstractmethod
    def change(
        self,
        parameter: NDArray[np.float64],
        gradient: NDArray[np.float64],
        step: int,
        *memory: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """What is subtracted from a parameter.

        Parameters
        ----------
        parameter, gradient : float64 array
            Not to be changed.
        step : int
            Number of the step, counted from 1.
        *memory : float64 array, in the shape of the parameter
            What the class's `memory` names, in its order; to be changed in place.
        """

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copy of everything the next step depends on besides the constructor's arguments and the epoch.

        Returns
        -------
        dict
            ``steps`` (int64 scalar) and, of parameter k, ``<name>.<k>`` (float64) for every name in `memory`.
        """
        state: dict[str, NDArray[np.generic]] = {"steps": np.array(self._steps, np.int64)}
        for name, arrays in self._memory.items():
            state |= {f"{name}.{k}": array.copy() for k, array in enumerate(arrays)}
        return state

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Continue from what `state` returned.

        Raises
        ------
        ArrayError
            An entry is missing or one too many, as in the state of another optimiser, or they do not belong together;
            nothing was changed.
        """
        n_arrays = max((sum(key.rpartition(".")[0] == name for key in state) for name in self.memory), default=0)
        wanted = {"steps", *(f"{name}.{k}" for name in self.memory for k in range(n_arrays))}
        if set(state) != wanted:
            raise ArrayError(f"must have the entries {sorted(wanted)}, got {sorted(state)}", field="optimizer state")
        steps = np.asarray(state["steps"])
        if steps.shape != () or steps.dtype.kind not in "iu" or steps < 0:
            raise ArrayError("steps must be one whole number, at least 0", field="optimizer state")
        memory = {name: [np.array(state[f"{name}.{k}"], np.float64) for k in range(n_arrays)] for name in self.memory}
        shapes = {tuple(array.shape for array in arrays) for arrays in memory.values()}
        if len(shapes) > 1:
            raise ArrayError("what is remembered of one parameter must have one shape", field="optimizer state")
        self._steps, self._memory = int(steps), memory
        self._shapes = list(shapes.pop()) if n_arrays else []


def _schedule(settings: OptimizerSettings, epochs: int | None) -> Schedule:
    if settings.schedule == "step":
        return StepDecay(settings.step_epochs, settings.gamma)
    if settings.schedule == "constant":
        return Constant()
    if epochs is None:
        raise InvalidInputError("the cosine schedule needs the number of epochs", field="epochs")
    return Cosine(epochs, settings.floor)
