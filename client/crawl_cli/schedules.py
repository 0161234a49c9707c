"""Commands for schedules."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from crawl_api.names import GROUP
from crawl_cli import complete, tables
from crawl_cli.describe import describe_schedule
from crawl_cli.exits import Refused
from crawl_cli.jobs import Labels
from crawl_cli.levers import to_all
from crawl_cli.output import Output, as_yaml, check, paged, say, show_list, show_value
from crawl_cli.session import Session, command

Name = Annotated[str, typer.Argument(metavar="SCHEDULE", autocompletion=complete.schedules)]
Names = Annotated[list[str], typer.Argument(metavar="SCHEDULE...", autocompletion=complete.schedules)]
_KIND = f"scheduledcrawljob.{GROUP}"


async def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it, such as daily_crawl.")],
    cron: Annotated[str, typer.Argument(metavar="CRON", help='Five fields in quotes, such as "0 2 * * *".')],
    urls: Annotated[list[str] | None, typer.Argument(metavar="[URL]...", help="What its runs crawl.")] = None,
    template: Annotated[Path | None, typer.Option("--template", help="A CrawlJob's manifest for its runs.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone of the line, such as Europe/Berlin.")] = "UTC",
    priority: Annotated[str | None, typer.Option("--priority", "-p", help="Of its runs.")] = None,
    kind: Annotated[str | None, typer.Option("--type", "-t", help="Of its runs.")] = None,
    policy: Annotated[str, typer.Option(help="Allow, Forbid or Replace a run while another goes on.")] = "Allow",
    disabled: Annotated[bool, typer.Option("--disabled", help="Make no runs until it is enabled.")] = False,
    dry_run: Annotated[str, typer.Option(help="none, client (print the manifest) or server.")] = "none",
) -> int:
    """Create a schedule."""
    from crawl_cli import manifests
    from crawl_client.requested import NewJob, schedule

    if (template is None) == (not urls):
        raise Refused("what do its runs crawl? name URLs, or a manifest with --template")
    if template is not None:
        found = next(iter(manifests.read([template])), None)
        if not isinstance(found, NewJob):
            raise Refused(f"{template} holds no CrawlJob")
        job = found
    else:
        job = manifests.from_flags(
            urls or (),
            kind=kind,
            name=None,
            processor=None,
            task=None,
            values=(),
            labels=(),
            after=(),
            at=None,
            priority=priority,
        )
    new = schedule(name, cron, job, zone=zone, enabled=not disabled, concurrency_policy=policy)
    if dry_run == "client":
        say(as_yaml(new.manifest()).rstrip())
        return 0
    made = await session.client.schedules.create(new, dry_run=dry_run == "server")
    say(f"{_KIND}/{made.name} created")
    return 0


async def list_(session: Session, selector: Labels = "", output: Output = "table") -> int:
    """List schedules."""
    check(output)
    where = "any namespace" if session.everywhere else f"namespace {session.client.namespace}"
    table = tables.Table(
        tables.SCHEDULES,
        wide=output == "wide",
        namespaces=session.everywhere,
        empty=f"no schedules found in {where}",
    )
    await show_list(paged(session.client.schedules.iterate(session.namespace, labels=selector)), output, table)
    return 0


async def describe(session: Session, name: Name, output: Output = "table") -> int:
    """Show all there is to know of a schedule."""
    schedule = await session.client.schedules.get(name)
    show_value(schedule.to_dict(), output, partial(describe_schedule, schedule))
    return 0


async def delete(session: Session, names: Names) -> int:
    """Remove schedules and their runs."""
    return await to_all(names, "deleted", session.client.schedules.delete, kind=_KIND)


async def enable(session: Session, names: Names) -> int:
    """Let schedules make runs again."""
    return await to_all(names, "enabled", session.client.schedules.enable, kind=_KIND)


async def disable(session: Session, names: Names) -> int:
    """Let schedules make no runs but those that are asked for."""
    return await to_all(names, "disabled", session.client.schedules.disable, kind=_KIND)


async def trigger(session: Session, names: Names) -> int:
    """Make a run now, also of a disabled schedule."""
    return await to_all(names, "triggered", session.client.schedules.trigger, kind=_KIND)


async def next_(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="SCHEDULE|CRON", autocompletion=complete.schedules)],
    count: Annotated[int, typer.Option("--count", "-c", help="How many.", min=1, max=1000)] = 5,
    zone: Annotated[str, typer.Option(help="Of a cron line.")] = "UTC",
) -> int:
    """Show when a schedule, or a cron line in quotes, is due next."""
    from crawl_client.timetables import next_runs

    if " " in name.strip() or name.startswith("@"):
        line = name
    else:
        schedule = await session.client.schedules.get(name)
        line, zone = schedule.cron, schedule.zone
        if not schedule.enabled:
            say(f"{schedule.name} is disabled; if it were enabled:")
    for moment in next_runs(line, zone, count=count):
        say(moment.isoformat())
    return 0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Schedules: crawls by a cron line.", no_args_is_help=True)
    command(group, "create")(create)
    command(group, "list", "ls", "get", everywhere=True)(list_)
    command(group, "describe", "show")(describe)
    command(group, "enable")(enable)
    command(group, "disable")(disable)
    command(group, "next")(next_)
    command(group, "trigger")(trigger)
    command(group, "delete", "rm")(delete)
    app.add_typer(group, name="schedule")
