"""The life of one CrawlJob: what to do next, read from top to bottom. The first step that applies decides."""

from datetime import datetime, timedelta
from typing import Final, TypeVar

from crawl_api.crawljob import CrawlJobSpec
from crawl_api.status import (
    Attempt,
    Cause,
    ConditionType,
    CrawlJobStatus,
    Execution,
    JobError,
    Phase,
    Progress,
)
from crawl_api.worker_protocol import AttemptFailure, Outcome
from crawl_operator.decide import failure as failures
from crawl_operator.decide.conditions import Conditions
from crawl_operator.decide.ending import Ending, finish
from crawl_operator.decide.model import (
    NOTHING,
    BatchJob,
    Observation,
    Plan,
    Policy,
    RecordEvent,
    StartWorker,
    WorkerPod,
)
from crawl_operator.decide.progress import progress_of
from crawl_operator.decide.validation import problems, read_spec

_HOLDS: Final = {
    "Unschedulable": "PodUnschedulable",
    "ErrImagePull": "ImagePullFailed",
    "ImagePullBackOff": "ImagePullFailed",
    "ErrImageNeverPull": "ImagePullFailed",
    "InvalidImageName": "ImagePullFailed",
    "CreateContainerConfigError": "WorkerNotStartable",
    "CreateContainerError": "WorkerNotStartable",
    "RunContainerError": "WorkerNotStartable",
}
"""Why a worker does not start: the cluster's word → the reason in our `Scheduled` condition, one per kind of hold."""

_SECOND: Final = timedelta(seconds=1)

_C = TypeVar("_C", WorkerPod, BatchJob)


def decide(observation: Observation, policy: Policy, now: datetime) -> Plan:
    """Return what shall be done about a job, given all that is known about it.

    Calling it again after its plan was carried out, with nothing else changed, yields `NOTHING`.
    """
    job = observation.job
    if job.deleting or job.phase.terminal:
        return NOTHING  # the garbage collector ends the children of a deleted job
    spec = read_spec(job)
    if not isinstance(spec, CrawlJobSpec):
        return _stamped(observation, _refuse(observation, spec, now), now)
    return _stamped(observation, _step(observation, spec, policy, now), now)


def _step(  # noqa: PLR0911 - a chain of cases, one return each
    observation: Observation, spec: CrawlJobSpec, policy: Policy, now: datetime
) -> Plan:
    pod, batch_job = newest(observation.pods), newest(observation.batch_jobs)
    started = observation.job.phase is Phase.PROCESSING
    if pod is not None and pod.ended:
        return _end(observation, spec, pod, now)
    if pod is not None and pod.started is not None:
        return _run(observation, spec, pod, policy, now)
    if pod is not None:
        return _held(observation, pod, now)
    if batch_job is not None and batch_job.failed_reason:
        return _fail(observation, failures.of_batch_job(batch_job), now)
    if batch_job is not None and not batch_job.ended:
        return NOTHING  # its pod comes
    if batch_job is not None or started:
        worker = observation.job.status.worker_id or (batch_job.name if batch_job is not None else "")
        return _fail(observation, failures.lost(worker), now)
    if found := problems(spec, policy):
        return _refuse(observation, found, now)
    if observation.refusal:
        return _refused(observation, now)
    if observation.admission.granted:
        return Plan(actions=(StartWorker(1, policy.classes[spec.priority].execution),))
    return _wait(observation, policy, now)


def newest(children: tuple[_C, ...]) -> _C | None:
    """Return the child of the latest attempt, and of several of one attempt the latest seen."""
    return max(children, key=lambda child: (child.attempt, child.version), default=None)


def _accepted(observation: Observation) -> CrawlJobStatus:
    """Bring the status up to what is true of every job the operator has looked at."""
    job = observation.job
    status = job.status
    return status.model_copy(
        update={"observed_generation": job.generation, "submitted_at": status.submitted_at or job.created}
    )


def _wait(observation: Observation, policy: Policy, now: datetime) -> Plan:
    """No place is free: say so, once, if it takes longer than a moment."""
    waited = (now - observation.job.created).total_seconds()
    if waited < policy.patience:
        return Plan(requeue_after=policy.patience - waited)
    admission = observation.admission
    return Plan(status=_scheduled_false(observation, admission.reason, admission.message, now))


def _refused(observation: Observation, now: datetime) -> Plan:
    """The cluster takes no worker for this job (a quota, an admission policy): say what it said, once."""
    before = observation.job.status.condition(ConditionType.SCHEDULED)
    if before is not None and before.reason == "WorkerRefused":
        return NOTHING
    event = RecordEvent("WorkerRefused", observation.refusal)
    return Plan(_scheduled_false(observation, event.reason, event.message, now), (event,))


