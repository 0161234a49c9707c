"""A run: what a schedule needs to know of a CrawlJob that it owns."""

from dataclasses import dataclass
from datetime import datetime

from crawl_api.status import Phase


@dataclass(frozen=True, slots=True)
class ScheduleKey:
    """Names a ScheduledCrawlJob, as the work queue does."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"schedule {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Run:
    """A CrawlJob that a schedule owns."""

    schedule: ScheduleKey
    schedule_uid: str
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
    def order(self) -> tuple[datetime, int, str]:
        """Sort key: the oldest first; of those of the same second, which is all that a creation tells, by number."""
        return self.slot or self.created, self.number, self.name
