"""Places to run: who holds one, who waits for one, and who is to be told when one becomes free.

A place is held from just before a job's worker is asked for until the last live worker of that job is gone. What is
kept here follows from the jobs and children seen, so that a restart counts the same.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from datetime import datetime
from operator import itemgetter

from crawl_api.crawljob import Priority
from crawl_operator.decide.model import Job, JobKey

Order = tuple[int, datetime, str, str]


class Places:
    """A number of places and the line before them.

    Args:
        limit: places there are.
        wake: called with the key of a waiting job that may now get a place.
    """

    def __init__(self, limit: int, wake: Callable[[JobKey], None]) -> None:
        self.limit = limit
        self._wake = wake
        self._live: dict[JobKey, frozenset[str]] = {}  # UIDs of jobs of that name with a live worker
        self._reserved: dict[JobKey, Job] = {}  # the job whose worker is being created
        self._held = 0
        self._line: list[Order] = []  # sorted; the order ends with namespace and name

    @property
    def held(self) -> int:
        """How many places are taken."""
        return self._held

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._line)

    def waiting_of(self, priority: Priority) -> int:
        """Return how many jobs of a priority wait."""
        start, end = (bisect_left(self._line, rank, key=itemgetter(0)) for rank in (priority.rank, priority.rank + 1))
        return end - start

    def holders(self) -> Iterator[tuple[JobKey, str]]:
        """Iterate over key and UID of the jobs that hold a place."""
        for key, uids in self._live.items():
            for uid in uids:
                yield key, uid
        yield from ((key, job.uid) for key, job in self._reserved.items())

    def ahead_of(self, job: Job) -> int:
        """Return how many waiting jobs are served before this one."""
        return bisect_left(self._line, job.order)

    def holds(self, job: Job) -> bool:
        """Tell whether this very job, not a namesake, holds a place."""
        return job.uid in self._live.get(job.key, ()) or self._is_reserved(job)

    def reserved(self, key: JobKey) -> Job | None:
        """Return the job of that name, or a namesake before it, whose worker was asked for and has not been seen."""
        return self._reserved.get(key)

    def wait(self, job: Job) -> None:
        """Put a job in line, unless it stands there."""
        position = bisect_left(self._line, job.order)
        if position == len(self._line) or self._line[position] != job.order:
            insort(self._line, job.order)

    def leave(self, job: Job) -> None:
        """Take a job out of the line; whoever thereby moves within reach of a free place is woken."""
        position = self._drop(job)
        free = self.limit - self._held
        if position is not None and position < free:
            self._wake_range(free - 1, free)

    def reserve(self, job: Job) -> None:
        """Give a job a place before its worker is asked for, so that no place is given twice."""
        self._drop(job)
        if not self.holds(job):
            self._reserved[job.key] = job
            self._held += 1

    def release(self, job: Job) -> None:
        """Take a reserved place back: the worker certainly does not exist."""
        if self._is_reserved(job):
            del self._reserved[job.key]
            self._freed(1)

    def set_live(self, key: JobKey, uids: frozenset[str]) -> None:
        """Take note which jobs of that name have a live worker; a reservation among them is thereby honoured."""
        before = len(self._live.get(key, ())) + (key in self._reserved)
        if uids:
            self._live[key] = uids
        else:
            self._live.pop(key, None)
        if key in self._reserved and self._reserved[key].uid in uids:
            del self._reserved[key]
        after = len(uids) + (key in self._reserved)
        self._freed(before - after)

    def _is_reserved(self, job: Job) -> bool:
        return job.key in self._reserved and self._reserved[job.key].uid == job.uid

    def _freed(self, count: int) -> None:
        self._held -= count
        free = self.limit - self._held
        self._wake_range(free - count, free)

    def _wake_range(self, start: int, end: int) -> None:
        for _, _, namespace, name in self._line[max(start, 0) : max(end, 0)]:
            self._wake(JobKey(namespace, name))

    def _drop(self, job: Job) -> int | None:
        position = bisect_left(self._line, job.order)
        if position < len(self._line) and self._line[position] == job.order:
            del self._line[position]
            return position
        return None
