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
from crawl_gateway.v1 import examples
from crawl_gateway.v1.examples import Example


class Model(BaseModel):
    """A body; camelCase on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True)


def shown(example: Example) -> ConfigDict:
    """Document a model by an example."""
    return ConfigDict(json_schema_extra={"examples": [example]})


class Metadata(Model):
    """Metadata of an object that is made."""

    name: Annotated[str, Field(max_length=63)] | None = None
    """Unique among those of its kind in its namespace; given by the gateway if there is none."""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class NewCrawlJob(Model):
    """A job to be made: a CrawlJob as `kubectl apply` takes it, of which all but `spec` may be left out."""

    model_config = shown(examples.NEW_JOB)

    metadata: Metadata = Metadata()
    spec: CrawlJobSpec


class NewScheduledCrawlJob(Model):
    """A schedule to be made: a ScheduledCrawlJob as `kubectl apply` takes it."""

    model_config = shown(examples.NEW_SCHEDULE)

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

    model_config = shown(examples.JOB)

    api_version: str = API_VERSION
    kind: str = KIND
    metadata: ObjectMetadata
    spec: CrawlJobSpec
    status: CrawlJobStatus = CrawlJobStatus()


class ScheduledCrawlJob(Model):
    """A schedule."""

    model_config = shown(examples.SCHEDULE)

    api_version: str = API_VERSION
    kind: str = SCHEDULE_KIND
    metadata: ObjectMetadata
    spec: ScheduledCrawlJobSpec
    status: ScheduledCrawlJobStatus = ScheduledCrawlJobStatus()


class CrawlJobList(Model):
    """A page of a list of jobs. They lack what is long: data of results, errors, attempts, history."""

    model_config = shown(examples.JOBS)

    items: list[CrawlJob]
    total: int
    """How many there are in all."""
    cursor: str
    """For the page after this one; empty where there is none."""
    resource_version: str
    """Events can be followed from here on."""


class ScheduledCrawlJobList(Model):
    """All schedules."""

    model_config = shown({"items": [examples.SCHEDULE]})

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

    model_config = shown({"items": [examples.NEW_JOB]})

    items: Annotated[list[NewCrawlJob], Field(min_length=1)]


class Outcome(Model):
    """What came of many."""

    model_config = shown(examples.OUTCOME)

    done: list[CrawlJob]
    failed: list[Failure]


class Reason(Model):
    """Why a job is where it is."""

    model_config = shown(examples.REASON)

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

    model_config = shown(examples.NEXT_RUNS)

    items: list[datetime]


class Triggered(Model):
    """A run that was asked for."""

    model_config = shown(examples.TRIGGERED)

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

    model_config = shown(examples.GRAPH)

    items: Annotated[list[NewCrawlJob], Field(min_length=1)]
    edges: list[Edge] = []


class JobResult(Model):
    """What the last attempt of a job came to."""

    model_config = shown(examples.RESULT)

    job: str
    success: bool
    namespace: str
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

    model_config = shown(examples.STATISTICS)

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
