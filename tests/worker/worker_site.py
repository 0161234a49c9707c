"""A site that behaves as sites do: well, badly and maliciously, and that measures how it is treated."""

import asyncio
import gzip
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from aiohttp import web
from aiohttp.typedefs import Handler

PAGE = """<!doctype html><html lang="en"><head><title>Page {n}</title>
<meta name="description" content="The page number {n}"><link rel="canonical" href="/page/{n}"></head>
<body><nav><a href="/">Home</a></nav><main><h1>Page {n}</h1><p>This is the text of page {n}, long enough to be
taken for the main content of a page, with a sentence or two more, so that nobody doubts it.</p>
<p class="price">{n} EUR</p><a href="/page/{next}#top">next</a></main></body></html>"""


@dataclass
class Site:
    """What the site saw."""

    url: str = ""
    robots: str | int = ""
    """The text of robots.txt, the status it is answered with, or the URL it redirects to."""
    seen: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    times: list[float] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    delay: float = 0.0
    """Seconds by which every answer is held back."""
    on_request: Callable[[], None] = lambda: None
    """Called before each answer."""
    free: float = math.inf
    """How many requests are answered; those after them are held back until `released`."""
    held: int = 0
    """How many were."""
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self, path: str) -> int:
        return self.seen.count(path)


def make_site(site: Site) -> web.Application:
    """Return the site as an application."""

    async def robots(_request: web.Request) -> web.Response:
        return _robots(site)

    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        site.seen.append(request.path)
        number = len(site.seen)
        site.on_request()
        site.agents.add(request.headers.get("User-Agent", ""))
        site.times.append(asyncio.get_running_loop().time())
        site.in_flight += 1
        site.most_in_flight = max(site.most_in_flight, site.in_flight)
        try:
            await asyncio.sleep(site.delay)
            if number > site.free:
                site.held += 1
                await site.released.wait()
            return await handler(request)
        finally:
            site.in_flight -= 1

    app = web.Application(middlewares=[measure])
    app.add_routes(
        [
            web.get("/robots.txt", robots),
            web.get("/page/{n}", _page),
            web.get("/status/{status}", _status),
            web.get("/redirect", _redirect),
            web.get("/hops/{n}", _hops),
            web.get("/slow/{seconds}", _slow),
            web.get("/huge", _huge),
            web.get("/bomb", _bomb),
            web.get("/endless", _endless),
            web.get("/cut", _cut),
            web.get("/raw/{name}", _raw),
        ]
    )
    return app


def _robots(site: Site) -> web.Response:
    if isinstance(site.robots, int):
        return web.Response(status=site.robots)
    if site.robots.startswith("http:"):
        return web.Response(status=301, headers={"Location": site.robots})
    return web.Response(text=site.robots) if site.robots else web.Response(status=404)


async def _page(request: web.Request) -> web.Response:
    n = int(request.match_info["n"])
    return web.Response(text=PAGE.format(n=n, next=n + 1), content_type="text/html")


async def _status(request: web.Request) -> web.Response:
    headers = {"Retry-After": request.query["after"]} if "after" in request.query else {}
    return web.Response(status=int(request.match_info["status"]), text="no", headers=headers)


async def _redirect(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": request.query["to"]})


async def _hops(request: web.Request) -> web.Response:
    n = int(request.match_info["n"])
    return web.Response(status=301, headers={"Location": f"/hops/{n - 1}" if n else "/page/0"})


async def _slow(request: web.Request) -> web.Response:
    await asyncio.sleep(float(request.match_info["seconds"]))
    return web.Response(text=PAGE.format(n=0, next=1), content_type="text/html")


async def _huge(_request: web.Request) -> web.Response:
    return web.Response(body=b"x" * 3_000_000, content_type="text/html")


async def _bomb(_request: web.Request) -> web.Response:
    return web.Response(body=bomb(), headers={"Content-Encoding": "gzip", "Content-Type": "text/html"})


@cache
def bomb() -> bytes:
    """Return what is large when it is unpacked; whoever makes it while the site serves holds up all answers."""
    return gzip.compress(b"\0" * 50_000_000)


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/html"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    for _ in range(600):
        await response.write(b"<p>more</p>")
        await asyncio.sleep(0.1)
    return response


async def _cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/html", "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"<p>only the beginning")
    assert request.transport is not None
    request.transport.abort()
    return response


RAW: dict[str, tuple[str | None, bytes]] = {}
"""Bodies by name, with their Content-Type, for tests that need a page of their own."""


async def _raw(request: web.Request) -> web.Response:
    kind, body = RAW[request.match_info["name"]]
    return web.Response(body=body, headers={"Content-Type": kind} if kind else {})
