"""`/v1/export`: all jobs that are meant, as JSON or CSV."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic_core import to_json
from starlette.responses import Response, StreamingResponse

from crawl_client.errors import ValidationError
from crawl_client.models import Job
from crawl_client.rows import COLUMNS, row
from crawl_gateway.selection import Paging
from crawl_gateway.session import SessionOf
from crawl_gateway.v1 import examples
from crawl_gateway.v1.bodies import problems
from crawl_gateway.v1.parameters import SelectionOf
from crawl_gateway.v1.tables import CSV, csv_lines

router: Final = APIRouter(tags=["jobs"])

_AT_ONCE: Final = 200
"""Jobs that are written before others get their turn."""
_EVERYTHING: Final = 1 << 40
_TEXTS: Final = {"type": "string"}


@router.get(
    "/export",
    operation_id="exportJobs",
    summary="Export jobs",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The jobs, the newest first.",
            "content": {
                "application/json": {
                    "schema": {"type": "array", "items": {"type": "object"}},
                    "example": [examples.ROW],
                },
                "text/csv": {"schema": _TEXTS},
            },
        },
        **problems(400, 404),
    },
)
async def export(
    session: SessionOf,
    which: SelectionOf,
    form: Annotated[str, Query(alias="format", description="`json`: an array of flat rows; or `csv`.")] = "json",
) -> Response:
    """Export all jobs that are meant, as flat rows."""
    if form not in _FORMS:
        raise ValidationError([f"format: {form!r} is none of {', '.join(_FORMS)}"])
    found = await session.jobs.list(which, Paging(limit=_EVERYTHING))
    media, write = _FORMS[form]
    headers = {"Content-Disposition": f'attachment; filename="jobs.{form}"'}
    return StreamingResponse(write(found.items), media_type=media, headers=headers)


async def _json(jobs: Sequence[Job]) -> AsyncIterator[bytes]:
    yield b"["
    for start in range(0, len(jobs), _AT_ONCE):
        lines = b",\n".join(to_json(row(job)) for job in jobs[start : start + _AT_ONCE])
        yield (b",\n" if start else b"\n") + lines
    yield b"\n]\n"


async def _csv(jobs: Sequence[Job]) -> AsyncIterator[bytes]:
    yield csv_lines([COLUMNS])
    for start in range(0, len(jobs), _AT_ONCE):
        yield csv_lines(list(row(job).values()) for job in jobs[start : start + _AT_ONCE])


_FORMS: Final[dict[str, tuple[str, Callable[[Sequence[Job]], AsyncIterator[bytes]]]]] = {
    "json": ("application/json", _json),
    "csv": (CSV, _csv),
}
