"""Jobs, schedules and numbers → what `/workers/…` answers, in the words of its server or of its client."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from crawl_api.enums import Phase, Priority
from crawl_client.answers import Page
from crawl_client.errors import AppError
from crawl_client.models import Job, Schedule
from crawl_client.results import Result
from crawl_client.stats import QueueStats, WorkerStats
from crawl_client.timetables import next_runs
from crawl_gateway.dialects.words import TYPES
from crawl_gateway.dialects.workers.models import (
    JobListItem,
    JobListResponse,
    JobResultResponse,
    JobStatusResponse,
    MetricsResponse,
    QueueStatsResponse,
    ScheduledJobResponse,
    SubmitJobResponse,
    WorkerPoolStatsResponse,
)
from crawl_gateway.statistics import Statistics


@dataclass(frozen=True)
class Words:
    """One of the two ways to say states and priorities."""

    states: Mapping[Phase, str]
    priorities: Mapping[Priority, str]


SERVER: Final = Words(
    {
        Phase.PENDING: "Pending",
        Phase.DELAYED: "Delayed",
        Phase.SUSPENDED: "Delayed",
        Phase.PROCESSING: "Processing",
        Phase.RETRY: "Retry",
        Phase.COMPLETED: "Completed",
        Phase.PARTIAL_SUCCESS: "Completed",
        Phase.FAILED: "Failed",
        Phase.DEAD_LETTER: "Failed",
        Phase.CANCELLED: "Failed",
    },
    {priority: priority.value for priority in Priority},
)
"""As the server has them, below `/workers`."""

CLIENT: Final = Words(
    {
        Phase.PENDING: "pending",
        Phase.DELAYED: "delayed",
        Phase.SUSPENDED: "delayed",
        Phase.PROCESSING: "processing",
        Phase.RETRY: "retry",
        Phase.COMPLETED: "completed",
        Phase.PARTIAL_SUCCESS: "completed",
        Phase.FAILED: "failed",
        Phase.DEAD_LETTER: "dead_letter",
        Phase.CANCELLED: "cancelled",
    },
    {priority: priority.lower() for priority in Priority},
)
"""As the Python client has them, below `/api/v1/workers`."""


def submitted(job: Job) -> SubmitJobResponse:
    """Answer a submission."""
    return SubmitJobResponse(job_id=job.uid, submitted_at=job.submitted)


def status(job: Job, words: Words) -> JobStatusResponse:
    """Answer where a job stands."""
    return JobStatusResponse(
        job_id=job.uid,
        status=words.states[job.phase],
        created_at=job.submitted,
        started_at=job.started,
        completed_at=job.completed,
        worker_id=job.worker or None,
        retry_count=job.retries,
        last_error=_error(job) or None,
        processing_time_ms=job.processing_time_ms,
        metadata=job.raw["spec"].get("metadata") or {},
        next_retry_at=job.next_retry,
        progress=job.percent,
    )


def row(job: Job, words: Words) -> JobListItem:
    """Answer a job as a row of a list."""
    return JobListItem(
        job_id=job.uid,
        job_type=TYPES[job.type],
        status=words.states[job.phase],
        priority=words.priorities[job.priority],
        created_at=job.submitted,
        started_at=job.started,
        completed_at=job.completed,
        worker_id=job.worker or None,
        retry_count=job.retries,
    )


def listed(page: Page[Job], words: Words) -> JobListResponse:
    """Answer a page of jobs."""
    rows = [row(job, words) for job in page.items]
    return JobListResponse(jobs=rows, total=page.total, limit=page.limit, offset=page.offset)


def result(job: Job, came_to: Result) -> JobResultResponse:
    """Answer what a job came to."""
    took = came_to.processing_time_ms
    return JobResultResponse(
        job_id=job.uid,
        success=came_to.success,
        data=_data(job, came_to),
        error=came_to.error or (None if came_to.success else _error(job) or None),
        processing_time_ms=took if took is not None else job.processing_time_ms or 0,
        worker_id=came_to.worker_id,
        completed_at=came_to.completed_at or job.completed or job.updated,
    )


def _data(job: Job, came_to: Result) -> dict[str, Any] | None:
    progress = job.progress
    data = {
        "total_urls": progress.get("total", 0),
        "successful": progress.get("succeeded", 0),
        "failed": progress.get("failed", 0),
        "from_cache": progress.get("fromCache", 0),
        "results": came_to.data,
        "result_url": came_to.url,
    }
    found = {name: value for name, value in data.items() if value not in (None, "")}
    return found if came_to.success or came_to.items else None


def _error(job: Job) -> str:
    return "cancelled" if job.phase is Phase.CANCELLED else job.last_error


def queue(stats: QueueStats) -> QueueStatsResponse:
    """Answer how many jobs stand where."""
    return QueueStatsResponse(total=stats.total, **_sizes(stats))


def _sizes(stats: QueueStats) -> dict[str, int]:
    names = ("pending", "processing", "completed", "failed", "retry", "delayed", "dead_letter")
    return {name: getattr(stats, name) for name in names}


def pool(stats: WorkerStats) -> WorkerPoolStatsResponse:
    """Answer who works."""
    return WorkerPoolStatsResponse.model_validate(stats, from_attributes=True)


def metrics(found: Statistics) -> MetricsResponse:
    """Answer the numbers of the jobs that there are."""
    took = found.processing_ms
    return MetricsResponse(
        jobs_submitted=found.queue.total,
        jobs_completed=found.queue.completed,
        jobs_failed=found.queue.failed,
        jobs_retried=found.retries,
        jobs_dead_letter=found.queue.dead_letter,
        avg_processing_time_ms=round(took.get("average", 0), 1),
        p50_processing_time_ms=took.get("p50", 0),
        p95_processing_time_ms=took.get("p95", 0),
        p99_processing_time_ms=took.get("p99", 0),
        success_rate=round(found.success_rate, 2),
        jobs_by_type={TYPES[job_type]: number for job_type, number in found.queue.by_type.items()},
        queue_sizes=_sizes(found.queue),
        timestamp=found.at,
    )


def scheduled(schedule: Schedule, words: Words, now: datetime) -> ScheduledJobResponse:
    """Answer a schedule; its next run is computed while no operator has said it."""
    template = schedule.raw["spec"]["jobTemplate"]["spec"]
    return ScheduledJobResponse(
        id=schedule.uid,
        name=schedule.display_name,
        cron_expression=schedule.cron,
        enabled=schedule.enabled,
        priority=words.priorities[Priority(template.get("priority", Priority.NORMAL))],
        created_at=schedule.created,
        last_executed_at=schedule.last_run,
        next_execution_at=_next(schedule, now),
        execution_count=schedule.runs,
    )


def _next(schedule: Schedule, now: datetime) -> datetime | None:
    if not schedule.enabled or schedule.next_run is not None:
        return schedule.next_run if schedule.enabled else None
    try:
        return next(iter(next_runs(schedule.cron, schedule.zone, count=1, after=now)), None)
    except AppError:  # made past the API's own checks: its conditions say so
        return None


def all_scheduled(schedules: Iterable[Schedule], words: Words, now: datetime) -> list[ScheduledJobResponse]:
    """Answer schedules, the newest first."""
    newest = sorted(schedules, key=lambda each: (each.created, each.name), reverse=True)
    return [scheduled(each, words, now) for each in newest]
