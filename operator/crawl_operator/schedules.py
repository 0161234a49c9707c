"""What the operator has seen of schedules and of the runs that they own; a part of the store."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum

from crawl_api.schedule import ScheduleConditionType
from crawl_operator.buried import Buried
from crawl_operator.decide.run import Run, ScheduleKey
from crawl_operator.decide.schedule_model import Schedule


class ScheduleState(StrEnum):
    """Whether a schedule makes runs."""

    ACTIVE = "Active"
    SUSPENDED = "Suspended"
    STALLED = "Stalled"


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
        self._schedules: dict[ScheduleKey, Schedule] = {}
        self._runs: dict[str, dict[str, Run]] = {}  # schedule UID → run UID → run

    def __iter__(self) -> Iterator[Schedule]:
        return iter(self._schedules.values())

    def get(self, key: ScheduleKey) -> Schedule | None:
        """Return a schedule as last seen."""
        return self._schedules.get(key)

    def runs(self, schedule: Schedule) -> tuple[Run, ...]:
        """Return the runs of this very schedule, not of a namesake before it; the oldest first."""
        return tuple(sorted(self._runs.get(schedule.uid, {}).values(), key=lambda run: run.order))

    def wake_all(self) -> None:
        """Have every schedule looked at."""
        for key in self._schedules:
            self._changed(key)

    def put(self, schedule: Schedule) -> bool:
        """Take a schedule's state as seen; False if it was known already, or is older than what is known."""
        before = self._schedules.get(schedule.key)
        if schedule.uid in self._gone or (before is not None and before.version >= schedule.version):
            return False
        self._schedules[schedule.key] = schedule
        self.states[_state(schedule)] += 1
        if before is not None:
            self.states[_state(before)] -= 1
        runs = self._runs.get(schedule.uid, {})
        counted = schedule.status.execution_count
        for uid in [uid for uid, run in runs.items() if run.gone and run.number <= counted]:
            del runs[uid]
        self._changed(schedule.key)
        return True

    def remove(self, key: ScheduleKey, uid: str) -> None:
        """Take note that a schedule is gone."""
        self._gone.add(uid)
        schedule = self._schedules.get(key)
        if schedule is not None and schedule.uid == uid:
            del self._schedules[key]
            self.states[_state(schedule)] -= 1
            self._runs[uid] = {uid: run for uid, run in self._runs.get(uid, {}).items() if not run.gone}
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
        schedule = self._schedules.get(run.schedule)
        runs = self._runs.get(run.schedule_uid, {})
        if schedule is not None and schedule.uid == run.schedule_uid and run.number > schedule.status.execution_count:
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
