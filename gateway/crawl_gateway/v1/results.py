"""`/v1/jobs/{id}/result` and its records."""

from dataclasses import asdict
from typing import Final

from fastapi import APIRouter
from pydantic.alias_generators import to_camel
from pydantic_core import to_json
from starlette.responses import Response

from crawl_client.errors import ResultUnavailableError
from crawl_gateway.faces import Json, gives
from crawl_gateway.session import SessionOf
from crawl_gateway.v1.bodies import problems
from crawl_gateway.v1.models import JobResult
from crawl_gateway.v1.parameters import Id

router: Final = APIRouter(tags=["results"])

_LINES: Final = "application/x-ndjson"


@router.get(
    "/jobs/{id}/result",
    operation_id="getResult",
    summary="Read what a job came to",
    responses={200: gives("Its outcome; a failed job has one too.", JobResult), **problems(400, 404)},
)
async def result(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Read what the last attempt of a job came to; its records too, where they are few (`data`)."""
    found = await session.core.results.get(await session.jobs.locate(id, "get"), session.namespace)
    return Json({to_camel(key): value for key, value in asdict(found).items()})


@router.get(
    "/jobs/{id}/records",
    operation_id="getRecords",
    summary="Read the records of a job's result",
    response_class=Response,
    responses={
        200: {"description": "One JSON object in each line.", "content": {_LINES: {"schema": {"type": "string"}}}},
        **problems(400, 404),
    },
)
async def records(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Read the records of a job's result, one per URL, as far as the job itself holds them.

    What lies elsewhere is not fetched with the gateway's own rights: who writes a status could have it read anything.
    """
    found = await session.core.results.get(await session.jobs.locate(id, "get"), session.namespace)
    if not isinstance(found.data, list):
        raise ResultUnavailableError(f"the records lie at {found.url}", 404, reason="Elsewhere")
    return Response(b"".join(to_json(record) + b"\n" for record in found.data), media_type=_LINES)
