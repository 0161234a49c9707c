"""Observe, decide, act, against an API server of three answers: what must hold when it does not answer well."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from operator_cases import CREATED, NOW, SINGLE

from crawl_operator.decide.model import JobKey
from crawl_operator.kube import ConflictError, Connection, Kube, RefusedError, UnavailableError
from crawl_operator.metrics import Metrics
from crawl_operator.projection import job_of
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


class Api:
    """Answers creations with the statuses it was given, one after the other, and then with 201."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.pods: list[dict[str, Any]] = []
        self.patches: list[dict[str, Any]] = []
        self.events: list[str] = []
        self.conflict = False
        self.version = 100

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/api/v1/namespaces/team/pods", self.create_pod)
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
        if status != 201:
            return web.json_response({"reason": "Because", "message": "not now"}, status=status)
        self.pods.append(body)
        return web.json_response(self.stamped(body), status=201)

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
        self.metrics = Metrics()
        self.queue: WorkQueue[JobKey] = WorkQueue()
        self.store = Store(self.queue.add, limit)
        results = ResultStore(folder, max_bytes=1000, inline_limit=1000)
        self.reconciler = Reconciler(self.store, self.queue, kube, results, Settings(), lambda: NOW, self.metrics)
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


class Lease:
    """Allows a number of writes, and then no more."""

    def __init__(self, writes: int) -> None:
        self.asked = 0
        self._writes = writes

    def remaining(self) -> float:
        self.asked += 1
        return 10.0 if self.asked <= self._writes else 0.0


@pytest.mark.parametrize("allowed", [0, 1])
async def test_who_does_not_lead_does_nothing_and_holds_no_place(api: Api, tmp_path: Path, allowed: int) -> None:
    """From the start, or from between the decision and its write."""
    async with TestServer(api.application()) as server:

        async def connect() -> Connection:
            return Connection(str(server.make_url("/")).rstrip("/"), None, {})

        async with Kube(connect, timeout=5, write_seconds=Lease(allowed).remaining) as kube:
            round_ = Round(kube, tmp_path, limit=1)
            working = asyncio.create_task(round_.reconciler.run())
            await asyncio.sleep(0.2)
            working.cancel()
            assert (len(round_.queue), round_.queue.oldest_age()) == (0, 0), "it waits for nobody"
            assert (round_.store.places.held, round_.store.places.waiting) == (0, 1), "and is in line"
    assert api.pods == []
    assert api.patches == []


async def test_rounds_are_counted_with_why_they_failed(api: Api, round_: Round) -> None:
    api.answers = [503]
    working = asyncio.create_task(round_.reconciler.run())
    await asyncio.sleep(0.5)
    working.cancel()
    assert len(api.pods) == 1
    text = round_.metrics.exposition("")[0].decode()
    assert 'crawl_operator_reconcile_errors_total{reason="api"} 1.0' in text
    assert 'crawl_operator_reconcile_errors_total{reason="conflict"} 0.0' in text
    rounds = re.search(r"crawl_operator_reconcile_duration_seconds_count (\d+)", text)
    assert rounds is not None
    assert int(rounds[1]) >= 2


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
