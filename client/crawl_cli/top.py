"""`top`: jobs, classes, workers and rates, live on the whole screen; elsewhere one picture."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from crawl_api.enums import Phase, Priority
from crawl_cli.follow import eta
from crawl_cli.session import Session, command
from crawl_cli.tables import COLORS, age
from crawl_client.models import Job

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_ORDER: Final = (Phase.PROCESSING, Phase.RETRY, Phase.PENDING, Phase.DELAYED, Phase.SUSPENDED)
_WIDTHS: Final = {"NAME": 12, "TYPE": 6, "CLASS": 8, "PHASE": 10, "": 12, "PAGES": 7, "LEFT": 9, "AGE": 4}
"""Columns that are shortened last."""
_SPAN: Final = 10.0
"""Seconds over which rates are taken."""


@dataclass
class Picture:
    """What is known of the jobs now; memory is that of the slimmest facts."""

    jobs: dict[tuple[str, str], Job] = field(default_factory=dict)
    ended: deque[float] = field(default_factory=lambda: deque(maxlen=10_000))
    pages: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=10_000))
    complete: bool = False

    def take(self, kind: str, job: Job) -> None:
        """Take note of an event."""
        key = (job.namespace, job.name)
        before = self.jobs.get(key)
        if kind == "DELETED":
            self.jobs.pop(key, None)
            return
        if before is not None and self.complete:
            now = monotonic()
            if job.finished and not before.finished:
                self.ended.append(now)
            more = _pages(job) - _pages(before)
            if more > 0:
                self.pages.append((now, more))
        self.jobs[key] = job

    def rates(self) -> tuple[float, float]:
        """Return jobs ended and pages fetched per second, lately."""
        since = monotonic() - _SPAN
        return sum(moment > since for moment in self.ended) / _SPAN, sum(
            number for moment, number in self.pages if moment > since
        ) / _SPAN


async def top(
    session: Session,
    interval: Annotated[float, typer.Option(help="Seconds between two pictures.", min=0.2)] = 1,
    once: Annotated[bool, typer.Option("--once", help="One picture, and no more.")] = False,
) -> int:
    """Show jobs, classes, workers and rates, live. Ctrl-C ends it."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if not console.is_terminal:
        console.width = 160
    picture = Picture()
    for_one = once or not console.is_terminal
    if for_one:
        async for job in session.client.jobs.iterate(namespace=session.namespace):
            picture.take("ADDED", job)
        console.print(_drawn(session, picture, console.height if console.is_terminal else 1000))
        return 0
    watching = asyncio.create_task(_watch(session, picture))
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while not watching.done():
                live.update(_drawn(session, picture, console.height), refresh=True)
                await asyncio.wait([watching], timeout=interval)
        watching.result()
    finally:
        watching.cancel()
    return 0


async def _watch(session: Session, picture: Picture) -> None:
    async for event in session.client.jobs.watch(namespace=session.namespace):
        picture.take(event.type, event.object)
        picture.complete = picture.complete or event.type == "MODIFIED"


def _drawn(session: Session, picture: Picture, height: int) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    jobs = list(picture.jobs.values())
    ended, pages = picture.rates()
    where = "all namespaces" if session.everywhere else session.client.namespace
    head = Text.assemble(
        ("crawls ", "bold"),
        f"in {where} at {datetime.now(UTC):%H:%M:%S}Z   ",
        f"{len(jobs)} jobs   {ended:.1f} jobs/s   {pages:.1f} pages/s",
    )
    classes = _classes(jobs)
    return Group(head, "", classes, "", _jobs(jobs, max(height - 13, 3), everywhere=session.everywhere))


def _classes(jobs: list[Job]) -> "Table":
    columns: list[tuple[str, Callable[[Job], bool]]] = [
        ("WAITING", lambda job: job.phase is Phase.PENDING),
        ("DELAYED", lambda job: job.phase in {Phase.DELAYED, Phase.SUSPENDED}),
        ("RETRY", lambda job: job.phase is Phase.RETRY),
        ("RUNNING", lambda job: job.phase is Phase.PROCESSING),
        ("DONE", lambda job: job.succeeded),
        ("FAILED", lambda job: job.phase.terminal and not job.succeeded),
    ]
    table = _table(["CLASS"], [name for name, _ in columns])
    for priority in Priority:
        own = [job for job in jobs if job.priority is priority]
        table.add_row(priority, *(str(sum(meant(job) for job in own)) for _, meant in columns))
    return table


def _jobs(jobs: list[Job], rows: int, *, everywhere: bool) -> "Table":
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    table = _table(
        [*(["NAMESPACE"] if everywhere else []), "NAME", "TYPE", "CLASS", "PHASE", "", "PAGES", "LEFT", "WORKER", "AGE"]
    )
    live = [job for job in jobs if not job.finished]
    done = sorted((job for job in jobs if job.finished), key=lambda job: job.completed or job.created, reverse=True)
    live.sort(key=lambda job: (_ORDER.index(job.phase) if job.phase in _ORDER else 9, job.priority.rank, job.created))
    for job in (live + done)[:rows]:
        bar: Any = ProgressBar(total=100, completed=job.percent, width=16)
        pages = f"{_pages(job)}/{job.progress['total']}" if job.progress.get("total") else ""
        waits = job.reason if job.phase is Phase.PENDING else ""
        table.add_row(
            *([job.namespace] if everywhere else []),
            job.name,
            job.type,
            job.priority,
            Text(job.phase, COLORS.get(job.phase, "")),
            Text(waits, "dim") if waits else bar,
            pages,
            eta(job),
            job.worker,
            age(job.created),
        )
    return table


def _table(left: list[str], right: list[str] | None = None) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in left:
        table.add_column(name, no_wrap=True, min_width=_WIDTHS.get(name, len(name)))
    for name in right or ():
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _pages(job: Job) -> int:
    return int(job.progress.get("succeeded", 0)) + int(job.progress.get("failed", 0))


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "top", everywhere=True)(top)
