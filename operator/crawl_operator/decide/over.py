"""An attempt is over: end the job, hold it as asked, or wait for another attempt."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from crawl_api.crawljob import CrawlJobSpec
from crawl_api.status import Attempt, Cause, CrawlJobStatus, Execution, Phase
from crawl_api.worker_protocol import AttemptFailure, Outcome
from crawl_operator.decide import failure as failures
from crawl_operator.decide import waiting
from crawl_operator.decide.ending import Ending, close_attempt, finish, kept_result, told_errors
from crawl_operator.decide.model import BatchJob, Observation, Plan, RecordEvent, WorkerPod
from crawl_operator.decide.retry import Again, Over, verdict
from crawl_operator.decide.running import accepted, opened, precise, started


@dataclass(frozen=True, slots=True)
class Spent:
    """What an attempt came to."""

    outcome: Outcome | None
    """What the worker said; None if it said nothing."""
    failure: AttemptFailure | None
    """Why the attempt failed as a whole."""
    finished: datetime
    now: datetime

    @property
    def interrupted(self) -> bool:
        """Whether it was ended from outside, before it had come to anything."""
        return self.failure is not None and self.failure.cause is Cause.INFRASTRUCTURE


def end(observation: Observation, spec: CrawlJobSpec, pod: WorkerPod, now: datetime) -> Plan:
    """The worker ended: its outcome is the attempt's, or what the cluster says in its place."""
    status = started(observation, spec, pod, now)
    outcome = observation.outcome or Outcome.parse(pod.termination_message)
    finished = precise(pod.finished, now) if pod.finished is not None else now
    if status.started_at is not None:
        finished = max(finished, status.started_at)
    failure = outcome.failure if outcome is not None else failures.of_pod(pod)
    if failure is not None and failure.cause is Cause.INFRASTRUCTURE and pod.out_of_time:
        failure = failures.of_pod(pod)  # told to stop because its time was up, it took that for an interruption
    return _settle(_with(observation, status), spec, Spent(outcome, _known(status, failure), finished, now))


def lost(observation: Observation, spec: CrawlJobSpec, batch_job: BatchJob | None, now: datetime) -> Plan:
    """Nothing is left of the worker: the outcome it stored still counts; without one, the attempt failed.

    Args:
        observation: what is known.
        spec: the job's.
        batch_job: the batch Job that has ended and whose pod is gone, if there is one.
        now: the time.
    """
    status, outcome = accepted(observation), observation.outcome
    failure: AttemptFailure | None = failures.lost(status.worker_id)
    if batch_job is not None:
        attempt = Attempt(number=batch_job.attempt, execution=Execution.JOB, worker=batch_job.name)
        status = status.model_copy(update={"attempts": opened(status.attempts, attempt)})
        failure = failures.of_batch_job(batch_job) if batch_job.failed_reason else failures.lost(batch_job.name)
    failure = _known(status, outcome.failure if outcome is not None else failure)
    return _settle(_with(observation, status), spec, Spent(outcome, failure, now, now))


def _with(observation: Observation, status: CrawlJobStatus) -> Observation:
    return replace(observation, job=replace(observation.job, status=status))


def _known(status: CrawlJobStatus, failure: AttemptFailure | None) -> AttemptFailure | None:
    """Return the failure that the operator itself brought about, where it did, instead of how that looks."""
    last = status.attempts[-1] if status.attempts else None
    if failure is None or failure.cause is not Cause.INFRASTRUCTURE or last is None or last.outcome is not None:
        return failure
    return failures.overdue(last.message) if last.cause is not None else failure


def _settle(observation: Observation, spec: CrawlJobSpec, spent: Spent) -> Plan:
    status = accepted(observation)
    judged = verdict(spec.retry, status, spent.outcome, spent.failure, observation.job.uid)
    if spec.cancel or observation.job.cancel:
        phase = _last_word(judged, spent)
        failure = spent.failure if phase is not Phase.CANCELLED else None
        return finish(Ending(status, spent.outcome, failure, spent.finished, spent.now, phase))
    if spec.suspend and spent.interrupted:
        held = waiting.suspended(observation, spent.now)
        return Plan(held.model_copy(update=_closed(status, spent, Phase.SUSPENDED)))
    match judged:
        case Over(phase=phase):
            return finish(Ending(status, spent.outcome, spent.failure, spent.finished, spent.now, phase))
        case Again():
            return _retry(observation, spec, spent, judged)


def _last_word(judged: Again | Over, spent: Spent) -> Phase:
    """Return what a job comes to that shall not run again: what is finished counts, however late it was cancelled."""
    match judged:
        case Over(phase=Phase.COMPLETED | Phase.PARTIAL_SUCCESS | Phase.FAILED as phase):
            return phase
        case _ if spent.failure is None and spent.outcome is not None and spent.outcome.succeeded:
            return Phase.PARTIAL_SUCCESS
        case _:
            return Phase.CANCELLED


def _retry(observation: Observation, spec: CrawlJobSpec, spent: Spent, again: Again) -> Plan:
    status = accepted(observation)
    errors, count = told_errors(status, spent.outcome, spent.failure, spent.now)
    why = spent.failure.message if spent.failure is not None else errors[-1].message if errors else ""
    due = spent.now + timedelta(seconds=again.delay)
    failed = status.retry_count + (1 if again.counted else 0)
    budget = (
        f"attempt {failed} of {spec.retry.max_attempts} failed" if again.counted else "the cluster ended the worker"
    )
    message = f"{budget}: {why}; the next is due at {waiting.shown(due)}"
    outcome_phase = Phase.FAILED if spent.failure is not None else Phase.PARTIAL_SUCCESS
    retry = waiting.waiting(observation, Phase.RETRY, "RetryBackoff", message, spent.now).model_copy(
        update={
            **_closed(status, spent, outcome_phase),
            "retry_count": failed,
            "infrastructure_retries": status.infrastructure_retries + (0 if again.counted else 1),
            "next_retry_at": due,
            "errors": errors,
            "error_count": count,
            "last_error": why,
        }
    )
    return Plan(retry, (RecordEvent("RetryBackoff", message),), again.delay)


def _closed(status: CrawlJobStatus, spent: Spent, phase: Phase) -> dict[str, object]:
    """Return what changes in a status by the end of an attempt that is not the job's."""
    failure = spent.failure if phase is not Phase.SUSPENDED else None
    return {
        "attempts": close_attempt(status.attempts, phase, failure, spent.finished),
        **kept_result(status, spent.outcome, spent.finished),
    }
