"""A person's levers: cancel, suspend and resume, and to run a finished job again."""

from datetime import datetime

from crawl_api.crawljob import CrawlJobSpec
from crawl_api.status import ConditionType, CrawlJobStatus, Phase, Progress
from crawl_operator.decide import over, waiting
from crawl_operator.decide.conditions import Conditions
from crawl_operator.decide.ending import Ending, finish
from crawl_operator.decide.model import Child, Observation, Plan, RecordEvent
from crawl_operator.decide.running import accepted, stop


def hold_back(observation: Observation, spec: CrawlJobSpec, now: datetime) -> Plan:
    """A person wants it to stop: end the worker, wait until it is gone, then say so."""
    children: tuple[Child, ...] = (*observation.pods, *observation.batch_jobs)
    if not all(child.ended for child in children):
        return Plan(actions=stop(observation))
    if observation.job.phase is Phase.PROCESSING:
        return over.lost(observation, spec, None, now)
    if spec.cancel or observation.job.cancel:
        return finish(Ending(accepted(observation), None, None, now, now, Phase.CANCELLED))
    return Plan(waiting.suspended(observation, now))


def resume(observation: Observation, now: datetime) -> Plan:
    """A person lets a job go on: in its turn, or when its next attempt is due."""
    due = observation.job.status.next_retry_at
    if due is not None and now < due:
        message = f"no longer suspended; the next attempt is due at {waiting.shown(due)}"
        return Plan(waiting.waiting(observation, Phase.RETRY, "RetryBackoff", message, now))
    return Plan(waiting.waiting(observation, Phase.PENDING, "Resumed", "no longer suspended; waits for its turn", now))


def requeue(observation: Observation, now: datetime) -> Plan:
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
