"""Steps of augmentation of a training: those of its settings, and those that the user names or hands over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hxloop.errors import HxloopError, InvalidInputError
from hxloop.kit import arguments
from hxloop.plugins import file_of, foreign_code, is_of_program
from hxloop_host.augmentation.augmentation_interface import Augmentation
from hxloop_host.augmentation.augmentations import AUGMENTATIONS, is_augmentation
from hxloop_host.settings.experiment_settings import AUGMENTATION_SECTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hxloop_host.augmentation.augmentation_interface import AugmentationSettings, Samples
    from hxloop_host.settings.experiment_settings import Settings

    Step = str | Augmentation | type[Augmentation]


def with_steps(settings: Settings, named: Step | Sequence[Step] | None) -> Settings:
    """Settings with steps that the user names.

    Parameters
    ----------
    settings : Settings
    named : str, Augmentation, subclass of Augmentation, or a list of them, optional
        Names, ``FILE.py:CLASS`` (which is run), or objects. A step of a kind that the settings have takes its place,
        with the values of the settings where it brings none; others come after those of the settings.

    Raises
    ------
    InvalidInputError, MissingFileError
        No such step, a file that cannot be run, or settings that it refuses.
    """
    if named is None:
        return settings
    steps = list(settings.augmentation)
    places = list(enumerate(step.kind for step in steps))
    for one in named if isinstance(named, list | tuple) else [named]:
        part, kind, sha256 = _found(one)
        place = next((place for place in places if place[1] == kind), None)
        values = {} if place is None else steps[place[0]].model_dump()
        if isinstance(one, Augmentation):
            values = one.settings.model_dump()
        step = _section(part, values | {"kind": kind, "sha256": sha256})
        if place is None:
            steps.append(step)
        else:
            places.remove(place)
            steps[place[0]] = step
    return settings.with_augmentation(*steps)


def _found(one: Any) -> tuple[type[Augmentation], str, str]:
    """Class of a step, the kind that it is known by from now on, and the digest of its file if it is the user's own."""
    part: Any = type(one) if isinstance(one, Augmentation) else one
    if is_augmentation(part):
        source = AUGMENTATIONS.source_of(part)
        kind = source.name
        if source.is_own:
            AUGMENTATION_SECTION.know(kind, part)
    else:
        kind = arguments.text(one, "augmentation", takes="a step of augmentation, its name, or a list of them")
        part, source = AUGMENTATION_SECTION.named(kind)
    return part, kind, source.sha256 if source.is_own else ""


def _section(part: type[Augmentation], values: dict[str, Any]) -> AugmentationSettings:
    try:
        return part.Settings(**values)
    except InvalidInputError as error:
        raise type(error)(error.message, field=f"augmentation.{error.field}", hint=error.hint) from None


def steps_of(settings: Settings, samples: Samples) -> list[Augmentation]:
    """Steps of augmentation, made.

    Parameters
    ----------
    settings : Settings
    samples : Task or Dataset
        What they are to change.

    Raises
    ------
    InvalidInputError
        Samples that a step cannot change, or a step in a file that was not named.
    """
    steps: list[Augmentation] = []
    for k, given in enumerate(settings.augmentation):
        try:
            steps.append(_made(AUGMENTATION_SECTION.part(given.kind), given, samples))
        except HxloopError as error:
            field = f"augmentation.{k}.{error.field}".removesuffix(".augmentation")
            raise type(error)(error.message, field=field, hint=error.hint, details=error.details) from None
    return steps


def _made(part: type[Augmentation], given: AugmentationSettings, samples: Samples) -> Augmentation:
    if is_of_program(part):
        step = part(given)
        step.check(samples)
        return step
    with foreign_code(f"{part.__qualname__} cannot be made", "kind", file_of(part)):
        step = part(given)
        step.check(samples)
    if getattr(step, "settings", None) is not given:
        raise InvalidInputError(
            f"{part.__qualname__}.__init__ must take settings=None, **values and hand them to super().__init__",
            field="kind",
        )
    return step
