"""Strengths of all imperfections of a chip; 0 switches one off. Every number names its source or says assumed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, create_model

from hxloop.kit.strict import Strict
from hxloop.spec import field_sources
from hxloop_chip.silicon.mechanisms.mechanism import Mechanism
from hxloop_chip.silicon.mechanisms.mechanism_registry import MECHANISMS, strengths_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Strengths(Strict):
    """Spreads of a chip: standard deviations (of log-normal factors: of the logarithm), but for what is a probability.

    ``_fixed``: drawn once for a serial number, before calibration. ``_residual``: what the nightly calibration leaves
    (chips that boot calibrated only). ``_trial``: redrawn in every run. The fields come from the mechanisms
    (`with_mechanisms`); all are 0 unless given.

    Attributes
    ----------
    mechanisms : tuple of Mechanism
    """

    mechanisms: ClassVar[tuple[Mechanism, ...]] = ()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> float: ...

    def sources(self) -> dict[str, tuple[str, str, str]]:
        """Meaning, unit and source of every spread, by field name."""
        return field_sources(type(self))

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest strength allowed, by field name."""
        return {name: (0.0, strength.most) for name, strength in strengths_of(self.mechanisms).items()}

    def shares(self) -> frozenset[str]:
        """Names of those that are shares of something: a chip of so many times the imperfections has no more of it."""
        return frozenset(name for name, strength in strengths_of(self.mechanisms).items() if not strength.scales)

    def scaled(self, factor: float) -> Self:
        """Return all spreads times a factor, none above its highest value; shares stay as they are."""
        known, shares = strengths_of(self.mechanisms), self.shares()
        return type(self)(
            **{
                name: value if name in shares else min(factor * value, known[name].most)
                for name, value in self.model_dump().items()
            }
        )

    def without_noise(self) -> Self:
        """Return the same with all that changes from trial to trial switched off."""
        return self.model_copy(update={name: 0.0 for name in type(self).model_fields if "_trial" in name})

    def acting(self, hook: str) -> tuple[Callable[..., Any], ...]:
        """A hook of all mechanisms that have it and are not switched off, in their order, with these strengths."""
        return tuple(
            partial(getattr(mechanism, hook), self)
            for mechanism in self.mechanisms
            if mechanism.does(hook) and any(getattr(self, name) for name in mechanism.strengths)
        )


def with_mechanisms(mechanisms: tuple[Mechanism, ...]) -> type[Strengths]:
    """Model with the strengths of these mechanisms."""
    fields: dict[str, Any] = {
        name: (
            float,
            Field(
                0.0,
                ge=0.0,
                le=strength.most,
                description=strength.text,
                json_schema_extra={"unit": strength.unit, "source": strength.source},
            ),
        )
        for name, strength in strengths_of(mechanisms).items()
    }
    made = create_model("Imperfections", __base__=Strengths, __module__=__name__, **fields)
    made.mechanisms = mechanisms
    return made


if TYPE_CHECKING:

    class Imperfections(Strengths):
        """Strengths of all mechanisms there are."""

        def __init__(self, /, **strengths: float) -> None: ...

else:
    Imperfections = with_mechanisms(MECHANISMS)
