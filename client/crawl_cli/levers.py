"""Commands that change what there is: wait, cancel, suspend, resume, requeue, update, delete."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from crawl_api.enums import Phase
from crawl_cli import complete, exits, follow
from crawl_cli.exits import Refused
from crawl_cli.jobs import Labels, Name, Phases
from crawl_cli.output import note, say
from crawl_cli.session import Session, command
from crawl_client.bulk import for_each
from crawl_client.filters import Filter
from crawl_client.models import Job

OptionalNames = Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", autocompletion=complete.jobs)]
All = Annotated[bool, typer.Option("--all", help="All jobs of the namespace.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is done.")]
_SECONDS = 60.0


async def chosen(
    session: Session, names: list[str] | None, selector: str, phase: list[str], *, everything: bool
) -> list[str]:
    """Return the names of the jobs that are meant, by name or by selection.

    Raises:
        Refused: none was said to be meant.
    """
    if names:
        if selector or everything or phase:
            raise Refused("name jobs, or select them; not both")
        return names
    if not (selector or everything or phase):
        raise Refused("which jobs? name them, or select them with -l, --phase or --all")
    found = [job.name async for job in session.client.jobs.iterate(Filter(phase, labels=selector))]
    if not found:
        note("no jobs found")
    return found


async def to_all(
    names: list[str], done: str, act: Callable[[str], Awaitable[Any]], *, kind: str = "crawljob.crawl-operator.io"
) -> int:
    """Do something to each and say so; the exit code is that of the first that went wrong."""
    outcome = await for_each(names, act)
    failed = {failure.name: failure.error for failure in outcome.failed}
    code = 0
    for name in names:
        if name in failed:
            code = exits.report(failed[name]) if code == 0 else exits.report(failed[name]) and code
        else:
            say(f"{kind}/{name} {done}")
    return code


async def cancel(
    session: Session,
    names: OptionalNames = None,
    selector: Labels = "",
    phase: Phases = [],  # noqa: B006 - typer copies it
    everything: All = False,
    wait: Wait = False,
) -> int:
    """End jobs for good; running workers are stopped first, and what they have is kept."""
    meant = await chosen(session, names, selector, phase, everything=everything)

    async def act(name: str) -> None:
        await session.client.jobs.cancel(name)
        if wait:
            await session.client.wait(name, timeout=_SECONDS, check=False)

    return await to_all(meant, "cancelled" if wait else "cancelling", act)


async def suspend(
    session: Session,
    names: OptionalNames = None,
    selector: Labels = "",
    phase: Phases = [],  # noqa: B006 - typer copies it
    everything: All = False,
) -> int:
    """Hold jobs: running workers hand back what they have, and others go on from there later."""
    meant = await chosen(session, names, selector, phase, everything=everything)
    return await to_all(meant, "suspended", session.client.jobs.suspend)


async def resume(
    session: Session,
    names: OptionalNames = None,
    selector: Labels = "",
    everything: Annotated[bool, typer.Option("--all", help="All suspended jobs.")] = False,
) -> int:
    """Let suspended jobs go on from where they were."""
    phase = [] if names else [str(Phase.SUSPENDED)]
    meant = names or await chosen(session, names, selector, phase, everything=everything)
    return await to_all(meant, "resumed", session.client.jobs.resume)


async def requeue(
    session: Session,
    names: OptionalNames = None,
    selector: Labels = "",
    phase: Phases = [],  # noqa: B006 - typer copies it
) -> int:
    """Run jobs that have ended once more, from the beginning and with fresh attempts."""
    meant = await chosen(session, names, selector, phase, everything=False)
    return await to_all(meant, "requeued", session.client.jobs.requeue)


async def delete(
    session: Session,
    names: OptionalNames = None,
    selector: Labels = "",
    phase: Phases = [],  # noqa: B006 - typer copies it
    everything: All = False,
) -> int:
    """Remove jobs, their workers and their results."""
    meant = await chosen(session, names, selector, phase, everything=everything)
    return await to_all(meant, "deleted", session.client.jobs.delete)


async def update(
    session: Session,
    name: Name,
    priority: Annotated[str | None, typer.Option("--priority", "-p", help="Until it runs.")] = None,
    ttl: Annotated[list[str] | None, typer.Option(help="resultSeconds=60 and the like; may be repeated.")] = None,
) -> int:
    """Change what may change after creation."""
    changes: dict[str, Any] = {"priority": priority} if priority else {}
    if ttl:
        pairs = [each.partition("=") for each in ttl]
        if not all(value.isdigit() for _, _, value in pairs):
            raise Refused("--ttl has the form resultSeconds=60")
        changes["ttl"] = {key: int(value) for key, _, value in pairs}
    if not changes:
        raise Refused("what is to change? --priority or --ttl")
    job = await session.client.jobs.update(name, **changes)
    say(f"crawljob.crawl-operator.io/{job.name} updated")
    return 0


async def wait(
    session: Session,
    names: OptionalNames = None,
    selector: Labels = "",
    everything: All = False,
    until: Annotated[
        str, typer.Option("--for", help="A phase, or condition=TYPE as kubectl wait has it; the end if not given.")
    ] = "",
    timeout: Annotated[str, typer.Option(help="How long at most, such as 90s or 5m; 0 for as long as it takes.")] = "0",
    strict: Annotated[bool, typer.Option("--strict", help="Exit 12 where some pages failed.")] = False,
) -> int:
    """Wait for jobs, with one watch for all of them; the exit code says how they ended."""
    from crawl_cli.manifests import seconds

    meant = await chosen(session, names, selector, [], everything=everything)
    meant = [(await session.client.jobs.get(name)).name for name in meant] if names else meant
    if not meant:
        return 0
    with follow.progress() as show:
        ended = await session.client.wait_all(meant, timeout=seconds(timeout) or None, seen=show, until=_until(until))
    for job in ended.values():
        say(follow.summary(job) if job.finished else f"{job.name} {job.phase}")
    jobs = list(ended.values())
    return follow.exit_code([job for job in jobs if not _until(until)(job)] if until else jobs, strict=strict)


def _until(text: str) -> Callable[[Job], bool]:
    if not text:
        return lambda job: job.finished
    if text.lower().startswith("condition="):
        kind, _, wanted = text.partition("=")[2].partition("=")
        return lambda job: job.condition(kind).get("status") == (wanted or "True")
    from crawl_client.dialects import phases

    wanted_phases = phases(text)
    return lambda job: job.phase in wanted_phases


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "wait")(wait)
    command(app, "cancel", "stop")(cancel)
    command(app, "suspend", "pause")(suspend)
    command(app, "resume", "unpause")(resume)
    command(app, "requeue", "retry")(requeue)
    command(app, "update")(update)
    command(app, "delete", "rm")(delete)
