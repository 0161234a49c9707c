"""`CrawlJob.status`: what the operator reports. Only the operator writes it, and only through one patch at a time."""

from enum import StrEnum
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import Field, StringConstraints

from crawl_api.base import ApiModel, Count, LongText, ShortText, Time, Url, clipped
from crawl_api.enums import TERMINAL_PHASES as TERMINAL_PHASES  # noqa: PLC0414 - part of this module's face
from crawl_api.enums import Phase as Phase  # noqa: PLC0414 - same

MAX_ERRORS: Final = 100
"""Errors kept in a status; `errorCount` counts them all."""
MAX_ATTEMPTS: Final = 20
"""Attempts described in a status; the oldest make room."""
MAX_HISTORY: Final = 50
MAX_REQUEUE: Final = 256


class ConditionType(StrEnum):
    """The conditions of a job; `docs/decisions/` says what each means to which tool."""

    COMPLETE = "Complete"
    FAILED = "Failed"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    SCHEDULED = "Scheduled"
    RESULT_AVAILABLE = "ResultAvailable"


class ConditionStatus(StrEnum):
    """Kubernetes' three-valued truth."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Cause(StrEnum):
    """Who is to blame for a failure; it decides what happens next."""

    INFRASTRUCTURE = "Infrastructure"
    TRANSIENT = "Transient"
    PERMANENT = "Permanent"


class Execution(StrEnum):
    """What runs an attempt: a bare Pod (lowest latency) or a batch Job."""

    POD = "Pod"
    JOB = "Job"


Reason = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9_]*$", min_length=1, max_length=64)]


K = TypeVar("K", bound=StrEnum)


class BaseCondition(ApiModel, Generic[K]):
    """One aspect of the state of an object, in the shape of metav1.Condition."""

    type: K
    """Which aspect."""
    status: ConditionStatus
    """Whether it holds."""
    reason: Reason
    """One word for machines."""
    message: LongText = ""
    """A sentence for people."""
    last_transition_time: Time
    """When `status` last changed."""
    observed_generation: Count = 0
    """The generation of the spec this was said of."""


class Condition(BaseCondition[ConditionType]):
    """One aspect of the state of a job."""


class JobError(ApiModel):
    """One thing that went wrong, with its context."""

    code: Reason
    """One word for machines, such as HTTP_404, Timeout, AddressRefused, RobotsDisallowed."""
    message: LongText = ""
    """A sentence for people."""
    url: Annotated[Url, clipped(2048)] | None = None
    """The URL concerned, as the job names it."""
    attempt: Annotated[int, Field(ge=1)] = 1
    """The attempt in which it happened."""
    retryable: bool = False
    """Whether another try could end otherwise."""
    time: Time
    """When it happened."""
    details: Annotated[dict[str, Annotated[str, clipped(512), Field(max_length=512)]], Field(max_length=8)] = {}
    """Further facts, such as the address refused or the redirect followed."""


class Progress(ApiModel):
    """How far the current attempt is."""

    percent: Annotated[int, Field(ge=0, le=100)] = 0
    """0 to 100, never falling within an attempt; 100 only when the job ended well."""
    summary: Annotated[str, StringConstraints(max_length=32)] = ""
    """The same for the Progress column, such as 42%."""
    total: Count = 0
    """Pages to fetch."""
    succeeded: Count = 0
    """Pages fetched and extracted."""
    failed: Count = 0
    """Pages given up, each named in `errors` or in the result."""
    from_cache: Count = 0
    """Pages whose answer was taken from the cache."""
    bytes: Count = 0
    """Bytes of page bodies received."""


class Attempt(ApiModel):
    """One execution of the job."""

    number: Annotated[int, Field(ge=1)]
    """Counts from 1."""
    execution: Execution
    """What ran it."""
    worker: ShortText
    """Name of the Pod or batch Job."""
    started_at: Time | None = None
    """When the worker's container started."""
    finished_at: Time | None = None
    """When it ended."""
    outcome: Phase | None = None
    """How it ended; not set while it runs."""
    cause: Cause | None = None
    """Who was to blame, where it failed."""
    message: LongText = ""
    """Why it failed."""


