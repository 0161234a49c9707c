"""`/tasks`, `/workers`, `/schemas`, `/statistics`: the routes."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from crawl_client.errors import ConflictError
from crawl_client.models import Job
from crawl_gateway.dialects.routing import Key, Route, answered, found, operation_id, problems
from crawl_gateway.dialects.tasks import examples, translate
from crawl_gateway.dialects.tasks.models import (
    BadTask,
    ParameterSchema,
    SchemaList,
    TaskCreate,
    TaskError,
    TaskResponse,
    TaskStatistics,
    WorkerStatusResponse,
)
from crawl_gateway.dialects.words import phases_of, within
from crawl_gateway.errors import refused
from crawl_gateway.faces import Face
from crawl_gateway.numbers import number_of
from crawl_gateway.selection import Paging, Selection
from crawl_gateway.session import Session, SessionOf

_CANCEL_SECONDS: Final = 2.0
"""For how long the end of a task that was cancelled is waited for: most are over at once."""

_MOST_WORKERS: Final = 1000

_router: Final = APIRouter(route_class=Route, generate_unique_id_function=operation_id)
Id = Annotated[int, Path(ge=0, description="The task's number.")]


@_router.post(
    "/tasks",
    tags=["tasks"],
    summary="Create a task",
    status_code=201,
    responses={
        **answered({**examples.TASK, "status": "queued", "claimed_by": None}, 201),
        **problems(TaskError, 422),
        400: {"description": "The task is wrong; nothing is stored.", "model": BadTask},
    },
)
async def create(body: TaskCreate, session: SessionOf, key: Key = "") -> TaskResponse:
    """Store a task of a registered type, its parameters checked and their defaults filled in."""
    new = translate.new_job(body, session.core.catalogue)
    job = await session.jobs.submit(within(new, session.core.settings.urls_per_job), key=key)
    return translate.task(job, number_of(await session.jobs.number(job)))


@_router.get(
    "/tasks", tags=["tasks"], summary="List tasks", responses=answered([examples.TASK]) | problems(TaskError, 400, 422)
)
async def list_tasks(
    session: SessionOf,
    status: Annotated[str | None, Query(description="A status in anybody's words.", max_length=50)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[TaskResponse]:
    """List tasks, the newest first."""
    which = Selection(phases=phases_of(translate.STATES, status)) if status is not None else Selection()
    page = await session.jobs.list(which, Paging(limit))
    return [translate.task(job, number_of(job)) for job in await session.jobs.numbered(page.items)]


@_router.get(
    "/tasks/{task_id}",
    tags=["tasks"],
    summary="Read a task",
    responses=answered(examples.TASK) | problems(TaskError, 404, 422),
)
async def read(task_id: Id, session: SessionOf) -> TaskResponse:
    """Say where a task stands."""
    return translate.task(await found(session.jobs.get(str(task_id)), "Task not found"), task_id)


@_router.delete(
    "/tasks/{task_id}",
    tags=["tasks"],
    summary="Cancel a task",
    status_code=204,
    responses=problems(TaskError, 404, 422),
)
async def cancel(task_id: Id, session: SessionOf) -> Response:
    """Cancel a task that has not ended; its record stays."""
    refusal = "Task not found or cannot be cancelled"
    job = await found(session.jobs.get(str(task_id), "patch"), refusal)
    if not translate.cancellable(job):
        raise refused(404, "NotFound", refusal)
    try:
        await found(session.jobs.cancel(job.name), refusal)
    except ConflictError as error:
        raise refused(404, "NotFound", refusal) from error
    await _ended(session, job)
    return Response(status_code=204)


async def _ended(session: Session, job: Job) -> None:
    mirror = session.jobs.mirror

    def over() -> bool:
        entry = mirror.shelf.with_uid(job.uid)
        return entry is None or entry.phase.terminal

    await mirror.until(_CANCEL_SECONDS, over)


@_router.get(
    "/workers", tags=["tasks"], summary="List workers", responses=answered([examples.WORKER]) | problems(TaskError)
)
async def list_workers(session: SessionOf) -> list[WorkerStatusResponse]:
    """List workers, the newest heartbeat first. Each works for one attempt of one task."""
    used = (await session.jobs.statistics()).workers[:_MOST_WORKERS]
    busy = [use.current for use in used if use.current is not None]
    numbers = {job.uid: number_of(job) for job in await session.jobs.numbered(busy)}
    return [translate.worker(use, numbers) for use in used]


@_router.get(
    "/schemas",
    tags=["tasks"],
    summary="List task types",
    responses=answered({"schemas": [examples.SCHEMA]}) | problems(TaskError),
)
async def list_schemas(session: SessionOf) -> SchemaList:
    """List all registered task types with their parameters."""
    return SchemaList(schemas=session.core.catalogue.described())


@_router.get(
    "/schemas/{task_type}",
    tags=["tasks"],
    summary="Read a task type",
    responses=answered(examples.SCHEMA) | problems(TaskError, 404),
)
async def read_schema(task_type: str, session: SessionOf) -> ParameterSchema:
    """Say what tasks of a type are told."""
    if task_type not in session.core.catalogue.types:
        raise refused(404, "NotFound", "Schema not found")
    return session.core.catalogue.get(task_type).described()


@_router.get(
    "/statistics", tags=["tasks"], summary="Count tasks", responses=answered(examples.STATISTICS) | problems(TaskError)
)
async def statistics(session: SessionOf) -> TaskStatistics:
    """Count tasks by status, and workers."""
    return translate.statistics(await session.jobs.statistics())


FACE: Final = Face(
    name="tasks",
    router=_router,
    prefixes=("/tasks", "/workers", "/schemas", "/statistics"),
    render=translate.render,
)
