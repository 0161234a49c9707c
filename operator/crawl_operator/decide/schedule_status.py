"""What is known of a schedule at a moment, and the status that says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from pydantic import ValidationError

from crawl_api.schedule import (
    MAX_ACTIVE,
    MAX_MISSED,
    ConcurrencyPolicy,
    ScheduleConditionType,
    ScheduledCrawlJobSpec,
    ScheduledCrawlJobStatus,
)
from crawl_api.status import ConditionStatus
from crawl_api.timetable import Timetable
from crawl_operator.decide.conditions import Conditions
from crawl_operator.decide.model import Policy
from crawl_operator.decide.run import Run
from crawl_operator.decide.schedule_model import Schedule, ScheduleObservation
from crawl_operator.decide.validation import problems
from crawl_operator.decide.waiting import shown

_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a schedule cannot be kept."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What a spec says about when runs are made and kept, but not what is run."""

    line: str
    zone: str
    suspend: bool
    policy: ConcurrencyPolicy
    deadline: int | None
    good_kept: int
    bad_kept: int


@dataclass(frozen=True)
class Scene:
    """A schedule that can be kept, its runs, and the time."""

    observation: ScheduleObservation
    rules: Rules
    table: Timetable
    now: datetime

    @property
    def schedule(self) -> Schedule:
        """The schedule itself."""
        return self.observation.schedule

    @property
    def before(self) -> ScheduledCrawlJobStatus:
        """Its status as it stands."""
        return self.schedule.status

    @property
    def runs(self) -> tuple[Run, ...]:
        """Its runs, the oldest first."""
        return self.observation.runs

    @cached_property
    def active(self) -> tuple[Run, ...]:
        """Those that have not ended."""
        return tuple(run for run in self.runs if run.active)

    @property
    def since(self) -> datetime:
        """Everything due until then is counted."""
        return self.before.decided_until or self.schedule.created

    @property
    def asked(self) -> str:
        """The value of the trigger annotation, if it was not obeyed yet."""
        trigger = self.schedule.trigger
        return trigger if trigger != self.before.triggered else ""

    @cached_property
    def open(self) -> tuple[datetime, ...]:
        """What is due and not counted, the oldest first; of many the latest."""
        first = self.table.after(self.since)
        if first is None or first > self.now:
            return ()
        return self.table.latest(self.since, self.now, MAX_MISSED + 1)

    @property
    def must_wait(self) -> bool:
        """Whether no run may begin because one goes on."""
        return self.rules.policy is ConcurrencyPolicy.FORBID and bool(self.active)

    @property
    def refused_before(self) -> bool:
        """Whether the cluster took no run when one was last tried."""
        ready = self.before.condition(ScheduleConditionType.READY)
        return ready is not None and ready.reason == "RunRefused"

    @property
    def replaces(self) -> bool:
        """Whether runs that go on are ended for the next."""
        return self.rules.policy is ConcurrencyPolicy.REPLACE

    @property
    def next(self) -> datetime | None:
        """When a run is due next; None while suspended."""
        return None if self.rules.suspend else self.table.after(max(self.since, self.now))

    @property
    def until_next(self) -> float | None:
        """Seconds until then."""
        return (self.next - self.now).total_seconds() if self.next is not None else None

    def is_late(self, slot: datetime) -> bool:
        """Tell whether it is too late for what was due at a time; a deadline of 0 s is over after the first second."""
        deadline = self._deadline(slot)
        return deadline is not None and self.now >= deadline

    def until_next_or_late(self, slot: datetime) -> float | None:
        """Return the seconds until a run is due next, or until it is too late for this one."""
        times = [each for each in (self.next, self._deadline(slot)) if each is not None]
        return (min(times) - self.now).total_seconds() if times else None

    def _deadline(self, slot: datetime) -> datetime | None:
        seconds = self.rules.deadline
        return slot + timedelta(seconds=seconds) + _SECOND if seconds is not None else None


def read_rules(schedule: Schedule, policy: Policy) -> Rules | Fault:
    """Return what a spec says, or what is wrong with it, naming the fields.

    It is checked as a whole until it was found valid, and then when it has changed: a check takes longer than all else.
    """
    valid = schedule.status.condition(ScheduleConditionType.VALID)
    known = valid is not None and valid.status is ConditionStatus.TRUE
    if not (known and schedule.status.observed_generation == schedule.generation):
        fault = _check(schedule.spec, policy)
        if fault is not None:
            return fault
    spec = schedule.spec
    return Rules(
        line=spec["schedule"],
        zone=spec.get("timeZone", "UTC"),
        suspend=spec.get("suspend", False),
        policy=ConcurrencyPolicy(spec.get("concurrencyPolicy", ConcurrencyPolicy.ALLOW)),
        deadline=spec.get("startingDeadlineSeconds"),
        good_kept=spec.get("successfulJobsHistoryLimit", 3),
        bad_kept=spec.get("failedJobsHistoryLimit", 1),
    )


