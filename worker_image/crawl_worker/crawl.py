"""The loop of every job that goes from URL to URL: take a visit, let the job type make it, tell the finding."""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Iterable
from dataclasses import replace
from typing import Final, Protocol

from crawl_worker.context import Context
from crawl_worker.errors import PageError
from crawl_worker.findings import Finding, Visit, VisitKind
from crawl_worker.frontier import Frontier
from crawl_worker.site_rules import EveryUrl, Rules

_LOG: Final = logging.getLogger(__name__)

_EVERY_URL: Final = EveryUrl()
_STOP_SECONDS: Final = 2.0
"""How long what is in flight may take to be cancelled."""


class Visitor(Protocol):
    """What a job type does at each URL."""

    async def visit(self, visit: Visit) -> Finding:
        """Go there, and tell what was there; what was found need not be new."""

    def failed(self, visit: Visit, error: PageError) -> Finding:
        """Tell that the visit met a defect."""


async def crawl(
    context: Context,
    visitor: Visitor,
    starts: Iterable[Visit],
    *,
    max_pages: float = math.inf,
    rules: Rules = _EVERY_URL,
) -> AsyncGenerator[Finding, None]:
    """Make all visits that the starts lead to, as far as they are not made yet; yield each finding once it is there.

    Args:
        context: the attempt's.
        visitor: the job type.
        starts: where the crawl begins.
        max_pages: pages to bring at most, those of earlier attempts included.
        rules: which URLs to go to, and which of them are one page.
    """
    frontier = Frontier(context.hosts.wait, rules)
    for visit, is_done in context.visits():
        frontier.add(visit, done=is_done)
    if begun := frontier.new(starts):
        yield Finding(found=begun)
        for visit in begun:
            frontier.add(visit)
    left = max_pages - context.items

    def expect() -> None:
        if math.isfinite(max_pages):
            context.expect(context.items + min(int(left), frontier.left))

    expect()
    flights = _Flights(visitor)
    try:
        while left > 0 and not frontier.empty:
            pause = flights.start(frontier, min(context.concurrency, left))
            try:
                async with asyncio.timeout(pause):
                    visit, finding = await flights.landed()
            except TimeoutError:
                continue
            found = frontier.new(finding.found) + frontier.linked(finding.links, visit.depth + 1)
            yield replace(finding, found=found, links=())
            for each in found:
                frontier.add(each)
            frontier.end(visit, again=finding.again)
            if visit.kind is VisitKind.PAGE:
                left -= len(finding.records)
            expect()
    finally:
        await flights.cancel()


class _Flights:
    """The visits that are being made."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: asyncio.Queue[tuple[Visit, Finding]] = asyncio.Queue()
        self._open = 0
        """Visits begun whose findings were not taken yet."""

    def start(self, frontier: Frontier, limit: float) -> float | None:
        """Start visits up to the limit; return in how many seconds to try again, None: when one has landed."""
        while self._open < limit:
            taken = frontier.take()
            if not isinstance(taken, Visit):
                return taken if math.isfinite(taken) else None
            self._open += 1
            task = asyncio.create_task(self._make(taken))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return None

    async def landed(self) -> tuple[Visit, Finding]:
        """Return the next visit that has ended, and what it came to."""
        landed = await self._done.get()
        self._open -= 1
        return landed

    async def cancel(self) -> None:
        """End what is in flight."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_STOP_SECONDS)

    async def _make(self, visit: Visit) -> None:
        try:
            finding = await self._visitor.visit(visit)
        except Exception as error:  # noqa: BLE001 (a defect that one page meets must not harm the others)
            _LOG.exception("page met a defect", extra={"url": visit.url})
            defect = PageError("InternalError", f"{type(error).__name__}: {error}", retryable=True)
            finding = self._visitor.failed(visit, defect)
        self._done.put_nowait((visit, finding))