def _held(observation: Observation, pod: WorkerPod, now: datetime) -> Plan:
    """The worker exists and does not start: say why, in the cluster's own words."""
    reason = _HOLDS.get(pod.hold_reason)
    if reason is None:
        return NOTHING
    before = observation.job.status.condition(ConditionType.SCHEDULED)
    if before is not None and before.reason == reason:
        return NOTHING  # one write per reason, however often the cluster rewords it
    status = _scheduled_false(observation, reason, pod.hold_message or pod.hold_reason, now)
    return Plan(status=status, actions=(RecordEvent(reason, pod.hold_message or pod.hold_reason),))


def _scheduled_false(observation: Observation, reason: str, message: str, now: datetime) -> CrawlJobStatus:
    status = _accepted(observation)
    conditions = (
        Conditions(status.conditions, status.observed_generation, now)
        .false(ConditionType.SCHEDULED, reason, message)
        .true(ConditionType.RECONCILING, reason, message)
    )
    return status.model_copy(update={"conditions": conditions.all})


def _run(observation: Observation, spec: CrawlJobSpec, pod: WorkerPod, policy: Policy, now: datetime) -> Plan:
    """The worker runs: say so at once, and its progress as often as agreed."""
    status = _running(observation, spec, pod, now)
    before = observation.job.status
    if before.phase is not Phase.PROCESSING or before.worker_id != status.worker_id:
        return Plan(status=status)
    report = observation.report
    if report is None:
        return NOTHING
    status = status.model_copy(
        update={
            "progress": progress_of(status.progress, report),
            "errors": report.errors,
            "error_count": report.error_count,
            "last_error": report.errors[-1].message if report.errors else "",
        }
    )
    if status == before:
        return NOTHING
    since = (now - before.updated_at).total_seconds() if before.updated_at is not None else policy.progress_interval
    if since < policy.progress_interval:
        return Plan(requeue_after=policy.progress_interval - since)
    return Plan(status=status)


def _running(observation: Observation, spec: CrawlJobSpec, pod: WorkerPod, now: datetime) -> CrawlJobStatus:
    """Bring the status to what holds from the start of the worker until its end."""
    status = _accepted(observation)
    if status.phase is Phase.PROCESSING and status.worker_id == pod.name:
        return status
    started = precise(pod.started, now) if pod.started is not None else None
    conditions = (
        Conditions(status.conditions, status.observed_generation, now)
        .true(ConditionType.SCHEDULED, "WorkerStarted", f"worker {pod.name} runs")
        .true(ConditionType.RECONCILING, "Crawling", "the crawl is under way")
    )
    attempt = Attempt(
        number=pod.attempt,
        execution=Execution.JOB if observation.batch_jobs else Execution.POD,
        worker=pod.name,
        started_at=started,
    )
    return status.model_copy(
        update={
            "phase": Phase.PROCESSING,
            "conditions": conditions.all,
            "worker_id": pod.name,
            "started_at": status.started_at or started,
            "attempts": (*(each for each in status.attempts if each.number != pod.attempt), attempt),
            "progress": Progress(percent=0, summary="0%", total=len(spec.urls)),
        }
    )


def _end(observation: Observation, spec: CrawlJobSpec, pod: WorkerPod, now: datetime) -> Plan:
    """The worker ended: its outcome is the job's, or what the cluster says in its place."""
    status = _running(observation, spec, pod, now)
    outcome = observation.outcome or Outcome.parse(pod.termination_message)
    finished = precise(pod.finished, now) if pod.finished is not None else now
    if status.started_at is not None:
        finished = max(finished, status.started_at)
    failure = outcome.failure if outcome is not None else failures.of_pod(pod)
    return finish(Ending(status, outcome, failure, finished, now))


def _fail(observation: Observation, failure: AttemptFailure, now: datetime) -> Plan:
    """Nothing is left of the worker: the outcome it stored still counts; without one, the attempt failed."""
    outcome = observation.outcome
    return finish(Ending(_accepted(observation), outcome, outcome.failure if outcome else failure, now, now))


def _refuse(observation: Observation, found: tuple[str, ...], now: datetime) -> Plan:
    """Refuse a job for good, with one error for each thing wrong with it."""
    errors = tuple(JobError(code="InvalidSpec", message=text, time=now) for text in found)
    failure = AttemptFailure(code="InvalidSpec", cause=Cause.PERMANENT, message="; ".join(found))
    status = _accepted(observation).model_copy(update={"errors": errors, "error_count": len(errors)})
    return finish(Ending(status, None, failure, now, now))


def precise(moment: datetime, now: datetime) -> datetime:
    """Sharpen a time that the cluster gives in whole seconds: what is observed within that second happened by now."""
    return min(now, moment + _SECOND) if now >= moment else moment


def _stamped(observation: Observation, plan: Plan, now: datetime) -> Plan:
    """Put the time of the change on a status that differs from the one there is; drop one that does not."""
    if plan.status is None:
        return plan
    before = observation.job.status
    if plan.status == before:
        return Plan(actions=plan.actions, requeue_after=plan.requeue_after)
    return Plan(plan.status.model_copy(update={"updated_at": now}), plan.actions, plan.requeue_after)
