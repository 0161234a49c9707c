"""Prometheus metrics of what happens, each fed where it happens. What is so at a moment is read in `gauges.py`.

All counters run from the start of the process. Labels are words of a closed list, never a name, a namespace or a URL.
`docs/metrics.md` lists every metric.
"""

import asyncio
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from crawl_api.crawljob import Priority
from crawl_api.job_types import JobType
from crawl_api.schedule import ScheduledCrawlJobStatus
from crawl_api.status import CrawlJobStatus, Phase
from crawl_operator.decide.model import Job
from crawl_operator.decide.schedule import REASONS

disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the series of every counter and histogram

_PREFIX: Final = "crawl_operator"
_JOB_SECONDS: Final = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_CALL_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)
_LATE_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
_LAG_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_LAG_INTERVAL: Final = 0.5


class Metrics:
    """The metrics of one operator, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        build = Info(f"{_PREFIX}_build", "The operator's version.", registry=self.registry)
        build.info({"version": version("crawl-operator")})
        self._submitted = self._jobs("submitted", "Jobs accepted: the operator's first write to their status.")
        self._ended = {
            Phase.COMPLETED: self._jobs("completed", "Jobs that ended with all their pages."),
            Phase.PARTIAL_SUCCESS: self._jobs("partial", "Jobs that ended with some of their pages."),
            Phase.FAILED: self._jobs("failed", "Jobs that failed for good, refused ones included."),
            Phase.DEAD_LETTER: self._jobs("dead_letter", "Jobs whose attempts are used up."),
            Phase.CANCELLED: self._jobs("cancelled", "Jobs that a person has stopped."),
        }
        self._retried = self._jobs("retried", "Attempts that ended and are repeated, whoever was to blame.")
        self._processing = self._histogram(
            "job_processing_seconds", "Time from a job's start to its end.", ("type",), _JOB_SECONDS
        )
        for kind in JobType:
            self._processing.labels(kind)
        self._rounds = self._histogram("reconcile_duration_seconds", "Time of one round of one job.", (), _CALL_SECONDS)
        self._round_errors = self._counter(
            "reconcile_errors", "Rounds that failed and are repeated; a conflict is a job changed meanwhile.", "reason"
        )
        for reason in ("conflict", "api", "unexpected"):
            self._round_errors.labels(reason)
        self._calls = self._counter(
            "api_requests",
            "Requests to the Kubernetes API, watches aside; the code is `none` where no answer came.",
            "verb",
            "resource",
            "code",
        )
        self._call_seconds = self._histogram(
            "api_request_duration_seconds",
            "Time until the Kubernetes API had answered, watches aside.",
            ("verb", "resource"),
            _CALL_SECONDS,
        )
        self._missed = self._counter(
            "watch_missed_changes", "Changes that a list showed and the watch had not.", "resource"
        )
        self._runs = self._counter("schedule_runs", "Runs made, by what asked for them.", "trigger")
        for trigger in ("Schedule", "Manual"):
            self._runs.labels(trigger)
        self._slots_missed = self._counter(
            "schedule_missed_runs", "Times at which a run was due and none was made.", "reason"
        )
        for reason in REASONS:
            self._slots_missed.labels(reason)
        self._late = self._histogram(
            "schedule_lateness_seconds", "Time from when a run was due until it was made.", (), _LATE_SECONDS
        )
        self._reports = self._counter(
            "worker_reports", "Reports of workers, by the HTTP status they were answered with.", "kind", "code"
        )
        self._downloads = self._counter(
            "downloads", "Requests for results, by the HTTP status they were answered with.", "kind", "code"
        )
        self._lag = self._histogram(
            "event_loop_lag_seconds", "By how much the event loop was late, twice a second.", (), _LAG_SECONDS
        )

    def status_written(self, job: Job, status: CrawlJobStatus) -> None:
        """Count what one write made of a job: the only place where jobs are counted, so each is counted once."""
        kind, priority = str(job.spec.get("type", "")), job.priority
        if job.status.submitted_at is None and status.submitted_at is not None:
            self._submitted.labels(kind, priority).inc()
        if status.phase is Phase.RETRY and job.phase is not Phase.RETRY:
            self._retried.labels(kind, priority).inc()
        if status.phase is job.phase or not status.phase.terminal:
            return
        if ended := self._ended.get(status.phase):
            ended.labels(kind, priority).inc()
        if status.processing_time_ms is not None:
            self._processing.labels(kind).observe(status.processing_time_ms / 1000)

    def schedule_written(self, before: ScheduledCrawlJobStatus, status: ScheduledCrawlJobStatus) -> None:
        """Count what one write made of a schedule: the only place where what it missed is counted."""
        if (missed := status.missed_count - before.missed_count) > 0:
            self._slots_missed.labels(status.last_missed[-1].reason).inc(missed)

    def run_made(self, late: float | None) -> None:
        """Count a run that was made, so many seconds after it was due; None where a person asked for it."""
        self._runs.labels("Manual" if late is None else "Schedule").inc()
        if late is not None:
            self._late.observe(late)

    def reconciled(self, seconds: float, failure: str = "") -> None:
        """Count one round of one job, and in one word why it failed if it did."""
        self._rounds.observe(seconds)
        if failure:
            self._round_errors.labels(failure).inc()

    def api_answered(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Count one request to the Kubernetes API; the code is 0 where no answer came."""
        self._calls.labels(verb, resource, code or "none").inc()
        self._call_seconds.labels(verb, resource).observe(seconds)

    def changes_missed(self, resource: str, count: int) -> None:
        """Count what a watch has missed."""
        self._missed.labels(resource).inc(count)

    def report_answered(self, kind: str, code: int) -> None:
        """Count one report of a worker."""
        self._reports.labels(kind, code).inc()

    def download_answered(self, kind: str, code: int) -> None:
        """Count one request for results."""
        self._downloads.labels(kind, code).inc()

    async def measure_lag(self) -> None:
        """Measure the event loop's lag until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_INTERVAL
            await asyncio.sleep(_LAG_INTERVAL)
            self._lag.observe(max(0.0, loop.time() - due))

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics, and the content type, in the format that an Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", meaning, labels, buckets=buckets, registry=self.registry)

    def _jobs(self, event: str, meaning: str) -> Counter:
        counter = self._counter(f"jobs_{event}", meaning, "type", "priority")
        for kind in JobType:
            for priority in Priority:
                counter.labels(kind, priority)  # from 0 on: a rate over a series that just appeared is lost
        return counter
