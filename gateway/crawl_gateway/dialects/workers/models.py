"""What is sent to `/workers/…` and what is answered; names as their clients have them. Unknown members are ignored."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from crawl_api.base import Time

BATCH_EXAMPLE: Final[JsonDict] = {
    "type": "batch_crawl",
    "urls": ["https://example.org/", "https://example.org/about"],
    "options": {"concurrency": 2, "cache_mode": "read_through"},
}


class Wire(BaseModel):
    """A piece of a request or an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)


class CrawlSettings(Wire):
    """How pages are fetched."""

    concurrency: int | None = None
    """Requests in flight at once; the administrator's limit caps it."""
    cache_mode: str | None = None
    """none, read, write, read_write or read_through."""
    timeout_secs: int | None = None
    """Time limit of one page."""


class BatchCrawlJob(Wire):
    """Fetch a list of URLs."""

    type: Literal["batch_crawl"]
    urls: list[str]
    options: CrawlSettings | None = None


class SingleCrawlJob(Wire):
    """Fetch one URL."""

    type: Literal["single_crawl"]
    url: str
    options: CrawlSettings | None = None


class PdfSettings(CrawlSettings):
    """How PDF files are fetched."""

    max_size_bytes: int | None = None
    """A larger file is an error."""


class PdfJob(Wire):
    """Read PDF files."""

    type: Literal["pdf"]
    url: str | None = None
    """One file."""
    urls: list[str] = []
    """Several."""
    options: PdfSettings | None = None


class MaintenanceJob(Wire):
    """Look after what crawls leave behind."""

    type: Literal["maintenance"]
    task_type: str
    """cache_cleanup, result_cleanup, health_check or list_processors."""
    parameters: dict[str, Any] | None = None


class CustomJob(Wire):
    """Run a processor of somebody's own."""

    type: Literal["custom"]
    job_name: str
    """The processor's name."""
    payload: Any = None
    """What it is told: parameters by name."""


TaggedJob = Annotated[BatchCrawlJob | SingleCrawlJob | PdfJob | MaintenanceJob | CustomJob, Field(discriminator="type")]


class RetryConfig(Wire):
    """What happens after a failed attempt; what is left out keeps its default."""

    max_attempts: int | None = None
    """Attempts in all; 3."""
    initial_delay_secs: float | None = None
    """Pause after the first; 30."""
    backoff_multiplier: float | None = None
    """How much longer each pause is than the one before; 2."""
    max_delay_secs: float | None = None
    """Longest pause; 300."""
    use_jitter: bool | None = None
    """Add up to a tenth; true."""


class SubmitJobRequest(Wire):
    """A job to be run."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"job_type": BATCH_EXAMPLE, "priority": "High"}]})

    job_type: TaggedJob
    priority: str | int | None = None
    """Low, Normal, High or Critical in any case; or 1 to 10, larger is more urgent."""
    retry_config: RetryConfig | None = None
    metadata: dict[str, Any] | None = None
    """Any JSON by name, returned unchanged."""
    scheduled_at: Time | None = None
    """Not before this time."""
    timeout_secs: int | None = None
    """Time limit of one attempt; 300."""


class SubmitJobResponse(Wire):
    """A job has been stored."""

    job_id: str
    """A UUID."""
    status: Literal["submitted"] = "submitted"
    submitted_at: Time
    message: str = "Job submitted successfully"


class JobStatusResponse(Wire):
    """Where a job stands."""

    job_id: str
    status: str
    created_at: Time
    started_at: Time | None
    completed_at: Time | None
    worker_id: str | None
    retry_count: int
    last_error: str | None
    processing_time_ms: int | None
    metadata: dict[str, Any]
    next_retry_at: Time | None
    progress: int
    """Percent."""


class JobListItem(Wire):
    """A row of a list."""

    job_id: str
    job_type: str
    """batch_crawl, single_crawl, site_crawl, pdf, maintenance or custom."""
    status: str
    priority: str
    created_at: Time
    started_at: Time | None
    completed_at: Time | None
    worker_id: str | None
    retry_count: int


class JobListResponse(Wire):
    """A page of jobs, the newest first."""

    jobs: list[JobListItem]
    total: int
    """Jobs that are meant, on all pages."""
    limit: int
    offset: int


class JobResultResponse(Wire):
    """What a job came to."""

    job_id: str
    success: bool
    data: dict[str, Any] | None
    """Pages in all (`total_urls`), `successful`, `failed` and `from_cache`; the records as `results` where they are
    few; `result_url` where they are stored."""
    error: str | None
    processing_time_ms: int
    worker_id: str
    """`unknown` where no worker had it."""
    completed_at: Time


class QueueStatsResponse(Wire):
    """Jobs by where they stand."""

    pending: int
    processing: int
    completed: int
    failed: int
    """Dead letters and cancelled ones too."""
    retry: int
    delayed: int
    """Suspended ones too."""
    total: int
    """The sum of the six."""
    dead_letter: int
    """Part of `failed`."""


class WorkerPoolStatsResponse(Wire):
    """Workers and what came of their work."""

    total_workers: int
    healthy_workers: int
    total_jobs_processed: int
    total_jobs_failed: int
    is_running: bool


class CreateScheduledJobRequest(Wire):
    """Jobs to be made by a cron line."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "daily_crawl", "cron_expression": "0 2 * * *", "job_template": BATCH_EXAMPLE}]
        }
    )

    name: str
    cron_expression: str
    """Five fields, in UTC."""
    job_template: TaggedJob
    priority: str | int | None = None
    """Of each job."""
    enabled: bool | None = None
    """Whether it makes jobs; true."""
    retry_config: RetryConfig | None = None
    """Of each job."""
    metadata: dict[str, Any] | None = None
    """Of each job."""


class ScheduledJobResponse(Wire):
    """A schedule."""

    id: str
    """A UUID."""
    name: str
    cron_expression: str
    enabled: bool
    priority: str
    created_at: Time
    last_executed_at: Time | None
    next_execution_at: Time | None
    """None while it is disabled."""
    execution_count: int


class MetricsResponse(Wire):
    """Numbers of the jobs that there are; average and percentiles over the last 1,000 that have ended, exact."""

    jobs_submitted: int
    jobs_completed: int
    jobs_failed: int
    """Dead letters and cancelled ones too."""
    jobs_retried: int
    """Attempts that were, or will be, repeated."""
    jobs_dead_letter: int
    avg_processing_time_ms: float
    p50_processing_time_ms: float
    p95_processing_time_ms: float
    p99_processing_time_ms: float
    success_rate: float
    """Completed of submitted, in percent."""
    jobs_by_type: dict[str, int]
    queue_sizes: dict[str, int]
    timestamp: Time
