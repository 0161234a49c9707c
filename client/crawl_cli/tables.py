"""Tables as kubectl prints them, row by row as they come; colours only for people."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import typer

from crawl_client.models import Job, Schedule
from crawl_client.workers import Worker

COLORS: Final = {
    "Completed": "green",
    "PartialSuccess": "yellow",
    "Failed": "red",
    "DeadLetter": "red",
    "Cancelled": "magenta",
    "Processing": "cyan",
    "Retry": "yellow",
}


@dataclass(frozen=True)
class Column:
    """A column: its head, and what stands in it."""

    head: str
    value: Callable[[Any], str]
    wide: bool = False


JOBS: Final = (
    Column("NAME", lambda job: job.name),
    Column("TYPE", lambda job: job.raw["spec"].get("type", "")),
    Column("PRIORITY", lambda job: job.raw["spec"].get("priority", "")),
    Column("PHASE", lambda job: job.phase),
    Column("PROGRESS", lambda job: job.progress.get("summary", "")),
    Column("RETRIES", lambda job: str(job.retries)),
    Column("WORKER", lambda job: job.worker),
    Column("REASON", lambda job: job.reason, wide=True),
    Column("RESULT", lambda job: job.result_url, wide=True),
    Column("DURATION", lambda job: job.duration, wide=True),
    Column("AGE", lambda job: age(job.created)),
)
DEAD: Final = (
    Column("NAME", lambda job: job.name),
    Column("TYPE", lambda job: job.raw["spec"].get("type", "")),
    Column("ATTEMPTS", lambda job: str(len(job.raw["status"].get("attempts", ())))),
    Column("SINCE", lambda job: age(job.completed) if job.completed else ""),
    Column("REASON", lambda job: job.last_error),
)
SCHEDULES: Final = (
    Column("NAME", lambda schedule: schedule.name),
    Column("SCHEDULE", lambda schedule: schedule.cron),
    Column("ZONE", lambda schedule: schedule.zone),
    Column("ENABLED", lambda schedule: str(schedule.enabled).lower()),
    Column("ACTIVE", lambda schedule: str(schedule.raw.get("status", {}).get("activeCount", 0))),
    Column("LAST", lambda schedule: age(schedule.last_run) if schedule.last_run else ""),
    Column("NEXT", lambda schedule: moment(schedule.next_run)),
    Column("RUNS", lambda schedule: str(schedule.runs), wide=True),
    Column("MISSED", lambda schedule: str(schedule.raw.get("status", {}).get("missedCount", 0)), wide=True),
    Column("POLICY", lambda schedule: schedule.raw["spec"].get("concurrencyPolicy", "Allow"), wide=True),
    Column("AGE", lambda schedule: age(schedule.created)),
)
WORKERS: Final = (
    Column("NAME", lambda worker: worker.name),
    Column("JOB", lambda worker: worker.job),
    Column("ATTEMPT", lambda worker: str(worker.attempt)),
    Column("STATUS", lambda worker: worker.phase),
    Column("READY", lambda worker: str(worker.ready).lower()),
    Column("RESTARTS", lambda worker: str(worker.restarts), wide=True),
    Column("NODE", lambda worker: worker.node, wide=True),
    Column("AGE", lambda worker: age(worker.created)),
)
_LENGTHS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}
_UNITS: Final = (
    (120, "s", ""),
    (600, "m", "s"),
    (3 * 3600, "m", ""),
    (8 * 3600, "h", "m"),
    (48 * 3600, "h", ""),
    (8 * 86400, "d", "h"),
    (730 * 86400, "d", ""),
)
"""Up to how many seconds a time is written in which unit, and with which smaller one beside it: kubectl's rule."""
_NAMESPACE: Final = Column("NAMESPACE", lambda item: item.namespace)

Row = Job | Schedule | Worker


class Table:
    """Prints rows of objects; the widths are those of the first rows, so that nothing has to wait for the last.

    Args:
        columns: which there are.
        wide: whether those that `-o wide` adds are shown.
        namespaces: whether the namespace is shown.
        empty: said where there are no rows.
    """

    def __init__(
        self, columns: Sequence[Column], *, wide: bool = False, namespaces: bool = False, empty: str = "none found"
    ) -> None:
        chosen = [column for column in columns if wide or not column.wide]
        self._columns = [_NAMESPACE, *chosen] if namespaces else chosen
        self._widths: list[int] = []
        self._empty = empty
        self._color = colored()

    def add(self, items: Iterable[Row]) -> None:
        """Print rows."""
        rows = [[column.value(item) or "" for column in self._columns] for item in items]
        if not rows:
            return
        if not self._widths:
            heads = [column.head for column in self._columns]
            self._widths = [max(map(len, cells)) for cells in zip(heads, *rows, strict=True)]
            self._print(heads)
        for row in rows:
            self._print(row)
        sys.stdout.flush()

    def end(self) -> None:
        """Say so where there was nothing to print."""
        if not self._widths:
            sys.stderr.write(f"{self._empty}\n")

    def _print(self, cells: Sequence[str]) -> None:
        padded = [cell.ljust(width) for cell, width in zip(cells, self._widths, strict=True)]
        padded[-1] = cells[-1]
        if self._color:
            padded = [painted(text, COLORS.get(cell, "")) for text, cell in zip(padded, cells, strict=True)]
        sys.stdout.write("   ".join(padded).rstrip() + "\n")


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values in two columns; what is empty is left out."""
    rows = [(name, str(value)) for name, value in pairs if value not in ("", None, (), [])]
    width = max((len(name) for name, _ in rows), default=0) + 1
    for name, value in rows:
        first, *more = value.splitlines() or [""]
        shown = painted(first, COLORS[first]) if colored() and first in COLORS else first
        sys.stdout.write(f"{name + ':':<{width}}  {shown}\n")
        for line in more:
            sys.stdout.write(f"{'':<{width}}  {line}\n")


def colored() -> bool:
    """Tell whether a person reads who has not asked for no colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, color: str) -> str:
    """Return a text in a colour."""
    return typer.style(text, fg=color) if color else text


def moment(time: datetime | None) -> str:
    """Write a time as Kubernetes does; empty where there is none."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ") if time is not None else ""


def age(since: datetime) -> str:
    """Write how long ago something was, as kubectl does."""
    return span((datetime.now(UTC) - since).total_seconds())


def span(seconds: float) -> str:
    """Write a time as kubectl does.

    >>> span(7), span(190), span(4000), span(200000)
    ('7s', '3m10s', '66m', '2d7h')
    """
    total = max(int(seconds), 0)
    for limit, unit, smaller in _UNITS:
        if total < limit:
            rest = total % _LENGTHS[unit] // _LENGTHS[smaller] if smaller else 0
            return f"{total // _LENGTHS[unit]}{unit}" + (f"{rest}{smaller}" if rest else "")
    return f"{total // _LENGTHS['y']}y"
