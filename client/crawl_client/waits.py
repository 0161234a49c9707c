"""The one reason why a job is not running, its place in line, and what would help."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from crawl_api.enums import Phase, Priority
from crawl_client.filters import Filter
from crawl_client.jobs import Jobs
from crawl_client.models import Job
from crawl_client.stats import UNSEEN_SECONDS

AGEING: Final = 600.0
"""Seconds of waiting for which a job is served one class higher: the operator's default (`limits.ageingSeconds`)."""

_IN_LINE: Final = frozenset({"ConcurrencyLimit", "NamespaceQuota"})
_HELP: Final = {
    "AwaitingOperator": "see that the operator runs and serves this namespace: kubectl crawl doctor",
    "StartTimeNotReached": "it starts by itself; spec.scheduledAt cannot be changed, create another job to run now",
    "DependencyNotMet": "it starts when those have ended; if one does not exist, create it or cancel this job",
    "RetryBackoff": "it is tried again by itself; spec.retry sets the pauses of new jobs",
    "Suspended": "let it go on: kubectl crawl resume {name}",
    "ConcurrencyLimit": "raise its priority (kubectl crawl update {name} --priority High), or limits.running",
    "NamespaceQuota": "wait for other jobs of the namespace, or have limits.runningPerNamespace raised",
    "PodUnschedulable": "no node has room for its worker: add nodes, or ask for less in spec.worker.resources",
    "WorkerSuspended": "Kueue holds its batch Job: see the queue that its label names",
    "ImagePullFailed": "the worker's image cannot be had: check its name and the rights to pull it",
    "WorkerNotStartable": "a Secret or setting of the worker is missing: kubectl describe the worker's pod",
    "WorkerRefused": "the cluster refuses the worker (a quota or policy): its message says which",
}


@dataclass(frozen=True)
class Why:
    """Why a job is where it is."""

    job: Job
    reason: str
    """One word for machines."""
    message: str
    """A sentence for people."""
    help: str = ""
    """What would help; empty where nothing is needed."""
    position: int | None = None
    """Its place among those that wait for a place to run, from 1; None where it does not."""
    served_higher_in: timedelta | None = None
    """When it is served one class higher, by the operator's default."""

    @property
    def text(self) -> str:
        """All of it in a line or two."""
        if self.job.finished:
            return f"{self.job.name} ended {self.job.phase}: {self.message or self.reason}"
        if self.job.phase is Phase.PROCESSING:
            return f"{self.job.name} runs on {self.job.worker}: {self.job.percent}% done"
        line = f", {_ordinal(self.position)} in line" if self.position else ""
        higher = f", served one class higher in {_shown(self.served_higher_in)}" if self.served_higher_in else ""
        message = (self.message or "no operator has said why").rstrip(".")
        return f"{self.job.name} waits: {message} ({self.reason}){line}{higher}."


async def why(jobs: Jobs, name: str, namespace: str | None = None) -> Why:
    """Say why a job is where it is.

    Its place in line is counted in its namespace, by the operator's rule: class, then age.

    Raises:
        NotFoundError: there is no such job.
    """
    job = await jobs.get(name, namespace)
    now = datetime.now(UTC)
    scheduled, reconciling = job.condition("Scheduled"), job.condition("Reconciling")
    if job.finished or job.phase is Phase.PROCESSING:
        failed = job.condition("Failed") or job.condition("Complete") or reconciling
        message = job.last_error or failed.get("message", "")
        return Why(job, failed.get("reason", ""), message, _after(job))
    said = scheduled if scheduled.get("status") == "False" else reconciling
    reason = said.get("reason", "AwaitingOperator")
    waited = (now - job.created).total_seconds()
    if reason == "AwaitingOperator" and waited < UNSEEN_SECONDS:
        return Why(job, reason, "it was created a moment ago and takes its turn", "ask again in a few seconds")
    position = await _position(jobs, job, now) if reason in _IN_LINE else None
    higher = None
    if position and job.priority.served_as(waited, AGEING) > Priority.HIGH.rank:
        higher = timedelta(seconds=round(AGEING - waited % AGEING))
    return Why(job, reason, said.get("message", ""), _HELP.get(reason, "").format(name=job.name), position, higher)


async def _position(jobs: Jobs, job: Job, now: datetime) -> int:
    own = _turn(job, now)
    ahead = 0
    async for other in jobs.iterate(Filter(phase=Phase.PENDING), job.namespace):
        in_line = other.condition("Scheduled").get("reason") in _IN_LINE or not other.condition("Scheduled")
        ahead += in_line and other.name != job.name and _turn(other, now) < own
    return ahead + 1


def _turn(job: Job, now: datetime) -> tuple[int, datetime, str]:
    return job.priority.served_as((now - job.created).total_seconds(), AGEING), job.created, job.name


def _after(job: Job) -> str:
    if job.dead or job.phase is Phase.FAILED:
        return f"when its cause is gone, run it again: kubectl crawl requeue {job.name}"
    return ""


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _shown(span: timedelta) -> str:
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    return f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"
