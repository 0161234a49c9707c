"""The life of one CrawlJob: what to do next, read from top to bottom. The first step that applies decides."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from crawl_api.crawljob import CrawlJobSpec, Ttl
from crawl_api.status import (
    MAX_ATTEMPTS,
    MAX_HISTORY,
    Attempt,
    Cause,
    ConditionType,
    CrawlJobStatus,
    Execution,
    JobError,
    Move,
    Phase,
    Progress,
)
from crawl_api.worker_protocol import AttemptFailure, Outcome
from crawl_operator.decide import failure as failures
from crawl_operator.decide import waiting
from crawl_operator.decide.conditions import Conditions
from crawl_operator.decide.dependencies import hopeless
from crawl_operator.decide.ending import Ending, close_attempt, finish, told_errors
from crawl_operator.decide.marks import marks_of
from crawl_operator.decide.model import (
    NOTHING,
    BatchJob,
    Child,
    DeleteJob,
    Job,
    Mark,
    Observation,
    Plan,
    Policy,
    RecordEvent,
    RemoveResults,
    StartWorker,
    StopWorker,
    WorkerPod,
)
from crawl_operator.decide.retention import without_result
from crawl_operator.decide.retry import Again, Over, verdict
from crawl_operator.decide.running import accepted, precise, run, started
from crawl_operator.decide.validation import problems, read_spec

_C = TypeVar("_C", WorkerPod, BatchJob)


def decide(observation: Observation, policy: Policy, now: datetime) -> Plan:
    """Return what shall be done about a job, given all that is known about it.

    Calling it again after its plan was carried out, with nothing else changed, changes nothing more.
    """
    job = observation.job
    if job.deleting:
        return NOTHING  # the garbage collector ends its children
    if job.settled:
        return _keep(job, policy, now)
    if job.phase.terminal:
        plan = _requeue(observation, now) if job.requeue != job.status.requeued else _expire(observation, now)
    else:
        spec = read_spec(job)
        if isinstance(spec, CrawlJobSpec):
            plan = _step(observation, spec, policy, now)
        else:
            plan = _refuse(observation, spec, now)
    return _marked(observation, _stamped(observation, plan, now))


def _step(  # noqa: PLR0911 - a chain of cases, one return each
    observation: Observation, spec: CrawlJobSpec, policy: Policy, now: datetime
) -> Plan:
    pod, batch_job = newest(observation.pods), newest(observation.batch_jobs)
    running = observation.job.phase is Phase.PROCESSING
    if pod is not None and pod.ended:
        return _end(observation, spec, pod, now)
    if spec.cancel or observation.job.cancel or spec.suspend:
        return _hold_back(observation, spec, now)
    if pod is not None and pod.started is not None:
        return run(observation, spec, pod, policy, now)
    if pod is not None:
        return waiting.held(observation, pod, now)
    if batch_job is not None:
        return _without_pod(observation, spec, batch_job, now)
    if running:
        return _lost(observation, spec, now)
    return _start(observation, spec, policy, now)


def _start(  # noqa: PLR0911 - a chain of cases, one return each
    observation: Observation, spec: CrawlJobSpec, policy: Policy, now: datetime
) -> Plan:
    """No worker is there: start one, unless there is a reason not to, ever or yet."""
    if found := problems(spec, policy):
        return _refuse(observation, found, now)
    if observation.job.phase is Phase.SUSPENDED:
        return _resume(observation, now)
    if not observation.job.status.attempts and (
        failure := hopeless(spec.depends_on, observation.dependencies, observation.cycle)
    ):
        return finish(Ending(accepted(observation), None, failure, now, now, Phase.FAILED))
    for wait in (waiting.for_dependencies(observation, spec, now), waiting.until_due(observation, spec, now)):
        if wait is not None:
            return wait
    if observation.refusal:
        return waiting.refused(observation, now)
    if observation.admission.granted:
        return Plan(actions=(StartWorker(_next_attempt(observation), policy.classes[spec.priority].execution),))
    return waiting.for_a_place(observation, policy, now)


def _without_pod(observation: Observation, spec: CrawlJobSpec, batch_job: BatchJob, now: datetime) -> Plan:
    """A batch Job has no pod: not yet, or no more."""
    if not batch_job.ended:
        return NOTHING
    ended = _with_attempt(observation, batch_job)
    if batch_job.failed_reason:
        return _settle(ended, spec, None, failures.of_batch_job(batch_job), now, now)
    return _lost(ended, spec, now)


def newest(children: tuple[_C, ...]) -> _C | None:
    """Return the child of the latest attempt, and of several of one attempt the latest seen."""
    return max(children, key=lambda child: (child.attempt, child.version), default=None)


def _with_attempt(observation: Observation, child: BatchJob) -> Observation:
    """Record an attempt whose worker was never seen running, so that it can be over."""
    status = observation.job.status
    if any(each.number == child.attempt for each in status.attempts):
        return observation
    attempt = Attempt(number=child.attempt, execution=Execution.JOB, worker=child.name)
    attempts = (*status.attempts[1 - MAX_ATTEMPTS :], attempt)
    recorded = status.model_copy(update={"attempts": attempts, "worker_id": child.name})
    return replace(observation, job=replace(observation.job, status=recorded))


def _next_attempt(observation: Observation) -> int:
    attempts = observation.job.status.attempts
    return attempts[-1].number + 1 if attempts else 1


def _end(observation: Observation, spec: CrawlJobSpec, pod: WorkerPod, now: datetime) -> Plan:
    """The worker ended: its outcome is the attempt's, or what the cluster says in its place."""
    status = started(observation, spec, pod, now)
    outcome = observation.outcome or Outcome.parse(pod.termination_message)
    finished = precise(pod.finished, now) if pod.finished is not None else now
    if status.started_at is not None:
        finished = max(finished, status.started_at)
    failure = outcome.failure if outcome is not None else failures.of_pod(pod)
    ended = replace(observation, job=replace(observation.job, status=status))
    return _settle(ended, spec, outcome, failure, finished, now)


