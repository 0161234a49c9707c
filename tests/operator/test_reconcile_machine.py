"""Any order of anything: users, workers, watches that lag, calls that are lost, restarts. Searched by a state machine.

The reconciler, its store and its decisions are the real ones; the API server is a dictionary that keeps Kubernetes'
promises: versions that only grow, names that are taken once, and lists that show what is there.
"""

import asyncio
import copy
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from operator_cases import NOW, batch_of, outcome_of, timeout_failure

from crawl_api.crawljob import Priority
from crawl_api.worker_protocol import ProgressReport
from crawl_operator.decide.model import JobKey
from crawl_operator.kube import BATCH_JOBS, CRAWLJOBS, PODS, Kube, Object, Resource
from crawl_operator.kube_errors import (
    AlreadyExistsError,
    ConflictError,
    KubeError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from crawl_operator.queue import WorkQueue
from crawl_operator.reconciler import Reconciler
from crawl_operator.results import ResultStore
from crawl_operator.setting_groups import Limits, Reconcile, Retention
from crawl_operator.settings import Settings
from crawl_operator.store import Key, Store
from crawl_operator.watch_guard import WatchGuard

KINDS = (CRAWLJOBS, PODS, BATCH_JOBS)
NAMES = ("a", "b", "c", "d")
TERMINAL = {"Completed", "PartialSuccess", "Failed", "DeadLetter", "Cancelled"}
ENDS = {
    "all": (0, outcome_of(2, 2)),
    "some": (0, outcome_of(2, 1)),
    "none": (1, outcome_of(2, 0)),
    "timeout": (1, outcome_of(2, 1, failure=timeout_failure())),
    "killed": (137, None),
}


def stamp(now: Any) -> str:
    return str(now.strftime("%Y-%m-%dT%H:%M:%SZ"))


class MemoryApi(Kube):
    """An API server in a dictionary, and a client of it whose next call can be spoiled."""

    def __init__(self) -> None:
        self.objects: dict[Resource, dict[str, Object]] = {resource: {} for resource in KINDS}
        self.untold: dict[Resource, list[tuple[bool, Object]]] = {resource: [] for resource in KINDS}
        self.spoiled = ""
        self.writes = 0
        self._version = 100

    @property
    def may_write(self) -> bool:
        return True

    async def patch_metadata(
        self, resource: Resource, namespace: str, name: str, version: int, metadata: Object
    ) -> Object:
        def write() -> Object:
            if name not in self.objects[resource]:
                raise NotFoundError("not there", status=404)
            body = self.objects[resource][name]
            if int(body["metadata"]["resourceVersion"]) != version:
                raise ConflictError("it has changed", status=409)
            return self.change(resource, name, metadata=merged(body["metadata"], metadata))

        return self._spoil(write)

    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str, *, version: int | None = None
    ) -> bool:
        def write() -> Object:
            if name not in self.objects[resource]:
                raise NotFoundError("not there", status=404)
            if self.objects[resource][name]["metadata"]["uid"] != uid:
                raise ConflictError("it is another", status=409)
            self.remove(resource, name)
            if resource is BATCH_JOBS and f"{name}-x" in self.objects[PODS]:
                self.remove(PODS, f"{name}-x")
            return {}

        self._spoil(write)
        return True

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        if name not in self.objects[resource]:
            raise NotFoundError("not there", status=404)
        return copy.deepcopy(self.objects[resource][name])

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        if resource not in self.objects:
            return body  # Events
        return self._spoil(lambda: self.put_new(resource, body))

    async def patch_status(self, resource: Resource, namespace: str, name: str, version: int, patch: Object) -> Object:
        def write() -> Object:
            if name not in self.objects[resource]:
                raise NotFoundError("not there", status=404)
            body = self.objects[resource][name]
            if int(body["metadata"]["resourceVersion"]) != version:
                raise ConflictError("it has changed", status=409)
            return self.change(resource, name, status=merged(body.get("status", {}), patch))

        return self._spoil(write)

    async def list(
        self, resource: Resource, namespace: str | None, *, selector: str = "", metadata_only: bool = False
    ) -> AsyncIterator[Object]:
        _, _, uid = selector.partition("=")
        for body in list(self.objects[resource].values()):
            if job_uid(body) == uid:
                yield body

    def put_new(self, resource: Resource, body: Object) -> Object:
        name = body["metadata"]["name"]
        if name in self.objects[resource]:
            raise AlreadyExistsError("there already", status=409)
        self._version += 1
        meta = {"namespace": "team", "uid": f"uid-{self._version}", "generation": 1, **body["metadata"]}
        return self._store(resource, {**body, "metadata": meta}, name)

    def change(self, resource: Resource, name: str, **parts: Any) -> Object:
        return self._store(resource, {**self.objects[resource][name], **parts}, name)

    def remove(self, resource: Resource, name: str) -> None:
        body = self.objects[resource].pop(name)
        self._version += 1
        self.untold[resource].append((True, stamped(body, self._version)))

    def _store(self, resource: Resource, body: Object, name: str) -> Object:
        self._version += 1
        body = self.objects[resource][name] = stamped(body, self._version)
        self.untold[resource].append((False, body))
        return copy.deepcopy(body)

    def _spoil(self, write: Any) -> Object:
        spoiled, self.spoiled = self.spoiled, ""
        if spoiled == "lost":
            raise UnavailableError("no answer")
        if spoiled == "refused":
            raise RefusedError("forbidden", status=403)
        self.writes += 1
        answer: Object = write()
        if spoiled == "unanswered":
            raise UnavailableError("no answer")
        return answer


