"""The life of one CrawlJob: what to do next, read from top to bottom. The first step that applies decides."""

from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from crawl_api.crawljob import CrawlJobSpec
from crawl_api.status import Cause, JobError, Phase
from crawl_api.worker_protocol import AttemptFailure
from crawl_operator.decide import levers, over, waiting
from crawl_operator.decide.dependencies import hopeless
from crawl_operator.decide.ending import Ending, finish
from crawl_operator.decide.history import with_history
from crawl_operator.decide.keeping import expire, keep
from crawl_operator.decide.marks import asks_again, marks_of
from crawl_operator.decide.model import (
    NOTHING,
    BatchJob,
    Job,
    Mark,
    Observation,
    Plan,
    Policy,
    StartWorker,
    WorkerPod,
)
from crawl_operator.decide.running import accepted, run, stop
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
        return _without_stray(observation, keep(job, policy, now))
    if job.phase.terminal:
        again = asks_again(job.requeue, job.status)
        plan = levers.requeue(observation, now) if again else _without_stray(observation, expire(observation, now))
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
    if pod is not None and pod.ended:
        return over.end(observation, spec, pod, now)
    if pod is None and batch_job is not None and batch_job.ended:
        return over.lost(observation, spec, batch_job, now)
    if spec.cancel or observation.job.cancel or spec.suspend:
        return levers.hold_back(observation, spec, now)
    if pod is not None and pod.started is not None:
        return run(observation, spec, pod, policy, now)
    if pod is not None and observation.job.phase is Phase.PROCESSING and observation.job.status.worker_id == pod.name:
        return NOTHING  # it has run: what is known of the pod is older than the status
    if pod is not None:
        return waiting.held(observation, pod.hold_reason, pod.hold_message, now)
    if batch_job is not None and batch_job.suspended:
        return waiting.held(observation, "JobSuspended", _held_by(observation.job, batch_job), now)
    if batch_job is not None:
        return NOTHING  # its pod comes
    if observation.job.phase is Phase.PROCESSING:
        return over.lost(observation, spec, None, now)
    return _start(observation, spec, policy, now)


def _start(  # noqa: PLR0911 - a chain of cases, one return each
    observation: Observation, spec: CrawlJobSpec, policy: Policy, now: datetime
) -> Plan:
    """No worker is there: start one, unless there is a reason not to, ever or yet."""
    if found := problems(spec, policy):
        return _refuse(observation, found, now)
    if observation.job.phase is Phase.SUSPENDED:
        return levers.resume(observation, now)
    first = not observation.job.status.attempts
    if first and (failure := hopeless(spec.depends_on, observation.dependencies, observation.cycle)):
        return finish(Ending(accepted(observation), None, failure, now, now, Phase.FAILED))
    for wait in (waiting.for_dependencies(observation, spec, now), waiting.until_due(observation, spec, now)):
        if wait is not None:
            return wait
    if observation.refusal:
        return waiting.refused(observation, now)
    if observation.admission.granted:
        return Plan(actions=(StartWorker(_next_attempt(observation), policy.classes[spec.priority].execution),))
    return waiting.for_a_place(observation, policy, now)


def _without_stray(observation: Observation, plan: Plan) -> Plan:
    """Stop a worker that comes when all is over: its operator was overtaken while it asked for it."""
    strays = stop(observation)
    return replace(plan, actions=(*plan.actions, *strays)) if strays else plan


def _held_by(job: Job, batch_job: BatchJob) -> str:
    queue = f"; it waits for its queue, {job.queue}" if job.queue else ""
    return f"the batch Job {batch_job.name} is suspended{queue}"


def newest(children: tuple[_C, ...]) -> _C | None:
    """Return the child of the latest attempt, and of several of one attempt the latest seen."""
    return max(children, key=lambda child: (child.attempt, child.version), default=None)


def _next_attempt(observation: Observation) -> int:
    attempts = observation.job.status.attempts
    return attempts[-1].number + 1 if attempts else 1


def _refuse(observation: Observation, found: tuple[str, ...], now: datetime) -> Plan:
    """Refuse a job for good, with one error for each thing wrong with it."""
    status = accepted(observation)
    errors = tuple(JobError(code="InvalidSpec", message=text, attempt=status.attempt, time=now) for text in found)
    failure = AttemptFailure(code="InvalidSpec", cause=Cause.PERMANENT, message="; ".join(found))
    status = status.model_copy(update={"errors": errors, "error_count": len(errors)})
    return finish(Ending(status, None, failure, now, now, Phase.FAILED))


def _stamped(observation: Observation, plan: Plan, now: datetime) -> Plan:
    """Put time and trace of the change on a status that differs from the one there is; drop one that does not."""
    before = observation.job.status
    if plan.status is None or plan.status == before:
        return replace(plan, status=None)
    status = plan.status.model_copy(update={"updated_at": now})
    return replace(plan, status=with_history(before, status, now))


def _marked(observation: Observation, plan: Plan) -> Plan:
    """Have the operator's own annotations follow the status; last, because they hold up nothing."""
    wanted = marks_of(plan.status or observation.job.status)
    if wanted == observation.job.marks:
        return plan
    return replace(plan, actions=(*plan.actions, Mark(wanted)))
