"""Rules that are not part of the program: whatever their code raises becomes an error that says where."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, final

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop.kit.arguments import shown
from hxloop.plugins import file_of, foreign_code, is_of_program, made_with
from hxloop.rule import Observe, Rule, RuleSettings, Update

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.readout import Readout
    from hxloop.rule import Batch, Recording, Runner, State, Strength, Weights


def rule_of(kind: type[Rule], settings: RuleSettings) -> Rule:
    """Rule of a class with these settings; one that is not part of the program is guarded.

    Raises
    ------
    InvalidInputError
        Its constructor fails, or forgets the settings.
    """
    made = made_with(kind, settings, "rule")
    return made if is_of_program(kind) else _Guarded(made)


def unguarded(rule: Rule) -> Rule:
    """The rule itself, of one that `rule_of` returned."""
    return rule.rule if isinstance(rule, _Guarded) else rule


@contextmanager
def _errors_of(kind: type[Rule], failed: str) -> Iterator[None]:
    with foreign_code(f"{kind.__qualname__} {failed}", "rule", file_of(kind)):
        yield


@final
class _Guarded(Rule):
    """The same rule, whose errors are typed and whose answers are of the kinds they must be."""

    def __init__(self, rule: Rule) -> None:
        self.rule, self.settings = rule, rule.settings
        self.columns, self.summary, self.reference = rule.columns, rule.summary, rule.reference  # type: ignore[misc]

    def _failed(self, method: str) -> Any:
        return _errors_of(type(self.rule), f"failed in {method}")

    def _must(self, found: Any, kind: type | tuple[type, ...], method: str, what: str) -> None:
        if not isinstance(found, kind):
            raise InvalidInputError(
                f"{type(self.rule).__qualname__}.{method} must return {what}, got {shown(found)}", field="rule"
            )

    def check(self, network: Network, readout: Readout) -> None:
        with self._failed("check"):
            self.rule.check(network, readout)

    def observe(self, network: Network) -> Observe:
        with self._failed("observe"):
            found = self.rule.observe(network)
        self._must(found, Observe, "observe", "a hxloop.Observe")
        known = [population.name for population in network.populations]
        for name in (*(found.populations or ()), *found.membranes):
            if name not in known:
                raise InvalidInputError(
                    f"{type(self.rule).__qualname__} observes {shown(name)}, which the network does not have",
                    field="rule.observe",
                    hint=f"its populations: {', '.join(known)}",
                )
        return found

    def prepare(self) -> None:
        with self._failed("prepare"):
            self.rule.prepare()

    def begin(self, network: Network, seed: int) -> Weights:
        with self._failed("begin"):
            found = self.rule.begin(network, seed)
        self._must(found, (list, tuple), "begin", "a list of weights, one matrix a projection")
        return found

    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        given = [matrix.view() for matrix in weights]
        for matrix in given:
            matrix.flags.writeable = False
        with self._failed("step"):
            found = self.rule.step(runner, batch, given)
        self._must(found, Update, "step", "a hxloop.Update")
        return found

    def state(self) -> State:
        with self._failed("state"):
            found = self.rule.state()
        self._must(found, dict, "state", "a dict of arrays")
        return {str(name): self._storable(str(name), values) for name, values in found.items()}

    def _storable(self, name: str, values: Any) -> NDArray[np.generic]:
        array = np.array(values)
        if not name.isidentifier() or array.dtype.kind not in "biuf":
            raise InvalidInputError(
                f"{type(self.rule).__qualname__}.state must return arrays of numbers by name, got {shown(values)} as "
                f"{shown(name)}",
                field="rule",
            )
        return array

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        with self._failed("load_state"):
            self.rule.load_state(state)

    def standstill(self, diagnostics: Mapping[str, float | tuple[float, ...]]) -> str | None:
        with self._failed("standstill"):
            found = self.rule.standstill(diagnostics)
        self._must(found, (str, type(None)), "standstill", "a text or None")
        return found

    def modelled(self, recording: Recording, strength: Strength | None) -> Mapping[str, NDArray[np.float32]]:
        with self._failed("modelled"):
            found = self.rule.modelled(recording, strength)
        self._must(found, Mapping, "modelled", "a mapping of populations to membranes")
        return {name: self._membranes(recording, name, values) for name, values in found.items()}

    def _membranes(self, recording: Recording, name: Any, values: Any) -> NDArray[np.float32]:
        array, shape = np.asarray(values), np.shape(recording.membranes.get(name, ()))
        if array.dtype.kind not in "iuf" or array.ndim == 0 or array.shape != shape:
            raise InvalidInputError(
                f"{type(self.rule).__qualname__}.modelled must return numbers of the shape of the membranes that were "
                f"recorded, got {shown(values)} as {shown(name)}",
                field="rule",
            )
        return array.astype(np.float32)