class Move(ApiModel):
    """One change of phase, for the audit trail."""

    origin: Annotated[Phase, Field(alias="from")]
    """The phase before."""
    to: Phase
    """The phase after."""
    reason: Reason
    """One word for machines."""
    time: Time
    """When it was written."""


class Result(ApiModel):
    """Outcome and data of the last attempt."""

    success: bool
    """Whether at least one page was crawled and the attempt ran to its end."""
    data: Any = None
    """The records themselves, where all of them are small enough to stand here; else see `resultURL`."""
    error: LongText = ""
    """Why there is no success."""
    items: Count = 0
    """Records in the result."""
    bytes: Count = 0
    """Size of the stored result."""
    sha256: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$", max_length=64)] = ""
    """Checksum of the stored result."""
    processing_time_ms: Count | None = None
    """From the start of the last attempt's worker to its end."""
    worker_id: ShortText = ""
    """The pod that made it."""
    completed_at: Time | None = None
    """When the attempt ended."""


class CrawlJobStatus(ApiModel):
    """The observed state of a job."""

    phase: Phase = Phase.PENDING
    """Where the job stands."""
    observed_generation: Count = 0
    """The generation of the spec that the operator has seen."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    """What holds now, in the form that kubectl wait and GitOps tools read."""
    progress: Progress = Progress()
    """How far the current attempt is."""
    retry_count: Count = 0
    """Failed attempts that were, or will be, repeated; part of the budget of `spec.retry.maxAttempts`."""
    infrastructure_retries: Count = 0
    """Attempts ended by the cluster and repeated; they have a budget of their own."""
    next_retry_at: Time | None = None
    """When the next attempt is due, while the job waits for it."""
    requeued: Annotated[str, clipped(MAX_REQUEUE), Field(max_length=MAX_REQUEUE)] = ""
    """The value of the requeue annotation that was last obeyed."""
    worker_id: ShortText = ""
    """The pod that runs, or last ran, the job."""
    attempts: Annotated[tuple[Attempt, ...], Field(max_length=MAX_ATTEMPTS)] = ()
    """Every execution, oldest first."""
    requeued_after: Count = 0
    """Number of the last attempt before the job was run again by a person; those after it belong together."""
    submitted_at: Time | None = None
    """When the job was accepted."""
    updated_at: Time | None = None
    """When this status last changed."""
    started_at: Time | None = None
    """When its first worker started."""
    completed_at: Time | None = None
    """When it ended, well or not."""
    processing_time_ms: Count | None = None
    """From `startedAt` to `completedAt`: all attempts, and the waits between them."""
    duration: Annotated[str, StringConstraints(max_length=32)] = ""
    """The same for the Duration column, such as 1m12s."""
    last_error: LongText = ""
    """Message of the newest error."""
    errors: Annotated[tuple[JobError, ...], Field(max_length=MAX_ERRORS)] = ()
    """What went wrong, oldest first, at most 100."""
    error_count: Count = 0
    """How many errors there were in all."""
    result: Result | None = None
    """Outcome and data of the last attempt."""
    result_url: Annotated[str, StringConstraints(max_length=500), Field(alias="resultURL")] = ""
    """Where the whole result is stored."""
    parameters: Annotated[dict[str, Any], Field(max_length=64)] = {}
    """What the task or processor is told, its defaults included; empty where they are too large to stand here."""
    history: Annotated[tuple[Move, ...], Field(max_length=MAX_HISTORY)] = ()
    """Changes of phase, oldest first, the latest 50."""

    @property
    def attempt(self) -> int:
        """Number of the current or last attempt; 1 before the first."""
        return self.attempts[-1].number if self.attempts else 1

    @property
    def attempts_over(self) -> int:
        """Number of the last attempt that has ended."""
        return max((each.number for each in self.attempts if each.outcome is not None), default=0)

    def condition(self, kind: ConditionType) -> Condition | None:
        """Return the condition of that type, if it has been set."""
        return next((condition for condition in self.conditions if condition.type is kind), None)