def _lost(observation: Observation, spec: CrawlJobSpec, now: datetime) -> Plan:
    """Nothing is left of the worker: the outcome it stored still counts; without one, the attempt failed."""
    outcome, status = observation.outcome, observation.job.status
    failure: AttemptFailure | None = failures.lost(status.worker_id)
    begun = status.attempts[-1].started_at if status.attempts else None
    if begun is not None and now - begun > timedelta(seconds=spec.timeout_seconds):
        failure = failures.overdue(status.worker_id, spec.timeout_seconds)
    return _settle(observation, spec, outcome, outcome.failure if outcome else failure, now, now)


def _settle(  # noqa: PLR0913, PLR0917 - what an attempt came to
    observation: Observation,
    spec: CrawlJobSpec,
    outcome: Outcome | None,
    failure: AttemptFailure | None,
    finished: datetime,
    now: datetime,
) -> Plan:
    """The attempt is over: end the job, hold it as asked, or wait for another attempt."""
    status = accepted(observation)
    if failure is not None and (spec.cancel or observation.job.cancel):
        return finish(Ending(status, outcome, None, finished, now, Phase.CANCELLED))
    if failure is not None and spec.suspend:
        held = waiting.suspended(observation, now)
        return Plan(
            held.model_copy(update={"attempts": close_attempt(status.attempts, Phase.SUSPENDED, None, finished)})
        )
    judged = verdict(spec.retry, status, outcome, failure, observation.job.uid)
    match judged:
        case Over(phase=phase):
            return finish(Ending(status, outcome, failure, finished, now, phase))
        case Again():
            return _retry(observation, spec, outcome, failure, judged, finished, now)


def _retry(  # noqa: PLR0913, PLR0917 - what an attempt came to
    observation: Observation,
    spec: CrawlJobSpec,
    outcome: Outcome | None,
    failure: AttemptFailure | None,
    again: Again,
    finished: datetime,
    now: datetime,
) -> Plan:
    status = accepted(observation)
    errors, count = told_errors(status, outcome, failure, now)
    why = failure.message if failure is not None else errors[-1].message if errors else ""
    due = now + timedelta(seconds=again.delay)
    failed = status.retry_count + (1 if again.counted else 0)
    budget = (
        f"attempt {failed} of {spec.retry.max_attempts} failed" if again.counted else "the cluster ended the worker"
    )
    message = f"{budget}: {why}; the next is due at {due.strftime('%Y-%m-%dT%H:%M:%SZ')}"
    outcome_phase = Phase.FAILED if failure is not None else Phase.PARTIAL_SUCCESS
    retry = waiting.waiting(observation, Phase.RETRY, "RetryBackoff", message, now).model_copy(
        update={
            "attempts": close_attempt(status.attempts, outcome_phase, failure, finished),
            "retry_count": failed,
            "infrastructure_retries": status.infrastructure_retries + (0 if again.counted else 1),
            "next_retry_at": due,
            "errors": errors,
            "error_count": count,
            "last_error": why,
        }
    )
    return Plan(retry, (RecordEvent("RetryBackoff", message),), again.delay)


