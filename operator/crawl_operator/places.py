"""Places to run: who holds one, who is next, and who waits.

A place is granted to whoever's turn it is, reserved just before the worker is asked for, and held until the last live
worker of the job is gone. What is kept here follows from the jobs and children seen, so that a restart counts the same.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from datetime import datetime

from crawl_api.crawljob import Priority
from crawl_operator.decide.capacity import CLOSED, GRANTED, Group, RunningLimits, Taken, obstacle, turn
from crawl_operator.decide.model import Admission, Job, JobKey

Entry = tuple[datetime, str]
"""A job in its group's line: since when it may run, and its name."""


class Places:
    """A number of places and the lines before them.

    Args:
        limits: how many places there are, and for whom.
        wake: called with the key of a waiting job that is granted a place.
        clock: tells the time, from which jobs age.
    """

    def __init__(self, limits: RunningLimits, wake: Callable[[JobKey], None], clock: Callable[[], datetime]) -> None:
        self.limits = limits
        self._wake = wake
        self._clock = clock
        self._open = False
        self._taken = Taken()  # places granted, reserved or held by a live worker
        self._waiting: dict[JobKey, tuple[Group, Entry]] = {}
        self._granted: dict[JobKey, Group] = {}  # those of the waiting whose turn has come
        self._lines: dict[Group, list[Entry]] = {}  # the others, sorted; no line is empty
        self._reserved: dict[JobKey, Job] = {}  # the job whose worker is being created
        self._live: dict[JobKey, Mapping[str, Priority]] = {}  # by UID, jobs of that name with a live worker

    @property
    def held(self) -> int:
        """How many places workers hold that live or are being created."""
        return self._taken.total - len(self._granted)

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._waiting)

    def held_by(self, priority: Priority) -> int:
        """Return how many places workers of a class hold."""
        return self._taken.by_class[priority] - self._granted_to(priority)

    def waiting_of(self, priority: Priority) -> int:
        """Return how many jobs of a class wait."""
        in_line = sum(len(line) for group, line in self._lines.items() if group.priority is priority)
        return in_line + self._granted_to(priority)

    def open(self) -> None:
        """Grant places from now on, and all that nobody holds afresh: whoever might hold one has been seen."""
        self._open = True
        for key in list(self._granted):
            self._withdraw(key)
        self._hand_out()

    def holds(self, job: Job) -> bool:
        """Tell whether this very job, not a namesake, has a worker, or has been asked for one."""
        return job.uid in self._live.get(job.key, ()) or self._is_reserved(job)

    def reserved(self, key: JobKey) -> Job | None:
        """Return the job of that name, or a namesake before it, whose worker was asked for and has not been seen."""
        return self._reserved.get(key)

    def admission(self, job: Job) -> Admission:
        """Put a job in line and tell whether it may run now, or which limit it waits for."""
        if self.holds(job):
            return GRANTED
        self.wait(job, asks=True)
        group = _group(job)
        if job.key not in self._granted:
            return obstacle(group, self._taken, self.limits) or CLOSED
        over = obstacle(group, self._taken, self.limits, more=0)
        if over is None:
            return GRANTED
        self._withdraw(job.key)  # workers have come that this operator has not asked for
        return over

    def wait(self, job: Job, *, asks: bool = False) -> None:
        """Put a job in line, unless it stands there or its turn has come.

        Args:
            job: as it was seen.
            asks: whether the job is being looked at, and so need not be woken when its turn comes at once.
        """
        place = _group(job), (job.since, job.key.name)
        if self._waiting.get(job.key) != place:
            self._drop(job.key)
            self._waiting[job.key] = place
            self._line_up(*place)
            self._hand_out(awake=job.key if asks else None)

    def leave(self, job: Job) -> None:
        """Take a job out of the line; a place that was granted to it goes to the next."""
        self._drop(job.key)
        self._hand_out()

    def reserve(self, job: Job) -> None:
        """Hold a place for a job before its worker is asked for, so that no place is given twice."""
        self._drop(job.key)
        if not self.holds(job):
            self._reserved[job.key] = job
            self._taken.add(_group(job), 1)
        self._hand_out()

    def release(self, job: Job) -> None:
        """Take a reserved place back: the worker certainly does not exist."""
        if self._is_reserved(job):
            self._taken.add(_group(self._reserved.pop(job.key)), -1)
            self._hand_out()

    def set_live(self, key: JobKey, live: Mapping[str, Priority]) -> None:
        """Take note which jobs of that name (by UID) have a live worker, and of which class.

        A reservation for one of them is thereby honoured.
        """
        for priority in self._live.pop(key, {}).values():
            self._taken.add(Group(priority, key.namespace), -1)
        for priority in live.values():
            self._taken.add(Group(priority, key.namespace), 1)
        if live:
            self._live[key] = live
        if key in self._reserved and self._reserved[key].uid in live:
            self._taken.add(_group(self._reserved.pop(key)), -1)
        self._hand_out()

    def _hand_out(self, awake: JobKey | None = None) -> None:
        """Grant each free place to the one whose turn it is among those whom no limit holds back."""
        while self._open and self._lines and self._taken.total < self.limits.total:
            now = self._clock()
            turns = (
                (turn(group, *line[0], now, self.limits.ageing), group)
                for group, line in self._lines.items()
                if obstacle(group, self._taken, self.limits) is None
            )
            group = min(turns, default=(None, None))[1]
            if group is None:
                return
            key = JobKey(group.namespace, self._lines[group][0][1])
            self._step_out(group, self._lines[group][0])
            self._granted[key] = group
            self._taken.add(group, 1)
            if key != awake:
                self._wake(key)

    def _withdraw(self, key: JobKey) -> None:
        """Put a job back in line whose place was granted and not taken."""
        self._taken.add(self._granted.pop(key), -1)
        self._line_up(*self._waiting[key])

    def _drop(self, key: JobKey) -> None:
        place = self._waiting.pop(key, None)
        if key in self._granted:
            self._taken.add(self._granted.pop(key), -1)
        elif place is not None:
            self._step_out(*place)

    def _line_up(self, group: Group, entry: Entry) -> None:
        insort(self._lines.setdefault(group, []), entry)

    def _step_out(self, group: Group, entry: Entry) -> None:
        line = self._lines[group]
        del line[bisect_left(line, entry)]
        if not line:
            del self._lines[group]

    def _is_reserved(self, job: Job) -> bool:
        return job.key in self._reserved and self._reserved[job.key].uid == job.uid

    def _granted_to(self, priority: Priority) -> int:
        return sum(group.priority is priority for group in self._granted.values())


def _group(job: Job) -> Group:
    return Group(job.priority, job.key.namespace)
