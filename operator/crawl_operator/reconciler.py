"""Observe, decide, act: the loop of one job. What fails goes up to `run`, which alone retries and logs."""

import asyncio
import logging
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
    Object,
    RefusedError,
    Resource,
)
from crawl_operator.patch import merge_patch
from crawl_operator.projection import batch_job_of, job_of, owner_of, pod_of
from crawl_operator.queue import WorkQueue
from crawl_operator.results import ResultStore
from crawl_operator.settings import Settings
from crawl_operator.store import Store
from crawl_operator.workloads import build_child, child_name

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
    ) -> None:
        self._store = store
        self._queue = queue
        self._kube = kube
        self._results = results
        self._settings = settings
        self._policy = settings.policy
        self._clock = clock

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._settings.reconcile.workers):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                async with asyncio.timeout(_RECONCILE_SECONDS):
                    requeue_after = await self.reconcile(key)
            except ConflictError:
                self._queue.failed(key)  # it has changed meanwhile: look again
            except KubeError as error:
                pause = self._queue.failed(key, at_least=error.retry_after)
                _log.warning("%s: %s; next try in %.1f s", key, error, pause)
            except Exception:  # noqa: BLE001 - one job's fault must not end the others' loop; it is logged whole
                pause = self._queue.failed(key)
                _log.exception("%s: unexpected; next try in %.1f s", key, pause)
            else:
                self._queue.done(key)
                if requeue_after is not None:
                    self._queue.add_after(key, requeue_after)

    async def reconcile(self, key: JobKey) -> float | None:
        """Bring one job a step further; return in how many seconds to look again, if by the clock."""
        job = self._store.job(key)
        if job is not None and (job.deleting or job.phase.terminal):
            job = None
        reserved = self._store.places.reserved(key)
        if reserved is not None and (job is None or job.uid != reserved.uid):
            # It was asked for a worker, nobody has answered, and the question will not be repeated.
            await self._look_for_children(reserved)
            self._store.places.release(reserved)
        if job is None:
            return None
        observation = await self._observe(job)
        plan = decide(observation, self._policy, self._clock())
        _log.debug("%s: %s", key, plan)
        return await self._act(observation, plan)

    async def _observe(self, job: Job) -> Observation:
        pods, batch_jobs = self._store.children(job)
        asked = job.phase is Phase.PROCESSING or self._store.places.reserved(job.key) is not None
        if asked and not pods and not batch_jobs:
            # Before a worker is called lost, or asked for again after no answer, the API server is asked.
            await self._look_for_children(job)
            pods, batch_jobs = self._store.children(job)
        if not pods and any(each.ended for each in batch_jobs):
            # The watch of pods may lag behind that of batch Jobs, and the pod knows better how it ended.
            await self._look_for_pods(job)
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
        for attempt in {each.number for each in job.status.attempts} or {1}:
            for resource in (PODS, BATCH_JOBS):
                try:
                    body = await self._kube.get(resource, job.key.namespace, child_name(job, attempt))
                except NotFoundError:
                    continue
                self._put_child(resource, body)

    async def _look_for_pods(self, job: Job) -> None:
        async for body in self._kube.list(PODS, job.key.namespace, selector=f"{LABEL_JOB_UID}={job.uid}"):
            self._put_child(PODS, body)

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
