"""Jobs and workers ↔ what `/tasks` and its neighbours say of them."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from crawl_api.enums import Phase
from crawl_api.names import ANNOTATION_CANCEL
from crawl_client.models import GOOD, Job
from crawl_client.requested import NewJob, Options
from crawl_client.workers import Worker
from crawl_gateway.dialects.tasks.catalogue import Catalogue
from crawl_gateway.dialects.tasks.models import TaskCreate, TaskResponse, TaskStatistics, WorkerStatusResponse
from crawl_gateway.dialects.words import made, type_name
from crawl_gateway.errors import Problem

STATES: Final[Mapping[Phase, str]] = {
    Phase.PENDING: "queued",
    Phase.DELAYED: "queued",
    Phase.SUSPENDED: "queued",
    Phase.PROCESSING: "claimed",
    Phase.RETRY: "queued",
    Phase.COMPLETED: "completed",
    Phase.PARTIAL_SUCCESS: "completed",
    Phase.FAILED: "failed",
    Phase.DEAD_LETTER: "failed",
    Phase.CANCELLED: "cancelled",
}
_MIB: Final = 1 << 20


def new_job(request: TaskCreate, catalogue: Catalogue) -> NewJob:
    """Return the job that is asked for, with the defaults of its parameters.

    Raises:
        ValidationError: its type is not registered, or with all that is wrong with its parameters.
    """
    task_type = catalogue.get(request.task_type)
    options: Options = {"priority": request.priority}
    if task_type.image:
        options["worker"] = {"image": task_type.image}
    return made(request.task_type, task_type.prepared(request.parameters), **options)


def task(job: Job, number: int) -> TaskResponse:
    """Answer where a task stands."""
    status = STATES[job.phase]
    return TaskResponse(
        id=number,
        task_type=type_name(job),
        status=status,
        created_at=job.submitted,
        claimed_by=(job.worker or None) if status != "queued" else None,
    )


def cancellable(job: Job) -> bool:
    """Tell whether a task can still be cancelled: it has not ended, and nobody has cancelled it yet."""
    asked = job.annotations.get(ANNOTATION_CANCEL) == "true" or job.raw["spec"].get("cancel")
    return not job.phase.terminal and not asked


def workers(
    pods: Iterable[Worker], job_of: Callable[[Worker], Job | None], number_of: Callable[[Job], int | None]
) -> list[WorkerStatusResponse]:
    """Answer who works, the newest heartbeat first."""
    found = [_worker(pod, job_of(pod), number_of) for pod in pods]
    return sorted(found, key=lambda worker: (worker.last_heartbeat, worker.worker_id), reverse=True)


def _worker(pod: Worker, job: Job | None, number_of: Callable[[Job], int | None]) -> WorkerStatusResponse:
    """Answer a worker pod, which works for one attempt of one job and is kept for a while after that."""
    mine = job is not None and job.worker == pod.name
    well = mine and job is not None and job.phase in GOOD
    ended = not pod.alive or (mine and job is not None and job.phase.terminal)
    busy = mine and not ended
    return WorkerStatusResponse(
        worker_id=pod.name,
        last_heartbeat=max(pod.heard, job.updated) if busy and job is not None else pod.heard,
        tasks_processed=int(ended and well),
        tasks_failed=int(ended and not well),
        current_task_id=number_of(job) if busy and job is not None else None,
    )


def statistics(phases: Iterable[Phase], active_workers: int, stored_bytes: int) -> TaskStatistics:
    """Answer the numbers of the tasks that there are."""
    counts = Counter(STATES[phase] for phase in phases)
    return TaskStatistics(
        status_counts={state: counts[state] for state in dict.fromkeys(STATES.values())},
        active_workers=active_workers,
        db_size_mb=round(stored_bytes / _MIB, 3),
    )


def render(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Write a problem: what is wrong with a task as a list of errors, everything else as a text."""
    if problem.code == "Invalid":
        return 400, {"detail": {"errors": list(problem.details) or [problem.message]}}
    return problem.status, {"detail": problem.message}
