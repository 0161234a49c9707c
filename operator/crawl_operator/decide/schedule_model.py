"""What decisions about schedules are made from and what they come to. All values frozen; actions are a closed union."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crawl_api.schedule import ScheduledCrawlJobStatus
from crawl_api.status import Phase
from crawl_operator.decide.model import RecordEvent


@dataclass(frozen=True, slots=True)
class ScheduleKey:
    """Names a ScheduledCrawlJob, as the work queue does."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"schedule {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A ScheduledCrawlJob as last seen."""

    key: ScheduleKey
    uid: str
    version: int
    generation: int
    created: datetime
    deleting: bool
    spec: Mapping[str, Any]
    status: ScheduledCrawlJobStatus
    trigger: str = ""
    """Value of the trigger annotation."""


@dataclass(frozen=True, slots=True)
class Run:
    """A CrawlJob that a schedule owns."""

    name: str
    uid: str
    version: int
    created: datetime
    phase: Phase
    deleting: bool
    ended: datetime | None = None
    slot: datetime | None = None
    """When it was due; None where it was asked for."""
    number: int = 0
    """Which of its schedule's runs it is, from 1; 0 for one that the operator did not make."""
    trigger: str = ""
    """The value of the trigger annotation that asked for it."""
    gone: bool = False
    """Whether it exists no more; remembered until it is counted."""

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return not (self.gone or self.phase.terminal)

    @property
    def good(self) -> bool:
        """Whether it ended well."""
        return self.phase in (Phase.COMPLETED, Phase.PARTIAL_SUCCESS)

    @property
    def order(self) -> tuple[datetime, str]:
        """Sort key: the oldest first."""
        return self.slot or self.created, self.name


@dataclass(frozen=True, slots=True)
class ScheduleObservation:
    """All that is known about one schedule when it is decided upon."""

    schedule: Schedule
    runs: tuple[Run, ...] = ()
    """The oldest first."""
    refusal: str = ""
    """What the cluster said when it refused a run just now."""


@dataclass(frozen=True, slots=True)
class StartRun:
    """Create a run: the one of a slot, or one that was asked for."""

    number: int
    slot: datetime | None = None
    trigger: str = ""


@dataclass(frozen=True, slots=True)
class DeleteRun:
    """Delete a run, and with it what it owns."""

    run: Run


ScheduleAction = StartRun | DeleteRun | RecordEvent


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """What shall be: a status (None: leave it), what to do, and when to look again at the latest."""

    status: ScheduledCrawlJobStatus | None = None
    actions: tuple[ScheduleAction, ...] = ()
    requeue_after: float | None = None
