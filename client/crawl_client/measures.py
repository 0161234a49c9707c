"""What jobs came to in numbers, by type: counts, mean and exact percentiles of the last thousand."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from crawl_api.enums import JobType, Phase
from crawl_client.models import GOOD, Job

LAST: Final = 1000
"""Jobs that percentiles are taken of."""


@dataclass
class _Counting:
    submitted: int = 0
    completed: int = 0
    failed: int = 0
    retried: int = 0
    dead_letter: int = 0
    timed: int = 0
    total_ms: int = 0

    def take(self, job: Job) -> None:
        self.submitted += 1
        self.completed += job.phase in GOOD
        self.failed += job.phase.terminal and job.phase not in GOOD
        self.dead_letter += job.phase is Phase.DEAD_LETTER
        self.retried += job.retries
        if (took := _took(job)) is not None:
            self.timed += 1
            self.total_ms += took

    def tally(self) -> "Tally":
        mean = round(self.total_ms / self.timed, 1) if self.timed else 0.0
        return Tally(self.submitted, self.completed, self.failed, self.retried, self.dead_letter, mean)


@dataclass(frozen=True)
class Tally:
    """Numbers of some jobs."""

    submitted: int = 0
    completed: int = 0
    """Those with some of their pages too."""
    failed: int = 0
    """Dead letters and cancelled ones too."""
    retried: int = 0
    """Attempts that were, or will be, repeated."""
    dead_letter: int = 0
    average_ms: float = 0.0
    """Mean processing time of those that have ended."""

    @property
    def success_rate(self) -> float:
        """Completed of submitted, in percent; 0 of none."""
        return round(100 * self.completed / self.submitted, 2) if self.submitted else 0.0


@dataclass(frozen=True)
class Measures:
    """Numbers of the jobs that there are."""

    all: Tally
    by_type: Mapping[JobType, Tally]
    last_ms: tuple[int, ...]
    """Processing times of those that ended last, at most `LAST`, ascending."""

    def percentile(self, percent: int) -> int:
        """Return the processing time in milliseconds that so many percent of them did not exceed; 0 of none.

        >>> Measures(Tally(), {}, (10, 20, 30, 40)).percentile(50)
        20
        """
        if not self.last_ms:
            return 0
        return self.last_ms[max(-(-len(self.last_ms) * percent // 100), 1) - 1]


def measured(jobs: Iterable[Job]) -> Measures:
    """Count jobs; memory is that of the last thousand."""
    everything, kinds = _Counting(), defaultdict[JobType, _Counting](_Counting)
    last: list[tuple[datetime, int]] = []
    for job in jobs:
        everything.take(job)
        kinds[job.type].take(job)
        took = _took(job)
        if took is not None and job.completed is not None:
            heapq.heappush(last, (job.completed, took))
            if len(last) > LAST:
                heapq.heappop(last)
    by_type = {job_type: kinds[job_type].tally() for job_type in JobType if job_type in kinds}
    return Measures(everything.tally(), by_type, tuple(sorted(took for _, took in last)))


def _took(job: Job) -> int | None:
    return job.processing_time_ms if job.phase.terminal else None
