"""How many jobs there are of which kind, who works on them, and whether all is well."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from crawl_api.enums import JobType, Phase, Priority
from crawl_api.names import GROUP, VERSION
from crawl_client.errors import APIError, ForbiddenError, NotFoundError, UnavailableError
from crawl_client.filters import EVERY, Filter
from crawl_client.jobs import Jobs
from crawl_client.models import GOOD, Job
from crawl_client.transport import Transport
from crawl_client.workers import Worker, Workers

UNSEEN_SECONDS: Final = 30.0
"""A job that no operator has looked at for longer means that none is at work."""

_LEASE: Final = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/crawl-operator"


@dataclass(frozen=True)
class QueueStats:
    """Jobs by where they stand; `total` is the sum of the first six."""

    pending: int = 0
    processing: int = 0
    completed: int = 0
    """Those with some of their pages too."""
    failed: int = 0
    """Dead letters and cancelled ones too."""
    retry: int = 0
    delayed: int = 0
    """Suspended ones too."""
    dead_letter: int = 0
    """Part of `failed`."""
    by_phase: Mapping[Phase, int] = field(default_factory=dict)
    by_type: Mapping[JobType, int] = field(default_factory=dict)
    waiting: Mapping[Priority, int] = field(default_factory=dict)
    """Those in phase Pending."""
    running: Mapping[Priority, int] = field(default_factory=dict)
    oldest_unseen: float = 0
    """Seconds for which a job has waited for any operator to look at it."""

    @property
    def total(self) -> int:
        """All jobs."""
        return self.pending + self.processing + self.completed + self.failed + self.retry + self.delayed

    @classmethod
    def from_dict(cls, data: Mapping[str, int]) -> "QueueStats":
        """Make it from counts by the names of its members; what is unknown is left out."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data})  # type: ignore[arg-type]


