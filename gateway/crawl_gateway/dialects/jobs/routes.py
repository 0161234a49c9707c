"""`/jobs`: the routes."""

from typing import Annotated, Final

from fastapi import APIRouter, Path

from crawl_api.names import LABEL_JOB_ID
from crawl_client.models import Job
from crawl_gateway.dialects.jobs import examples, translate
from crawl_gateway.dialects.jobs.models import (
    EnqueueJobPayload,
    EnqueueJobResponse,
    JobProgressResponse,
    JobsError,
)
from crawl_gateway.dialects.routing import Key, Route, answered, found, operation_id, problems
from crawl_gateway.dialects.words import within
from crawl_gateway.faces import Face
from crawl_gateway.ids import job_id
from crawl_gateway.session import SessionOf

_router: Final = APIRouter(
    prefix="/jobs", tags=["jobs by type and payload"], route_class=Route, generate_unique_id_function=operation_id
)
Id = Annotated[
    str, Path(min_length=1, max_length=255, description="`job_…`; every other id of a job is understood too.")
]


@_router.post(
    "", summary="Enqueue a job", status_code=202, responses=answered(examples.ENQUEUED, 202) | problems(JobsError, 400)
)
async def enqueue(body: EnqueueJobPayload, session: SessionOf, key: Key = "") -> EnqueueJobResponse:
    """Store a job; it runs as soon as there is a place."""
    new = within(translate.new_job(body), session.core.settings.urls_per_job)
    job = await session.jobs.submit(new, key=key)
    return translate.enqueued(job, _id(job))


@_router.get("/{jobId}", summary="Read a job", responses=answered(examples.STATE) | problems(JobsError, 400, 404))
async def read(jobId: Id, session: SessionOf) -> JobProgressResponse:  # noqa: N803 - the word on the wire
    """Say where a job stands."""
    job = await found(session.jobs.get(jobId), f"job {jobId} not found")
    return translate.status(job, _id(job))


def _id(job: Job) -> str:
    return job.labels.get(LABEL_JOB_ID) or job_id(job.uid)


FACE: Final = Face(name="jobs", router=_router, prefixes=("/jobs",), render=translate.render)
