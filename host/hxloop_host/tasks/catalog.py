"""What can be learned: a data set, and how to look at what was learned."""

from __future__ import annotations

from typing import Final

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop.kit import arguments
from hxloop.kit.suggest import suggestion
from hxloop.task import Task
from hxloop_host.tasks.mnist import SIDE, mnist16
from hxloop_host.tasks.yin_yang import yin_yang

TASKS: Final = {
    task.name: task
    for task in (
        Task(
            "yin-yang",
            yin_yang,
            4,
            3,
            presets=("quick", "paper", "small"),
            features_of_plane=lambda points: np.hstack([points, 1.0 - points]),
        ),
        Task("mnist16", mnist16, SIDE**2, 10, presets=("mnist16",)),
    )
}


def find_task(name: str) -> Task:
    """Task of that name.

    Raises
    ------
    InvalidInputError
        There is none, or something else than a name was given.
    """
    if not isinstance(name, str):
        raise InvalidInputError(
            f"a task is a name ({', '.join(TASKS)}) that stands for samples, classes and presets, "
            f"got {arguments.shown(name)}",
            field="task",
            hint="name one of them; arrays of one's own cannot be trained on yet",
        )
    if name not in TASKS:
        raise InvalidInputError(
            f"no task is called {arguments.shown(name)}", field="task", hint=suggestion(name, TASKS, cutoff=0.4)
        )
    return TASKS[name]
