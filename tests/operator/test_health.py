"""Probes that fail when the operator no longer sees or no longer works, against an API server that only lists."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from operator_cases import SINGLE, open_store

from crawl_operator import watch_guard
from crawl_operator.decide.model import JobKey
from crawl_operator.health import HealthApi
from crawl_operator.kube import BATCH_JOBS, CRAWLJOBS, PODS, Connection, Kube
from crawl_operator.kube_errors import UnavailableError
from crawl_operator.queue import WorkQueue
from crawl_operator.store import Key
from crawl_operator.watch_guard import WatchGuard


class Api:
    """Serves objects by kind; the newest version of each."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, dict[str, Any]]] = {
            "scheduledcrawljobs": {},
            "crawljobs": {},
            "pods": {},
            "jobs": {},
        }
        self.broken = False
        self.hidden: set[str] = set()
        """Names that no list shows."""
        self.gets = 0

    def put(self, plural: str, name: str, version: int, *, uid: str = "", **body: Any) -> dict[str, Any]:
        metadata = {
            "namespace": "team",
            "name": name,
            "uid": uid or f"uid-of-{name}",
            "resourceVersion": str(version),
            "labels": {"crawl-operator.io/job": "news", "crawl-operator.io/job-uid": "uid-of-news"},
        }
        self.objects[plural][name] = {"metadata": metadata, **body}
        return self.objects[plural][name]

    def application(self) -> web.Application:
        application = web.Application()
        for root in ("/apis/crawl-operator.io/v1alpha1", "/api/v1", "/apis/batch/v1"):
            application.router.add_get(f"{root}/{{plural}}", self._list)
            application.router.add_get(f"{root}/namespaces/team/{{plural}}/{{name}}", self._get)
        return application

    async def _list(self, request: web.Request) -> web.Response:
        if self.broken:
            return web.json_response({"reason": "Expired", "message": "too old"}, status=410)
        found = self.objects[request.match_info["plural"]]
        items = [body for name, body in found.items() if name not in self.hidden]
        if "PartialObjectMetadataList" in request.headers["Accept"]:
            items = [{"metadata": item["metadata"]} for item in items]
        return web.json_response({"metadata": {}, "items": items})

    async def _get(self, request: web.Request) -> web.Response:
        self.gets += 1
        found = self.objects[request.match_info["plural"]].get(request.match_info["name"])
        if found is None:
            return web.json_response({"reason": "NotFound", "message": "gone"}, status=404)
        return web.json_response(found)


class Operator:
    """The parts that probes look at."""

    def __init__(self, kube: Kube) -> None:
        self.queue: WorkQueue[Key] = WorkQueue()
        self.store = open_store(self.queue.add)
        self.guard = WatchGuard(self.store, kube, (), 3600)
        self.standby = ""
        self.health = HealthApi(self.guard, self.queue, standby=lambda: self.standby)

    async def probe(self, path: str) -> tuple[int, str]:
        async with TestClient(TestServer(self.health.application())) as client:
            answer = await client.get(path)
            return answer.status, await answer.text()


@pytest.fixture
def api() -> Api:
    made = Api()
    made.put("crawljobs", "news", 10, spec=SINGLE, status={"phase": "Processing"})
    made.put("pods", "news-abc-1", 11, status={"phase": "Running"})
    return made


@pytest.fixture
async def operator(api: Api, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Operator]:
    monkeypatch.setattr(watch_guard, "_GRACE", 0.01)
    async with TestServer(api.application()) as server:

        async def connect() -> Connection:
            return Connection(str(server.make_url("/")).rstrip("/"), None, {})

        async with Kube(connect, timeout=5) as kube:
            yield Operator(kube)


async def test_it_is_alive_at_once_and_ready_when_everything_has_been_listed(operator: Operator) -> None:
    assert await operator.probe("/healthz") == (200, "ok\n")
    assert await operator.probe("/readyz") == (503, "starting: the first list of jobs is not complete\n")
    await operator.guard.fill()
    assert await operator.probe("/readyz") == (200, "ok\n")
    assert operator.store.job(JobKey("team", "news")) is not None
    assert operator.store.places.held == 1


async def test_who_stands_by_is_alive_and_not_ready(operator: Operator) -> None:
    """So that a Service leads workers to the one that leads."""
    operator.standby = "another leads"
    await operator.guard.fill()
    assert await operator.probe("/healthz") == (200, "ok\n")
    assert await operator.probe("/readyz") == (503, "standby: another leads\n")
    operator.standby = ""
    assert await operator.probe("/readyz") == (200, "ok\n")


