"""Commands that read what jobs have brought: results, export, logs."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from crawl_cli import complete, exporting
from crawl_cli.exits import Refused
from crawl_cli.jobs import Labels, Name, Phases
from crawl_cli.output import as_json, as_yaml, note, say
from crawl_cli.session import Session, command
from crawl_client.filters import Filter

_WIDTH: Final = 60
_HEADS: Final = ("url", "status", "title", "error")


async def results(
    session: Session,
    name: Name,
    file: Annotated[
        Path | None, typer.Option("--to", help="Save the stored file as it is, there or in that folder.")
    ] = None,
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="jsonl, table, json, yaml, or summary; a table for people, else jsonl."),
    ] = "",
    field: Annotated[
        list[str] | None, typer.Option("--field", help="Show these fields of the records alone; may be repeated.")
    ] = None,
) -> int:
    """Show what a job has brought, a record per URL; or save it."""
    form = output or ("table" if sys.stdout.isatty() else "jsonl")
    if file is not None:
        note(f"saved {await session.client.results.download(name, file)}")
        return 0
    if form == "summary":
        result = await session.client.results.get(name)
        shown = {key: value for key, value in vars(result).items() if key != "data"}
        say(as_yaml(shown).rstrip())
        return 0
    records = _chosen(session.client.results.records(name), field)
    if form == "jsonl":
        async for record in records:
            sys.stdout.write(exporting.line(record))
    elif form == "table":
        await _table(records, field)
    elif form in {"json", "yaml"}:
        found = [record async for record in records]
        say(as_json(found) if form == "json" else as_yaml(found).rstrip())
    else:
        raise Refused(f"-o {form} is none of jsonl, table, json, yaml, summary")
    return 0


async def export(
    session: Session,
    names: Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", autocompletion=complete.jobs)] = None,
    to: Annotated[Path | None, typer.Option("--to", help="File; standard output if not given.")] = None,
    form: Annotated[
        str, typer.Option("--format", help="json, jsonl, csv or parquet; told from the file's name if not given.")
    ] = "",
    records: Annotated[
        bool, typer.Option("--records/--jobs", help="The records of the results, or the jobs themselves.")
    ] = False,
    selector: Labels = "",
    phase: Phases = [],  # noqa: B006 - typer copies it
) -> int:
    """Write jobs, or the records of their results, as JSON, JSON Lines, CSV or Parquet."""
    chosen = exporting.form_of(form, to)
    if names:
        jobs = [await session.client.jobs.get(name) for name in names]
        source = exporting.each(jobs)
    else:
        source = session.client.jobs.iterate(Filter(phase, labels=selector))
    rows = exporting.records(session.client, source) if records else exporting.jobs(source)
    columns = exporting.OF_RECORDS if records else exporting.OF_JOBS
    count = await exporting.write(rows, columns, chosen, to)
    if to is not None:
        note(f"{count} {'records' if records else 'jobs'} → {to}")
    return 0


async def logs(
    session: Session,
    name: Name,
    tail: Annotated[
        int | None, typer.Option("--tail", help="So many of the last lines; -n 100 says the same.", min=0)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the worker ends.")] = False,
) -> int:
    """Show what the last worker of a job has logged."""
    async for text in session.client.workers.logs(name, tail=tail, follow=follow):
        say(text)
    return 0


async def _chosen(records: AsyncIterator[dict[str, Any]], fields: list[str] | None) -> AsyncIterator[dict[str, Any]]:
    async for record in records:
        yield {field: _member(record, field) for field in fields} if fields else record


def _member(record: dict[str, Any], path: str) -> Any:
    value: Any = record
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


async def _table(records: AsyncIterator[dict[str, Any]], fields: list[str] | None) -> None:
    heads: list[str] = list(fields or ())
    rows: list[list[str]] = []
    async for record in records:
        heads = heads or (list(_HEADS) if "url" in record else list(record)[:6])
        rows.append([_cell(record.get(head)) for head in heads])
    if not rows:
        note("no records")
        return
    widths = [max(map(len, cells)) for cells in zip([head.upper() for head in heads], *rows, strict=True)]
    for cells in ([head.upper() for head in heads], *rows):
        say("   ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, dict) and "message" in value:
        value = f"{value.get('code', '')} {value['message']}".strip()
    text = "" if value is None else " ".join(str(value).split())
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "results", "result", stored=True)(results)
    command(app, "export", stored=True)(export)
    command(app, "logs")(logs)
