"""What a study costs: relative work of its points, and the time it takes on this machine, measured beforehand."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hxloop.files.temporary import TemporaryFolder
from hxloop.kit.waiting import doing
from hxloop.progress import silent
from hxloop_host.link.launch import launch
from hxloop_host.network.building import build_network
from hxloop_host.settings.experiment_settings import DataSettings
from hxloop_host.studies.design.own_parts import rule_of, task_again, task_of
from hxloop_host.training.experiment import train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hxloop.task import Split
    from hxloop_host.settings.experiment_settings import Settings
    from hxloop_host.studies.design.point import Point

_PROBE_SAMPLES: Final = (200, 2000)
"""Samples of the two trainings that are timed; the first one loads what is loaded once."""
_FIXED: Final = 13.0
"""Work of starting a chip and storing a run. The unit is a thousand samples of 3000 synapses, an epoch of Yin-Yang is
6.7: in 61 points of `yield` it took 0.65 s, and each point 1.3 s more."""
_SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")
_UNIT: Final = 1000.0 * 25 * 120
_CALIBRATION: Final = 300.0  # about 30 s
_MEASUREMENT: Final = 200.0  # of a chip on the bench, about 20 s
_RUN_BYTES: Final = 400_000  # a run and its figures, measured with the Yin-Yang network


@dataclass(frozen=True)
class Estimate:
    """What a study costs.

    Attributes
    ----------
    points, trainings, epochs : int
        Points that are not done, those of them that train, and epochs they train.
    core_s : float
        Time on one core of this machine, in s.
    longest_s : float
        Time of the longest point with those before it: no number of workers is faster.
    bytes : int
        Disk space.
    """

    points: int
    trainings: int
    epochs: int
    core_s: float
    longest_s: float
    bytes: int


def work_of_point(point: Point) -> float:
    """Relative work of a point."""
    if point.action == "measure":
        return _MEASUREMENT + _calibration(point)
    settings = point.settings
    name, digest = point.task, point.data.get("digest", "")
    synapses = _synapses(settings, task_again(name, digest).n_inputs)
    sizes = {split: getattr(settings.data, split) or _all_samples(name, digest, split) for split in _SPLITS}
    evaluations = point.epochs / settings.training.evaluate_every
    samples = point.epochs * sizes["train"] + evaluations * sizes["validation"] + 2 * sizes["test"]
    return samples * synapses / _UNIT + _FIXED + _calibration(point)


def _calibration(point: Point) -> float:
    """Work of the calibration, unless a point that this one begins with has had it made."""

    def needed(p: Point) -> tuple[object, ...]:
        return p.chip, p.serial, p.calibrated_at_s, p.calibration_method

    made = point.calibrated_at_s is None or any(needed(p) == needed(point) for p in point.ancestry())
    return 0.0 if made else _CALIBRATION


def _synapses(settings: Settings, n_inputs: int) -> float:
    network = build_network(settings, n_inputs)
    shapes = (network.weight_shape(projection) for projection in network.projections)
    return float(sum(rows * neurons for rows, neurons in shapes))


@functools.lru_cache
def _all_samples(task: str, digest: str, split: Split) -> int:
    return task_again(task, digest).load(split).n_samples


def _chain(point: Point, to_do: set[str]) -> float:
    return sum(work_of_point(p) for p in (*point.ancestry(), point) if p.key in to_do)


def estimate(points: Sequence[Point], speed: float) -> Estimate:
    """Cost of points.

    Parameters
    ----------
    points : sequence of Point
    speed : float
        Work per second of one core, from `measured_speed`.
    """
    trainings, keys = [p for p in points if p.action == "train"], {p.key for p in points}
    return Estimate(
        points=len(points),
        trainings=len(trainings),
        epochs=sum(p.epochs for p in trainings),
        core_s=sum(map(work_of_point, points)) / speed,
        longest_s=max((_chain(p, keys) for p in points), default=0.0) / speed,
        bytes=len(trainings) * _RUN_BYTES + (len(points) - len(trainings)) * _RUN_BYTES // 10,
    )


def _probe(point: Point, samples: int) -> DataSettings:
    """Sizes of a short training, or those that the task has."""
    task = task_of(point)
    wanted: dict[Split, int] = {"train": samples, "validation": 200, "test": 200}
    return DataSettings(**{split: min(size, task.load(split).n_samples) for split, size in wanted.items()})


@doing("timing a short training")
def measured_speed(point: Point) -> float:
    """Work per second of one core, from a short training like that of a point."""
    with (
        TemporaryFolder() as folder,
        launch(point.chip, point.serial, threads=1) as chip,
    ):
        for k, samples in enumerate(_PROBE_SAMPLES):
            settings = point.settings.model_copy(
                update={
                    "data": _probe(point, samples),
                    "training": point.settings.training.model_copy(update={"epochs": 1}),
                }
            )
            begin = time.perf_counter()
            train(
                task_of(point), preset=settings, rule=rule_of(point), chip=chip, seed=point.seed,
                out=folder.path / str(k), report=silent,
            )  # fmt: skip
            wall_s = time.perf_counter() - begin
    probe = point.model_copy(update={"settings": settings, "action": "train", "calibrated_at_s": None})
    return (work_of_point(probe) - _FIXED) / wall_s
