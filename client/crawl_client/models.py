"""What the API server says of jobs and schedules, as frozen values.

They keep the object as it came; what is often asked for is an attribute, and `spec` and `status` are the API's own
models, read when they are first asked for, so that a list of ten thousand costs no more than it must.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

from crawl_api.enums import JobType, Phase, Priority
from crawl_api.names import ANNOTATION_CANCEL, ANNOTATION_REQUEUE

if TYPE_CHECKING:
    from crawl_api.crawljob import CrawlJobSpec
    from crawl_api.schedule import ScheduledCrawlJobSpec, ScheduledCrawlJobStatus
    from crawl_api.status import CrawlJobStatus

GOOD: Final = frozenset({Phase.COMPLETED, Phase.PARTIAL_SUCCESS})
_MAX_REQUEUE: Final = 256


@dataclass(frozen=True)
class ApiObject:
    """An object of the API server."""

    raw: Mapping[str, Any] = field(repr=False)
    """As it came."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it from an object as the API server writes it."""
        return cls(data)

    def to_dict(self) -> dict[str, Any]:
        """Return the object as the API server wrote it, without what only the server itself needs."""
        metadata = {key: value for key, value in self.raw["metadata"].items() if key != "managedFields"}
        return {**self.raw, "metadata": metadata}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.namespace}/{self.name})"

    @property
    def name(self) -> str:
        """Its name, unique among those of its kind in its namespace."""
        return str(self.raw["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.raw["metadata"].get("namespace", ""))

    @property
    def uid(self) -> str:
        """Its UID, which no other object has or will have."""
        return str(self.raw["metadata"].get("uid", ""))

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self.raw["metadata"].get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        """Its annotations."""
        return self.raw["metadata"].get("annotations") or {}

    @property
    def created(self) -> datetime:
        """When it was created, to the second."""
        return _time(self.raw["metadata"].get("creationTimestamp")) or datetime.now(UTC)

    @property
    def display_name(self) -> str:
        """What people call it; its name where nothing else was said."""
        return str(self.raw.get("spec", {}).get("displayName") or self.name)

    @property
    def _said(self) -> Mapping[str, Any]:
        return self.raw.get("status") or {}

    def condition(self, kind: str) -> Mapping[str, Any]:
        """Return the condition of that type; empty where it has not been set."""
        return next((each for each in self._said.get("conditions") or () if each.get("type") == kind), {})


@dataclass(frozen=True, repr=False)
class Job(ApiObject):
    """A CrawlJob.

    >>> job = Job.from_dict({"metadata": {"name": "a"}, "spec": {"type": "Single"}, "status": {"phase": "Completed"}})
    >>> job.phase, job.finished, job.succeeded
    (<Phase.COMPLETED: 'Completed'>, True, True)
    """

    @cached_property
    def spec(self) -> "CrawlJobSpec":
        """What was asked for, defaults filled in."""
        from crawl_api.crawljob import CrawlJobSpec  # noqa: PLC0415 - see the module

        return CrawlJobSpec.model_validate(self.raw["spec"])

    @cached_property
    def status(self) -> "CrawlJobStatus":
        """What the operator reports."""
        from crawl_api.status import CrawlJobStatus  # noqa: PLC0415 - see the module

        return CrawlJobStatus.model_validate(self._said)

    @property
    def type(self) -> JobType:
        """What it does."""
        return JobType(self.raw["spec"]["type"])

    @property
    def priority(self) -> Priority:
        """Its order of service."""
        return Priority(self.raw["spec"].get("priority", Priority.NORMAL))

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        return Phase(self._said.get("phase", Phase.PENDING))

    @property
    def finished(self) -> bool:
        """Whether nothing more happens without a person: it has ended, and nobody has asked for another run since."""
        return self.phase.terminal and not self._to_be_run_again

    @property
    def succeeded(self) -> bool:
        """Whether it ended well: with all of its pages, or with some."""
        return self.phase in GOOD

    @property
    def _to_be_run_again(self) -> bool:
        asked = self.annotations.get(ANNOTATION_REQUEUE, "").strip()[:_MAX_REQUEUE]
        held = self.raw["spec"].get("cancel") or self.annotations.get(ANNOTATION_CANCEL) == "true"
        return bool(asked) and asked != self._said.get("requeued", "") and not held

    @property
    def progress(self) -> Mapping[str, Any]:
        """How far it is: percent, total, succeeded, failed, bytes."""
        return self._said.get("progress") or {}

    @property
    def percent(self) -> int:
        """How far it is, 0 to 100."""
        return int(self.progress.get("percent", 0))

    @property
    def retries(self) -> int:
        """Failed attempts that were, or will be, repeated."""
        return int(self._said.get("retryCount", 0))

    @property
    def next_retry(self) -> datetime | None:
        """When the next attempt is due, while it waits for one."""
        return _time(self._said.get("nextRetryAt"))

    @property
    def worker(self) -> str:
        """The pod that runs, or last ran, it; empty before the first."""
        return str(self._said.get("workerId", ""))

    @property
    def last_error(self) -> str:
        """Message of the newest error; empty while there is none."""
        return str(self._said.get("lastError", ""))

    @property
    def submitted(self) -> datetime:
        """When it was accepted, to the microsecond; to the second while no operator has seen it."""
        return _time(self._said.get("submittedAt")) or self.created

    @property
    def updated(self) -> datetime:
        """When its status last changed."""
        return _time(self._said.get("updatedAt")) or self.submitted

    @property
    def started(self) -> datetime | None:
        """When its first worker started."""
        return _time(self._said.get("startedAt"))

    @property
    def completed(self) -> datetime | None:
        """When it ended, well or not."""
        return _time(self._said.get("completedAt"))

    @property
    def processing_time_ms(self) -> int | None:
        """How long it took from its first worker's start; None while it has not ended, or where none started."""
        took: int | None = self._said.get("processingTimeMs")
        return took

    @property
    def duration(self) -> str:
        """How long it took, such as 1m12s; empty while it has not ended."""
        return str(self._said.get("duration", ""))

    @property
    def result_url(self) -> str:
        """Where the whole result is stored; empty where there is none."""
        return str(self._said.get("resultURL", ""))

    @property
    def reason(self) -> str:
        """In one word why it is where it is: what it waits for, or how it ended."""
        return str(self.condition("Reconciling").get("reason", ""))

    @property
    def dead(self) -> bool:
        """Whether its attempts are used up."""
        return self.phase is Phase.DEAD_LETTER


@dataclass(frozen=True, repr=False)
class Schedule(ApiObject):
    """A ScheduledCrawlJob."""

    @cached_property
    def spec(self) -> "ScheduledCrawlJobSpec":
        """What was asked for, defaults filled in."""
        from crawl_api.schedule import ScheduledCrawlJobSpec  # noqa: PLC0415 - see the module

        return ScheduledCrawlJobSpec.model_validate(self.raw["spec"])

    @cached_property
    def status(self) -> "ScheduledCrawlJobStatus":
        """What the operator reports."""
        from crawl_api.schedule import ScheduledCrawlJobStatus  # noqa: PLC0415 - see the module

        return ScheduledCrawlJobStatus.model_validate(self._said)

    @property
    def cron(self) -> str:
        """Its cron line."""
        return str(self.raw["spec"]["schedule"])

    @property
    def zone(self) -> str:
        """The time zone that the line is about."""
        return str(self.raw["spec"].get("timeZone", "UTC"))

    @property
    def enabled(self) -> bool:
        """Whether it makes runs by itself."""
        return not self.raw["spec"].get("suspend", False)

    @property
    def last_run(self) -> datetime | None:
        """When the last run was made."""
        return _time(self._said.get("lastExecutedAt"))

    @property
    def next_run(self) -> datetime | None:
        """When the next run is due; None while disabled, or while the operator has not seen it."""
        return _time(self._said.get("nextExecutionAt"))

    @property
    def runs(self) -> int:
        """Runs made so far."""
        return int(self._said.get("executionCount", 0))


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) and text else None
