"""Jobs on their way, as a person sees them: a bar with what is left of the time, or a line for each change."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from crawl_cli.exits import OF_PHASE, PARTIAL
from crawl_cli.output import note
from crawl_client.models import Job


@contextlib.contextmanager
def progress() -> Iterator[Callable[[Job], None]]:
    """Yield a function that shows how far a job is, on standard error: standard output is for results."""
    if sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _Lines().show


def summary(job: Job) -> str:
    """Say how a job has ended, in a line."""
    progress = job.progress
    pages = f"{progress.get('succeeded', 0)} of {progress.get('total', 0)} pages" if progress.get("total") else ""
    why = "" if job.succeeded and not progress.get("failed") else job.last_error
    taken = f"in {job.duration}" if job.duration else ""
    return ", ".join(part for part in (f"{job.name} {job.phase}", pages, taken, why) if part)


def exit_code(jobs: Sequence[Job], *, strict: bool = False) -> int:
    """Return the exit code of the worst end."""
    codes = [OF_PHASE.get(job.phase, PARTIAL if strict and job.phase == "PartialSuccess" else 0) for job in jobs]
    return next((code for code in codes if code), 0)


def eta(job: Job) -> str:
    """Say how long it will take at the pace so far; empty while that cannot be told."""
    done = job.progress.get("succeeded", 0) + job.progress.get("failed", 0)
    total = job.progress.get("total", 0)
    if not done or not total or job.started is None or job.finished:
        return ""
    taken = (datetime.now(UTC) - job.started).total_seconds()
    left = int(taken / done * (total - done))
    return f"{left // 60}:{left % 60:02} left"


class _Lines:
    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def show(self, job: Job) -> None:
        scheduled = job.condition("Scheduled")
        waits = scheduled.get("message", "") if scheduled.get("status") == "False" and not job.finished else ""
        done = f"{job.percent}%" if job.phase == "Processing" else ""
        line = "  ".join(part for part in (job.name, str(job.phase), done, waits) if part)
        if self._shown.get(job.uid) != line:
            self._shown[job.uid] = line
            note(line)


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[Job], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    columns: list[Any] = [
        TextColumn("{task.description}"),
        TextColumn("{task.fields[phase]}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[pages]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}"),
    ]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        known: dict[str, TaskID] = {}

        def show(job: Job) -> None:
            done = job.progress.get("succeeded", 0) + job.progress.get("failed", 0)
            pages = f"{done}/{job.progress['total']} pages" if job.progress.get("total") else ""
            waits = "" if job.phase == "Processing" or job.finished else f" ({job.reason})"
            fields: dict[str, Any] = {"phase": f"{job.phase}{waits}", "pages": pages, "eta": eta(job)}
            if job.uid not in known:
                known[job.uid] = bars.add_task(job.name, total=100, **fields)
            bars.update(known[job.uid], completed=job.percent, **fields)

        yield show