def stamped(body: Object, version: int) -> Object:
    return {**body, "metadata": {**body["metadata"], "resourceVersion": str(version)}}


def merged(before: Any, patch: Any) -> Any:
    """Apply a JSON Merge Patch."""
    if not isinstance(patch, dict):
        return patch
    base = dict(before) if isinstance(before, dict) else {}
    for key, value in patch.items():
        if value is None:
            base.pop(key, None)
        else:
            base[key] = merged(base.get(key), value)
    return base


def job_uid(child: Object) -> str:
    return str(child["metadata"]["labels"]["crawl-operator.io/job-uid"])


class Life(RuleBasedStateMachine):
    """Jobs, workers, watches and an operator; every rule is one thing that may happen next."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = TemporaryDirectory(prefix="machine-")
        self.api = MemoryApi()
        self.now = NOW
        self.ended: dict[str, Any] = {}

    @initialize(limit=st.integers(1, 3))
    def begin(self, limit: int) -> None:
        self.limit = limit
        self.settings = Settings(
            limits=Limits(running=limit),
            retention=Retention(delete_jobs=False),
            reconcile=Reconcile(patience_seconds=0, progress_interval_seconds=0.1),
        )
        self.born()

    def born(self) -> None:
        self.dirty: dict[Key, None] = {}
        self.store = Store(self.dirty.setdefault, self.settings.running_limits, lambda: self.now)
        self.guard = WatchGuard(self.store, self.api, (), 60)
        self.loop.run_until_complete(self._join())
        for resource in KINDS:
            self.api.untold[resource].clear()
            for body in self.api.objects[resource].values():
                self.guard.seen(resource, gone=False, body=body)
        self.store.places.open()

    async def _join(self) -> None:
        queue: WorkQueue[Key] = WorkQueue()
        results = ResultStore(Path(self.folder.name), max_bytes=1000, inline_limit=1000)
        self.reconciler = Reconciler(self.store, queue, self.api, results, self.settings, clock=lambda: self.now)

    def teardown(self) -> None:
        try:
            if hasattr(self, "reconciler"):
                self.settle()
        finally:
            self.loop.close()
            self.folder.cleanup()

    def settle(self) -> None:
        """Tell all, and do all: then nothing is left to do, and nobody waits for a place that is free."""
        self.deliver_all()
        for _ in range(200):
            if not self.dirty:
                break
            self.step(next(iter(self.dirty)))
            self.deliver_all()
        assert not self.dirty, "it does not come to rest"
        before = self.api.writes
        for body in self.api.objects[CRAWLJOBS].values():
            self.step(JobKey("team", body["metadata"]["name"]))
        assert self.api.writes == before, "a plan carried out leaves something to do"
        waiting = [
            name
            for name, body in self.api.objects[CRAWLJOBS].items()
            if phase(body) in {"", "Pending"}
            and not self.leaving(body)
            and body["metadata"]["uid"] not in self.running()
        ]
        assert not waiting or len(self.running()) >= self.limit, f"forgotten: {waiting}"
        assert self.store.places.held == len(self.running())

    # What happens

    @rule(name=st.sampled_from(NAMES), priority=st.sampled_from(Priority), urls=st.sampled_from([2, 2, 2, 51]))
    def apply(self, name: str, priority: Priority, urls: int) -> None:
        if name not in self.api.objects[CRAWLJOBS]:
            meta = {"name": name, "creationTimestamp": stamp(self.now)}
            body = {"metadata": meta, "spec": batch_of(urls) | {"priority": priority.value}, "status": {}}
            self.api.put_new(CRAWLJOBS, body)

    @rule(name=st.sampled_from(NAMES), finalizer=st.booleans())
    def delete(self, name: str, finalizer: bool) -> None:  # noqa: FBT001 - Hypothesis passes by name
        if (body := self.api.objects[CRAWLJOBS].get(name)) is None:
            return
        if finalizer:
            self.api.change(CRAWLJOBS, name, metadata={**body["metadata"], "deletionTimestamp": stamp(self.now)})
        else:
            self.api.remove(CRAWLJOBS, name)

    @rule(name=st.sampled_from(NAMES))
    def annotate(self, name: str) -> None:
        if name in self.api.objects[CRAWLJOBS]:
            self.api.change(CRAWLJOBS, name)

    @rule(name=st.sampled_from(NAMES), priority=st.sampled_from(Priority))
    def reprioritise(self, name: str, priority: Priority) -> None:
        body = self.api.objects[CRAWLJOBS].get(name)
        if body is not None and phase(body) in {"", "Pending"}:
            self.api.change(CRAWLJOBS, name, spec={**body["spec"], "priority": priority.value})

    @rule(data=st.data())
    def pod_is_made(self, data: st.DataObject) -> None:
        jobs = [
            job
            for job in self.api.objects[BATCH_JOBS].values()
            if not done(job) and f"{job['metadata']['name']}-x" not in self.api.objects[PODS]
        ]
        if jobs:
            job = data.draw(st.sampled_from(jobs))
            meta = job["spec"]["template"]["metadata"]
            self.api.put_new(PODS, {"metadata": {**meta, "name": f"{job['metadata']['name']}-x"}, "kind": "Pod"})

    @rule(data=st.data())
    def pod_runs(self, data: st.DataObject) -> None:
        if pod := self.draw(data, PODS, lambda pod: "status" not in pod):
            state = {"running": {"startedAt": stamp(self.now)}}
            self.pod_status(pod, "Running", state)

    @rule(data=st.data(), end=st.sampled_from(sorted(ENDS)))
    def pod_ends(self, data: st.DataObject, end: str) -> None:
        if pod := self.draw(data, PODS, lambda pod: not done(pod)):
            code, said = ENDS[end]
            state = {"exitCode": code, "reason": "Error" if code else "Completed", "startedAt": stamp(self.now)}
            message = {"message": said.termination_message()} if said is not None else {}
            terminated = {**state, **message, "finishedAt": stamp(self.now)}
            self.pod_status(pod, "Failed" if code else "Succeeded", {"terminated": terminated})

    @rule(data=st.data())
    def pod_goes(self, data: st.DataObject) -> None:
        if pod := self.draw(data, PODS, lambda _: True):
            self.api.remove(PODS, pod["metadata"]["name"])

    @rule(data=st.data(), good=st.booleans())
    def batch_job_ends(self, data: st.DataObject, good: bool) -> None:  # noqa: FBT001 - Hypothesis passes by name
        def may_end(job: Object) -> bool:
            pod = self.api.objects[PODS].get(f"{job['metadata']['name']}-x")
            return not done(job) and (pod is None or done(pod))

        if job := self.draw(data, BATCH_JOBS, may_end):
            condition = {"type": "Complete" if good else "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
            self.api.change(BATCH_JOBS, job["metadata"]["name"], status={"conditions": [condition]})

    @rule()
    def garbage_goes(self) -> None:
        uids = {body["metadata"]["uid"] for body in self.api.objects[CRAWLJOBS].values()}
        for resource in (PODS, BATCH_JOBS):
            for name, child in list(self.api.objects[resource].items()):
                if job_uid(child) not in uids:
                    self.api.remove(resource, name)

    @rule(name=st.sampled_from(NAMES), succeeded=st.integers(0, 2))
    def report(self, name: str, succeeded: int) -> None:
        job = self.store.job(JobKey("team", name))
        if job is not None and not job.phase.terminal:
            self.store.put_report(job, job.status.attempt, ProgressReport(total=2, succeeded=succeeded, failed=0))

    @rule(seconds=st.sampled_from([0.05, 1, 60]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # What the operator does and sees

    @rule(resource=st.sampled_from(KINDS), count=st.integers(1, 3))
    def deliver(self, resource: Resource, count: int) -> None:
        for gone, body in self.api.untold[resource][:count]:
            self.guard.seen(resource, gone=gone, body=body)
        del self.api.untold[resource][:count]

    @precondition(lambda self: self.dirty)
    @rule(data=st.data(), spoiled=st.sampled_from(["", "", "", "lost", "unanswered", "refused"]))
    def reconcile(self, data: st.DataObject, spoiled: str) -> None:
        self.api.spoiled = spoiled
        self.step(data.draw(st.sampled_from(list(self.dirty))))
        self.api.spoiled = ""

    @rule()
    def restart(self) -> None:
        self.born()

    # What must hold at every moment

    @invariant()
    def no_more_run_than_may(self) -> None:
        if hasattr(self, "limit"):
            assert len(self.running()) <= self.limit

    @invariant()
    def at_most_one_child_per_attempt(self) -> None:
        live: list[tuple[str, str]] = []
        for resource in (PODS, BATCH_JOBS):
            for child in self.api.objects[resource].values():
                if not child["metadata"]["name"].endswith("-x") and not done(child):
                    labels = child["metadata"]["labels"]
                    live.append((labels["crawl-operator.io/job-uid"], labels["crawl-operator.io/attempt"]))
        assert len(live) == len(set(live))

    @invariant()
    def the_end_is_the_end(self) -> None:
        for body in self.api.objects[CRAWLJOBS].values():
            if phase(body) in TERMINAL:
                assert self.ended.setdefault(body["metadata"]["uid"], body["status"]) == body["status"]

    # Helpers

    def step(self, key: Key) -> None:
        """Reconcile one job, as the queue would have it done."""
        self.dirty.pop(key, None)
        try:
            again = self.loop.run_until_complete(self.reconciler.reconcile(key))
        except KubeError:
            self.dirty.setdefault(key)
        else:
            if again is not None:
                self.now += timedelta(seconds=again)
                self.dirty.setdefault(key)

    def deliver_all(self) -> None:
        for resource in KINDS:
            self.deliver(resource, len(self.api.untold[resource]))

    def running(self) -> set[str]:
        """Return UIDs of jobs with a live worker."""
        pods, batch_jobs = self.api.objects[PODS], self.api.objects[BATCH_JOBS]
        live = {job_uid(pod) for pod in pods.values() if not done(pod)}
        return live | {job_uid(job) for name, job in batch_jobs.items() if not done(job) and f"{name}-x" not in pods}

    def children(self, uid: str) -> list[Object]:
        return [each for kind in (PODS, BATCH_JOBS) for each in self.api.objects[kind].values() if job_uid(each) == uid]

    def draw(self, data: st.DataObject, resource: Resource, fits: Any) -> Object | None:
        found = [body for body in self.api.objects[resource].values() if fits(body)]
        return data.draw(st.sampled_from(found)) if found else None

    def pod_status(self, pod: Object, name: str, state: Object) -> None:
        status = {"phase": name, "containerStatuses": [{"name": "worker", "state": state}]}
        self.api.change(PODS, pod["metadata"]["name"], status=status)

    @staticmethod
    def leaving(body: Object) -> bool:
        return "deletionTimestamp" in body["metadata"]


def phase(body: Object) -> str:
    return str(body.get("status", {}).get("phase", ""))


def done(child: Object) -> bool:
    """Tell whether a pod or batch Job will run no more."""
    status = child.get("status", {})
    return status.get("phase") in {"Succeeded", "Failed"} or bool(status.get("conditions"))


TestLife = Life.TestCase
TestLife.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)
