"""Crawls on Kubernetes from Python: submit jobs, wait for them, read their results.

    from crawl_client import CrawlClient, single

    async with CrawlClient() as client:
        job = await client.jobs.submit(single("https://example.org/"))
        await client.wait(job.name)

Names are loaded when they are first used: the import itself takes milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from crawl_api.enums import JobType, Phase, Priority
    from crawl_client.answers import Envelope, Event, Failure, Outcome, Page, enveloped
    from crawl_client.client import CrawlClient
    from crawl_client.errors import (
        APIError,
        AppError,
        AuthenticationError,
        ConfigurationError,
        ConflictError,
        ForbiddenError,
        JobFailedError,
        NotFoundError,
        QueueFullError,
        RateLimitError,
        ResultUnavailableError,
        TimeoutError,  # noqa: A004 - the name that clients of such APIs expect
        UnavailableError,
        ValidationError,
    )
    from crawl_client.filters import Filter
    from crawl_client.frames import to_arrow, to_pandas
    from crawl_client.graphs import Graph
    from crawl_client.models import Job, Schedule
    from crawl_client.requested import NewJob, NewSchedule, batch, custom, maintenance, pdf, schedule, single, site
    from crawl_client.results import Result
    from crawl_client.stats import Health, QueueStats, WorkerStats
    from crawl_client.tasks import TaskClient
    from crawl_client.timetables import next_runs
    from crawl_client.waits import Why
    from crawl_client.workers import Worker

_PLACES: Final = {
    "crawl_api.enums": ("JobType", "Phase", "Priority"),
    "crawl_client.client": ("CrawlClient",),
    "crawl_client.errors": (
        "APIError",
        "AppError",
        "AuthenticationError",
        "ConfigurationError",
        "ConflictError",
        "ForbiddenError",
        "JobFailedError",
        "NotFoundError",
        "QueueFullError",
        "RateLimitError",
        "ResultUnavailableError",
        "TimeoutError",
        "UnavailableError",
        "ValidationError",
    ),
    "crawl_client.frames": ("to_arrow", "to_pandas"),
    "crawl_client.graphs": ("Graph",),
    "crawl_client.filters": ("Filter",),
    "crawl_client.answers": ("Envelope", "Event", "Failure", "Outcome", "Page", "enveloped"),
    "crawl_client.models": ("Job", "Schedule"),
    "crawl_client.requested": (
        "NewJob",
        "NewSchedule",
        "batch",
        "custom",
        "maintenance",
        "pdf",
        "schedule",
        "single",
        "site",
    ),
    "crawl_client.results": ("Result",),
    "crawl_client.stats": ("Health", "QueueStats", "WorkerStats"),
    "crawl_client.tasks": ("TaskClient",),
    "crawl_client.timetables": ("next_runs",),
    "crawl_client.waits": ("Why",),
    "crawl_client.workers": ("Worker",),
}
_PLACE_OF: Final = {name: place for place, names in _PLACES.items() for name in names}

__all__ = [
    "APIError",
    "AppError",
    "AuthenticationError",
    "ConfigurationError",
    "ConflictError",
    "CrawlClient",
    "Envelope",
    "Event",
    "Failure",
    "Filter",
    "ForbiddenError",
    "Graph",
    "Health",
    "Job",
    "JobFailedError",
    "JobType",
    "NewJob",
    "NewSchedule",
    "NotFoundError",
    "Outcome",
    "Page",
    "Phase",
    "Priority",
    "QueueFullError",
    "QueueStats",
    "RateLimitError",
    "Result",
    "ResultUnavailableError",
    "Schedule",
    "TaskClient",
    "TimeoutError",
    "UnavailableError",
    "ValidationError",
    "Why",
    "Worker",
    "WorkerStats",
    "batch",
    "custom",
    "enveloped",
    "maintenance",
    "next_runs",
    "pdf",
    "schedule",
    "single",
    "site",
    "to_arrow",
    "to_pandas",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_PLACE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_PLACE_OF)
