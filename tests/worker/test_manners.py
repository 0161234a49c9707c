"""Manners, measured at the servers: how many requests are in flight at a host and in all, and who is never asked."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from operator_stand_in import StandIn, serving
from worker_process import Worker, assignment


@dataclass
class Hosts:
    """Two hosts, each with linked pages, a part that robots.txt forbids, and a redirect into it."""

    urls: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    in_flight: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    most_in_all: int = 0
    refusal: str = ""
    """The Retry-After of the 503 with which the first host answers for its second page; empty for no refusal."""
    wanted: int = 0
    """How many requests must be in flight at once before a linked page is answered."""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether they were."""
    refused: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether the first host has refused; until then, where it is to, the second answers for one page."""
    told: dict[str, float] = field(default_factory=dict)
    """When each host told its robots.txt."""
    slow: float = 0.05
    """Seconds that the first host takes to answer; the second takes a twentieth of one."""
    asked: dict[str, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    """When each host was asked for which page, in order."""

    async def answer(self, request: web.Request) -> web.Response:
        host = request.host
        self.seen.append(request.path)
        self.in_flight[host] = self.in_flight.get(host, 0) + 1
        self.most[host] = max(self.most.get(host, 0), self.in_flight[host])
        self.most_in_all = max(self.most_in_all, sum(self.in_flight.values()))
        if self.most_in_all >= self.wanted:
            self.reached.set()
        try:
            if request.path.startswith("/page/"):
                await self.reached.wait()
            if self.refusal and not self._is_first(request) and self.asked[f"http://{host}/"]:
                await self.refused.wait()
            await asyncio.sleep(self.slow if self._is_first(request) else 0.05)
            return self._page(request)
        finally:
            self.in_flight[host] -= 1

    def _page(self, request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            self.told[f"http://{request.host}/"] = time.monotonic()
            return web.Response(text="User-agent: *\nDisallow: /private/\nDisallow: /*.cgi$\nAllow: /private/open\n")
        asked = self.asked[f"http://{request.host}/"]
        asked.append((time.monotonic(), request.path))
        if self.refusal and self._is_first(request) and len(asked) == 2:
            self.refused.set()
            return web.Response(status=503, headers={"Retry-After": self.refusal})
        if request.path == "/way-in":
            return web.Response(status=302, headers={"Location": "/private/behind"})
        links = [f"/page/{n}" for n in range(20)] + ["/private/x", "/private/open", "/run.cgi", "/way-in"]
        text = "".join(f'<a href="{link}">x</a>' for link in links) + request.path
        return web.Response(text=f"<title>{request.path}</title>{text}", content_type="text/html")

    def _is_first(self, request: web.Request) -> bool:
        return self.urls[0] == f"http://{request.host}/"


@pytest.fixture
async def hosts() -> AsyncIterator[Hosts]:
    made = Hosts()
    async with serving(app_of(made)) as port, serving(app_of(made), port=port, host="127.0.0.2"):
        made.urls = [f"http://127.0.0.{n}:{port}/" for n in (1, 2)]
        yield made


def app_of(hosts: Hosts) -> web.Application:
    app = web.Application()
    app.router.add_get("/{path:.*}", hosts.answer)
    return app


@pytest.mark.parametrize("limits", [(4, 10, 3, 4), (20, 10, 3, 6), (20, 5, 20, 5)])
async def test_neither_a_host_nor_the_job_has_more_requests_in_flight_than_allowed(
    worker: Worker, operator: StandIn, hosts: Hosts, limits: tuple[int, int, int, int]
) -> None:
    """The smallest limit counts, and it is used."""
    wanted, allowed, per_host, most = limits
    hosts.wanted = most
    fetch = {"concurrency": wanted, "perHostConcurrency": per_host}
    site = {"startUrls": hosts.urls, "maxDepth": 1}
    job = assignment(operator, *hosts.urls, type="Site", batch=None, site=site, fetch=fetch, maxConcurrency=allowed)
    ended = await worker.run(job)
    assert ended.code == 0, ended.log
    assert hosts.most_in_all == most
    assert max(hosts.most.values()) <= per_host


async def test_what_robots_txt_forbids_is_never_asked_for(worker: Worker, operator: StandIn, hosts: Hosts) -> None:
    """Not by links, not by redirects, not where the job names it; the rule with the longest path wins."""
    named = [f"{url}private/named" for url in hosts.urls]
    site = {"startUrls": [*hosts.urls, *named], "maxDepth": 3}
    ended = await worker.run(assignment(operator, *named, type="Site", batch=None, site=site))
    assert ended.code == 0, ended.log
    assert {path for path in hosts.seen if "private" in path or path.endswith(".cgi")} == {"/private/open"}
    assert hosts.seen.count("/robots.txt") == 2
    refused = {record["url"] for record in operator.lines if record.get("error", {}).get("code") == "RobotsDisallowed"}
    assert refused >= {*named, *(f"{url}private/behind" for url in hosts.urls)}


def both(operator: StandIn, hosts: Hosts, kind: str, **fetch: Any) -> dict[str, Any]:
    """Return a job for pages of both hosts, named in turn or found by links."""
    named = [f"{url}page/{n}" for n in range(8) for url in hosts.urls]
    if kind == "Batch":
        return assignment(operator, *named, fetch=fetch)
    site = {"startUrls": hosts.urls, "maxDepth": 1, "allow": ["/page/"], "sitemaps": "None"}
    return assignment(operator, *named, type="Site", batch=None, site=site, fetch=fetch)


@pytest.mark.parametrize("kind", ["Batch", pytest.param("Site", marks=pytest.mark.long)])
async def test_a_host_that_asks_for_a_pause_is_left_alone_while_the_others_go_on(
    worker: Worker, operator: StandIn, hosts: Hosts, kind: str
) -> None:
    """503 with Retry-After: it holds for every page of the host, and for no page of another."""
    hosts.refusal = "5"
    ended = await worker.run(both(operator, hosts, kind, perHostConcurrency=1))
    assert ended.code == 0, ended.log
    first, second = (hosts.asked[url] for url in hosts.urls)
    (refused_at, refused), (next_at, _) = first[1:3]
    assert next_at - refused_at >= 4.99
    assert len([path for at, path in second if refused_at < at < next_at]) >= 5
    codes = {record["url"]: record.get("error", {}).get("code") for record in operator.lines}
    failed = {url: code for url, code in codes.items() if code is not None}
    assert failed == ({} if kind == "Site" else {f"{hosts.urls[0]}{refused[1:]}": "HTTP_503"})
    assert len(codes) == len({path for _, path in first}) + len({path for _, path in second})
    assert ended.outcome.retry_after_seconds == (0 if kind == "Site" else 5)


@pytest.mark.parametrize("kind", ["Batch", pytest.param("Site", marks=pytest.mark.long)])
async def test_a_host_that_asks_for_an_hour_is_not_asked_before_by_this_attempt(
    worker: Worker, operator: StandIn, hosts: Hosts, kind: str
) -> None:
    """Its pages are errors that say until when, and the next attempt is told to wait for as long."""
    hosts.refusal = "3600"
    ended = await worker.run(both(operator, hosts, kind, perHostConcurrency=1))
    assert ended.code == 0, ended.log
    first, second = (hosts.asked[url] for url in hosts.urls)
    assert len(first) == 2
    records = [record for record in operator.lines if record["url"].startswith(hosts.urls[0])]
    codes = [record["error"]["code"] for record in records if "error" in record]
    assert sorted(codes) == ["HTTP_503", *["HostPaused"] * (len(records) - 2)]
    assert len(records) == (8 if kind == "Batch" else 21)
    assert all(record["error"]["retryable"] for record in records if "error" in record)
    assert "asked to be left alone until 2" in str(records)
    assert len({path for _, path in second}) == len(records), "the other host is asked for as many"
    assert ended.outcome.failed == ended.outcome.retryable == len(codes)
    assert 3500 < ended.outcome.retry_after_seconds <= 3600


@pytest.mark.long
async def test_with_throttling_a_slow_host_is_asked_less_often(worker: Worker, operator: StandIn, hosts: Hosts) -> None:
    """As far apart as it takes to answer, though ten at once were allowed; a fast one is done long before."""
    hosts.slow = 0.4
    ended = await worker.run(both(operator, hosts, "Batch", autoThrottle=True, perHostConcurrency=10))
    assert ended.outcome.succeeded == 16, ended.log
    first, second = (sorted(at for at, _ in hosts.asked[url]) for url in hosts.urls)
    told = hosts.told[hosts.urls[0]]  # not before: how late one page arrives says nothing of when it was asked for
    assert all(at - told >= 0.4 * number - 0.01 for number, at in enumerate(first, 1))
    assert second[-1] < first[-2]
