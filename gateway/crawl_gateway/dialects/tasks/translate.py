"""Jobs and workers ↔ what `/tasks` and its neighbours say of them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from crawl_api.enums import Phase
from crawl_api.names import ANNOTATION_CANCEL
from crawl_client.models import Job
from crawl_client.requested import NewJob, Options
from crawl_gateway.dialects.tasks.catalogue import Catalogue
from crawl_gateway.dialects.tasks.models import TaskCreate, TaskResponse, TaskStatistics, WorkerStatusResponse
from crawl_gateway.dialects.words import made, type_name
from crawl_gateway.errors import Problem
from crawl_gateway.statistics import Statistics, WorkerUse

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


def worker(use: WorkerUse, numbers: Mapping[str, int]) -> WorkerStatusResponse:
    """Answer what a worker has done and does; `numbers` has those of tasks under way, by their UIDs."""
    return WorkerStatusResponse(
        worker_id=use.worker_id,
        last_heartbeat=use.last_seen,
        tasks_processed=use.processed,
        tasks_failed=use.failed,
        current_task_id=numbers.get(use.current.uid) if use.current is not None else None,
    )


def statistics(found: Statistics) -> TaskStatistics:
    """Answer the numbers of the tasks that there are."""
    counts = Counter[str]()
    for phase, number in found.queue.by_phase.items():
        counts[STATES[phase]] += number
    return TaskStatistics(
        status_counts={state: counts[state] for state in dict.fromkeys(STATES.values())},
        active_workers=found.active_workers,
        db_size_mb=round(found.bytes / _MIB, 3),
    )


def render(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Write a problem: what is wrong with a task as a list of errors, everything else as a text."""
    if problem.code == "Invalid":
        return 400, {"detail": {"errors": list(problem.details) or [problem.message]}}
    return problem.status, {"detail": problem.message}
