"""Steps of augmentation of a training: those of its settings, and those that the user names or hands over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hxloop.errors import HxloopError
from hxloop.plugins import made_with
from hxloop_host.settings.experiment_settings import AUGMENTATION_SECTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hxloop_host.augmentation.augmentation_interface import Augmentation, Samples
    from hxloop_host.settings.experiment_settings import Settings

    Step = str | Augmentation | type[Augmentation]

TAKES: Final = "a step of augmentation, its name, or a list of them"


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
        section = AUGMENTATION_SECTION.chosen(one, TAKES, [steps[number] for number, _ in places])
        place = next((place for place in places if place[1] == section.kind), None)
        if place is None:
            steps.append(section)
        else:
            places.remove(place)
            steps[place[0]] = section
    return settings.with_augmentation(*steps)


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
            part = AUGMENTATION_SECTION.part(given.kind)
            steps.append(made_with(part, given, "kind", lambda step: step.check(samples)))
        except HxloopError as error:
            field = f"augmentation.{k}.{error.field}".removesuffix(".augmentation")
            raise type(error)(error.message, field=field, hint=error.hint, details=error.details) from None
    return steps
