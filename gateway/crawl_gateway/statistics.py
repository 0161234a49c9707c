"""Numbers about jobs, counted from memory: queues, workers, rates, and exact percentiles."""

import asyncio
import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Final

from crawl_api.enums import JobType, Phase, Priority
from crawl_client.models import GOOD, Job
from crawl_client.stats import QueueStats, Tally
from crawl_gateway.entries import Entry
from crawl_gateway.recent import Recent
from crawl_gateway.shelf import Shelf

LATEST: Final = 1000
"""Finished jobs that average and percentiles are of."""
_WINDOWS: Final = {"minute": 60, "hour": 3600, "day": 86400}
_SHARES: Final = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
HOLDS_SECONDS: Final = 1.0


@dataclass(frozen=True)
class WorkerUse:
    """What one worker has done, and does, as far as jobs tell that are still there."""

    worker_id: str
    last_seen: datetime
    """When a job of its last changed, as far as that is said; else when it was accepted."""
    processed: int
    """Jobs that it ended."""
    failed: int
    """Those of them that ended without success."""
    current: Job | None
    """What it works on now."""


@dataclass(frozen=True)
class Statistics:
    """All of it, at one moment."""

    queue: QueueStats
    by_type: Mapping[JobType, Mapping[str, int]]
    """For each type: submitted, completed, failed, deadLetter."""
    retries: int
    """Attempts that were, or will be, repeated."""
    workers: Sequence[WorkerUse]
    """The last seen first."""
    processing_ms: Mapping[str, float]
    """average, p50, p95, p99 of the latest finished jobs; empty where there are none."""
    sample: int
    """Of how many jobs that is."""
    finished: Mapping[str, int]
    """Jobs that ended in the last minute, hour, day."""
    bytes: int
    """Size of the objects as JSON: what they take in the API server, roughly."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def success_rate(self) -> float:
        """Completed jobs in percent of all."""
        return 100 * self.queue.completed / self.queue.total if self.queue.total else 0.0

    @property
    def active_workers(self) -> int:
        """Workers that have a job now."""
        return sum(worker.current is not None for worker in self.workers)


Counts = Recent[str, Statistics]
"""Statistics by namespace, counted anew when they are older than `HOLDS_SECONDS`."""


async def counted(counts: Counts, shelf: Shelf[Job], namespace: str) -> Statistics:
    """Return the statistics of a namespace; "" is all. They are counted beside the event loop: it takes a while."""
    return await counts.get(namespace, lambda: asyncio.to_thread(count, list(shelf.oldest_first(namespace))))


def count(entries: Iterable[Entry[Job]]) -> Statistics:
    """Count jobs."""
    tally = Tally()
    types: defaultdict[JobType, Counter[str]] = defaultdict(Counter)
    workers: dict[str, _Work] = {}
    ended: list[tuple[datetime, int | None]] = []
    retries = size = 0
    for entry in entries:
        tally.count(entry.object, entry.phase, entry.type, entry.priority)
        retries += entry.retries
        size += entry.size
        of_type = types[entry.type]
        of_type["submitted"] += 1
        of_type[_outcome(entry.phase)] += 1
        if entry.completed is not None and entry.phase.terminal:
            ended.append((entry.completed, entry.processing_ms))
        if entry.worker:
            workers.setdefault(entry.worker, _Work(entry)).add(entry)
    latest = [ms for _, ms in heapq.nlargest(LATEST, (each for each in ended if each[1] is not None)) if ms is not None]
    uses = [work.use(worker) for worker, work in workers.items()]
    now = datetime.now(UTC)
    return Statistics(
        queue=tally.stats(),
        by_type={kind: {word: counts[word] for word in _OUTCOMES} for kind, counts in types.items()},
        retries=retries,
        workers=sorted(uses, key=lambda use: (use.last_seen, use.worker_id), reverse=True),
        processing_ms=_percentiles(sorted(latest)),
        sample=len(latest),
        finished={
            name: sum(moment > now - timedelta(seconds=span) for moment, _ in ended) for name, span in _WINDOWS.items()
        },
        bytes=size,
        at=now,
    )


_OUTCOMES: Final = ("submitted", "completed", "failed", "deadLetter")


class _Work:
    def __init__(self, first: Entry[Job]) -> None:
        self.last = first
        self.processed = self.failed = 0
        self.current: Job | None = None

    def add(self, entry: Entry[Job]) -> None:
        self.last = max(self.last, entry, key=lambda each: each.version)
        if entry.phase.terminal:
            self.processed += 1
            self.failed += entry.phase not in GOOD
        elif entry.phase is Phase.PROCESSING:
            self.current = entry.object

    def use(self, worker: str) -> WorkerUse:
        return WorkerUse(worker, self.last.object.updated, self.processed, self.failed, self.current)


def _outcome(phase: Phase) -> str:
    if phase is Phase.DEAD_LETTER:
        return "deadLetter"
    return "completed" if phase in GOOD else "failed" if phase.terminal else "open"


def _percentiles(ordered: Sequence[int]) -> dict[str, float]:
    """Return the average, and of each share the smallest value that so many do not exceed.

    >>> _percentiles([10, 20, 30, 40])
    {'average': 25.0, 'p50': 20, 'p95': 40, 'p99': 40}
    """
    if not ordered:
        return {}
    average = sum(ordered) / len(ordered)
    return {"average": average} | {name: ordered[ceil(share * len(ordered)) - 1] for name, share in _SHARES.items()}


def shown(found: Statistics) -> dict[str, Any]:
    """Write statistics as `/v1` has them."""
    queue = found.queue
    return {
        "timestamp": found.at,
        "jobs": {
            "total": queue.total,
            "byPhase": {phase: queue.by_phase.get(phase, 0) for phase in Phase},
            "byType": found.by_type,
            "retried": found.retries,
            "deadLetter": queue.dead_letter,
            "successRate": round(found.success_rate, 2),
        },
        "queues": {
            priority: {"waiting": queue.waiting.get(priority, 0), "running": queue.running.get(priority, 0)}
            for priority in Priority
        },
        "workers": {
            "active": found.active_workers,
            "items": [
                {
                    "workerId": each.worker_id,
                    "lastSeen": each.last_seen,
                    "processed": each.processed,
                    "failed": each.failed,
                    "job": each.current.name if each.current else None,
                    "namespace": each.current.namespace if each.current else None,
                }
                for each in found.workers[:LATEST]
            ],
        },
        "processingMs": {**found.processing_ms, "sample": found.sample},
        "finished": found.finished,
        "storedBytes": found.bytes,
        "oldestUnseenSeconds": round(queue.oldest_unseen, 1),
    }
