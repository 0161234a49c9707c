"""Parameters that routes of `/v1` share."""

from typing import Annotated

from fastapi import Depends, Header, Path, Query

from crawl_gateway.selection import SORTS, Paging, Selection

Id = Annotated[
    str,
    Path(
        min_length=1,
        max_length=253,
        description="Its name, its UID, `job_` and its UID without hyphens, its integer id, or its display name.",
    ),
]
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        description="The same request with the same key is answered with the same job, however often it comes.",
    ),
]


def selection(  # noqa: PLR0913, PLR0917 - what a list may be asked
    phase: Annotated[str, Query(description="Phases in any dialect's words, by commas: `failed`, `queued`.")] = "",
    type: Annotated[str, Query(description="Job types, by commas.")] = "",  # noqa: A002 - the word on the wire
    priority: Annotated[str, Query(description="Priorities, by commas; words, or 1 to 10.")] = "",
    schedule: Annotated[str, Query(description="Runs of this schedule.")] = "",
    labels: Annotated[str, Query(description="Labels that all must have: `team=docs,stage=test`.")] = "",
    search: Annotated[str, Query(description="Text in the name, the display name or a URL.", max_length=500)] = "",
) -> Selection:
    """Read which jobs are meant."""
    return Selection.of(phase=phase, type=type, priority=priority, schedule=schedule, labels=labels, search=search)


def paging(
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    cursor: Annotated[str, Query(max_length=1000, description="From the page before; instead of `offset`.")] = "",
    sort: Annotated[
        str, Query(description=f"One of {', '.join(SORTS)}; with a hyphen before it the other way round.")
    ] = "-created",
) -> Paging:
    """Read which part of a list is meant, in what order."""
    return Paging(limit, offset, cursor, sort.removeprefix("-"), descending=sort.startswith("-"))


SelectionOf = Annotated[Selection, Depends(selection)]
PagingOf = Annotated[Paging, Depends(paging)]
