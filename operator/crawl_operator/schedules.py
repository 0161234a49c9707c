"""What the operator has seen of schedules and of the runs that they own; a part of the store."""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from pydantic_core import from_json, to_json

from crawl_api.names import ANNOTATION_TRIGGER
from crawl_api.schedule import ScheduleConditionType
from crawl_operator.buried import Buried
from crawl_operator.decide.run import Run, ScheduleKey
from crawl_operator.decide.schedule_model import Schedule
from crawl_operator.schedule_projection import schedule_of

Json = Mapping[str, Any]


class ScheduleState(StrEnum):
    """Whether a schedule makes runs."""

    ACTIVE = "Active"
    SUSPENDED = "Suspended"
    STALLED = "Stalled"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a schedule: most of them wait for most of the time, packed."""

    uid: str
    version: int
    counted: int
    """Its runs that are counted."""
    state: ScheduleState
    packed: bytes


class Schedules:
    """Schedules and their runs.

    Args:
        changed: called with the key of a schedule whenever something that matters to it is new.
        gone: the UIDs of what was seen deleted.

    Attributes:
        states: how many schedules there are in each state, counted as they come and go.
    """

    def __init__(self, changed: Callable[[ScheduleKey], None], gone: Buried) -> None:
        self._changed = changed
        self._gone = gone
        self.states: Counter[ScheduleState] = Counter()
        self._schedules: dict[ScheduleKey, Kept] = {}
        self._runs: dict[str, dict[str, Run]] = {}  # schedule UID → run UID → run

    def known(self) -> Iterator[tuple[ScheduleKey, Kept]]:
        """Iterate over all schedules."""
        return iter(self._schedules.items())

    def get(self, key: ScheduleKey) -> Schedule | None:
        """Return a schedule as last seen."""
        kept = self._schedules.get(key)
        return schedule_of(from_json(zlib.decompress(kept.packed))) if kept is not None else None

    def runs(self, schedule: Schedule) -> tuple[Run, ...]:
        """Return the runs of this very schedule, not of a namesake before it; the oldest first."""
        return tuple(sorted(self._runs.get(schedule.uid, {}).values(), key=lambda run: run.order))

    def wake_all(self) -> None:
        """Have every schedule looked at."""
        for key in self._schedules:
            self._changed(key)

    def put(self, body: Json) -> bool:
        """Take a ScheduledCrawlJob as seen; False if it was known already, or is older than what is known."""
        meta = body["metadata"]
        key, uid, version = ScheduleKey(meta["namespace"], meta["name"]), meta["uid"], int(meta["resourceVersion"])
        before = self._schedules.get(key)
        if uid in self._gone or (before is not None and before.version >= version):
            return False
        schedule = schedule_of(body)
        counted, state = schedule.status.execution_count, _state(schedule)
        self._schedules[key] = Kept(uid, version, counted, state, _packed(body))
        self.states[state] += 1
        if before is not None:
            self.states[before.state] -= 1
        runs = self._runs.get(uid, {})
        for run_uid in [each for each, run in runs.items() if run.gone and run.number <= counted]:
            del runs[run_uid]
        self._changed(key)
        return True

    def remove(self, key: ScheduleKey, uid: str) -> None:
        """Take note that a schedule is gone."""
        self._gone.add(uid)
        kept = self._schedules.get(key)
        if kept is not None and kept.uid == uid:
            del self._schedules[key]
            self.states[kept.state] -= 1
            self._runs[uid] = {each: run for each, run in self._runs.get(uid, {}).items() if not run.gone}
            self._drop_if_empty(uid)
            self._changed(key)

    def put_run(self, run: Run) -> None:
        """Take a run's state as seen; its progress does not matter to its schedule, its end does."""
        runs = self._runs.setdefault(run.schedule_uid, {})
        before = runs.get(run.uid)
        runs[run.uid] = run
        if before is None or (before.phase.terminal, before.deleting) != (run.phase.terminal, run.deleting):
            self._changed(run.schedule)

    def remove_run(self, run: Run) -> None:
        """Take note that a run is gone; one that was not counted yet is remembered, so as not to be made again."""
        kept = self._schedules.get(run.schedule)
        runs = self._runs.get(run.schedule_uid, {})
        if kept is not None and kept.uid == run.schedule_uid and run.number > kept.counted:
            runs[run.uid] = replace(run, gone=True)
        else:
            runs.pop(run.uid, None)
            self._drop_if_empty(run.schedule_uid)
        self._changed(run.schedule)

    def _drop_if_empty(self, schedule_uid: str) -> None:
        if not self._runs.get(schedule_uid):
            self._runs.pop(schedule_uid, None)


def _state(schedule: Schedule) -> ScheduleState:
    if schedule.status.condition(ScheduleConditionType.STALLED) is not None:
        return ScheduleState.STALLED
    return ScheduleState.SUSPENDED if schedule.spec.get("suspend") else ScheduleState.ACTIVE


def _packed(body: Json) -> bytes:
    """Pack what decisions are made from: a tenth of what it takes as objects."""
    meta = {name: value for name, value in body["metadata"].items() if name not in {"managedFields", "annotations"}}
    annotations = body["metadata"].get("annotations") or {}
    if ANNOTATION_TRIGGER in annotations:
        meta["annotations"] = {ANNOTATION_TRIGGER: annotations[ANNOTATION_TRIGGER]}
    slim = {"metadata": meta, "spec": body["spec"], "status": body.get("status") or {}}
    return zlib.compress(to_json(slim), 1)
