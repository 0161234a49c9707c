"""A worker runs: the status says so at once, and its progress as often as agreed."""

from datetime import datetime, timedelta
from typing import Final

from crawl_api.crawljob import CrawlJobSpec
from crawl_api.status import MAX_ATTEMPTS, Attempt, Cause, ConditionType, CrawlJobStatus, Execution, Phase, Progress
from crawl_operator.decide.conditions import Conditions
from crawl_operator.decide.model import NOTHING, Child, Observation, Plan, Policy, StopWorker, WorkerPod
from crawl_operator.decide.progress import progress_of

_SECOND: Final = timedelta(seconds=1)

OVERTIME: Final = timedelta(seconds=120)
"""How far beyond the job's time limit a worker may run before the operator ends it: the worker keeps the limit itself,
the cluster enforces it a minute later, and this is for when neither does."""


def accepted(observation: Observation) -> CrawlJobStatus:
    """Bring a status up to what is true of every job the operator has looked at."""
    job = observation.job
    return job.status.model_copy(
        update={
            "observed_generation": job.generation,
            "submitted_at": job.status.submitted_at or job.created,
            "requeued": job.requeue or job.status.requeued,
        }
    )


def run(observation: Observation, spec: CrawlJobSpec, pod: WorkerPod, policy: Policy, now: datetime) -> Plan:
    """Say that the worker runs, or how far it is; end one that runs far beyond its time."""
    status = started(observation, spec, pod, now)
    before = observation.job.status
    if before.phase is not Phase.PROCESSING or before.worker_id != status.worker_id:
        return Plan(status)
    late = deadline(pod, spec)
    if late is not None and now >= late and not pod.deleting:
        return Plan(_overdue(status, pod, spec), stop(observation))
    until_late = (late - now).total_seconds() if late is not None and now < late else None
    report = observation.report
    if report is None:
        return Plan(requeue_after=until_late) if until_late is not None else NOTHING
    status = status.model_copy(
        update={
            "progress": progress_of(status.progress, report),
            "errors": report.errors,
            "error_count": report.error_count,
            "last_error": report.errors[-1].message if report.errors else "",
            "parameters": report.parameters or status.parameters,
        }
    )
    if status == before:
        return Plan(requeue_after=until_late)
    since = (now - before.updated_at).total_seconds() if before.updated_at is not None else policy.progress_interval
    if since < policy.progress_interval:
        return Plan(requeue_after=policy.progress_interval - since)
    return Plan(status, requeue_after=until_late)


def started(observation: Observation, spec: CrawlJobSpec, pod: WorkerPod, now: datetime) -> CrawlJobStatus:
    """Bring a status to what holds from the start of a worker until its end."""
    status = accepted(observation)
    if status.phase is Phase.PROCESSING and status.worker_id == pod.name:
        return status
    begun = precise(pod.started, now) if pod.started is not None else None
    conditions = (
        Conditions(status.conditions, status.observed_generation, now)
        .true(ConditionType.SCHEDULED, "WorkerStarted", f"worker {pod.name} runs")
        .true(ConditionType.RECONCILING, "Crawling", "the crawl is under way")
    )
    attempt = Attempt(
        number=pod.attempt,
        execution=Execution.JOB if observation.batch_jobs else Execution.POD,
        worker=pod.name,
        started_at=begun,
    )
    return status.model_copy(
        update={
            "phase": Phase.PROCESSING,
            "conditions": conditions.all,
            "worker_id": pod.name,
            "started_at": status.started_at or begun,
            "attempts": opened(tuple(each for each in status.attempts if each.number != pod.attempt), attempt),
            "progress": Progress(percent=0, summary="0%", total=len(spec.urls)),
            "next_retry_at": None,
        }
    )


def opened(attempts: tuple[Attempt, ...], attempt: Attempt) -> tuple[Attempt, ...]:
    """Return the attempts with this one among them, if it is not; the oldest make room."""
    if any(each.number == attempt.number for each in attempts):
        return attempts
    return (*attempts[1 - MAX_ATTEMPTS :], attempt)


def stop(observation: Observation) -> tuple[StopWorker, ...]:
    """Return what ends a worker: with a batch Job goes its pod; without one, a pod goes by itself."""
    doomed: tuple[Child, ...] = observation.batch_jobs or observation.pods
    return tuple(StopWorker(child) for child in sorted(doomed, key=lambda child: child.uid) if not child.deleting)


def _overdue(status: CrawlJobStatus, pod: WorkerPod, spec: CrawlJobSpec) -> CrawlJobStatus:
    """Note who ends the worker: it then looks like one that the cluster has ended, and must not be taken for one."""
    *before, last = status.attempts
    message = f"worker {pod.name} ran far beyond the job's timeoutSeconds ({spec.timeout_seconds}) and was ended"
    noted = last.model_copy(update={"cause": Cause.TRANSIENT, "message": message})
    return status.model_copy(update={"attempts": (*before, noted)})


def deadline(pod: WorkerPod, spec: CrawlJobSpec) -> datetime | None:
    """Return when a worker is ended by the operator itself; None while it has not started."""
    return pod.started + timedelta(seconds=spec.timeout_seconds) + OVERTIME if pod.started is not None else None


def precise(moment: datetime, now: datetime) -> datetime:
    """Sharpen a time that the cluster gives in whole seconds: what is observed within that second happened by now."""
    return min(now, moment + _SECOND) if now >= moment else moment
