"""Rows → JSON, JSON Lines, CSV or Parquet, as a stream where the form allows it."""

import csv
import json
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import IO, Any, Final

from crawl_cli.exits import Refused
from crawl_cli.output import note
from crawl_client.client import CrawlClient
from crawl_client.errors import ResultUnavailableError
from crawl_client.models import Job
from crawl_client.rows import COLUMNS, RECORD_COLUMNS, row

FORMS: Final = ("json", "jsonl", "csv", "parquet")

Rows = AsyncIterator[dict[str, Any]]

OF_JOBS: Final = COLUMNS
OF_RECORDS: Final = ("job", *RECORD_COLUMNS)
"""What rows may hold: the columns of a table, whatever its first row has."""


def form_of(form: str, file: Path | None) -> str:
    """Return the form that is meant.

    Raises:
        Refused: there is none of that name; or it cannot be printed.
    """
    found = form or (file.suffix[1:] if file is not None else "jsonl")
    if found not in FORMS:
        raise Refused(f"{found or 'no ending'} is none of {', '.join(FORMS)}; say --format")
    if found == "parquet" and file is None and sys.stdout.isatty():
        raise Refused("Parquet is nothing for a terminal; say --to FILE")
    return found


async def each(jobs: Iterable[Job]) -> AsyncIterator[Job]:
    """Yield jobs that are there already."""
    for job in jobs:
        yield job


async def jobs(source: AsyncIterator[Job]) -> Rows:
    """Yield a flat row for each job."""
    async for job in source:
        yield row(job)


async def records(client: CrawlClient, source: AsyncIterator[Job]) -> Rows:
    """Yield the records of all these jobs, each with the name of its job; what has no result is said and left out."""
    async for job in source:
        try:
            async for record in client.results.records(job.name, job.namespace):
                yield {"job": job.name, **record}
        except ResultUnavailableError as error:
            note(f"warning: {error}")


async def write(rows: Rows, columns: Sequence[str], form: str, file: Path | None) -> int:
    """Write rows, in CSV with these columns, and return how many there were."""
    if form == "parquet":
        return await _parquet(rows, file)
    if file is None:
        return await _stream(rows, columns, form, sys.stdout)
    with file.open("w", encoding="utf-8", newline="") as target:
        return await _stream(rows, columns, form, target)


def line(values: dict[str, Any]) -> str:
    """Return a row as a line of JSON."""
    return json.dumps(values, ensure_ascii=False, default=str) + "\n"


async def _stream(rows: Rows, columns: Sequence[str], form: str, target: IO[str]) -> int:
    count = 0
    writer = csv.DictWriter(target, columns, extrasaction="ignore", lineterminator="\n")
    if form == "json":
        target.write("[")
    elif form == "csv":
        writer.writeheader()
    async for values in rows:
        if form == "csv":
            writer.writerow({key: _cell(value) for key, value in values.items()})
        else:
            target.write((",\n" if count else "\n") + line(values).rstrip() if form == "json" else line(values))
        count += 1
    if form == "json":
        target.write("\n]\n")
    return count


async def _parquet(rows: Rows, file: Path | None) -> int:
    try:
        from arro3.io import write_parquet
    except ImportError as error:
        raise Refused("for Parquet install crawl-operator[results]") from error
    from crawl_client.frames import to_arrow

    table = await to_arrow(rows)
    if file is None:
        write_parquet(table, sys.stdout.buffer)
    else:
        write_parquet(table, file)
    return int(table.num_rows)


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
