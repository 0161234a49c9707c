"""`/v1/jobs/{id}/result` and its records."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Any, Final

from fastapi import APIRouter
from pydantic.alias_generators import to_camel
from pydantic_core import to_json
from starlette.responses import Response, StreamingResponse

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
    response_class=StreamingResponse,
    responses={
        200: {"description": "One JSON object in each line.", "content": {_LINES: {"schema": {"type": "string"}}}},
        **problems(400, 404),
    },
)
async def records(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Read the records of a job's result, one per URL, however many: they are passed on as they are read."""
    name = await session.jobs.locate(id, "get")
    found = session.core.results.records(name, session.namespace)
    first = await anext(found, None)  # what is wrong shows before the answer has begun
    return StreamingResponse(_lines(first, found), media_type=_LINES)


async def _lines(first: Mapping[str, Any] | None, rest: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
    if first is None:
        return
    yield to_json(first) + b"\n"
    async for record in rest:
        yield to_json(record) + b"\n"
