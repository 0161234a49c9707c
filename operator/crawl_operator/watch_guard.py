"""The relist: fills the store at start, and later finds what the watches have missed, and whether they are frozen."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, Final, NamedTuple

from crawl_operator.decide.model import BatchJob, JobKey, WorkerPod
from crawl_operator.decide.run import ScheduleKey
from crawl_operator.kube import BATCH_JOBS, CRAWLJOBS, PODS, SCHEDULES, Kube, Object, Resource
from crawl_operator.kube_errors import KubeError, NotFoundError
from crawl_operator.metrics import Metrics
from crawl_operator.projection import batch_job_of, job_of, owner_of, pod_of
from crawl_operator.store import Key, Store
from crawl_operator.workloads import CHILD_SELECTOR

_log = logging.getLogger(__name__)

_GRACE: Final = 5.0
"""Seconds a watch may lag behind a list before it counts as having missed something."""
_CRDS_MISSING: Final = "a kind of ours is unknown to the cluster: install the CRDs with `kubectl apply -f crds/`"

KINDS: Final = (SCHEDULES, CRAWLJOBS, PODS, BATCH_JOBS)


class _Known(NamedTuple):
    """An object as the store knows it."""

    key: Key
    """Of the job or schedule that it is, or of the job that it belongs to."""
    name: str
    version: int


class WatchGuard:
    """Puts what watches and lists see into the store, and compares the two.

    Args:
        namespaces: those served; none: the whole cluster.
        interval: seconds between two comparisons.
        kinds: what is watched.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what is compared with what, and how often
        self,
        store: Store,
        kube: Kube,
        namespaces: Collection[str],
        interval: float,
        metrics: Metrics | None = None,
        kinds: Collection[Resource] = KINDS,
    ) -> None:
        self._store = store
        self._kube = kube
        self._metrics = metrics or Metrics()
        self._scopes = tuple(namespaces) or (None,)
        self._interval = interval
        self.kinds = tuple(kinds)
        self._seen_at = dict.fromkeys(self.kinds, time.monotonic())
        self._listed_at = dict.fromkeys(self.kinds, time.monotonic())
        self._frozen: set[Resource] = set()
        self.trouble = ""
        """Why the last list of everything could not be read, in a sentence; empty when it could."""
        self._synced = asyncio.Event()
        for resource in self.kinds:
            self._metrics.changes_missed(resource.plural, 0)

    @property
    def synced(self) -> bool:
        """Whether everything has been listed once."""
        return self._synced.is_set()

    async def until_synced(self) -> None:
        """Wait until everything has been listed once."""
        await self._synced.wait()

    @property
    def frozen(self) -> list[str]:
        """Kinds whose watch has missed changes and delivered nothing since."""
        return sorted(resource.plural for resource in self._frozen)

    def watch_age(self, resource: Resource) -> float:
        """Return for how many seconds the watch of a kind has delivered nothing; before its first word, since start."""
        return time.monotonic() - self._seen_at[resource]

    def relist_age(self, resource: Resource) -> float:
        """Return how many seconds ago a kind was last listed as a whole; before the first list, since start."""
        return time.monotonic() - self._listed_at[resource]

    def seen(self, resource: Resource, gone: bool, body: Mapping[str, Any]) -> None:  # noqa: FBT001 - the watch's word
        """Take what a watch delivers."""
        self._seen_at[resource] = time.monotonic()
        self._frozen.discard(resource)
        self._put(resource, body, gone=gone)

    async def fill(self) -> None:
        """List everything, all kinds beside each other: the API server writes one page while another is read.

        Raises:
            NotFoundError: the CRD is not installed.
            KubeError: a list could not be read.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for resource in self.kinds:
                    tasks.create_task(self._fill(resource))
        except ExceptionGroup as errors:
            error = errors.exceptions[0]
            self.trouble = (
                _CRDS_MISSING if isinstance(error, NotFoundError) else f"not everything could be listed: {error}"
            )
            raise error from errors
        self.trouble = ""
        self._synced.set()

    async def run(self) -> None:
        """Compare lists and watches until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            for resource in self.kinds:
                try:
                    await self.compare(resource)
                except KubeError as error:
                    _log.warning("%s could not be listed: %s", resource.plural, error)

    async def compare(self, resource: Resource) -> None:
        """Find what a watch has missed, and take it from the API server instead."""
        started = time.monotonic()
        known = self._known(resource)
        listed = {
            body["metadata"]["uid"]: (body["metadata"]["namespace"], body["metadata"]["name"], _version(body))
            async for body in self._list(resource, metadata_only=True)
        }
        self._listed_at[resource] = time.monotonic()
        if not self._missed(resource, known.keys(), listed):
            return
        await asyncio.sleep(_GRACE)
        missed = self._missed(resource, known.keys(), listed)
        if not missed:
            return
        _log.warning("the watch of %s has missed %d changes; they are read anew", resource.plural, len(missed))
        self._metrics.changes_missed(resource.plural, len(missed))
        if self._seen_at[resource] < started:
            self._frozen.add(resource)
        for uid in missed:
            await self._read_again(resource, uid, listed.get(uid))

    async def _fill(self, resource: Resource) -> None:
        async for body in self._list(resource, metadata_only=False):
            self._put(resource, body, gone=False)
        self._listed_at[resource] = time.monotonic()

    def _missed(
        self, resource: Resource, known_before: Collection[str], listed: Mapping[str, tuple[str, str, int]]
    ) -> list[str]:
        known = self._known(resource)
        behind = [uid for uid, (_, _, version) in listed.items() if uid not in known or known[uid].version < version]
        return [uid for uid in behind if not self._store.buried(uid)] + [
            uid for uid in known_before if uid in known and uid not in listed
        ]

    def _known(self, resource: Resource) -> dict[str, _Known]:
        """Return what the store knows, by UID."""
        if resource is SCHEDULES:
            return {kept.uid: _Known(key, key.name, kept.version) for key, kept in self._store.schedules.known()}
        if resource is CRAWLJOBS:
            return {job.uid: _Known(job.key, job.key.name, job.version) for job in self._store.jobs()}
        children = self._store.all_children(WorkerPod if resource is PODS else BatchJob)
        return {uid: _Known(key, child.name, child.version) for uid, (key, child) in children.items()}

    async def _read_again(self, resource: Resource, uid: str, listed: tuple[str, str, int] | None) -> None:
        """Take one object from the API server; what is not listed is asked for too, before it is given up for ever."""
        known = self._known(resource).get(uid)
        if listed is not None:
            namespace, name, _ = listed
        elif known is not None:
            namespace, name = known.key.namespace, known.name
        else:
            return
        try:
            body = await self._kube.get(resource, namespace, name)
        except NotFoundError:
            body = None
        if body is not None and body["metadata"]["uid"] == uid:
            self._put(resource, body, gone=False)
        elif known is not None:
            self._remove(resource, known.key, uid)

    def _put(self, resource: Resource, body: Mapping[str, Any], *, gone: bool) -> None:
        meta = body["metadata"]
        if resource is SCHEDULES:
            if gone:
                self._store.schedules.remove(ScheduleKey(meta["namespace"], meta["name"]), meta["uid"])
            else:
                self._store.schedules.put(body)
            return
        if resource is CRAWLJOBS:
            key, job_uid = JobKey(meta["namespace"], meta["name"]), meta["uid"]
        elif (owner := owner_of(body)) is not None:
            key, job_uid = owner
        else:
            return
        if gone:
            self._remove(resource, key, meta["uid"])
        elif self._store.knows(key, meta["uid"], _version(body)):
            return  # mostly of the operator's own writes, whose answers came first
        elif resource is CRAWLJOBS:
            self._store.put_job(job_of(body))
        else:
            self._store.put_child(key, job_uid, pod_of(body) if resource is PODS else batch_job_of(body))

    def _remove(self, resource: Resource, key: Key, uid: str) -> None:
        if isinstance(key, ScheduleKey):
            self._store.schedules.remove(key, uid)
        elif resource is CRAWLJOBS:
            self._store.remove_job(key, uid)
        else:
            self._store.remove_child(key, uid)

    async def _list(self, resource: Resource, *, metadata_only: bool) -> AsyncIterator[Object]:
        selector = CHILD_SELECTOR if resource in {PODS, BATCH_JOBS} else ""
        for namespace in self._scopes:
            async for body in self._kube.list(resource, namespace, selector=selector, metadata_only=metadata_only):
                yield body


def _version(body: Mapping[str, Any]) -> int:
    return int(body["metadata"]["resourceVersion"])