class Tally:
    """Counts jobs one by one, so that none need be kept."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC)
        self._phases: Counter[Phase] = Counter()
        self._types: Counter[JobType] = Counter()
        self._waiting: Counter[Priority] = Counter()
        self._running: Counter[Priority] = Counter()
        self._unseen = 0.0

    def add(self, job: Job) -> None:
        """Count a job."""
        self.count(job, job.phase, job.type, job.priority)

    def count(self, job: Job, phase: Phase, kind: JobType, priority: Priority) -> None:
        """Count a job of which some is known already."""
        self._phases[phase] += 1
        self._types[kind] += 1
        if phase is Phase.PENDING:
            self._waiting[priority] += 1
            self._unseen = max(self._unseen, _unseen(job, self._now))
        elif phase is Phase.PROCESSING:
            self._running[priority] += 1

    def stats(self) -> QueueStats:
        """Return what was counted."""
        phases = self._phases
        return QueueStats(
            pending=phases[Phase.PENDING],
            processing=phases[Phase.PROCESSING],
            completed=sum(phases[phase] for phase in GOOD),
            failed=sum(number for phase, number in phases.items() if phase.terminal and phase not in GOOD),
            retry=phases[Phase.RETRY],
            delayed=phases[Phase.DELAYED] + phases[Phase.SUSPENDED],
            dead_letter=phases[Phase.DEAD_LETTER],
            by_phase=dict(phases),
            by_type=dict(self._types),
            waiting=dict(self._waiting),
            running=dict(self._running),
            oldest_unseen=self._unseen,
        )


@dataclass(frozen=True)
class WorkerStats:
    """Worker pods and what came of their work."""

    total_workers: int
    healthy_workers: int
    total_jobs_processed: int
    """Jobs that have ended and are still there."""
    total_jobs_failed: int
    is_running: bool
    """Whether an operator is at work, as far as can be told from the jobs and its lease."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "WorkerStats":
        """Make it from its members by name."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Health:
    """Whether all is well; `problems` says what is not."""

    status: str
    """`healthy` or `unhealthy`."""
    problems: tuple[str, ...]
    server: str
    version: str
    """Of the API server."""
    latency_ms: float
    """Of one question to it."""
    operator: str
    """Who leads, as far as its lease can be read; empty otherwise."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Health":
        """Make it from its members by name."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__} | {"problems": tuple(data["problems"])})

    @property
    def healthy(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


class Stats:
    """Numbers, as `client.stats`. They are counted from the objects: no operator is asked."""

    def __init__(self, transport: Transport, jobs: Jobs, workers: Workers) -> None:
        self._transport = transport
        self._jobs = jobs
        self._workers = workers

    async def queue(self, namespace: str | None = None, where: Filter = EVERY) -> QueueStats:
        """Count the jobs of a namespace ("" for all), page by page.

        Example::

            queue = await client.stats.queue()
            print(queue.pending, queue.processing, queue.total)
        """
        tally = Tally()
        async for job in self._jobs.iterate(where, namespace):
            tally.add(job)
        return tally.stats()

    async def workers(self, namespace: str | None = None) -> WorkerStats:
        """Count worker pods and what came of their work.

        Raises:
            UnavailableError: with status 503: jobs wait, and no operator is at work.

        Example::

            workers = await client.stats.workers()
            print(workers.healthy_workers, workers.total_workers)
        """
        return pool(await self.queue(namespace), await self._workers.list(namespace))

    async def health(self, namespace: str | None = None, *, operator_namespace: str = "crawl-operator") -> Health:
        """Look at everything between here and the jobs.

        Raises:
            APIError: the API server cannot be asked at all.

        Example::

            health = await client.stats.health(operator_namespace="crawls")
            print(health.status, health.operator)
        """
        problems = []
        asked = time.monotonic()
        version = await self._transport.call("GET", "/version")
        latency = (time.monotonic() - asked) * 1000
        try:
            await self._transport.call("GET", f"/apis/{GROUP}/{VERSION}")
            queue = await self.queue(namespace)
            if queue.oldest_unseen > UNSEEN_SECONDS:
                problems.append(f"no operator has looked at a job for {queue.oldest_unseen:.0f} s: does it run?")
        except NotFoundError:
            problems.append(f"the cluster does not know {GROUP}/{VERSION}: install the CRDs")
        except APIError as error:
            problems.append(str(error))
        leader, trouble = await self._leader(operator_namespace)
        problems += [trouble] if trouble else []
        return Health(
            status="unhealthy" if problems else "healthy",
            problems=tuple(problems),
            server=self._transport.login.server,
            version=str(version.get("gitVersion", "")),
            latency_ms=round(latency, 1),
            operator=leader,
        )

    async def _leader(self, namespace: str) -> tuple[str, str]:
        """Return who leads, and what is wrong with that; neither where no lease can be read."""
        try:
            spec: dict[str, Any] = (await self._transport.call("GET", _LEASE.format(namespace=namespace)))["spec"]
        except (ForbiddenError, NotFoundError):
            return "", ""
        renewed, seconds = spec.get("renewTime"), spec.get("leaseDurationSeconds", 15)
        age = (datetime.now(UTC) - datetime.fromisoformat(renewed)).total_seconds() if renewed else 0.0
        holder = spec.get("holderIdentity") or ""
        return (
            holder,
            f"the leader {holder!r} was last heard of {age:.0f} s ago" if holder and age > 2 * seconds else "",
        )


def pool(queue: QueueStats, workers: Iterable[Worker]) -> WorkerStats:
    """Say who works, from the jobs and the worker pods.

    Raises:
        UnavailableError: with status 503: jobs wait, and no operator is at work.
    """
    if queue.oldest_unseen > UNSEEN_SECONDS:
        raise UnavailableError(
            f"no operator is at work: a job has waited for {queue.oldest_unseen:.0f} s to be looked at; "
            "see that the operator runs and serves this namespace",
            503,
            reason="NoOperator",
        )
    alive = [worker for worker in workers if worker.alive]
    return WorkerStats(
        total_workers=len(alive),
        healthy_workers=sum(worker.ready for worker in alive),
        total_jobs_processed=queue.completed + queue.failed,
        total_jobs_failed=queue.failed,
        is_running=True,
    )


def _unseen(job: Job, now: datetime) -> float:
    return (now - job.created).total_seconds() if job.reason == "AwaitingOperator" else 0.0
