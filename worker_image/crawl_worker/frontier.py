"""Where to go next: every URL once, a level of links before the one below it, hosts in turn.

A level is finished before the next begins, so a page's depth is the length of the shortest way to it, and the same
crawl with a depth limit finds the same pages however fast each host answers.
"""

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from crawl_worker.fetch.urls import host_of
from crawl_worker.findings import Visit
from crawl_worker.site_rules import Rules

MAX_KNOWN: Final = 2_000_000
"""URLs that one crawl takes note of."""


class Frontier:
    """The visits of one crawl.

    Args:
        wait: in how many seconds a host may be asked; infinity while it may not.
        rules: which URLs to go to, and which of them are one page.
    """

    def __init__(self, wait: Callable[[str], float], rules: Rules) -> None:
        self._wait = wait
        self._rules = rules
        self._known: set[str] = set()
        self._levels: dict[int, dict[str, deque[Visit]]] = {}
        self._running: Counter[int] = Counter()
        self.left = 0
        """Visits that wait or run."""

    @property
    def empty(self) -> bool:
        """Whether no visit waits or runs."""
        return self.left == 0

    def linked(self, urls: Iterable[str], depth: int) -> list[Visit]:
        """Return the visits to those of a page's links that are heard of for the first time, as `new` does."""
        return self.new([Visit(url, depth) for url in urls if url not in self._known])

    def new(self, visits: Iterable[Visit]) -> list[Visit]:
        """Return those of these visits that are to be made and heard of for the first time; they are not added yet."""
        fresh: dict[str, Visit] = {}
        for visit in visits:
            if visit.url in self._known or visit.url in fresh or len(self._known) + len(fresh) >= MAX_KNOWN:
                continue
            cleaned = self._cleaned(visit)
            identity = self._rules.identity(cleaned.url)
            if identity in self._known or identity in fresh:
                continue
            if self._rules.admits(cleaned):
                fresh[identity] = cleaned
            else:
                self._known.add(visit.url)
        return list(fresh.values())

    def _cleaned(self, visit: Visit) -> Visit:
        if "?" not in visit.url and ";" not in visit.url:
            return visit
        return replace(visit, url=self._rules.clean(visit.url))

    def add(self, visit: Visit, *, done: bool = False) -> None:
        """Add a visit that is still to come, or take note of one that was."""
        self._known.add(self._rules.identity(visit.url))
        if not done:
            self.left += 1
            self._levels.setdefault(visit.depth, {}).setdefault(host_of(visit.url), deque()).append(visit)

    def take(self) -> Visit | float:
        """Return the next visit, which runs from now on; or in how many seconds to ask again.

        These are infinite where a visit must end first.
        """
        depth = min((*self._levels, *self._running), default=None)
        queues = self._levels.get(depth, {}) if depth is not None else {}
        soonest = math.inf
        for host, queue in queues.items():
            if (seconds := self._wait(host)) > 0:
                soonest = min(soonest, seconds)
                continue
            visit = queue.popleft()
            del queues[host]
            if queue:
                queues[host] = queue  # to the end: the other hosts come first now
            elif not queues:
                del self._levels[visit.depth]
            self._running[visit.depth] += 1
            return visit
        return soonest

    def end(self, visit: Visit, *, again: bool = False) -> None:
        """A visit has ended; `again` puts it to the end of its level's queue."""
        self._running[visit.depth] -= 1
        if not self._running[visit.depth]:
            del self._running[visit.depth]
        self.left -= 1
        if again:
            self.add(visit)
