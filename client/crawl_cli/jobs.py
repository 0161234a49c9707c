"""Commands that find and show jobs."""

import dataclasses
from functools import partial
from typing import Annotated

import typer

from crawl_cli import complete, tables
from crawl_cli.describe import describe_job
from crawl_cli.output import Output, check, note, once, paged, say, show_list, show_object, show_value
from crawl_cli.session import Session, command
from crawl_client.filters import Filter

Name = Annotated[str, typer.Argument(metavar="JOB", autocompletion=complete.jobs, help="Name, UID or display name.")]
Names = Annotated[list[str], typer.Argument(metavar="JOB...", autocompletion=complete.jobs, help="Names of jobs.")]
Labels = Annotated[str, typer.Option("--selector", "-l", help="Label selector, as kubectl has it.")]
Fields = Annotated[str, typer.Option("--field-selector", help="Field selector, as kubectl has it.")]
Phases = Annotated[list[str], typer.Option("--phase", "--status", "-s", help="Phase, in any dialect; may be repeated.")]


async def list_(
    session: Session,
    names: Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", autocompletion=complete.jobs)] = None,
    phase: Phases = [],  # noqa: B006 - typer copies it
    kind: Annotated[str | None, typer.Option("--type", "-t", help="single, batch, site, pdf or custom.")] = None,
    priority: Annotated[str | None, typer.Option("--priority", "-p", help="low, normal, high, critical.")] = None,
    selector: Labels = "",
    field_selector: Fields = "",
    schedule: Annotated[
        str | None, typer.Option(help="Runs of this schedule.", autocompletion=complete.schedules)
    ] = None,
    search: Annotated[str, typer.Option("--search", "-q", help="Text in name or URL.")] = "",
    limit: Annotated[int, typer.Option(help="So many of the newest; 0 for all, by name.", min=0, max=1000)] = 0,
    offset: Annotated[int, typer.Option(help="With --limit: how many to leave out.", min=0)] = 0,
    page: Annotated[int, typer.Option(help="With --limit: which page, from 1.", min=0)] = 0,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on with each change.")] = False,
    output: Output = "table",
) -> int:
    """List jobs: all of them by name as they come, or with --limit the newest.

    Phase, type and priority are looked for by the API server.
    """
    check(output)
    table = tables.Table(
        tables.JOBS, wide=output == "wide", namespaces=session.everywhere, empty=f"no jobs found in {_where(session)}"
    )
    where = Filter(phase, kind, priority, schedule, selector, field_selector, search)
    jobs = session.client.jobs
    if names:
        found = [await jobs.get(name) for name in names]
        if len(found) == 1 and output not in {"table", "wide"}:
            show_object(found[0], output, table)
        else:
            await show_list(once(found), output, table)
    elif limit:
        answer = await jobs.list(where, session.namespace, limit=limit, offset=offset, page=page or None)
        await show_list(once(answer.items), output, table)
        if output in {"table", "wide"} and answer.more:
            note(f"{len(answer.items)} of {answer.total}; the next with --page {answer.page + 1}")
    elif watch:
        await _watch(session, dataclasses.replace(where, search=""), output, table, search)
    else:
        await show_list(paged(jobs.iterate(where, session.namespace)), output, table)
    return 0


async def _watch(session: Session, where: Filter, output: str, table: tables.Table, search: str) -> None:
    wanted = Filter(search=search)
    async for event in session.client.jobs.watch(where, session.namespace):
        if event.type == "DELETED" or not wanted.matches(event.object):
            continue
        if output in {"table", "wide"}:
            table.add([event.object])
        else:
            show_object(event.object, output, table)


def _where(session: Session) -> str:
    return "any namespace" if session.everywhere else f"namespace {session.client.namespace}"


async def describe(session: Session, names: Names, output: Output = "table") -> int:
    """Show all there is to know of jobs."""
    for number, name in enumerate(names):
        job = await session.client.jobs.get(name)
        if number and output == "table":
            say()
        show_value(job.to_dict(), output, partial(describe_job, job))
    return 0


async def why(session: Session, name: Name, output: Output = "table") -> int:
    """Say the one reason why a job is not running, its place in line, and what would help."""
    found = await session.client.why(name)
    value = {
        "name": found.job.name,
        "phase": str(found.job.phase),
        "reason": found.reason,
        "message": found.message,
        "position": found.position,
        "help": found.help,
    }

    def table() -> None:
        say(found.text)
        if found.help:
            say(found.help[0].upper() + found.help[1:] + ".")

    show_value(value, output, table)
    return 0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "list", "get", "ls", everywhere=True)(list_)
    command(app, "describe")(describe)
    command(app, "why")(why)
