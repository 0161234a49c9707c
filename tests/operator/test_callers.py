"""Who asks for results: what the API server is asked, how often, and what is made of its answers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from crawl_operator.callers import Caller, Callers
from crawl_operator.decide.model import JobKey
from crawl_operator.kube import Connection, Kube
from crawl_operator.kube_errors import RefusedError

KEY = JobKey("team", "news")
ANNA = {"username": "anna", "uid": "17", "groups": ["crawlers"], "extra": {"scopes": ["a", "b"]}}


class ApiServer:
    """Knows tokens and rights, and counts the questions."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.tokens: dict[str, dict[str, Any]] = {"annas": {"authenticated": True, "user": ANNA}}
        self.allowed = True
        self.refuses = False
        self.at_once = self.most_at_once = 0

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append((body["kind"], body["spec"]))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        if self.refuses:
            why = {"kind": "Status", "reason": "Forbidden", "message": "cannot create resource"}
            return web.json_response(why, status=403)
        known = body["kind"] != "TokenReview"
        status: dict[str, Any] = {"allowed": self.allowed} if known else self.tokens.get(body["spec"]["token"], {})
        return web.json_response({**body, "status": status}, status=201)


@pytest.fixture
def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
async def kube(server: ApiServer) -> AsyncIterator[Kube]:
    """A client of an operator that stands by: it may not write."""
    application = web.Application()
    application.router.add_post("/apis/{group}/v1/{kind}", server.answer)
    async with TestServer(application) as running:
        url = str(running.make_url("/")).rstrip("/")

        async def login() -> Connection:
            return Connection(url, None, {})

        async with Kube(login, timeout=5, write_seconds=lambda: 0.0) as opened:
            yield opened


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_the_question_names_the_caller_and_the_right(server: ApiServer, kube: Kube) -> None:
    callers = Callers(kube, ())
    anna = await callers.identify("annas")
    assert anna == Caller("anna", "17", ["crawlers"], {"scopes": ["a", "b"]})
    assert await callers.may_read(anna, KEY)
    (_, token), (kind, access) = server.asked
    assert token == {"token": "annas"}
    assert kind == "SubjectAccessReview"
    assert access == {
        "user": "anna",
        "uid": "17",
        "groups": ["crawlers"],
        "extra": {"scopes": ["a", "b"]},
        "resourceAttributes": {
            "namespace": "team",
            "name": "news",
            "verb": "get",
            "group": "crawl-operator.io",
            "resource": "crawljobs",
            "subresource": "results",
        },
    }


async def test_answers_are_kept_for_seconds_and_refusals_are_not(server: ApiServer, kube: Kube) -> None:
    clock = Clock()
    callers, anna = Callers(kube, (), clock), Caller("anna")
    for _ in range(3):
        assert await callers.identify("annas")
        assert await callers.may_read(anna, KEY)
    assert len(server.asked) == 2
    assert await callers.may_read(anna, JobKey("team", "other"))
    assert len(server.asked) == 3, "another job is another question"
    clock.now += 11
    server.allowed = False
    server.tokens.clear()
    assert not await callers.may_read(anna, KEY)
    assert await callers.identify("annas") is None
    server.allowed = True
    assert await callers.may_read(anna, KEY)


async def test_a_token_that_was_looked_at_for_no_audience_is_none_for_ours(server: ApiServer, kube: Kube) -> None:
    """Authenticators that know of no audiences answer for the API server's own."""
    callers = Callers(kube, ("crawl-results",))
    assert await callers.identify("annas") is None
    assert server.asked[0][1] == {"token": "annas", "audiences": ["crawl-results"]}
    server.tokens["annas"]["audiences"] = ["another"]
    assert await callers.identify("annas") is None
    server.tokens["annas"]["audiences"] = ["crawl-results"]
    assert await callers.identify("annas") is not None


async def test_strangers_do_not_crowd_out_the_operators_own_requests(server: ApiServer, kube: Kube) -> None:
    callers = Callers(kube, ())
    assert set(await asyncio.gather(*(callers.identify(f"guess-{number}") for number in range(40)))) == {None}
    assert 1 < server.most_at_once <= 4


async def test_what_is_kept_is_bounded(server: ApiServer, kube: Kube) -> None:
    callers = Callers(kube, ())
    anna = Caller("anna")
    for number in range(1100):
        await callers._allowed.get(number, lambda: asyncio.sleep(0, result=True))
    assert len(callers._allowed._answers) == 1000
    assert await callers.may_read(anna, KEY)


async def test_an_operator_that_may_not_ask_says_so(server: ApiServer, kube: Kube) -> None:
    server.refuses = True
    with pytest.raises(RefusedError, match="cannot create resource"):
        await Callers(kube, ()).identify("annas")
