"""Commands that answer "is it well?": status, queue, workers, stats, doctor, restart."""

import asyncio
import sys
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import typer

from crawl_api.enums import Phase, Priority
from crawl_cli import complete, exits, tables
from crawl_cli.describe import describe_job
from crawl_cli.exits import Refused
from crawl_cli.output import Output, check, once, say, show_list, show_value
from crawl_cli.session import Session, command
from crawl_client.stats import Health, QueueStats


async def status(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="[JOB]", autocompletion=complete.jobs)] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, every --interval seconds.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds.", min=0.2)] = 10,
    output: Output = "table",
) -> int:
    """Show how the system is; or all there is to know of a job."""
    check(output)
    if name is not None:
        job = await session.client.jobs.get(name)
        show_value(job.to_dict(), output, partial(describe_job, job))
        return 0
    while True:
        health = await session.client.stats.health(session.namespace)
        queue = await session.client.stats.queue(session.namespace)
        if watch and sys.stdout.isatty():
            sys.stdout.write("\x1b[2J\x1b[H")
        value = {"health": asdict(health), "queue": _queue(queue)}
        show_value(value, output, partial(_system, session, health, queue))
        if not watch:
            return 0 if health.healthy else exits.FAILED
        sys.stdout.flush()
        await asyncio.sleep(interval)


async def queue(session: Session, output: Output = "table") -> int:
    """Show how many jobs there are in each phase, and in each class."""
    numbers = await session.client.stats.queue(session.namespace)

    def table() -> None:
        counts = [(str(phase), str(numbers.by_phase.get(phase, 0))) for phase in Phase]
        tables.facts([*counts, ("Total", str(numbers.total))])
        say()
        say(f"{'PRIORITY':<10}{'WAITING':>9}{'RUNNING':>9}")
        for each in Priority:
            say(f"{each:<10}{numbers.waiting.get(each, 0):>9}{numbers.running.get(each, 0):>9}")

    show_value(_queue(numbers), output, table)
    return 0


async def workers(session: Session, output: Output = "table") -> int:
    """List worker pods."""
    check(output)
    found = await session.client.workers.list(session.namespace)
    if output in {"table", "wide"}:
        empty = "no workers found"
        table = tables.Table(tables.WORKERS, wide=output == "wide", namespaces=session.everywhere, empty=empty)
        await show_list(once(found), output, table)
    elif output == "name":
        for worker in found:
            say(f"pod/{worker.name}")
    else:
        show_value({"items": [worker.to_dict() for worker in found]}, output, lambda: None)
    return 0


async def stats(session: Session, output: Output = "table") -> int:
    """Show what came of the jobs: how many, how well, how fast."""
    times: list[int] = []
    pages = failed = size = 0
    async for job in session.client.jobs.iterate(namespace=session.namespace):
        pages += job.progress.get("succeeded", 0)
        failed += job.progress.get("failed", 0)
        size += job.progress.get("bytes", 0)
        took = job.raw.get("status", {}).get("processingTimeMs")
        if job.finished and took is not None:
            times.append(took)
    numbers = await session.client.stats.queue(session.namespace)
    times.sort()
    ended = numbers.completed + numbers.failed
    value: dict[str, Any] = {
        **_queue(numbers),
        "success_rate": round(100 * numbers.completed / ended, 1) if ended else None,
        "pages": pages,
        "failed_pages": failed,
        "bytes": size,
        "avg_processing_time_ms": round(sum(times) / len(times)) if times else None,
        **{f"p{share}_processing_time_ms": _share(times, share) for share in (50, 95, 99)},
    }

    def table() -> None:
        tables.facts(
            (key.replace("_", " ").capitalize(), str(each)) for key, each in value.items() if not isinstance(each, dict)
        )

    show_value(value, output, table)
    return 0


async def doctor(
    session: Session,
    operator_namespace: Annotated[str, typer.Option(help="Where the operator and its lease are.")] = "crawl-operator",
    output: Output = "table",
) -> int:
    """Look for what is wrong between here and the jobs."""
    health = await session.client.stats.health(session.namespace, operator_namespace=operator_namespace)
    pods = [worker for worker in await session.client.workers.list(session.namespace) if worker.alive]
    sick = [f"worker {worker.name} of {worker.job} is not ready" for worker in pods if not worker.ready]

    def table() -> None:
        _health(health)
        tables.facts([("Workers", f"{len(pods)}, {sum(worker.ready for worker in pods)} of them ready")])
        for problem in (*health.problems, *sick):
            say(f"problem: {problem}")
        if health.healthy and not sick:
            say("No problems found.")

    value = {**asdict(health), "workers": len(pods), "sick_workers": sick}
    show_value(value, output, table)
    return 0 if health.healthy and not sick else exits.FAILED


async def restart(
    session: Session,
    what: Annotated[str, typer.Argument(metavar="workers")] = "workers",
    failed: Annotated[bool, typer.Option("--failed", help="Only those that are not well.")] = False,
) -> int:
    """Restart worker pods: their jobs go on in new ones, without using up an attempt."""
    if what != "workers":
        raise Refused(f"{what!r} cannot be restarted, but workers; `kubectl rollout restart` restarts the operator")
    outcome = await session.client.workers.restart(session.namespace, failed=failed)
    for worker in outcome.done:
        say(f"pod/{worker.name} deleted, for {worker.job}")
    for failure in outcome.failed:
        sys.stderr.write(f"error: {failure}\n")
    if not outcome.done and not outcome.failed:
        sys.stderr.write("no workers found\n")
    return exits.FAILED if outcome.failed else 0


def _system(session: Session, health: Health, numbers: QueueStats) -> None:
    say("System Status")
    _health(health)
    tables.facts(
        (
            ("Namespace", "all" if session.everywhere else session.client.namespace),
            ("Jobs", f"{numbers.total} in all"),
            ("Waiting", f"{numbers.pending} pending, {numbers.delayed} delayed, {numbers.retry} to be tried again"),
            ("Running", str(numbers.processing)),
            ("Ended", f"{numbers.completed} well, {numbers.failed} not, {numbers.dead_letter} of them dead letters"),
            ("Problems", "\n".join(health.problems) or "none"),
        )
    )


def _health(health: Health) -> None:
    tables.facts(
        (
            ("Health", health.status),
            ("API server", f"{health.server} ({health.version}), {health.latency_ms:.0f} ms away"),
            ("Operator", health.operator and f"led by {health.operator}"),
        )
    )


def _queue(numbers: QueueStats) -> dict[str, Any]:
    counts = {name: value for name, value in asdict(numbers).items() if isinstance(value, int)}
    return {
        **counts,
        "total": numbers.total,
        "by_type": {str(key): value for key, value in numbers.by_type.items()},
        "by_phase": {str(key): value for key, value in numbers.by_phase.items()},
        "waiting": {str(key): value for key, value in numbers.waiting.items()},
        "running": {str(key): value for key, value in numbers.running.items()},
    }


def _share(times: list[int], percent: int) -> int | None:
    return times[min(len(times) * percent // 100, len(times) - 1)] if times else None


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "status", everywhere=True)(status)
    command(app, "queue", everywhere=True)(queue)
    command(app, "workers", everywhere=True)(workers)
    command(app, "stats", everywhere=True)(stats)
    command(app, "doctor", everywhere=True)(doctor)
    command(app, "restart", everywhere=True)(restart)
