"""A world of one schedule for tests of decisions: its API server, its clock, and operators that look at it."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from operator_cases import POLICY, SINGLE

from crawl_api.schedule import ScheduledCrawlJobStatus
from crawl_api.status import Phase
from crawl_operator.decide.model import RecordEvent
from crawl_operator.decide.run import Run, ScheduleKey
from crawl_operator.decide.schedule import decide
from crawl_operator.decide.schedule_model import DeleteRun, Schedule, ScheduleObservation, SchedulePlan, StartRun
from crawl_operator.runs import run_name

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = ScheduleKey("team", "nightly")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def schedule_spec(schedule: str = "0 * * * *", **more: Any) -> dict[str, Any]:
    return {"schedule": schedule, "jobTemplate": {"spec": SINGLE}} | more


def make_schedule(created: datetime = NOON - MINUTE, **spec: Any) -> Schedule:
    return Schedule(
        key=KEY,
        uid="uid-of-nightly",
        version=1,
        generation=1,
        created=created,
        deleting=False,
        spec=schedule_spec(**spec),
        status=ScheduledCrawlJobStatus(),
    )


def stored(status: ScheduledCrawlJobStatus) -> ScheduledCrawlJobStatus:
    """Return a status as it comes back from the API server."""
    return ScheduledCrawlJobStatus.model_validate_json(status.model_dump_json(by_alias=True, exclude_defaults=True))


@dataclass
class World:
    """What the API server holds, and what has ever been done to it."""

    schedule: Schedule
    now: datetime
    runs: dict[str, Run] = field(default_factory=dict)
    made: list[Run] = field(default_factory=list)
    """Every run that was ever made."""
    deleted: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    writes: int = 0

    @property
    def status(self) -> ScheduledCrawlJobStatus:
        return self.schedule.status

    def observe(self) -> ScheduleObservation:
        return ScheduleObservation(self.schedule, tuple(sorted(self.runs.values(), key=lambda run: run.order)))

    def plan(self) -> SchedulePlan:
        return decide(self.observe(), POLICY, self.now)

    def settle(self, limit: int = 12) -> "World":
        """Carry out plans until nothing more is to be done now."""
        for _ in range(limit):
            plan = self.plan()
            if plan.status is None and not plan.actions:
                return self
            self.carry_out(plan)
        raise AssertionError(f"it does not come to rest: {self.plan()}")

    def carry_out(self, plan: SchedulePlan, seen: Schedule | None = None) -> None:
        """Do what a plan says, as the API server would: a status only from the version it was decided on."""
        seen = seen or self.schedule
        if plan.status is not None and seen.version == self.schedule.version:
            self.writes += 1
            self.schedule = replace(self.schedule, status=stored(plan.status), version=self.schedule.version + 1)
        for action in plan.actions:
            match action:
                case StartRun():
                    self.make(seen, action)
                case DeleteRun(run=run):
                    if self.runs.get(run.name) is not None and self.runs[run.name].uid == run.uid:
                        del self.runs[run.name]
                        self.deleted.append(run.name)
                case RecordEvent(reason=reason):
                    self.events.append(reason)

    def make(self, seen: Schedule, start: StartRun) -> None:
        name = run_name(seen, start)
        if name in self.runs:
            return  # 409: the name is the lock
        run = Run(
            schedule=KEY,
            schedule_uid=seen.uid,
            name=name,
            uid=f"uid-{len(self.made)}",
            version=1,
            created=self.now,
            phase=Phase.PENDING,
            deleting=False,
            slot=start.slot,
            number=start.number,
            trigger=start.trigger,
        )
        self.runs[name] = run
        self.made.append(run)

    def end(self, phase: Phase = Phase.COMPLETED) -> None:
        """Let all runs end."""
        for name, run in self.runs.items():
            if run.active:
                self.runs[name] = replace(run, phase=phase, ended=self.now)

    def edit(self, **spec: Any) -> None:
        """Change fields of the spec; None removes one."""
        merged = dict(self.schedule.spec) | spec
        self.schedule = replace(
            self.schedule,
            spec={name: value for name, value in merged.items() if value is not None},
            generation=self.schedule.generation + 1,
            version=self.schedule.version + 1,
        )

    def ask(self, trigger: str) -> None:
        """Set the trigger annotation."""
        self.schedule = replace(self.schedule, trigger=trigger, version=self.schedule.version + 1)

    def at(self, moment: datetime) -> "World":
        """Let it be that time, and everything that is then due be done."""
        self.now = moment
        return self.settle()

    @property
    def slots(self) -> list[datetime | None]:
        return [run.slot for run in self.made]

    @property
    def active(self) -> list[str]:
        return [run.name for run in self.runs.values() if run.active]

    @property
    def totals(self) -> tuple[int, int]:
        return self.status.execution_count, self.status.missed_count

    @property
    def missed(self) -> list[tuple[datetime, str]]:
        return [(each.slot, each.reason) for each in self.status.last_missed]

    def condition(self, kind: str) -> tuple[str, str]:
        found = {str(each.type): (str(each.status), each.reason) for each in self.status.conditions}
        return found.get(kind, ("", ""))


def world(created: datetime = NOON - MINUTE, **spec: Any) -> World:
    """Make a world with a schedule that was just created, and seen."""
    return World(make_schedule(created, **spec), created).settle()
