"""`/v1/dead-letters`: jobs whose attempts are used up, to be looked at and run again."""

from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from crawl_api.enums import Phase
from crawl_client.errors import ConflictError, ValidationError
from crawl_gateway.faces import Json, gives, takes
from crawl_gateway.session import Session, SessionOf
from crawl_gateway.v1.bodies import listed, problems, sent
from crawl_gateway.v1.many import outcome
from crawl_gateway.v1.models import CrawlJobList, Ids, Outcome
from crawl_gateway.v1.pages import page
from crawl_gateway.v1.parameters import PagingOf, SelectionOf

router: Final = APIRouter(tags=["dead letters"])


@router.get(
    "/dead-letters",
    operation_id="listDeadLetters",
    summary="List dead letters",
    responses={200: gives("A page.", CrawlJobList), **problems(400, 404)},
)
async def list_dead_letters(session: SessionOf, which: SelectionOf, part: PagingOf) -> Response:
    """List dead letters, as jobs are listed; why each is one says its annotation `dead-letter-reason`."""
    return Json(page(await session.jobs.list(replace(which, phases=frozenset({Phase.DEAD_LETTER})), part)))


@router.post(
    "/dead-letters/requeue",
    operation_id="requeueDeadLetters",
    summary="Run many dead letters again",
    openapi_extra=takes(Ids, example={"ids": ["front-page"]}),
    responses={200: gives("What runs again, and what does not, and why.", Outcome), **problems(400, 404, 413)},
)
async def requeue(request: Request, session: SessionOf) -> Response:
    """Run dead letters once more, with fresh attempts; one that cannot be stops no other."""
    ids = listed(await sent(request), "ids", session.core.settings.max_bulk)
    if not all(isinstance(each, str) and each for each in ids):
        raise ValidationError(["ids: texts are wanted"])
    return Json(await outcome(len(ids), lambda number: _requeue(session, ids[number]), lambda number: str(ids[number])))


async def _requeue(session: Session, text: str) -> dict[str, Any]:
    job = await session.jobs.get(text, "patch")
    if not job.dead:
        raise ConflictError(f"{job.name} is {job.phase} and no dead letter", 409, reason="NotDeadLetter")
    return (await session.jobs.requeue(job.name)).to_dict()
