"""`/v1/jobs`: make, find, change, end."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from crawl_client.errors import ValidationError
from crawl_gateway.errors import bad_request
from crawl_gateway.faces import Json, gives, takes
from crawl_gateway.session import SessionOf
from crawl_gateway.v1 import examples
from crawl_gateway.v1.bodies import job_of, listed, members, problems, sent, whole
from crawl_gateway.v1.many import outcome
from crawl_gateway.v1.models import Changes, CrawlJob, CrawlJobList, Jobs, NewCrawlJob, Outcome, Reason
from crawl_gateway.v1.pages import page
from crawl_gateway.v1.parameters import Id, Key, PagingOf, SelectionOf

router: Final = APIRouter(tags=["jobs"])

_JOB: Final[dict[int | str, dict[str, Any]]] = {200: gives("The job as it is now.", CrawlJob)}


@router.post(
    "/jobs",
    operation_id="createJob",
    summary="Make a job",
    status_code=201,
    openapi_extra=takes(NewCrawlJob, example=examples.NEW_JOB),
    responses={201: gives("The job.", CrawlJob), **problems(400, 404, 409, 413)},
)
async def create(
    request: Request,
    session: SessionOf,
    key: Key = "",
    dry_run: Annotated[bool, Query(alias="dryRun")] = False,  # noqa: FBT002 - a flag of the query
) -> Response:
    """Make a job; with `dryRun` the API server says what it would do, and nothing is stored."""
    new, named = job_of(await sent(request))
    return whole(await session.jobs.submit(new, key=key, named=named, dry_run=dry_run), 201)


@router.post(
    "/jobs/bulk",
    operation_id="createJobs",
    summary="Make many jobs",
    openapi_extra=takes(Jobs, example={"items": [examples.NEW_JOB]}),
    responses={200: gives("What was made, and what was not, and why.", Outcome), **problems(400, 404, 413)},
)
async def create_many(request: Request, session: SessionOf, key: Key = "") -> Response:
    """Make many jobs; one that is refused stops no other. With a key the whole request can be repeated."""
    await session.jobs.require("create")
    items = listed(await sent(request), "items", session.core.settings.max_bulk)

    async def make(number: int) -> dict[str, Any]:
        new, named = job_of(items[number])
        each = f"{key}/{number}" if key else ""
        return (await session.jobs.submit(new, key=each, named=named)).to_dict()

    return Json(await outcome(len(items), make, lambda number: _name(items[number])))


@router.get(
    "/jobs",
    operation_id="listJobs",
    summary="List jobs",
    responses={200: gives("A page.", CrawlJobList), **problems(400, 404)},
)
async def list_jobs(session: SessionOf, which: SelectionOf, part: PagingOf) -> Response:
    """List jobs, the newest first, from memory; `namespace=*` lists those of all namespaces."""
    return Json(page(await session.jobs.list(which, part)))


@router.get("/jobs/{id}", operation_id="getJob", summary="Read a job", responses={**_JOB, **problems(400, 404)})
async def read(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Read a job, whole and as it is now."""
    return whole(await session.jobs.get(id))


@router.patch(
    "/jobs/{id}",
    operation_id="updateJob",
    summary="Change a job",
    openapi_extra=takes(Changes, example={"spec": {"priority": "Critical"}}),
    responses={**_JOB, **problems(400, 404, 412, 413)},
)
async def update(
    id: Id,  # noqa: A002 - the word on the wire
    request: Request,
    session: SessionOf,
    match: Annotated[str, Header(alias="If-Match", description="An ETag: change that version alone.")] = "",
) -> Response:
    """Change what may change: priority, suspend, cancel, ttl, metadata. Members that are null go back to defaults."""
    changes = members(await sent(request), "spec").get("spec")
    if not isinstance(changes, dict) or not changes:
        raise ValidationError(["spec: an object with what is to change is wanted"])
    version = match.strip().removeprefix("W/").strip('"')
    if version and version != "*" and not (version.isascii() and version.isdigit()):
        raise bad_request("If-Match: an ETag of this job, or *, is wanted")
    return whole(await session.jobs.update(id, changes, version="" if version == "*" else version))


@router.delete(
    "/jobs/{id}",
    operation_id="deleteJob",
    summary="Remove a job",
    status_code=204,
    responses={204: gives("It is gone."), **problems(400, 404)},
)
async def delete(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Remove a job, its workers and its result."""
    await session.jobs.delete(id)
    return Response(status_code=204)


@router.post(
    "/jobs/{id}/cancel", operation_id="cancelJob", summary="End a job", responses={**_JOB, **problems(400, 404, 409)}
)
async def cancel(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """End a job for good; it is over when its phase says so."""
    return whole(await session.jobs.cancel(id))


@router.post(
    "/jobs/{id}/suspend", operation_id="suspendJob", summary="Hold a job", responses={**_JOB, **problems(400, 404, 409)}
)
async def suspend(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Hold a job: a running worker hands back what it has."""
    return whole(await session.jobs.suspend(id))


@router.post(
    "/jobs/{id}/resume",
    operation_id="resumeJob",
    summary="Let a held job go on",
    responses={**_JOB, **problems(400, 404, 409)},
)
async def resume(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Let a suspended job go on from where it was."""
    return whole(await session.jobs.resume(id))


@router.post(
    "/jobs/{id}/requeue",
    operation_id="requeueJob",
    summary="Run a job again",
    responses={**_JOB, **problems(400, 404, 409)},
)
async def requeue(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Run a finished job once more, with fresh attempts."""
    return whole(await session.jobs.requeue(id))


@router.get(
    "/jobs/{id}/why",
    operation_id="whyJob",
    summary="Say why a job is where it is",
    responses={200: gives("Why.", Reason), **problems(400, 404)},
)
async def why(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Say why a job is where it is: what it waits for, its place in line, what would help."""
    found = await session.jobs.why(id)
    soon = found.served_higher_in
    return Json(
        {
            "name": found.job.name,
            "phase": found.job.phase,
            "reason": found.reason,
            "message": found.message,
            "help": found.help,
            "position": found.position,
            "servedHigherInSeconds": soon.total_seconds() if soon is not None else None,
            "text": found.text,
        }
    )


def _name(item: Any) -> str:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    return str(metadata.get("name", ""))[:253] if isinstance(metadata, dict) else ""