def _check(spec: Mapping[str, Any], policy: Policy) -> Fault | None:
    try:
        model = ScheduledCrawlJobSpec.model_validate(spec)
    except ValidationError as error:
        found = [
            f"spec.{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        return Fault("InvalidSpec", "; ".join(found))
    if forbidden := problems(model.job_template.spec, policy):
        return Fault("InvalidTemplate", "; ".join(f"spec.jobTemplate.{each}" for each in forbidden))
    return None


def seen(observation: ScheduleObservation) -> ScheduledCrawlJobStatus:
    """Bring a status up to what its runs say."""
    return _with_runs(observation, observation.schedule.status)


def told(
    scene: Scene, status: ScheduledCrawlJobStatus, *, waits: str = "", refusal: str = ""
) -> ScheduledCrawlJobStatus:
    """Complete a status by its runs, by when the next is due, and by the conditions.

    Args:
        scene: what is known.
        status: what it says so far.
        waits: what a run that is due waits for.
        refusal: why the cluster takes none.
    """
    suspended = scene.rules.suspend
    due = None if suspended else scene.table.after(max(status.decided_until or scene.since, scene.now))
    if scene.asked and scene.must_wait:
        waits = waits or "the run that was asked for waits for the one that goes on (Forbid)"
    conditions = Conditions(status.conditions, scene.schedule.generation, scene.now).true(
        ScheduleConditionType.VALID, "Valid", "line, zone and template can be used"
    )
    if suspended:
        conditions = conditions.true(ScheduleConditionType.SUSPENDED, "Suspended", "held by spec.suspend")
        reason, message = "Suspended", "nothing is due while spec.suspend is true"
    else:
        conditions = conditions.false(ScheduleConditionType.SUSPENDED, "NotSuspended", "")
        reason, message = "Scheduled", f"the next run is due at {shown(due)}" if due is not None else "no run is due"
    if refusal:
        conditions = conditions.false(ScheduleConditionType.READY, "RunRefused", refusal)
        conditions = conditions.true(ScheduleConditionType.RECONCILING, "RunRefused", "it is tried again")
    else:
        reason, message = ("RunActive", waits) if waits else (reason, message)
        conditions = conditions.true(ScheduleConditionType.READY, reason, message)
        conditions = conditions.false(ScheduleConditionType.RECONCILING, reason, "")
    update: dict[str, Any] = {
        "conditions": conditions.without(ScheduleConditionType.STALLED).all,
        "next_execution_at": due,
        "observed_generation": scene.schedule.generation,
    }
    return _with_runs(scene.observation, status.model_copy(update=update))


def faulty(status: ScheduledCrawlJobStatus, fault: Fault, generation: int, now: datetime) -> ScheduledCrawlJobStatus:
    """Complete the status of a schedule that cannot be kept: nothing will happen without a person."""
    conditions = Conditions(status.conditions, generation, now)
    conditions = conditions.false(ScheduleConditionType.READY, fault.reason, fault.message)
    conditions = conditions.false(ScheduleConditionType.VALID, fault.reason, fault.message)
    conditions = conditions.false(ScheduleConditionType.RECONCILING, fault.reason, "waits for a change of the spec")
    conditions = conditions.true(ScheduleConditionType.STALLED, fault.reason, fault.message)
    update: dict[str, Any] = {
        "conditions": conditions.all,
        "next_execution_at": None,
        "observed_generation": generation,
    }
    return status.model_copy(update=update)


def _with_runs(observation: ScheduleObservation, status: ScheduledCrawlJobStatus) -> ScheduledCrawlJobStatus:
    active = [run.name for run in observation.runs if run.active]
    ends = [run.ended for run in observation.runs if run.good and run.ended is not None]
    return status.model_copy(
        update={
            "active": tuple(active[:MAX_ACTIVE]),
            "active_count": len(active),
            "last_successful_at": max((each for each in (status.last_successful_at, *ends) if each), default=None),
        }
    )
