"""Drive a study: find what is done, have the rest done, and tell how far it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hxloop.errors import RecordError
from hxloop.progress import Advanced
from hxloop_host.studies.cost import work_of_point
from hxloop_host.studies.points.cluster import Failure, Watch, work_on, workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hxloop.progress import Progress
    from hxloop_host.studies.design.point import Point
    from hxloop_host.studies.points.cluster import Remote
    from hxloop_host.studies.points.point_store import Outcome, Store


def drive(
    points: Sequence[Point], store: Store, progress: Progress, remote: Remote | None, n_workers: int | None
) -> tuple[dict[str, Outcome], dict[str, Failure]]:
    """Do all points that are not done.

    Parameters
    ----------
    points : sequence of Point
        Each once, each after what it begins with.
    store : Store
        Its lock must be held.
    progress : Progress
        Told how far the study is, about every second.
    remote, n_workers
        As `hxloop_host.studies.points.cluster.workers`.

    Returns
    -------
    outcomes : dict of str to Outcome
        By the key of the point.
    failures : dict of str to Failure
    """
    outcomes: dict[str, Outcome] = {}
    for point in points:
        try:
            known = store.read(point)
        except RecordError as error:
            progress.message(f"{error.message}: point {point.key[:8]} is computed again")
            store.forget(point)
            known = None
        if known is not None:
            outcomes[point.key] = known
    missing = [point for point in points if point.key not in outcomes]
    if outcomes:
        progress.message(f"{len(outcomes)} of {len(points)} points are done already")
    if not missing:
        return outcomes, {}
    watch = _Accounts(points, outcomes, progress)
    with workers(remote, n_workers) as found:
        failures = work_on(found, missing, store.path, watch)
    return watch.outcomes, {failure.point.key: failure for failure in failures}


class _Accounts(Watch):
    """Adds up work, and guesses the time left from that of this session."""

    def __init__(self, points: Sequence[Point], outcomes: dict[str, Outcome], progress: Progress) -> None:
        self.outcomes, self._progress = outcomes, progress
        self._work = {point.key: work_of_point(point) for point in points}
        self._epochs = {point.key: max(1, point.epochs) for point in points}
        self._total = sum(self._work.values())
        self._before = sum(self._work[key] for key in outcomes)
        self._finished = self._before
        self._under_way: dict[str, float] = {}
        self._begin = time.monotonic()
        self._failed = 0

    def done(self, point: Point, outcome: Outcome) -> None:
        self.outcomes[point.key] = outcome
        self._close(point.key)

    def failed(self, failure: Failure) -> None:
        self._failed += 1
        self._close(failure.point.key)
        self._progress.message(f"point {failure.point.title} failed: {failure.message}")

    def epochs(self, key: str, epochs: int) -> None:
        if key in self._work and key not in self.outcomes:
            self._under_way[key] = self._work[key] * min(1.0, epochs / self._epochs[key])

    def message(self, text: str) -> None:
        self._progress.message(text)

    def look(self) -> None:
        now = self._finished + sum(self._under_way.values())
        gone, elapsed_s = now - self._before, time.monotonic() - self._begin
        left_s = elapsed_s * (self._total - now) / gone if gone > 0.0 else None
        done = len(self.outcomes) + self._failed
        self._progress.tell(Advanced(done, share=now / self._total, left_s=left_s))

    def _close(self, key: str) -> None:
        self._under_way.pop(key, None)
        self._finished += self._work[key]
        self.look()
