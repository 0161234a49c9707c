"""Schedules brought a step further, against an API server that does not answer well."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from operator_cases import open_store
from schedule_cases import KEY, MINUTE, NOON, schedule_spec

from crawl_operator.decide.model import JobKey
from crawl_operator.kube import Connection, Kube
from crawl_operator.kube_errors import ConflictError
from crawl_operator.metrics import Metrics
from crawl_operator.scheduler import Scheduler
from crawl_operator.settings import Settings
from crawl_operator.store import Store

_SCHEDULE: dict[str, Any] = {
    "metadata": {
        "namespace": KEY.namespace,
        "name": KEY.name,
        "uid": "uid-of-nightly",
        "resourceVersion": "10",
        "generation": 1,
        "creationTimestamp": "2026-03-01T11:59:00Z",
    },
    "spec": schedule_spec(concurrencyPolicy="Replace"),
}


class Api:
    """Holds one schedule and its runs, and answers deletions as it is told."""

    def __init__(self) -> None:
        self.schedule = _SCHEDULE
        self.runs: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        self.delete_status = 200
        self.version = 100

    def application(self) -> web.Application:
        application = web.Application()
        root = f"/apis/crawl-operator.io/v1alpha1/namespaces/{KEY.namespace}"
        application.router.add_patch(f"{root}/scheduledcrawljobs/{KEY.name}/status", self.patch_status)
        application.router.add_post(f"{root}/crawljobs", self.create)
        application.router.add_get(f"{root}/crawljobs/{{name}}", self.get)
        application.router.add_delete(f"{root}/crawljobs/{{name}}", self.delete)
        application.router.add_post(f"/api/v1/namespaces/{KEY.namespace}/events", self.create_event)
        return application

    async def patch_status(self, request: web.Request) -> web.Response:
        status = self.schedule.get("status", {}) | (await request.json())["status"]
        self.schedule = self._stamped(self.schedule | {"status": status})
        return web.json_response(self.schedule)

    async def create(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = body["metadata"]["name"]
        meta = body["metadata"] | {
            "uid": f"uid-of-{name}",
            "generation": 1,
            "creationTimestamp": "2026-03-01T12:00:00Z",
        }
        self.runs[name] = self._stamped(body | {"metadata": meta})
        return web.json_response(self.runs[name], status=201)

    async def get(self, request: web.Request) -> web.Response:
        found = self.runs.get(request.match_info["name"])
        return web.json_response(found or {}, status=200 if found else 404)

    async def delete(self, request: web.Request) -> web.Response:
        self.deleted.append(request.match_info["name"])
        reason = {404: "NotFound", 409: "Conflict"}.get(self.delete_status, "")
        return web.json_response({"kind": "Status", "reason": reason, "message": "x"}, status=self.delete_status)

    async def create_event(self, _: web.Request) -> web.Response:
        return web.json_response({}, status=201)

    def _stamped(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        return body | {"metadata": body["metadata"] | {"resourceVersion": str(self.version)}}


class Round:
    """A scheduler, its store and its clock."""

    def __init__(self, kube: Kube) -> None:
        self.now = NOON - MINUTE
        self.store: Store = open_store(lambda _: None)
        self.scheduler = Scheduler(self.store, kube, Settings(), lambda: self.now, Metrics())
        self.store.schedules.put(_SCHEDULE)

    async def several(self) -> None:
        for _ in range(4):
            await self.scheduler.reconcile(KEY)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
async def round_(api: Api) -> AsyncIterator[Round]:
    async with TestServer(api.application()) as server:

        async def connect() -> Connection:
            return Connection(str(server.make_url("/")).rstrip("/"), None, {})

        async with Kube(connect, timeout=5) as kube:
            yield Round(kube)


async def _second_slot_comes(api: Api, round_: Round) -> JobKey:
    """Make a run, and let the time of the next come, for which it shall go; return its key."""
    await round_.several()
    round_.now = NOON + timedelta(seconds=1)
    await round_.several()
    (name,) = api.runs
    round_.now += timedelta(hours=1)
    return JobKey(KEY.namespace, name)


async def test_a_run_that_is_not_deleted_for_a_conflict_is_not_forgotten(api: Api, round_: Round) -> None:
    """Who forgets one that lives makes the next beside it, and never looks at it again."""
    run = await _second_slot_comes(api, round_)
    api.delete_status = 409
    for _ in range(2):
        with pytest.raises(ConflictError):
            await round_.scheduler.reconcile(KEY)
    assert api.deleted == [run.name] * 2, "it is asked for again"
    assert round_.store.job(run) is not None
    assert list(api.runs) == [run.name]


@pytest.mark.parametrize("status", [404, 409])
async def test_a_run_that_is_gone_already_makes_room(api: Api, round_: Round, status: int) -> None:
    """Also where something else has its name by now."""
    run = await _second_slot_comes(api, round_)
    api.delete_status = status
    meta = api.runs[run.name]["metadata"] | {"uid": "uid-of-another"}
    api.runs[run.name] = api.runs[run.name] | {"metadata": meta}
    await round_.several()
    assert api.deleted == [run.name]
    assert len(api.runs) == 2
