"""`/v1/jobs/{id}/result`, its records, and its file."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter
from pydantic.alias_generators import to_camel
from pydantic_core import to_json
from starlette.responses import Response, StreamingResponse

from crawl_api.downloads import form_of
from crawl_client.results import Result
from crawl_gateway.faces import Json, gives
from crawl_gateway.session import Session, SessionOf
from crawl_gateway.v1.bodies import problems
from crawl_gateway.v1.models import JobResult
from crawl_gateway.v1.parameters import Id

router: Final = APIRouter(tags=["results"])

_LINES: Final = "application/x-ndjson"
_BYTES: Final = "application/octet-stream"


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
    lines = _lines(session, await _readable(id, session))
    return StreamingResponse(_begun(await anext(lines, b""), lines), media_type=_LINES)


@router.get(
    "/jobs/{id}/file",
    operation_id="getFile",
    summary="Read the file of a job's result",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The file as it is stored: JSON Lines, Parquet or WARC, maybe compressed.",
            "content": {_BYTES: {"schema": {"type": "string", "format": "binary"}}},
        },
        **problems(400, 404),
    },
)
async def file(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Read the file of a job's result; its checksum (SHA-256) is the ETag."""
    found = await _readable(id, session)
    chunks = session.core.results.file(found)
    headers = {
        "ETag": f'"{found.sha256}"',
        "Content-Length": str(found.bytes),  # so that nothing looks whole that is not
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.file, safe='')}",
    }
    first = await anext(chunks, b"")
    return StreamingResponse(_begun(first, chunks), headers=headers, media_type=form_of(found.file)[2])


async def _readable(text: str, session: Session) -> Result:
    """Return the result of a job of which the caller may read the records."""
    name = await session.jobs.locate(text, "get")
    await session.core.rights.require(session.caller, "get", "crawljobs/results", session.namespace, name)
    return await session.core.results.get(name, session.namespace)


async def _lines(session: Session, found: Result) -> AsyncIterator[bytes]:
    async for record in session.core.results.records(found):
        yield to_json(record) + b"\n"


async def _begun(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Go on with what has begun already, so that what is wrong shows before there is an answer."""
    yield first
    async for chunk in rest:
        yield chunk
