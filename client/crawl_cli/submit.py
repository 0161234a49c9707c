"""Commands that make jobs: from URLs, from manifests, and to their end."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from crawl_api.names import GROUP
from crawl_cli import complete, exits, follow, tables
from crawl_cli.exits import Refused
from crawl_cli.output import Output, as_yaml, check, note, say, show_object
from crawl_cli.session import Session, command
from crawl_client.errors import AppError
from crawl_client.models import Job

if TYPE_CHECKING:
    from crawl_client.requested import NewJob, NewSchedule

_DRY: Final = ("none", "client", "server")
_option: Final = partial(typer.Option, rich_help_panel="Job")

Many = list[str] | None


async def submit(
    session: Session,
    urls: Annotated[Many, typer.Argument(metavar="[URL]...", help="What to crawl.")] = None,
    file: Annotated[list[Path] | None, typer.Option("--filename", "-f", help="Manifests; - for stdin.")] = None,
    name: Annotated[str | None, _option(help="Its name; one is made up if not given.")] = None,
    kind: Annotated[
        str | None, _option("--type", "-t", help="single, batch, site, pdf, custom, maintenance; else told.")
    ] = None,
    priority: Annotated[
        str | None, _option("--priority", "-p", help="low, normal, high, critical, or 1 to 10.")
    ] = None,
    timeout: Annotated[int | None, _option(help="Seconds for one attempt.")] = None,
    at: Annotated[str | None, _option(help="Not before: a time, or +1h30m from now.")] = None,
    after: Annotated[
        Many, _option(help="Job that must end well first; may be repeated.", autocompletion=complete.jobs)
    ] = None,
    processor: Annotated[str | None, _option(help="Processor of a custom job.")] = None,
    task: Annotated[str | None, _option(help="Task of a maintenance job: cache_cleanup and others.")] = None,
    values: Annotated[Many, _option("--set", help="Any field of the spec: fetch.delaySeconds=2; repeatable.")] = None,
    label: Annotated[Many, _option(help="Label, key=value; may be repeated.")] = None,
    suspend: Annotated[bool, _option("--suspend", help="Hold it until it is resumed.")] = False,
    dry_run: Annotated[str, typer.Option(help="none, client (print the manifest) or server.")] = "none",
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Wait for the end, and show how far it is.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="With --follow: exit 12 if some pages failed.")] = False,
    wait_timeout: Annotated[str, typer.Option(help="With --follow: how long to wait, such as 5m.")] = "",
    output: Output = "",
) -> int:
    """Create jobs from URLs, or jobs and schedules from manifests.

    One that is refused stops no other.
    """
    from crawl_cli import manifests

    if output:
        check(output)
    if dry_run not in _DRY:
        raise Refused(f"--dry-run={dry_run} is none of {', '.join(_DRY)}")
    new = list(manifests.read(file or ()))
    if urls or processor or task or not file:
        more: dict[str, Any] = {"priority": priority, "timeoutSeconds": timeout, "suspend": suspend or None}
        job = manifests.from_flags(
            urls or (),
            kind=kind,
            name=name,
            processor=processor,
            task=task,
            values=values or (),
            labels=label or (),
            after=after or (),
            at=at,
            **more,
        )
        new.append(job)
    if dry_run == "client":
        say("---\n".join(as_yaml(each.manifest()) for each in new).rstrip())
        return 0
    show = output if not follow else "" if output else "note"
    created, code = await _create(session, new, show, dry=dry_run == "server")
    if follow and created and dry_run == "none":
        return await _follow(session, created, wait_timeout, output, strict=strict) or code
    return code


async def _create(
    session: Session, new: "Sequence[NewJob | NewSchedule]", output: str, *, dry: bool
) -> tuple[list[Job], int]:
    """Create them one after the other; return the jobs and the exit code."""
    from crawl_client.requested import NewSchedule

    created: list[Job] = []
    code = 0
    for each in new:
        try:
            if isinstance(each, NewSchedule):
                made = (await session.client.schedules.create(each, dry_run=dry)).name
                say(f"scheduledcrawljob.{GROUP}/{made} created")
                continue
            job = await session.client.jobs.submit(each, dry_run=dry)
        except AppError as error:
            if len(new) == 1:
                raise
            code = exits.report(error)
            continue
        created.append(job)
        text = f"crawljob.{GROUP}/{job.name} created" + (" (server dry run)" if dry else "")
        if output == "note":
            note(text)
        elif output:
            show_object(job, output, tables.Table(tables.JOBS, wide=output == "wide"))
        else:
            say(text)
    return created, code


async def _follow(session: Session, jobs: list[Job], limit: str, output: str, *, strict: bool) -> int:
    from crawl_cli.manifests import seconds

    with follow.progress() as show:
        ended = await session.client.wait_all(
            [job.name for job in jobs], jobs[0].namespace, timeout=seconds(limit) if limit else None, seen=show
        )
    for job in ended.values():
        if output:
            show_object(job, output, tables.Table(tables.JOBS, wide=output == "wide"))
        else:
            say(follow.summary(job))
    return follow.exit_code(list(ended.values()), strict=strict)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "submit", "create")(submit)
    command(app, "run", help="Create jobs and follow them to their end; the exit code says how that was.")(
        partial(submit, follow=True)
    )
