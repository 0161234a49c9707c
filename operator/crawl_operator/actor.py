"""Acting: what a plan says is done to the cluster, and what the cluster answers is known at once.

A write is never repeated here: what fails goes up, and the job is looked at anew.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from crawl_api.crawljob import CrawlJobSpec
from crawl_api.names import ANNOTATION_DEAD_LETTER
from crawl_api.status import CrawlJobStatus, Execution
from crawl_operator import events
from crawl_operator.decide.model import (
    Child,
    DeleteJob,
    Job,
    Mark,
    Plan,
    RecordEvent,
    RemoveResults,
    StartWorker,
    StopWorker,
    WorkerPod,
)
from crawl_operator.kube import BATCH_JOBS, CRAWLJOBS, PODS, Kube, Object, Resource
from crawl_operator.kube_errors import AlreadyExistsError, ConflictError, NotFoundError, NotLeadingError, RefusedError
from crawl_operator.metrics import Metrics
from crawl_operator.patch import merge_patch
from crawl_operator.projection import batch_job_of, job_of, owner_of, pod_of
from crawl_operator.results import ResultStore
from crawl_operator.settings import Settings
from crawl_operator.store import Store
from crawl_operator.workloads import build_child

_log = logging.getLogger(__name__)


class WorkerRefusedError(RefusedError):
    """The cluster takes no worker for a job: a quota, an admission policy, a name that is taken."""


class Actor:
    """Carries out plans."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts it acts on
        self,
        store: Store,
        kube: Kube,
        results: ResultStore,
        settings: Settings,
        clock: Callable[[], datetime],
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._kube = kube
        self._results = results
        self._settings = settings
        self._clock = clock
        self._metrics = metrics

    async def carry_out(self, job: Job, plan: Plan) -> None:
        """Do what a plan says, status first.

        Raises:
            WorkerRefusedError: the cluster takes no worker for this job; its place is free again.
            KubeError: what else keeps a write from being done; all of them may be repeated.
        """
        if RemoveResults() in plan.actions:
            await self._results.remove(job.key, job.uid)  # before the status says so: a crash in between is mended
        if plan.status is not None:
            await self._write_status(job, plan.status)
        for action in plan.actions:
            match action:
                case StartWorker():
                    await self._start_worker(job, action)
                case StopWorker():
                    await self._stop_worker(job, action.child)
                case Mark():
                    await self._mark(job, action.marks)
                case DeleteJob():
                    await self._delete_job(job)
                case RemoveResults():
                    pass  # done before the status was written
                case RecordEvent():
                    await events.post(self._kube, job, action, self._clock())

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

    async def _mark(self, job: Job, marks: Mapping[str, str]) -> None:
        """Make these the operator's annotations on the job; the dead-letter one is a label too, for selectors."""
        current = self._store.job(job.key)
        if current is None or current.uid != job.uid:
            return
        annotations = dict.fromkeys(current.marks.keys() - marks.keys()) | dict(marks)
        metadata: Object = {"annotations": annotations}
        if ANNOTATION_DEAD_LETTER in annotations:
            metadata["labels"] = {ANNOTATION_DEAD_LETTER: annotations[ANNOTATION_DEAD_LETTER]}
        try:
            body = await self._kube.patch_metadata(
                CRAWLJOBS, job.key.namespace, job.key.name, current.version, metadata
            )
        except ConflictError:
            await self._read_again(job)
            raise
        except NotFoundError:
            self._store.remove_job(job.key, job.uid)
            return
        self._store.put_job(job_of(body))

    async def _delete_job(self, job: Job) -> None:
        key = job.key
        try:
            await self._kube.delete(CRAWLJOBS, key.namespace, key.name, job.uid, version=job.version)
        except NotFoundError:
            self._store.remove_job(key, job.uid)
        except ConflictError:
            await self._read_again(job)
            raise
        else:
            _log.info("%s: deleted, its time is over", key)

    async def _stop_worker(self, job: Job, child: Child) -> None:
        await self._confirm(job)
        resource = PODS if isinstance(child, WorkerPod) else BATCH_JOBS
        try:
            await self._kube.delete(resource, job.key.namespace, child.name, child.uid)
        except NotFoundError:
            self._store.remove_child(job.key, child.uid)
        except ConflictError:
            if await self._lives(resource, job, child):
                raise
            self._store.remove_child(job.key, child.uid)
        else:
            _log.info("%s: %s is being ended", job.key, child.name)

    async def _start_worker(self, job: Job, action: StartWorker) -> None:
        """Create an attempt's child, or adopt the one that an earlier, unanswered try has made."""
        resource = BATCH_JOBS if action.execution is Execution.JOB else PODS
        spec = CrawlJobSpec.model_validate(job.spec)
        child = build_child(job, spec, action.attempt, action.execution, self._settings)
        name = child["metadata"]["name"]
        self._store.places.reserve(job)
        try:
            body = await self._kube.create(resource, job.key.namespace, child)
        except AlreadyExistsError:
            body = await self._kube.get(resource, job.key.namespace, name)
            if (owner := owner_of(body)) is None or owner[1] != job.uid:
                raise self._refused(job, f"{name} exists and belongs to something else") from None
        except NotLeadingError:
            self._store.return_place(job)
            raise
        except RefusedError as error:
            raise self._refused(job, str(error)) from error
        put_child(self._store, resource, body)
        _log.info("%s: %s %s created", job.key, child["kind"], name)

    def _refused(self, job: Job, why: str) -> WorkerRefusedError:
        self._store.places.release(job)
        return WorkerRefusedError(why)

    async def _confirm(self, job: Job) -> None:
        """Make sure that a job is what it is taken for, before something is done that no version guards."""
        known = self._store.job(job.key)
        await self._read_again(job)
        found = self._store.job(job.key)
        if known is None or found is None or replace(found, version=known.version) != known:
            raise ConflictError(f"{job.key} has changed")

    async def _lives(self, resource: Resource, job: Job, child: Child) -> bool:
        """Ask whether a child is there: who forgets one that is would start another beside it."""
        try:
            body = await self._kube.get(resource, job.key.namespace, child.name)
        except NotFoundError:
            return False
        uid: str = body["metadata"]["uid"]
        return uid == child.uid

    async def _read_again(self, job: Job) -> None:
        try:
            body = await self._kube.get(CRAWLJOBS, job.key.namespace, job.key.name)
        except NotFoundError:
            self._store.remove_job(job.key, job.uid)
        else:
            self._store.put_job(job_of(body))


def put_child(store: Store, resource: Resource, body: Object) -> None:
    """Take a pod or batch Job as the API server has just shown it."""
    owner = owner_of(body)
    if owner is not None:
        store.put_child(*owner, pod_of(body) if resource is PODS else batch_job_of(body))


def _wire(status: CrawlJobStatus) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_defaults=True)
