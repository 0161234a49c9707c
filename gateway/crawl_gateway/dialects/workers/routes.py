"""`/workers/…` and `/api/v1/workers/…`: the routes; paths that are spelled in two ways are served in both."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from crawl_client import dialects
from crawl_client.answers import Page
from crawl_client.errors import UnavailableError
from crawl_client.results import result_of
from crawl_client.stats import pool
from crawl_gateway.dialects.routing import Key, Route, answered, found, operation_id, problems
from crawl_gateway.dialects.words import phases_of, within
from crawl_gateway.dialects.workers import answers, examples
from crawl_gateway.dialects.workers.answers import CLIENT, SERVER, Words
from crawl_gateway.dialects.workers.errors import WorkersError, render
from crawl_gateway.dialects.workers.models import (
    CreateScheduledJobRequest,
    JobListResponse,
    JobResultResponse,
    JobStatusResponse,
    MetricsResponse,
    QueueStatsResponse,
    ScheduledJobResponse,
    SubmitJobRequest,
    SubmitJobResponse,
    WorkerPoolStatsResponse,
)
from crawl_gateway.dialects.workers.requests import new_job, new_schedule
from crawl_gateway.errors import refused
from crawl_gateway.faces import Face
from crawl_gateway.selection import Paging, Selection
from crawl_gateway.session import SessionOf

_CLIENT: Final = "/api/v1/workers"
_SERVER: Final = "/workers"

_routes: Final = APIRouter(route_class=Route)
Id = Annotated[
    str, Path(min_length=1, max_length=253, description="A UUID; every other id of a job is understood too.")
]


def _words(request: Request) -> Words:
    return CLIENT if request.url.path.startswith(f"{_CLIENT}/") else SERVER


WordsOf = Annotated[Words, Depends(_words)]


@_routes.post("/jobs", summary="Submit a job", responses=answered(examples.SUBMITTED) | problems(WorkersError, 400))
async def submit(body: SubmitJobRequest, session: SessionOf, key: Key = "") -> SubmitJobResponse:
    """Store a job; it runs as soon as there is a place, or from its start time on."""
    new = within(new_job(body), session.core.settings.urls_per_job)
    return answers.submitted(await session.jobs.submit(new, key=key))


@_routes.get("/jobs", summary="List jobs", responses=answered(examples.LIST) | problems(WorkersError, 400))
async def list_jobs(  # noqa: PLR0913, PLR0917 - what a list may be asked
    session: SessionOf,
    words: WordsOf,
    status: Annotated[str, Query(description="A state in anybody's words.", max_length=50)] = "",
    job_type: Annotated[str, Query(description="A type, such as batch_crawl.", max_length=50)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    search: Annotated[str, Query(description="Text in a name or a URL.", max_length=500)] = "",
) -> JobListResponse:
    """List jobs, the newest first."""
    which = Selection(
        phases=phases_of(words.states, status) if status else frozenset(),
        types=frozenset({dialects.job_type(job_type)} if job_type else ()),
        search=search.strip().lower(),
    )
    page = await session.jobs.list(which, Paging(limit, offset))
    return answers.listed(Page(page.items, page.total, limit, offset), words)


@_routes.get(
    "/jobs/{job_id}", summary="Read a job's state", responses=answered(examples.STATE) | problems(WorkersError, 404)
)
async def read(job_id: Id, session: SessionOf, words: WordsOf) -> JobStatusResponse:
    """Say where a job stands."""
    return answers.status(await found(session.jobs.get(job_id), f"Job not found: {job_id}"), words)


@_routes.get(
    "/jobs/{job_id}/result",
    summary="Read a job's result",
    responses=answered(examples.RESULT) | problems(WorkersError, 404),
)
async def result(job_id: Id, session: SessionOf) -> JobResultResponse:
    """Say what a job came to; 404 while it has not ended, and when its result's time is over."""
    job = await found(session.jobs.get(job_id), f"Job not found: {job_id}")
    return answers.result(job, result_of(job))


@_routes.get("/stats/queue", summary="Count jobs by state", responses=answered(examples.QUEUE) | problems(WorkersError))
@_routes.get("/queue/stats", summary="Count jobs by state", responses=answered(examples.QUEUE) | problems(WorkersError))
async def queue(session: SessionOf) -> QueueStatsResponse:
    """Count jobs by where they stand."""
    return answers.queue((await session.jobs.statistics()).queue)


@_routes.get("/stats/workers", summary="Count workers", responses=answered(examples.POOL) | problems(WorkersError))
@_routes.get("/stats", summary="Count workers", responses=answered(examples.POOL) | problems(WorkersError))
async def workers(session: SessionOf) -> WorkerPoolStatsResponse:
    """Count workers and what came of their work; 503 while jobs wait and nobody is there who starts workers."""
    stats = (await session.jobs.statistics()).queue
    pods = await session.core.workers.list(session.namespace)
    try:
        return answers.pool(pool(stats, pods))
    except UnavailableError as error:
        raise refused(503, error.reason, str(error), retry_after=10) from error


@_routes.get("/metrics", summary="Measure jobs", responses=answered(examples.METRICS) | problems(WorkersError))
async def metrics(session: SessionOf) -> MetricsResponse:
    """Count and time the jobs that there are; average and percentiles are exact, over the last 1,000 that ended."""
    return answers.metrics(await session.jobs.statistics())


@_routes.post(
    "/schedule", summary="Create a schedule", responses=answered(examples.SCHEDULE) | problems(WorkersError, 400)
)
@_routes.post(
    "/scheduled", summary="Create a schedule", responses=answered(examples.SCHEDULE) | problems(WorkersError, 400)
)
async def create_schedule(body: CreateScheduledJobRequest, session: SessionOf, words: WordsOf) -> ScheduledJobResponse:
    """Create a schedule; jobs are made when its cron line is due."""
    new = new_schedule(body)
    within(new, session.core.settings.urls_per_job)
    return answers.scheduled(await session.schedules.create(new), words, datetime.now(UTC))


@_routes.get("/schedule", summary="List schedules", responses=answered([examples.SCHEDULE]) | problems(WorkersError))
@_routes.get("/scheduled", summary="List schedules", responses=answered([examples.SCHEDULE]) | problems(WorkersError))
async def list_schedules(session: SessionOf, words: WordsOf) -> list[ScheduledJobResponse]:
    """List all schedules, the newest first."""
    return answers.all_scheduled(await session.schedules.list(), words, datetime.now(UTC))


@_routes.delete(
    "/schedule/{job_id}", summary="Delete a schedule", status_code=204, responses=problems(WorkersError, 404)
)
@_routes.delete(
    "/scheduled/{job_id}", summary="Delete a schedule", status_code=204, responses=problems(WorkersError, 404)
)
async def delete_schedule(job_id: Id, session: SessionOf) -> Response:
    """Delete a schedule and the jobs that it has made."""
    await found(session.schedules.delete(job_id), f"Scheduled job not found: {job_id}")
    return Response(status_code=204)


def _router() -> APIRouter:
    router = APIRouter(route_class=Route, generate_unique_id_function=operation_id)
    router.include_router(_routes, prefix=_SERVER, tags=["workers"])
    router.include_router(_routes, prefix=_CLIENT, tags=["workers, as the Python client has them"])
    return router


FACE: Final = Face(name="workers", router=_router(), prefixes=(f"{_SERVER}/", _CLIENT), render=render)