def _hold_back(observation: Observation, spec: CrawlJobSpec, now: datetime) -> Plan:
    """A person wants it to stop: end the worker, wait until it is gone, then say so."""
    alive = [pod for pod in observation.pods if not pod.ended]
    # With a batch Job go its pods; without one, a pod goes by itself.
    doomed: tuple[Child, ...] = observation.batch_jobs or observation.pods
    if alive or any(not job.ended for job in observation.batch_jobs):
        return Plan(actions=tuple(StopWorker(child) for child in doomed if not child.deleting))
    if observation.job.phase is Phase.PROCESSING:
        return _lost(observation, spec, now)
    if spec.cancel or observation.job.cancel:
        return finish(Ending(accepted(observation), None, None, now, now, Phase.CANCELLED))
    return Plan(waiting.suspended(observation, now))


def _resume(observation: Observation, now: datetime) -> Plan:
    status = waiting.waiting(observation, Phase.PENDING, "Resumed", "no longer suspended; waits for its turn", now)
    return Plan(status)


def _keep(job: Job, policy: Policy, now: datetime) -> Plan:
    """A finished job waits for its time: for that of its result, then for its own."""
    removal = job.expiry.job if policy.delete_jobs else None
    if removal is not None and now >= removal:
        return Plan(actions=(RemoveResults(), DeleteJob()))
    due = min((moment for moment in (job.expiry.result, removal) if moment is not None), default=None)
    return Plan(requeue_after=max((due - now).total_seconds(), 0)) if due is not None else NOTHING


def _expire(observation: Observation, now: datetime) -> Plan:
    """Remove a result whose time is over, and say so."""
    job = observation.job
    if job.expiry.result is None or now < job.expiry.result:
        return NOTHING
    ttl = Ttl.model_validate(job.spec.get("ttl", {}))
    # What is stored goes first: a crash in between leaves a status that is mended by doing both again.
    return Plan(without_result(job.status, ttl, now), (RemoveResults(),))


def _requeue(observation: Observation, now: datetime) -> Plan:
    """A person wants a finished job to run again: anew, with a fresh budget."""
    job = observation.job
    message = f"run again on request ({job.requeue!r})"
    before = accepted(observation)
    kept = tuple(each for each in before.conditions if each.type is ConditionType.RECONCILING)
    conditions = (
        Conditions(kept, job.generation, now)
        .true(ConditionType.RECONCILING, "Requeued", message)
        .false(ConditionType.SCHEDULED, "Requeued", message)
    )
    status = CrawlJobStatus(
        phase=Phase.PENDING,
        observed_generation=before.observed_generation,
        conditions=conditions.all,
        progress=Progress(),
        requeued=job.requeue,
        requeued_after=before.attempts[-1].number if before.attempts else 0,
        attempts=before.attempts,
        submitted_at=before.submitted_at,
        history=before.history,
    )
    return Plan(status, (RecordEvent("Requeued", message, warning=False),))


def _refuse(observation: Observation, found: tuple[str, ...], now: datetime) -> Plan:
    """Refuse a job for good, with one error for each thing wrong with it."""
    errors = tuple(JobError(code="InvalidSpec", message=text, time=now) for text in found)
    failure = AttemptFailure(code="InvalidSpec", cause=Cause.PERMANENT, message="; ".join(found))
    status = accepted(observation).model_copy(update={"errors": errors, "error_count": len(errors)})
    return finish(Ending(status, None, failure, now, now, Phase.FAILED))


def _stamped(observation: Observation, plan: Plan, now: datetime) -> Plan:
    """Put time and trace of the change on a status that differs from the one there is; drop one that does not."""
    before = observation.job.status
    if plan.status is None or plan.status == before:
        return replace(plan, status=None)
    update: dict[str, object] = {"updated_at": now}
    if plan.status.phase is not before.phase:
        reconciling = plan.status.condition(ConditionType.RECONCILING)
        reason = reconciling.reason if reconciling is not None else plan.status.phase.value
        move = Move(origin=before.phase, to=plan.status.phase, reason=reason, time=now)
        update["history"] = (*plan.status.history[1 - MAX_HISTORY :], move)
    return replace(plan, status=plan.status.model_copy(update=update))


def _marked(observation: Observation, plan: Plan) -> Plan:
    """Have the operator's own annotations follow the status."""
    wanted = marks_of(plan.status or observation.job.status)
    if wanted == observation.job.marks:
        return plan
    return replace(plan, actions=(Mark(wanted), *plan.actions))
