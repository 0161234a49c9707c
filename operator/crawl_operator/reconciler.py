"""Observe, decide, act: the loop of jobs and schedules. What fails goes up to `run`, which alone retries and logs."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from crawl_api.names import LABEL_JOB_UID
from crawl_api.status import Phase
from crawl_operator.actor import Actor, WorkerRefusedError, put_child
from crawl_operator.decide.capacity import GRANTED
from crawl_operator.decide.crawljob import decide, newest
from crawl_operator.decide.dependencies import cycle_through
from crawl_operator.decide.model import (
    BatchJob,
    Job,
    JobKey,
    Observation,
    Plan,
    WorkerPod,
)
from crawl_operator.decide.run import ScheduleKey
from crawl_operator.kube import BATCH_JOBS, CRAWLJOBS, PODS, Kube
from crawl_operator.kube_errors import ConflictError, KubeError, NotFoundError, NotLeadingError
from crawl_operator.metrics import Metrics
from crawl_operator.projection import job_of
from crawl_operator.queue import WorkQueue
from crawl_operator.results import ResultStore
from crawl_operator.scheduler import Scheduler
from crawl_operator.settings import Settings
from crawl_operator.store import Key, Store

_log = logging.getLogger(__name__)

_RECONCILE_SECONDS: Final = 120
"""Time limit of one round: each request has a shorter one of its own; this bounds their sum."""


def utc_now() -> datetime:
    """Return the time, to the microsecond."""
    return datetime.now(UTC)


class Reconciler:
    """Brings every object in the queue a step further, several at once, each by one task at a time."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts it joins
        self,
        store: Store,
        queue: WorkQueue[Key],
        kube: Kube,
        results: ResultStore,
        settings: Settings,
        clock: Callable[[], datetime] = utc_now,
        metrics: Metrics | None = None,
    ) -> None:
        self._store = store
        self._queue = queue
        self._kube = kube
        self._results = results
        self._settings = settings
        self._policy = settings.policy
        self._clock = clock
        self._metrics = metrics or Metrics()
        self._actor = Actor(store, kube, results, settings, clock, self._metrics)
        self.scheduler = Scheduler(store, kube, settings, clock, self._metrics)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._find_leftovers())
            for _ in range(self._settings.reconcile.workers):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            started, failure = time.monotonic(), ""
            try:
                async with asyncio.timeout(_RECONCILE_SECONDS):
                    requeue_after = await self.reconcile(key)
            except NotLeadingError:
                self._queue.done(key)  # whoever leads next looks at every job
            except ConflictError:
                failure = "conflict"
                self._queue.failed(key)  # it has changed meanwhile: look again
            except KubeError as error:
                failure = "api"
                pause = self._queue.failed(key, at_least=error.retry_after)
                _log.warning("%s: %s; next try in %.1f s", key, error, pause)
            except Exception:  # noqa: BLE001 - one job's fault must not end the others' loop; it is logged whole
                failure = "unexpected"
                pause = self._queue.failed(key)
                _log.exception("%s: unexpected; next try in %.1f s", key, pause)
            else:
                self._queue.done(key)
                if requeue_after is not None:
                    self._queue.add_after(key, requeue_after)
            self._metrics.reconciled(time.monotonic() - started, failure)
            await asyncio.sleep(0)  # a round need not have waited for anything: watches, probes and signals come first

    async def reconcile(self, key: Key) -> float | None:
        """Bring one object a step further; return in how many seconds to look again, if by the clock."""
        if not self._kube.may_write:
            return None  # another operator acts; taking over brings every key back
        if isinstance(key, ScheduleKey):
            return await self.scheduler.reconcile(key)
        return await self._reconcile_job(key)

    async def _reconcile_job(self, key: JobKey) -> float | None:
        await self._clear_up(key)
        job = self._store.job(key)
        await self._settle_reservation(key, job)
        if job is None or job.deleting:
            return None
        now = self._clock()
        if job.settled and job.expiry.result is not None and now >= job.expiry.result:
            job = await self._whole(job)
            if job is None:
                return None
        observation = Observation(job) if job.phase.terminal else await self._observe(job)
        plan = self._plan(observation, now)
        _log.debug("%s: %s", key, plan)
        try:
            await self._actor.carry_out(job, plan)
        except WorkerRefusedError as error:
            await self._say_refused(replace(observation, refusal=str(error)))
            raise
        if not plan.in_line and not plan.starts:
            self._store.places.leave(job)  # it waits for something else than a place, and must not hold up others
        return plan.requeue_after

    def _plan(self, observation: Observation, now: datetime) -> Plan:
        """Decide; whoever would start a worker, and nobody else, asks for a place."""
        plan = decide(replace(observation, admission=GRANTED), self._policy, now)
        if not plan.starts:
            return plan
        admission = self._store.places.admission(observation.job)
        return plan if admission.granted else decide(replace(observation, admission=admission), self._policy, now)

    async def _say_refused(self, observation: Observation) -> None:
        """The cluster takes no worker for this job: say why, and leave its place to others until the next try."""
        job = observation.job
        try:
            await self._actor.carry_out(job, decide(observation, self._policy, self._clock()))
        finally:
            self._store.places.leave(job)

    async def _settle_reservation(self, key: JobKey, job: Job | None) -> None:
        """Give back the place of a job that was asked for a worker without an answer, and will not be asked again."""
        reserved = self._store.places.reserved(key)
        if reserved is None or (
            job is not None and job.uid == reserved.uid and not (job.deleting or job.phase.terminal)
        ):
            return
        await self._look_for_children(reserved)  # it may be there all the same
        self._store.places.release(reserved)

    async def _clear_up(self, key: JobKey) -> None:
        """Remove what jobs of that name have stored that are gone."""
        for uid in tuple(self._store.removed.get(key, ())):
            if await self._is_gone(key, uid):
                await self._results.remove(key, uid)
            self._store.cleared(key, uid)

    async def _is_gone(self, key: JobKey, uid: str) -> bool:
        if self._store.buried(uid):
            return True
        try:  # it may also have come after everything was listed
            body = await self._kube.get(CRAWLJOBS, key.namespace, key.name)
        except NotFoundError:
            return True
        found: str = body["metadata"]["uid"]
        return found != uid

    async def _find_leftovers(self) -> None:
        """Find what jobs have stored that were deleted while no operator watched."""
        served = self._settings.namespaces
        for key, uid in await asyncio.to_thread(self._results.owners):
            if not served or key.namespace in served:
                self._store.left_behind(key, uid)

    async def _observe(self, job: Job) -> Observation:
        pods, batch_jobs = self._children(job)
        asked = job.phase is Phase.PROCESSING or self._store.places.reserved(job.key) is not None
        if not pods and (any(child.ended for child in batch_jobs) if batch_jobs else asked):
            # Before a worker is called lost, or asked for again after no answer, the API server is asked: the watch of
            # pods may lag, also behind that of batch Jobs, and the pod knows best how it ended.
            await self._look_for_children(job)
            pods, batch_jobs = self._children(job)
        pod = newest(pods)
        worker = ""  # whose outcome may be stored
        if pod is not None and pod.ended:
            worker = pod.name
        elif pod is None and job.phase is Phase.PROCESSING:
            worker = job.status.worker_id
        return Observation(
            job=job,
            pods=pods,
            batch_jobs=batch_jobs,
            report=self._store.report(job),
            outcome=await self._results.outcome(job.key, job.uid, worker) if worker else None,
            dependencies=self._store.dependencies(job),
            cycle=cycle_through(job.key.name, lambda name: self._store.dependents.waits_for(job.key.namespace, name)),
        )

    def _children(self, job: Job) -> tuple[tuple[WorkerPod, ...], tuple[BatchJob, ...]]:
        """Return the children of the attempt that is not over."""
        pods, batch_jobs = self._store.children(job)
        over = job.attempts_over
        return tuple(pod for pod in pods if pod.attempt > over), tuple(job for job in batch_jobs if job.attempt > over)

    async def _whole(self, job: Job) -> Job | None:
        """Read a job of which only a trace is kept; None if it is gone."""
        try:
            found = job_of(await self._kube.get(CRAWLJOBS, job.key.namespace, job.key.name), whole=True)
        except NotFoundError:
            found = None
        if found is None or found.uid != job.uid:
            self._store.remove_job(job.key, job.uid)
            return None
        return found

    async def _look_for_children(self, job: Job) -> None:
        for resource in (PODS, BATCH_JOBS):
            async for body in self._kube.list(resource, job.key.namespace, selector=f"{LABEL_JOB_UID}={job.uid}"):
                put_child(self._store, resource, body)
