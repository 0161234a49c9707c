"""Bodies of requests and answers of `/v1`, for the OpenAPI document."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from crawl_api.crawljob import CrawlJobSpec, DependencyCondition
from crawl_api.enums import Phase, Priority
from crawl_api.names import API_VERSION, KIND, SCHEDULE_KIND
from crawl_api.schedule import ScheduledCrawlJobSpec, ScheduledCrawlJobStatus
from crawl_api.status import CrawlJobStatus


class Model(BaseModel):
    """A body; camelCase on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True)


class Metadata(Model):
    """Metadata of an object that is made."""

    name: Annotated[str, Field(max_length=63)] | None = None
    """Unique among those of its kind in its namespace; given by the gateway if there is none."""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class NewCrawlJob(Model):
    """A job to be made: a CrawlJob as `kubectl apply` takes it, of which all but `spec` may be left out."""

    metadata: Metadata = Metadata()
    spec: CrawlJobSpec


class NewScheduledCrawlJob(Model):
    """A schedule to be made: a ScheduledCrawlJob as `kubectl apply` takes it."""

    metadata: Metadata
    spec: ScheduledCrawlJobSpec


class ObjectMetadata(Metadata):
    """Metadata of an object that there is."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    creation_timestamp: str


class CrawlJob(Model):
    """A job."""

    api_version: str = API_VERSION
    kind: str = KIND
    metadata: ObjectMetadata
    spec: CrawlJobSpec
    status: CrawlJobStatus = CrawlJobStatus()


class ScheduledCrawlJob(Model):
    """A schedule."""

    api_version: str = API_VERSION
    kind: str = SCHEDULE_KIND
    metadata: ObjectMetadata
    spec: ScheduledCrawlJobSpec
    status: ScheduledCrawlJobStatus = ScheduledCrawlJobStatus()


class CrawlJobList(Model):
    """A page of a list of jobs. They lack what is long: data of results, errors, attempts, history."""

    items: list[CrawlJob]
    total: int
    """How many there are in all."""
    cursor: str
    """For the page after this one; empty where there is none."""
    resource_version: str
    """Events can be followed from here on."""


class ScheduledCrawlJobList(Model):
    """All schedules."""

    items: list[ScheduledCrawlJob]


class Trouble(Model):
    """What went wrong."""

    code: str
    """One word for machines."""
    message: str
    """A sentence for people."""
    details: list[str] = []
    """One sentence for each thing that is wrong with what was sent."""
    retry_after_seconds: float = 0
    request_id: str = ""


class Error(Model):
    """The form of all errors."""

    error: Trouble


class Failure(Model):
    """One of many that could not be done."""

    index: int
    """Its place among those that were sent, from 0."""
    name: str
    error: Trouble


class Jobs(Model):
    """Many jobs to be made."""

    items: Annotated[list[NewCrawlJob], Field(min_length=1)]


class Outcome(Model):
    """What came of many."""

    done: list[CrawlJob]
    failed: list[Failure]


class Reason(Model):
    """Why a job is where it is."""

    name: str
    phase: Phase
    reason: str
    """One word for machines."""
    message: str
    help: str
    """What would help; empty where nothing is needed."""
    position: int | None
    """Its place among those that wait for a place to run, from 1."""
    served_higher_in_seconds: float | None
    text: str
    """All of it in a line or two."""


class Changes(Model):
    """What may change of a job after it was made."""

    spec: dict[str, Any]


class NextRuns(Model):
    """When a schedule is due."""

    items: list[datetime]


class Triggered(Model):
    """A run that was asked for."""

    trigger: str
    """What the run will carry in its annotation `crawl-operator.io/trigger`."""


class Ids(Model):
    """Jobs, by any of their ids."""

    ids: Annotated[list[str], Field(min_length=1)]


class Edge(Model):
    """One job waits for another."""

    job: str
    after: str
    condition: DependencyCondition = DependencyCondition.COMPLETE


class JobGraph(Model):
    """Jobs that wait for each other; each has a name."""

    items: Annotated[list[NewCrawlJob], Field(min_length=1)]
    edges: list[Edge] = []


class JobResult(Model):
    """What the last attempt of a job came to."""

    job: str
    success: bool
    items: int
    """Records."""
    bytes: int
    sha256: str
    data: Any
    """The records themselves, where they are few."""
    error: str
    processing_time_ms: int | None
    worker_id: str
    completed_at: datetime | None
    url: str
    """Where the file lies."""


class Statistics(Model):
    """Numbers about the jobs that there are."""

    timestamp: datetime
    jobs: dict[str, Any]
    """total, byPhase, byType, retried, deadLetter, successRate (percent)."""
    queues: dict[Priority, dict[str, int]]
    """waiting and running of each priority."""
    workers: dict[str, Any]
    """active, and items: the workers, the last seen first."""
    processing_ms: dict[str, float]
    """average, p50, p95, p99 of the latest finished jobs, and of how many that is (sample)."""
    finished: dict[str, int]
    """Jobs that ended in the last minute, hour, day."""
    stored_bytes: int
    oldest_unseen_seconds: float
    """For how long a job has waited for any operator to look at it."""


ALL: Final[tuple[type[BaseModel], ...]] = (
    NewCrawlJob,
    NewScheduledCrawlJob,
    CrawlJob,
    ScheduledCrawlJob,
    CrawlJobList,
    ScheduledCrawlJobList,
    Error,
    Jobs,
    Outcome,
    Changes,
    Reason,
    NextRuns,
    Triggered,
    Ids,
    JobGraph,
    JobResult,
    Statistics,
)

EXAMPLE_JOB: Final = {
    "metadata": {"name": "front-page"},
    "spec": {"type": "Single", "single": {"url": "https://example.org/"}, "priority": "High"},
}

EXAMPLE_SCHEDULE: Final = {
    "metadata": {"name": "every-night"},
    "spec": {"schedule": "0 2 * * *", "timeZone": "Europe/Berlin", "jobTemplate": {"spec": EXAMPLE_JOB["spec"]}},
}
EXAMPLE_GRAPH: Final = {
    "items": [EXAMPLE_JOB, {"metadata": {"name": "next"}, "spec": EXAMPLE_JOB["spec"]}],
    "edges": [{"job": "next", "after": "front-page", "condition": "Finished"}],
}
