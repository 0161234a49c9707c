"""What is sent to `/workers/…` → jobs and schedules."""

import math
from typing import Any, Final

from crawl_api.options import CacheMode
from crawl_client import dialects
from crawl_client.errors import ValidationError
from crawl_client.requested import NewJob, NewSchedule, Options, batch, custom, maintenance, pdf, schedule, single
from crawl_gateway.dialects.words import told
from crawl_gateway.dialects.workers.models import (
    BatchCrawlJob,
    CrawlSettings,
    CreateScheduledJobRequest,
    CustomJob,
    MaintenanceJob,
    PdfJob,
    RetryConfig,
    SingleCrawlJob,
    SubmitJobRequest,
    TaggedJob,
)

_MOST_CONCURRENT: Final = 100
_RETRY: Final = {
    "max_attempts": "max_attempts",
    "initial_delay_secs": "initial_delay_seconds",
    "backoff_multiplier": "backoff_multiplier",
    "max_delay_secs": "max_delay_seconds",
    "use_jitter": "jitter",
}


def new_job(request: SubmitJobRequest) -> NewJob:
    """Return the job that is asked for.

    Raises:
        ValidationError: with all that is wrong with it.
    """
    options = _options(request.priority, request.retry_config, request.metadata)
    if request.scheduled_at is not None:
        options["scheduled_at"] = request.scheduled_at
    if request.timeout_secs is not None:
        options["timeout_seconds"] = request.timeout_secs
    return _of_type(request.job_type, options)


def new_schedule(request: CreateScheduledJobRequest) -> NewSchedule:
    """Return the schedule that is asked for.

    Raises:
        ValidationError: with all that is wrong with it.
    """
    job = _of_type(request.job_template, _options(request.priority, request.retry_config, request.metadata))
    return schedule(request.name, request.cron_expression, job, enabled=request.enabled is not False)


def _options(priority: str | int | None, retry: RetryConfig | None, metadata: dict[str, Any] | None) -> Options:
    options: Options = {}
    if priority is not None:
        options["priority"] = priority
    if retry is not None:
        given = {_RETRY[name]: value for name, value in retry if value is not None}
        options["retry"] = {
            name: math.ceil(value) if name.endswith("seconds") else value for name, value in given.items()
        }
    if metadata:
        options["metadata"] = metadata
    return options


def _of_type(wanted: TaggedJob, options: Options) -> NewJob:
    match wanted:
        case BatchCrawlJob(urls=urls):
            return batch(urls, **_fetched(options, wanted.options))
        case SingleCrawlJob(url=url):
            return single(url, **_fetched(options, wanted.options))
        case PdfJob(url=url, urls=urls):
            limit = wanted.options.max_size_bytes if wanted.options is not None else None
            return pdf([url, *urls] if url else urls, max_bytes=limit, **_fetched(options, wanted.options))
        case MaintenanceJob(task_type=task, parameters=parameters):
            return maintenance(task, parameters, **options)
        case CustomJob(job_name=name, payload=payload):
            return custom(name, told(payload), **options)


def _fetched(options: Options, crawl: CrawlSettings | None) -> Options:
    """Return the options with what a crawl is told besides; nothing where that is left to defaults."""
    if crawl is None:
        return options
    fetch: dict[str, Any] = {}
    if crawl.concurrency is not None:
        fetch["concurrency"] = min(crawl.concurrency, _MOST_CONCURRENT)
    if crawl.cache_mode is not None:
        fetch["cache_mode"] = _cache_mode(crawl.cache_mode)
    if crawl.timeout_secs is not None:
        fetch["timeout_seconds"] = crawl.timeout_secs
    return {**options, "fetch": fetch} if fetch else options


def _cache_mode(word: str) -> CacheMode:
    for mode in CacheMode:
        if dialects.plain(mode) == dialects.plain(word):
            return mode
    known = "none, read, write, read_write and read_through"
    raise ValidationError([f"options.cache_mode: {word!r} is no cache mode; there are {known}"])
