"""What the demo draws. On a terminal progress moves; elsewhere each change is a line."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from crawl_api.status import Phase
from demo.jobs import JobView

_PLAIN_WIDTH: Final = 120
_BAR_WIDTH: Final = 30
_TEXT_LINES: Final = 4
_COLORS: Final = {
    Phase.COMPLETED: "green",
    Phase.PARTIAL_SUCCESS: "yellow",
    Phase.FAILED: "red",
    Phase.DEAD_LETTER: "red",
    Phase.CANCELLED: "red",
}


class Screen:
    """Where the demo talks to a person."""

    def __init__(self, console: Console | None = None) -> None:
        """Draw on standard output unless another console is given."""
        self._console = console or Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = _PLAIN_WIDTH
        self._since = time.monotonic()

    def say(self, text: str = "", style: str = "") -> None:
        """Print a text as it is; long lines are left to the terminal."""
        self._console.print(Text(text, style), soft_wrap=True)

    def step(self, text: str) -> None:
        """Print what has been done, and how long that took."""
        now = time.monotonic()
        self._console.print(Text.assemble((f"{now - self._since:6.1f} s  ", "cyan"), text), soft_wrap=True)
        self._since = now

    def heading(self, text: str) -> None:
        """Print the title of what follows."""
        self.say()
        self.say(text, "bold")

    def command(self, line: str, output: str) -> None:
        """Print a command and what it printed."""
        self.heading(f"$ {line}")
        self.say(output.rstrip())

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; texts that are too wide are folded, not cut."""
        self.heading(title)
        table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
        for column in table.columns:
            column.overflow = "fold"
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._console.print(table)

    def record(self, title: str, record: dict[str, Any]) -> None:
        """Print one page of a result: what it is called, what was asked for by name, how its text begins."""
        self.heading(title)
        facts = {"title": record.get("title"), **(record.get("fields") or {})}
        grid = Table.grid(padding=(0, 2))
        for name, value in facts.items():
            grid.add_row(Text(name, "cyan"), Text(str(value)))
        lines = [line for line in str(record.get("text") or "").splitlines() if line.strip()]
        grid.add_row(Text("text", "cyan"), Text("\n".join(lines[:_TEXT_LINES])))
        self._console.print(grid)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[[Sequence[JobView]], None]]:
        """Yield a function that shows how far the jobs are."""
        if self._console.is_terminal:
            with Live(console=self._console, auto_refresh=False) as live:
                yield lambda jobs: live.update(_bars(jobs), refresh=True)
        else:
            yield _Lines(self).show


class _Lines:
    """Progress where nothing can be drawn over: a line for each change."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._shown: dict[str, str] = {}

    def show(self, jobs: Sequence[JobView]) -> None:
        for job in jobs:
            line = f"{job.name:<12} {job.status.phase:<15} {job.status.progress.percent:>3}%  {job.pages}".rstrip()
            if self._shown.get(job.name) != line:
                self._shown[job.name] = line
                self._screen.step(line)


def _bars(jobs: Sequence[JobView]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for job in jobs:
        percent = job.status.progress.percent
        color = _COLORS.get(job.status.phase, "cyan")
        grid.add_row(
            f"         {job.name}",
            job.type,
            Text(job.status.phase, color),
            ProgressBar(total=100, completed=percent, width=_BAR_WIDTH),
            f"{percent}%",
            job.pages,
        )
    return grid
