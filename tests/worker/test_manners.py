"""Manners, measured at the servers: how many requests are in flight at a host and in all, and who is never asked."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

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

    async def answer(self, request: web.Request) -> web.Response:
        host = request.host
        self.seen.append(request.path)
        self.in_flight[host] = self.in_flight.get(host, 0) + 1
        self.most[host] = max(self.most.get(host, 0), self.in_flight[host])
        self.most_in_all = max(self.most_in_all, sum(self.in_flight.values()))
        try:
            await asyncio.sleep(0.05)
            return self._page(request)
        finally:
            self.in_flight[host] -= 1

    def _page(self, request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nDisallow: /private/\nDisallow: /*.cgi$\nAllow: /private/open\n")
        if request.path == "/way-in":
            return web.Response(status=302, headers={"Location": "/private/behind"})
        links = [f"/page/{n}" for n in range(20)] + ["/private/x", "/private/open", "/run.cgi", "/way-in"]
        text = "".join(f'<a href="{link}">x</a>' for link in links) + request.path
        return web.Response(text=f"<title>{request.path}</title>{text}", content_type="text/html")


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
