"""Values that the operator's tests are made of: jobs, workers and what they say, filled in but for the point."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from crawl_api.crawljob import Priority
from crawl_api.status import Cause, Condition, ConditionType, CrawlJobStatus, Execution, JobError, Phase
from crawl_api.worker_protocol import AttemptFailure, Outcome
from crawl_operator.decide.capacity import RunningLimits
from crawl_operator.decide.marks import asks_again, marks_of
from crawl_operator.decide.model import (
    BatchJob,
    ClassPolicy,
    Job,
    JobKey,
    Mark,
    Observation,
    Plan,
    Policy,
    StartWorker,
    StopWorker,
    WorkerPod,
)
from crawl_operator.store import Key, Store

NOW = datetime(2026, 3, 1, 12, 0, 10, 250_000, tzinfo=UTC)
CREATED = NOW - timedelta(seconds=10, microseconds=250_000)
STARTED = CREATED + timedelta(seconds=2)

SINGLE = {"type": "Single", "single": {"url": "https://example.org/"}}

POLICY = Policy(
    classes={
        Priority.CRITICAL: ClassPolicy(Execution.POD),
        Priority.HIGH: ClassPolicy(Execution.POD),
        Priority.NORMAL: ClassPolicy(Execution.JOB),
        Priority.LOW: ClassPolicy(Execution.JOB),
    },
    max_urls=50,
    images=("crawl-worker:latest", "example.org/crawls/*"),
    progress_interval=2,
    delete_jobs=True,
    patience=2,
)


def open_store(changed: Callable[[Key], None] = lambda _: None, running: int = 4) -> Store:
    """Make a store that has seen everything there is, nothing, and so may grant places."""
    store = Store(changed, RunningLimits(running), lambda: NOW)
    store.places.open()
    return store


def batch_of(number: int) -> dict[str, Any]:
    """Make the spec of a batch of that many URLs."""
    return {"type": "Batch", "batch": {"urls": [f"https://example.org/{each}" for each in range(number)]}}


def make_job(
    name: str = "news",
    *,
    uid: str = "",
    version: int = 10,
    spec: dict[str, Any] | None = None,
    status: CrawlJobStatus | None = None,
    phase: Phase = Phase.PENDING,
    priority: Priority = Priority.NORMAL,
    created: datetime = CREATED,
    deleting: bool = False,
    generation: int = 1,
    requeue: str = "",
    cancel: bool = False,
) -> Job:
    status = status or CrawlJobStatus(phase=phase)
    return Job(
        key=JobKey("team", name),
        uid=uid or f"uid-of-{name}",
        version=version,
        generation=generation,
        created=created,
        since=created,
        priority=priority,
        phase=status.phase,
        deleting=deleting,
        spec={"priority": priority.value} | (SINGLE if spec is None else spec),
        status=status,
        requeue=requeue,
        cancel=cancel,
        depends_on=() if status.phase.terminal else tuple(each["name"] for each in (spec or {}).get("dependsOn", ())),
    )


def make_pod(name: str = "news-abc-1", **changes: Any) -> WorkerPod:
    """Make a pod that has been created and no more."""
    values: dict[str, Any] = {
        "name": name,
        "uid": f"uid-of-{name}",
        "version": 20,
        "attempt": 1,
        "priority": Priority.NORMAL,
        "deleting": False,
        "phase": "Pending",
    }
    return WorkerPod(**(values | changes))


def running_pod(name: str = "news-abc-1", **changes: Any) -> WorkerPod:
    return make_pod(name, **({"phase": "Running", "started": STARTED} | changes))


def ended_pod(name: str = "news-abc-1", outcome: Outcome | None = None, **changes: Any) -> WorkerPod:
    """Make a pod that has ended; with an outcome in its termination message if one is given."""
    values = {
        "phase": "Failed" if outcome is None else "Succeeded",
        "started": STARTED,
        "finished": STARTED + timedelta(seconds=7),
        "exit_code": 1 if outcome is None else 0,
        "end_reason": "Error" if outcome is None else "Completed",
        "termination_message": outcome.termination_message() if outcome is not None else "",
    }
    return make_pod(name, **(values | changes))


def make_batch_job(name: str = "news-abc-1", **changes: Any) -> BatchJob:
    values: dict[str, Any] = {
        "name": name,
        "uid": f"uid-of-job-{name}",
        "version": 15,
        "attempt": 1,
        "priority": Priority.NORMAL,
        "deleting": False,
    }
    return BatchJob(**(values | changes))


def page_error(number: int = 1, code: str = "HTTP_404") -> JobError:
    url = f"https://example.org/{number}"
    return JobError(code=code, message=f"{url} answered 404", url=url, time=NOW)


def outcome_of(total: int, succeeded: int, **changes: Any) -> Outcome:
    errors = tuple(page_error(each) for each in range(total - succeeded))
    values = {
        "total": total,
        "succeeded": succeeded,
        "failed": total - succeeded,
        "bytes": 1000 * succeeded,
        "errors": errors[:100],
        "error_count": len(errors),
        "items": succeeded,
    }
    return Outcome(**(values | changes))


def timeout_failure() -> AttemptFailure:
    return AttemptFailure(code="Timeout", cause=Cause.TRANSIENT, message="the time limit of 300 s was reached")


def failure_by(cause: Cause, code: str = "Because", message: str = "it went wrong") -> AttemptFailure:
    return AttemptFailure(code=code, cause=cause, message=message)


def stored(status: CrawlJobStatus) -> CrawlJobStatus:
    """Return a status as it comes back from the API server."""
    return CrawlJobStatus.model_validate_json(status.model_dump_json(by_alias=True, exclude_defaults=True))


def status_of(plan: Plan) -> CrawlJobStatus:
    assert plan.status is not None
    return plan.status


def condition_of(status: CrawlJobStatus, kind: ConditionType) -> Condition:
    found = status.condition(kind)
    assert found is not None
    return found


def carried_out(observation: Observation, plan: Plan) -> Observation:
    """Return what is seen once a plan was carried out and nothing else has happened."""
    job, pods, batch_jobs = observation.job, observation.pods, observation.batch_jobs
    if plan.status is not None:
        status = stored(plan.status)
        job = replace(job, status=status, phase=status.phase)
    for action in plan.actions:
        match action:
            case StartWorker(attempt=attempt):
                pods = (*pods, make_pod(f"news-abc-{attempt}", attempt=attempt))
            case StopWorker(child=child):
                pods = tuple(_deleted(pod) if pod is child else pod for pod in pods)
                batch_jobs = tuple(_deleted(each) if each is child else each for each in batch_jobs)
            case Mark(marks=marks):
                job = replace(job, marks=marks)
            case _:
                pass
    settled = job.phase.terminal and job.marks == marks_of(job.status) and not asks_again(job.requeue, job.status)
    over = job.attempts_over
    pods = tuple(pod for pod in pods if pod.attempt > over)
    return replace(
        observation,
        job=replace(job, settled=settled),
        pods=pods,
        batch_jobs=tuple(each for each in batch_jobs if each.attempt > over),
        report=observation.report if pods else None,
        outcome=observation.outcome if job.phase is Phase.PROCESSING else None,
        refusal="",
    )


def _deleted(child: Any) -> Any:
    return replace(child, deleting=True)