async def test_a_list_that_breaks_off_does_not_make_it_ready(api: Api, operator: Operator) -> None:
    api.broken = True
    with pytest.raises(UnavailableError):
        await operator.guard.fill()
    assert not operator.guard.synced
    status, text = await operator.probe("/readyz")
    starting, why = text.splitlines()
    assert (status, starting) == (503, "starting: the first list of jobs is not complete")
    assert why.startswith("not everything could be listed: GET /")
    assert await operator.probe("/healthz") == (200, "ok\n")  # a new process would not see more
    api.broken = False
    await operator.guard.fill()
    assert await operator.probe("/readyz") == (200, "ok\n")


async def test_a_key_that_nobody_serves_makes_it_unwell(operator: Operator) -> None:
    operator.health = HealthApi(operator.guard, operator.queue, stuck_seconds=0.2)
    await operator.guard.fill()
    await asyncio.sleep(0.25)
    for path in ("/healthz", "/readyz"):
        status, text = await operator.probe(path)
        assert status == 503
        assert "the queue is stuck" in text
    operator.queue.done(await operator.queue.get())
    assert await operator.probe("/healthz") == (200, "ok\n")


async def test_nothing_missed_is_nothing_read(api: Api, operator: Operator) -> None:
    await operator.guard.fill()
    for resource in (CRAWLJOBS, PODS, BATCH_JOBS):
        await operator.guard.compare(resource)
    assert api.gets == 0
    assert operator.guard.frozen == []


async def test_what_a_stale_list_does_not_show_is_not_forgotten(api: Api, operator: Operator) -> None:
    """What was seen deleted never comes back: so the object itself is asked for first."""
    await operator.guard.fill()
    api.hidden = {"news", "news-abc-1"}
    for resource in (CRAWLJOBS, PODS, BATCH_JOBS):
        await operator.guard.compare(resource)
    assert api.gets == 2
    assert operator.store.job(JobKey("team", "news")) is not None
    assert operator.store.places.held == 1
    assert not operator.store.buried("uid-of-news")


@pytest.mark.parametrize("what", ["a change", "a new object", "a deletion", "a namesake"])
async def test_what_a_frozen_watch_has_missed_is_found_and_said(api: Api, operator: Operator, what: str) -> None:
    """The store learns it from the list, and the probe asks for a restart."""
    await operator.guard.fill()
    match what:
        case "a change":
            api.put("crawljobs", "news", 20, spec=SINGLE, status={"phase": "Completed"})
        case "a new object":
            api.put("crawljobs", "late", 20, spec=SINGLE)
        case "a deletion":
            del api.objects["crawljobs"]["news"]
        case _:
            api.put("crawljobs", "news", 20, uid="another", spec=SINGLE)

    await operator.guard.compare(CRAWLJOBS)

    known = {(job.key.name, job.uid, job.version) for job in operator.store.jobs()}
    assert known == {
        (name, body["metadata"]["uid"], int(body["metadata"]["resourceVersion"]))
        for name, body in api.objects["crawljobs"].items()
    }
    assert operator.guard.frozen == ["crawljobs"]
    status, text = await operator.probe("/healthz")
    assert status == 503
    assert "the watch of crawljobs is stale" in text


async def test_a_watch_that_delivers_again_is_well_again(api: Api, operator: Operator) -> None:
    await operator.guard.fill()
    body = api.put("pods", "news-abc-1", 20, status={"phase": "Failed"})
    await operator.guard.compare(PODS)
    assert operator.guard.frozen == ["pods"]
    assert operator.store.places.held == 0, "what was missed was taken from the list"
    operator.guard.seen(PODS, gone=False, body=body)
    assert operator.guard.frozen == []


async def test_a_watch_that_lags_for_a_moment_is_not_frozen(
    api: Api, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list may be ahead of it; the event comes while the comparison waits."""
    monkeypatch.setattr(watch_guard, "_GRACE", 0.2)
    await operator.guard.fill()
    body = api.put("crawljobs", "news", 20, spec=SINGLE)
    comparing = asyncio.create_task(operator.guard.compare(CRAWLJOBS))
    await asyncio.sleep(0.1)
    operator.guard.seen(CRAWLJOBS, gone=False, body=body)
    await comparing
    assert operator.guard.frozen == []
    assert api.gets == 0


async def test_a_deletion_that_the_watch_told_is_not_missed(api: Api, operator: Operator) -> None:
    """A list that began before the deletion still shows the object: it must not come back by it."""
    await operator.guard.fill()
    operator.guard.seen(CRAWLJOBS, gone=True, body=api.objects["crawljobs"]["news"])
    await operator.guard.compare(CRAWLJOBS)
    assert list(operator.store.jobs()) == []
    assert operator.guard.frozen == []


async def test_what_is_no_child_of_ours_is_left_out(api: Api, operator: Operator) -> None:
    body = api.put("pods", "stranger", 5, status={"phase": "Running"})
    body["metadata"]["labels"] = {}
    operator.guard.seen(PODS, gone=False, body=body)
    assert operator.store.places.held == 0
