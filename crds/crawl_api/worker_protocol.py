"""What operator and worker say to each other: the assignment, progress reports and the outcome of an attempt.

The assignment reaches the worker as a file, made from an annotation of its pod. Progress and results go to the
operator over HTTP. The outcome is left in two places: a full document beside the results, and a shortened one in the
container's termination message, where it survives whatever happens to either side.
"""

import json
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, ValidationError

from crawl_api.base import ApiModel, Count, LongText, ShortText
from crawl_api.job_types import BatchCrawl, CustomCrawl, JobType, MaintenanceRun, PdfCrawl, SingleCrawl, SiteCrawl
from crawl_api.options import ExtractOptions, FetchOptions
from crawl_api.output import OutputOptions
from crawl_api.status import MAX_ERRORS, Cause, JobError, Reason

MAX_TERMINATION_MESSAGE: Final = 4096
"""Bytes that Kubernetes keeps of one container's termination message."""

MAX_PROGRESS_BYTES: Final = 64 << 10
MAX_OUTCOME_BYTES: Final = 512 << 10
MAX_SEGMENT_BYTES: Final = 64 << 20

MAX_PARAMETERS: Final = 64
MAX_PARAMETERS_BYTES: Final = 16 << 10
MAX_CACHED_BYTES: Final = 16 << 20
"""A larger answer is not cached."""

OUTCOME_FILE: Final = "outcome.json"


def progress_path(job_uid: str, attempt: int) -> str:
    """POST a `ProgressReport` here; 204."""
    return f"/v1/attempts/{job_uid}/{attempt}/progress"


def results_path(job_uid: str, attempt: int) -> str:
    """PUT the result here, streamed, in the form that the job asks for; 201 with a `StoredResult`."""
    return f"/v1/attempts/{job_uid}/{attempt}/results"


def journal_path(job_uid: str, attempt: int) -> str:
    """GET what the attempts before have saved of their state: 200 with their segments in order, 204 if there are none.

    PUT a segment (zstd) under `<path>/<number>`; 204 once it is durable. Numbers begin at 0.
    """
    return f"/v1/attempts/{job_uid}/{attempt}/journal"


def outcome_path(job_uid: str, attempt: int) -> str:
    """PUT the `Outcome` here; 204 once it is durable."""
    return f"/v1/attempts/{job_uid}/{attempt}/outcome"


def cache_path(job_uid: str, attempt: int, key: str) -> str:
    """GET what the job's namespace has cached under a key (64 hexadecimal digits): 200, or 404. PUT it: 204."""
    return f"/v1/attempts/{job_uid}/{attempt}/cache/{key}"


def cleaning_path(job_uid: str, attempt: int) -> str:
    """POST a `Cleaning` here, for jobs of type Maintenance: 200 with a `Cleaned`."""
    return f"/v1/attempts/{job_uid}/{attempt}/cleaning"


class Leftover(StrEnum):
    """What piles up in a store."""

    CACHE = "cache"
    RESULTS = "results"


class Cleaning(ApiModel):
    """What to remove of a namespace."""

    what: Leftover
    older_than_seconds: Count
    """What is younger stays. For results: of jobs that are gone; those of others go by `spec.ttl`."""


class Cleaned(ApiModel):
    """What was removed."""

    removed: Count
    bytes: Count


def _small(value: object) -> object:
    """Leave out what a status cannot hold: it must never be the reason why a status cannot be stored."""
    if isinstance(value, dict) and len(value) <= MAX_PARAMETERS and len(json.dumps(value)) <= MAX_PARAMETERS_BYTES:
        return value
    return {}


ToldParameters = Annotated[dict[str, Any], BeforeValidator(_small)]
"""What a task or processor is told, its defaults included; empty where that is more than a status holds."""


class Assignment(ApiModel):
    """All that a worker needs to know for one attempt."""

    namespace: ShortText
    name: ShortText
    uid: ShortText
    attempt: Annotated[int, Field(ge=1)]
    type: JobType
    single: SingleCrawl | None = None
    batch: BatchCrawl | None = None
    site: SiteCrawl | None = None
    pdf: PdfCrawl | None = None
    maintenance: MaintenanceRun | None = None
    custom: CustomCrawl | None = None
    fetch: FetchOptions = FetchOptions()
    """As the user asked; `maxConcurrency` caps it."""
    extract: ExtractOptions = ExtractOptions()
    output: OutputOptions = OutputOptions()
    timeout_seconds: Count
    max_concurrency: Annotated[int, Field(ge=1)]
    """The administrator's limit on requests in flight."""
    user_agent: ShortText
    """Used where the job names none."""
    allowed_networks: tuple[str, ...] = ()
    """CIDRs that the administrator exempts from the guard against internal addresses."""
    inline_limit_bytes: Count
    """Largest result that also travels inside the outcome."""
    report_url: ShortText
    """Base URL of the operator's worker endpoint."""

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs that the job lists, in order; none where it finds them on its way."""
        if self.single is not None:
            return (self.single.url,)
        listing = self.batch or self.pdf
        return listing.urls if listing is not None else ()


class ProgressReport(ApiModel):
    """How far an attempt is; each report replaces the one before."""

    total: Count
    succeeded: Count
    failed: Count
    bytes: Count = 0
    from_cache: Count = 0
    """Pages among those that succeeded whose answer was taken from the cache."""
    errors: Annotated[tuple[JobError, ...], Field(max_length=MAX_ERRORS)] = ()
    """The first errors, oldest first."""
    error_count: Count = 0
    parameters: ToldParameters = {}


class StoredResult(ApiModel):
    """Where an attempt's records were stored, and what arrived."""

    url: Annotated[str, Field(max_length=500)]
    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class AttemptFailure(ApiModel):
    """Why an attempt failed as a whole, however many pages it had fetched."""

    code: Reason
    cause: Cause
    message: LongText = ""


class Outcome(ApiModel):
    """What an attempt came to."""

    total: Count
    succeeded: Count
    failed: Count
    bytes: Count = 0
    from_cache: Count = 0
    errors: Annotated[tuple[JobError, ...], Field(max_length=MAX_ERRORS)] = ()
    error_count: Count = 0
    parameters: ToldParameters = {}
    """Never in the termination message."""
    retryable: Count = 0
    """How many of the failed pages another attempt could bring."""
    retry_after_seconds: Count = 0
    """The longest pause that a site asked for before another try."""
    failure: AttemptFailure | None = None
    stored: StoredResult | None = None
    items: Count = 0
    data: Any = None
    """The records themselves, where they fit the inline limit. Never in the termination message."""

    def termination_message(self) -> str:
        """Render the outcome into what Kubernetes keeps: without data, with as many errors and words as fit."""
        short = self.model_copy(update={"data": None, "parameters": {}})
        while True:
            text = short.model_dump_json(by_alias=True, exclude_defaults=True)
            if len(text.encode()) <= MAX_TERMINATION_MESSAGE:
                return text
            if short.errors:
                short = short.model_copy(update={"errors": short.errors[: len(short.errors) // 2]})
            elif short.failure is not None and (words := short.failure.message):
                failure = short.failure.model_copy(update={"message": words[: len(words) // 2]})
                short = short.model_copy(update={"failure": failure})
            else:
                return text

    @classmethod
    def parse(cls, text: str) -> "Outcome | None":
        """Read an outcome; None for anything that is not one (a worker died early, or is not ours)."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return None
