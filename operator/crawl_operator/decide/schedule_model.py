"""What decisions about schedules are made from and what they come to. All values frozen; actions are a closed union."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crawl_api.schedule import ScheduledCrawlJobStatus
from crawl_operator.decide.model import RecordEvent
from crawl_operator.decide.run import Run, ScheduleKey


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
