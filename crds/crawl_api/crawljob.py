"""`CrawlJob.spec`: what a user asks for. The CRD's schema, its defaults and its CEL rules are generated from here."""

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from crawl_api.base import SpecModel, Time
from crawl_api.enums import Priority as Priority  # noqa: PLC0414 - part of this module's face
from crawl_api.job_types import BatchCrawl, CustomCrawl, JobType, MaintenanceRun, PdfCrawl, SingleCrawl, SiteCrawl
from crawl_api.names import MAX_JOB_NAME
from crawl_api.notify import MAX_WEBHOOKS, Webhook
from crawl_api.options import ExtractOptions, FetchOptions
from crawl_api.output import OutputOptions
from crawl_api.worker_options import WorkerOptions

_YEAR = 366 * 86400


class RetryOptions(SpecModel):
    """When a failed attempt is repeated: after initial * multiplier^(n-1) seconds for the nth, at most the maximum."""

    max_attempts: Annotated[int, Field(ge=1, le=20)] = 3
    """Attempts in all; those that the cluster itself ended (a lost node, an eviction) do not count."""
    initial_delay_seconds: Annotated[int, Field(ge=0, le=86400)] = 30
    """Pause after the first failed attempt."""
    backoff_multiplier: Annotated[float, Field(ge=1, le=10)] = 2
    """How much longer each pause is than the one before."""
    max_delay_seconds: Annotated[int, Field(ge=0, le=86400)] = 300
    """Longest pause, jitter aside; only a site's Retry-After may make it longer."""
    jitter: bool = True
    """Add up to a tenth, the same for the same job and attempt, so that jobs do not retry in step."""


class DependencyCondition(StrEnum):
    """What must have come of another job."""

    COMPLETE = "Complete"
    FINISHED = "Finished"


class Dependency(SpecModel):
    """Another CrawlJob of the namespace, to be waited for."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=MAX_JOB_NAME)]
    """Its name; it need not exist yet."""
    condition: DependencyCondition = DependencyCondition.COMPLETE
    """`Complete`: it must end well, or this job fails. `Finished`: any end will do."""


class Ttl(SpecModel):
    """How long things are kept after the job's end, in seconds."""

    result_seconds: Annotated[int, Field(ge=0, le=_YEAR)] = 3600
    """The stored result and the copy of it in the status."""
    completed_seconds: Annotated[int, Field(ge=0, le=_YEAR)] = 86400
    """The job itself, where it is Completed, PartialSuccess or Cancelled."""
    failed_seconds: Annotated[int, Field(ge=0, le=_YEAR)] = 604800
    """The job itself, where it is Failed."""
    dead_letter_seconds: Annotated[int, Field(ge=0, le=_YEAR)] | None = None
    """The job itself, where it is a DeadLetter. Unset: until a person deletes it or runs it again."""


class CrawlJobSpec(SpecModel):
    """What is to be crawled, and how."""

    type: JobType
    """What the job does; the member of the same name must be set."""
    single: SingleCrawl | None = None
    """For type Single."""
    batch: BatchCrawl | None = None
    """For type Batch."""
    site: SiteCrawl | None = None
    """For type Site."""
    pdf: PdfCrawl | None = None
    """For type Pdf."""
    maintenance: MaintenanceRun | None = None
    """For type Maintenance."""
    custom: CustomCrawl | None = None
    """For type Custom."""
    display_name: Annotated[str, StringConstraints(max_length=253)] = ""
    """Free text for people; the object's name stays a DNS label."""
    fetch: FetchOptions = FetchOptions()
    """How pages are fetched."""
    extract: ExtractOptions = ExtractOptions()
    """What is taken from each page."""
    output: OutputOptions = OutputOptions()
    """Form and place of the result."""
    priority: Priority = Priority.NORMAL
    """Order of service when capacity is short. It may change until the job runs."""
    retry: RetryOptions = RetryOptions()
    """What happens after a failed attempt."""
    timeout_seconds: Annotated[int, Field(ge=1, le=86400)] = 300
    """Time limit of one attempt. What is done by then is kept."""
    scheduled_at: Time | None = None
    """Not before this time; the job is Delayed until then."""
    depends_on: Annotated[
        tuple[Dependency, ...],
        Field(
            max_length=32,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """Jobs that must have ended before this one starts."""
    suspend: bool = False
    """While true, nothing runs: a running worker hands back what it has, and another goes on from there later."""
    cancel: bool = False
    """True ends the job for good; a running worker is stopped first. Finished jobs stay as they are."""
    ttl: Ttl = Ttl()
    """How long the job and its result are kept after the end. It may change at any time."""
    notify: Annotated[
        tuple[Webhook, ...],
        Field(
            max_length=MAX_WEBHOOKS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["url"]},
        ),
    ] = ()
    """Who is told how the job has ended, by the gateway, where one runs. It may change at any time."""
    worker: WorkerOptions = WorkerOptions()
    """The pod that does the work."""
    metadata: Annotated[dict[str, Any], Field(max_length=64)] = {}
    """Any JSON, for the user's own purposes: returned unchanged, without effect on the crawl."""

    @model_validator(mode="after")
    def _union(self) -> Self:
        for job_type in JobType:
            member = job_type.value.lower()
            if (getattr(self, member) is not None) != (job_type is self.type):
                raise ValueError(union_message(job_type))
        return self

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs that the job lists, in order; none where it finds them on its way."""
        match self:
            case CrawlJobSpec(single=SingleCrawl(url=url)):
                return (url,)
            case CrawlJobSpec(batch=BatchCrawl(urls=urls)) | CrawlJobSpec(pdf=PdfCrawl(urls=urls)):
                return urls
            case _:
                return ()


def union_message(job_type: JobType) -> str:
    """Say the rule of the union for one type, in the same words on the client and on the API server."""
    return f"{job_type.value.lower()} must be set when type is {job_type.value}, and only then"
