"""Observe, decide, act: the loop of one job. What fails goes up to `run`, which alone retries and logs."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from crawl_api.crawljob import CrawlJobSpec
from crawl_api.names import LABEL_JOB_UID
from crawl_api.status import CrawlJobStatus, Execution, Phase
from crawl_operator import events
from crawl_operator.decide.capacity import admit
from crawl_operator.decide.crawljob import decide, newest
from crawl_operator.decide.model import Admission, Job, JobKey, Observation, Plan, RecordEvent, StartWorker
from crawl_operator.kube import (
    BATCH_JOBS,
    CRAWLJOBS,
    PODS,
    AlreadyExistsError,
    ConflictError,
    Kube,
    KubeError,
    NotFoundError,
    NotLeadingError,
    Object,
    RefusedError,
    Resource,
)
from crawl_operator.metrics import Metrics
from crawl_operator.patch import merge_patch
from crawl_operator.projection import batch_job_of, job_of, owner_of, pod_of
from crawl_operator.queue import WorkQueue
from crawl_operator.results import ResultStore
from crawl_operator.settings import Settings
from crawl_operator.store import Store
from crawl_operator.workloads import build_child

_log = logging.getLogger(__name__)

_RECONCILE_SECONDS: Final = 120
"""Time limit of one round: each request has a shorter one of its own; this bounds their sum."""


def utc_now() -> datetime:
    """Return the time, to the microsecond."""
    return datetime.now(UTC)


class Reconciler:
    """Brings every job in the queue a step further, several at once, each by one task at a time."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts it joins
        self,
        store: Store,
        queue: WorkQueue[JobKey],
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

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
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

    async def reconcile(self, key: JobKey) -> float | None:
        """Bring one job a step further; return in how many seconds to look again, if by the clock."""
        job = self._store.job(key)
        if job is None or job.deleting or job.phase.terminal or not self._kube.may_write:
            return None
        observation = await self._observe(job)
        plan = decide(observation, self._policy, self._clock())
        _log.debug("%s: %s", key, plan)
        return await self._act(observation, plan)

    async def _observe(self, job: Job) -> Observation:
        pods, batch_jobs = self._store.children(job)
        expected = job.phase is Phase.PROCESSING if not batch_jobs else all(child.ended for child in batch_jobs)
        if expected and not pods:
            await self._look_for_children(job)  # before a worker is called lost, the API server is asked
            pods, batch_jobs = self._store.children(job)
        pod = newest(pods)
        worker = pod.name if pod is not None and pod.ended else job.status.worker_id if pod is None else ""
        return Observation(
            job=job,
            pods=pods,
            batch_jobs=batch_jobs,
            report=self._store.report(job),
            outcome=await self._results.outcome(job.key, job.uid, worker) if worker else None,
            admission=self._admission(job),
        )

    def _admission(self, job: Job) -> Admission:
        places = self._store.places
        if places.holds(job):
            return Admission(granted=True)  # an earlier try to start its worker was not answered
        return admit(running=places.held, limit=places.limit, ahead=places.ahead_of(job))

    async def _act(self, observation: Observation, plan: Plan) -> float | None:
        job = observation.job
        if plan.status is not None:
            await self._write_status(job, plan.status)
        for action in plan.actions:
            match action:
                case StartWorker():
                    await self._start_worker(observation, action)
                case RecordEvent():
                    await events.post(self._kube, job, action, self._clock())
        return plan.requeue_after

    async def _write_status(self, job: Job, status: CrawlJobStatus) -> None:
        patch = merge_patch(_wire(job.status), _wire(status))
        try:
            body = await self._kube.patch_status(CRAWLJOBS, job.key.namespace, job.key.name, job.version, patch)
        except ConflictError:
            await self._read_again(job)
            raise
        except NotFoundError:
            self._store.remove_job(job.key, job.uid)
            return
        self._store.put_job(job_of(body))
        self._metrics.status_written(job, status)
        if status.phase is not job.phase:
            _log.info("%s: %s → %s", job.key, job.phase, status.phase)

    async def _start_worker(self, observation: Observation, action: StartWorker) -> None:
        """Create an attempt's child, or adopt the one that an earlier, unanswered try has made."""
        job = observation.job
        resource = BATCH_JOBS if action.execution is Execution.JOB else PODS
        spec = CrawlJobSpec.model_validate(job.spec)
        child = build_child(job, spec, action.attempt, action.execution, self._settings)
        self._store.places.reserve(job)
        try:
            body = await self._kube.create(resource, job.key.namespace, child)
        except AlreadyExistsError:
            body = await self._kube.get(resource, job.key.namespace, child["metadata"]["name"])
            owner = owner_of(body)
            if owner is None or owner[1] != job.uid:
                await self._say_refused(
                    observation, f"{child['metadata']['name']} exists and belongs to something else"
                )
                raise
        except NotLeadingError:
            self._store.return_place(job)
            raise
        except RefusedError as error:
            await self._say_refused(observation, str(error))
            raise
        self._put_child(resource, body)
        _log.info("%s: %s %s created", job.key, child["kind"], child["metadata"]["name"])

    async def _say_refused(self, observation: Observation, why: str) -> None:
        """The cluster takes no worker for this job: give its place to others, say why, and try again later."""
        self._store.places.release(observation.job)
        refused = replace(observation, refusal=why)
        await self._act(refused, decide(refused, self._policy, self._clock()))

    async def _look_for_children(self, job: Job) -> None:
        for resource in (PODS, BATCH_JOBS):
            async for body in self._kube.list(resource, job.key.namespace, selector=f"{LABEL_JOB_UID}={job.uid}"):
                self._put_child(resource, body)

    async def _read_again(self, job: Job) -> None:
        try:
            body = await self._kube.get(CRAWLJOBS, job.key.namespace, job.key.name)
        except NotFoundError:
            self._store.remove_job(job.key, job.uid)
        else:
            self._store.put_job(job_of(body))

    def _put_child(self, resource: Resource, body: Object) -> None:
        owner = owner_of(body)
        if owner is not None:
            self._store.put_child(*owner, pod_of(body) if resource is PODS else batch_job_of(body))


def _wire(status: CrawlJobStatus) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_defaults=True)
