"""`/v1/jobs/{id}/result`, its records, and its file."""

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Query
from pydantic.alias_generators import to_camel
from pydantic_core import to_json
from starlette.responses import Response, StreamingResponse

from crawl_api.downloads import form_of
from crawl_client.errors import ValidationError
from crawl_client.results import Result
from crawl_client.rows import RECORD_COLUMNS
from crawl_gateway.faces import Json, gives
from crawl_gateway.session import Session, SessionOf
from crawl_gateway.v1 import examples
from crawl_gateway.v1.bodies import problems
from crawl_gateway.v1.models import JobResult
from crawl_gateway.v1.parameters import Id
from crawl_gateway.v1.tables import CSV, csv_lines

router: Final = APIRouter(tags=["results"])

T = TypeVar("T")
Records = AsyncIterator[dict[str, Any]]

_LINES: Final = "application/x-ndjson"
_BYTES: Final = "application/octet-stream"
_TEXT: Final = {"type": "string"}


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
        200: {
            "description": "The records.",
            "content": {
                _LINES: {"schema": _TEXT},
                "application/json": {
                    "schema": {"type": "array", "items": {"type": "object"}},
                    "example": examples.RESULT["data"],
                },
                "text/csv": {"schema": _TEXT},
            },
        },
        **problems(400, 404),
    },
)
async def records(
    id: Id,  # noqa: A002 - the word on the wire
    session: SessionOf,
    form: Annotated[
        str,
        Query(alias="format", description="`jsonl`: an object in each line; `json`: an array; `csv`: nested as JSON."),
    ] = "jsonl",
) -> Response:
    """Read the records of a job's result, one per URL, however many: they are passed on as they are read."""
    if form not in _FORMS:
        raise ValidationError([f"format: {form!r} is none of {', '.join(_FORMS)}"])
    found = await _readable(id, session)
    rest = session.core.results.records(found)
    every = _begun(await anext(rest, None), rest)
    media, write = _FORMS[form]
    headers = {} if form == "jsonl" else {"Content-Disposition": f'attachment; filename="{found.job}.{form}"'}
    return StreamingResponse(write(every), media_type=media, headers=headers)


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
    first = await anext(chunks, None)
    return StreamingResponse(_begun(first, chunks), headers=headers, media_type=form_of(found.file)[2])


async def _readable(text: str, session: Session) -> Result:
    """Return the result of a job of which the caller may read the records."""
    name = await session.jobs.locate(text, "get")
    await session.core.rights.require(session.caller, "get", "crawljobs/results", session.namespace, name)
    return await session.core.results.get(name, session.namespace)


async def _begun(first: T | None, rest: AsyncIterator[T]) -> AsyncIterator[T]:
    """Go on with what has begun already, so that what is wrong shows before there is an answer."""
    if first is not None:
        yield first
    async for each in rest:
        yield each


async def _jsonl(records: Records) -> AsyncIterator[bytes]:
    async for record in records:
        yield to_json(record) + b"\n"


async def _json(records: Records) -> AsyncIterator[bytes]:
    before = b"[\n"
    async for record in records:
        yield before + to_json(record)
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


async def _csv(records: Records) -> AsyncIterator[bytes]:
    yield csv_lines([RECORD_COLUMNS])
    async for record in records:
        yield csv_lines([[record.get(name) for name in RECORD_COLUMNS]])


_FORMS: Final[dict[str, tuple[str, Callable[[Records], AsyncIterator[bytes]]]]] = {
    "jsonl": (_LINES, _jsonl),
    "json": ("application/json", _json),
    "csv": (CSV, _csv),
}
