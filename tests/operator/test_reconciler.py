"""Observe, decide, act, against an API server of three answers: what must hold when it does not answer well."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from operator_cases import CREATED, NOW, SINGLE

from crawl_operator.decide.model import JobKey
from crawl_operator.kube import ConflictError, Connection, Kube, RefusedError, UnavailableError
from crawl_operator.projection import batch_job_of, job_of
from crawl_operator.queue import WorkQueue
from crawl_operator.reconciler import Reconciler
from crawl_operator.results import ResultStore
from crawl_operator.settings import Settings
from crawl_operator.store import Store

KEY = JobKey("team", "news")

JOB: dict[str, Any] = {
    "metadata": {
        "namespace": "team",
        "name": "news",
        "uid": "uid-of-news",
        "resourceVersion": "10",
        "generation": 1,
        "creationTimestamp": CREATED.strftime("%Y-%m-%dT%H:%M:%SZ"),
    },
    "spec": SINGLE | {"priority": "High"},
    "status": {"phase": "Pending"},
}

STAMP = CREATED.strftime("%Y-%m-%dT%H:%M:%SZ")
LABELS = {
    "crawl-operator.io/job": "news",
    "crawl-operator.io/job-uid": "uid-of-news",
    "crawl-operator.io/attempt": "1",
}


class Api:
    """Answers creations with the statuses it was given, one after the other, and then with 201."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.applied = False
        """Whether what was answered with an error was done nevertheless."""
        self.pods: list[dict[str, Any]] = []
        self.patches: list[dict[str, Any]] = []
        self.events: list[str] = []
        self.conflict = False
        self.version = 100

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/api/v1/namespaces/team/pods", self.create_pod)
        application.router.add_get("/api/v1/namespaces/team/pods", self.list_pods)
        application.router.add_get("/api/v1/namespaces/team/pods/{name}", self.get_pod)
        application.router.add_post("/api/v1/namespaces/team/events", self.create_event)
        job = "/apis/crawl-operator.io/v1alpha1/namespaces/team/crawljobs/news"
        application.router.add_get(job, self.get_job)
        application.router.add_patch(f"{job}/status", self.patch_status)
        return application

    def stamped(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        metadata = {"uid": "uid-of-pod", **body["metadata"], "resourceVersion": str(self.version)}
        return body | {"metadata": metadata}

    async def create_pod(self, request: web.Request) -> web.Response:
        body = await request.json()
        status = self.answers.pop(0) if self.answers else 201
        if status == 201 or self.applied:
            self.pods.append(self.stamped(body))
        if status != 201:
            return web.json_response({"reason": "Because", "message": "not now"}, status=status)
        return web.json_response(self.pods[-1], status=201)

    async def list_pods(self, request: web.Request) -> web.Response:
        assert request.query["labelSelector"] == "crawl-operator.io/job-uid=uid-of-news"
        return web.json_response({"items": self.pods, "metadata": {}})

    async def get_pod(self, request: web.Request) -> web.Response:
        found = [pod for pod in self.pods if pod["metadata"]["name"] == request.match_info["name"]]
        return web.json_response(found[0] if found else {}, status=200 if found else 404)

    async def create_event(self, request: web.Request) -> web.Response:
        self.events.append((await request.json())["reason"])
        return web.json_response({}, status=201)

    async def get_job(self, _: web.Request) -> web.Response:
        return web.json_response(self.stamped(JOB))

    async def patch_status(self, request: web.Request) -> web.Response:
        patch = await request.json()
        if self.conflict:
            return web.json_response({"reason": "Conflict", "message": "it has changed"}, status=409)
        self.patches.append(patch)
        return web.json_response(self.stamped(JOB | {"status": patch["status"]}))


class Round:
    """A reconciler, its store and the API that it talks to."""

    def __init__(self, kube: Kube, folder: Path, limit: int) -> None:
        self.queue: WorkQueue[JobKey] = WorkQueue()
        self.store = Store(self.queue.add, limit)
        results = ResultStore(folder, max_bytes=1000, inline_limit=1000)
        self.reconciler = Reconciler(self.store, self.queue, kube, results, Settings(), clock=lambda: NOW)
        self.store.put_job(job_of(JOB))

    async def once(self) -> float | None:
        return await self.reconciler.reconcile(KEY)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
async def round_(api: Api, tmp_path: Path) -> AsyncIterator[Round]:
    async with TestServer(api.application()) as server:

        async def connect() -> Connection:
            return Connection(str(server.make_url("/")).rstrip("/"), None, {})

        async with Kube(connect, timeout=5) as kube:
            yield Round(kube, tmp_path, limit=1)


async def test_a_worker_is_created_and_known_at_once(api: Api, round_: Round) -> None:
    """The answer to the creation is as good as the watch: the next round does not ask for a second worker."""
    await round_.once()
    await round_.once()
    assert len(api.pods) == 1
    assert api.pods[0]["metadata"]["labels"]["crawl-operator.io/job-uid"] == "uid-of-news"
    assert api.patches == []
    assert round_.store.places.held == 1


async def test_an_unanswered_creation_is_tried_again_in_the_place_it_holds(api: Api, round_: Round) -> None:
    """The place stays reserved, for the worker may exist; the job must not take itself for one that is ahead of it."""
    api.answers = [503]
    with pytest.raises(UnavailableError):
        await round_.once()
    assert round_.store.places.held == 1
    await round_.once()
    assert len(api.pods) == 1
    assert round_.store.places.held == 1


async def test_after_no_answer_a_changed_priority_makes_no_second_worker(api: Api, round_: Round) -> None:
    """High runs as a pod, Normal as a batch Job: both names are free for each other, so the API server is asked."""
    api.answers, api.applied = [503], True
    with pytest.raises(UnavailableError):
        await round_.once()
    changed = {**JOB["metadata"], "resourceVersion": "11", "generation": 2}
    round_.store.put_job(job_of(JOB | {"metadata": changed, "spec": SINGLE | {"priority": "Normal"}}))
    await round_.once()  # a second creation would find no route
    assert len(api.pods) == 1
    assert round_.store.places.held == 1


@pytest.mark.parametrize("exists", [True, False])
async def test_a_job_deleted_after_no_answer_keeps_its_place_exactly_while_its_worker_lives(
    api: Api, round_: Round, *, exists: bool
) -> None:
    """Whether it is gone or held by a finalizer: nobody asks for its worker again, so somebody must ask about it."""
    api.answers, api.applied = [503], exists
    with pytest.raises(UnavailableError):
        await round_.once()
    if exists:
        round_.store.remove_job(KEY, "uid-of-news")
    else:
        meta = {**JOB["metadata"], "resourceVersion": "11", "deletionTimestamp": "2026-03-01T12:00:00Z"}
        round_.store.put_job(job_of(JOB | {"metadata": meta}))
    assert round_.store.places.held == 1
    await round_.once()
    assert round_.store.places.held == exists


async def test_a_failed_batch_job_is_not_believed_before_its_pod_was_looked_for(api: Api, round_: Round) -> None:
    """Watches of different kinds overtake each other, and only the pod knows that it ran out of memory."""
    child = {"namespace": "team", "name": "news-1", "labels": LABELS, "uid": "uid-of-job", "resourceVersion": "20"}
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    round_.store.put_child(KEY, "uid-of-news", batch_job_of({"metadata": child, "status": {"conditions": [failed]}}))
    end = {"exitCode": 137, "reason": "OOMKilled", "startedAt": STAMP, "finishedAt": STAMP}
    status = {"phase": "Failed", "containerStatuses": [{"name": "worker", "state": {"terminated": end}}]}
    api.pods.append({"metadata": {**child, "name": "news-1-x", "uid": "uid-of-pod"}, "status": status})
    await round_.once()
    assert [each["status"]["attempts"][0]["cause"] for each in api.patches] == ["Transient"]
    assert "memory" in api.patches[0]["status"]["lastError"]


async def test_a_refused_worker_gives_up_its_place_and_says_why_once(api: Api, round_: Round) -> None:
    api.answers = [403, 403]
    for _ in range(2):
        with pytest.raises(RefusedError):
            await round_.once()
        assert round_.store.places.held == 0
    assert [patch["status"]["conditions"][-1]["reason"] for patch in api.patches] == ["WorkerRefused"]
    assert api.events == ["WorkerRefused"]
    await round_.once()
    assert len(api.pods) == 1, "and it is tried again"


async def test_a_write_from_an_old_memory_is_refused_and_the_job_read_anew(api: Api, round_: Round) -> None:
    api.answers = [403]
    api.conflict = True
    with pytest.raises(ConflictError):
        await round_.once()
    job = round_.store.job(KEY)
    assert job is not None
    assert job.version > 10
    assert api.patches == []


async def test_every_write_names_the_version_it_was_decided_on(api: Api, round_: Round) -> None:
    api.answers = [403]
    with pytest.raises(RefusedError):
        await round_.once()
    assert [patch["metadata"]["resourceVersion"] for patch in api.patches] == ["10"]
    assert set(api.patches[0]) == {"metadata", "status"}, "the spec is the user's"
