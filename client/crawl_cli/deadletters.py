"""Commands for dead letters: jobs whose attempts are used up."""

from functools import partial
from typing import Annotated

import typer

from crawl_cli import complete, tables
from crawl_cli.describe import describe_job
from crawl_cli.exits import Refused
from crawl_cli.jobs import Labels
from crawl_cli.levers import to_all
from crawl_cli.output import Output, check, note, paged, show_list, show_value
from crawl_cli.session import Session, command
from crawl_client.filters import Filter

Names = Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", autocompletion=complete.dead_letters)]
All = Annotated[bool, typer.Option("--all", help="All of the namespace.")]


async def list_(session: Session, selector: Labels = "", output: Output = "table") -> int:
    """List dead letters and why they are."""
    check(output)
    table = tables.Table(
        tables.DEAD, wide=output == "wide", namespaces=session.everywhere, empty="no dead letters found"
    )
    letters = session.client.dead_letters.iterate(Filter(labels=selector), session.namespace)
    await show_list(paged(letters), output, table)
    return 0


async def show(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="JOB", autocompletion=complete.dead_letters)],
    output: Output = "table",
) -> int:
    """Show all there is to know of a dead letter."""
    job = await session.client.dead_letters.get(name)
    show_value(job.to_dict(), output, partial(describe_job, job))
    return 0


async def requeue(session: Session, names: Names = None, everything: All = False, selector: Labels = "") -> int:
    """Run dead letters once more, with fresh attempts."""
    meant = await _meant(session, names, selector, everything=everything)
    return await to_all(meant, "requeued", session.client.dead_letters.requeue)


async def purge(session: Session, names: Names = None, everything: All = False, selector: Labels = "") -> int:
    """Remove dead letters for good."""
    meant = await _meant(session, names, selector, everything=everything)
    return await to_all(meant, "purged", session.client.dead_letters.purge)


async def _meant(session: Session, names: list[str] | None, selector: str, *, everything: bool) -> list[str]:
    if names and not selector and not everything:
        return names
    if names or not (selector or everything):
        raise Refused("which dead letters? name them, or select them with -l or --all")
    found = [job.name async for job in session.client.dead_letters.iterate(Filter(labels=selector))]
    if not found:
        note("no dead letters found")
    return found


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Dead letters: jobs whose attempts are used up.", no_args_is_help=True)
    command(group, "list", "ls", everywhere=True)(list_)
    command(group, "show", "describe")(show)
    command(group, "requeue", "retry")(requeue)
    command(group, "purge", "delete")(purge)
    app.add_typer(group, name="dead-letter")
