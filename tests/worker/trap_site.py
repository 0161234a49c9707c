"""A generated site full of traps, which knows by its own making which of its URLs a crawl must fetch, and only those.

A tree of articles with several links to each; sections that redirect; copies under session ids, campaign parameters
and another order of parameters; a calendar without end; relative links that build on each other; a part that robots.txt
forbids; links out of scope; pages that only sitemaps name.
"""

import asyncio
import gzip
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aiohttp import web

ARTICLES = 4620
BRANCHES = 9
MOVED = 150
LISTED = 120
VIEWS = 100
CALENDAR = 12
"""Months that lie within the depth limit."""


@dataclass
class TrapSite:
    """Serves the site and counts what is asked for."""

    articles: int = ARTICLES
    url: str = ""
    seen: Counter[str] = field(default_factory=Counter)
    forbidden: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    delay: float = 0.0
    """Seconds by which every answer is held back."""
    on_request: Callable[[], None] = lambda: None
    """Called before each answer."""

    @property
    def start(self) -> str:
        return f"{self.url}/"

    @property
    def depth(self) -> int:
        """Links from the start to the calendar's last month that is to be found."""
        return CALENDAR + 1

    def oracle(self) -> set[str]:
        """Every URL that the result must name, each once."""
        pages = ["/", *(f"/article/{n}" for n in range(1, self.articles))]
        pages += [f"/new/{n}" for n in range(MOVED)]
        pages += [f"/listed/{n}" for n in range(LISTED)]
        pages += [f"/view?b=1&a={n}" for n in range(VIEWS)]
        pages += [f"/calendar/{n}" for n in range(CALENDAR + 1)]
        pages += ["/loop/", *("/loop" + "/deeper" * n + "/" for n in range(1, 4)), "/broken"]
        return {self.url + page for page in pages}

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("GET", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        self.seen[request.path_qs] += 1
        self.on_request()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.delay)
            return self._serve(request)
        finally:
            self.in_flight -= 1

    def _serve(self, request: web.Request) -> web.Response:
        parts = [part for part in request.path.split("/") if part]
        kind, last = parts[0] if parts else "home", parts[-1] if parts else ""
        if kind in {"old", "older", "round", "away"}:
            targets = {"old": f"/older/{last}", "older": f"/new/{last}", "round": "/round"}
            return web.Response(status=302, headers={"Location": targets.get(kind, "http://elsewhere.invalid/")})
        match parts:
            case ["robots.txt"]:
                sitemap = f"Sitemap: {self.url}/sitemaps/index.xml\n"
                return web.Response(text=f"User-agent: *\nDisallow: /secret/\n{sitemap}")
            case ["sitemaps", name]:
                return self._sitemap(name)
            case ["article", number]:
                return self._article(int(number), request)
            case ["secret", *_]:
                self.forbidden[request.path] += 1
        pages = {
            "home": ("start", self._home()),
            "new": (f"new {last}", ["/"]),
            "listed": (f"listed {last}", ["/"]),
            "view": (f"view {request.query_string}", ["/"]),
            "calendar": (f"month {last}", [f"/calendar/{int(last or 0) + 1 if last.isdecimal() else 0}"]),
            "loop": (f"loop {len(parts)}", ["deeper/"]),
        }
        return self._page(*pages[kind]) if kind in pages else web.Response(status=404, text="no\n")

    def _home(self) -> list[str]:
        links = ["/article/1", "/calendar/0", "/loop/", "/broken", "/round", "/away", "/secret/plans", "/#top", ""]
        links += [
            "http://elsewhere.invalid/",
            "mailto:a@example.org",
            "javascript:void(0)",
            "http://[bad/",
            "ftp://h/x",
        ]
        links += [f"/old/{n}" for n in range(MOVED)]
        links += [f"/view?b=1&a={n}&utm_source=home" for n in range(VIEWS)] + [f"/view?a={n}&b=1" for n in range(VIEWS)]
        return links

    def _article(self, number: int, request: web.Request) -> web.Response:
        if not 0 < number < self.articles:
            return web.Response(status=404, text="no\n")
        children = range(number * BRANCHES - BRANCHES + 2, number * BRANCHES + 2)
        links = ["/", "/article/1", f"/article/{max(1, number // 2)}", "../article/1"]
        for child in children:
            if child < self.articles:
                session = f"{number}x{child}"
                links += [f"/article/{child}?PHPSESSID={session}", f"/article/{child};jsessionid={session}"]
                links += [f"/article/{child}?utm_campaign={session}#part", f"/article/{child}"]
        return self._page(f"article {number}", links)

    def _sitemap(self, name: str) -> web.Response:
        if name == "index.xml":
            entries = "".join(f"<sitemap><loc>{self.url}/sitemaps/{n}.xml.gz</loc></sitemap>" for n in range(2))
            return web.Response(text=f"<sitemapindex>{entries}</sitemapindex>", content_type="application/xml")
        half = int(name.partition(".")[0])
        pages = [f"{self.url}/listed/{n}" for n in range(LISTED) if n % 2 == half] + ["http://elsewhere.invalid/"]
        entries = "".join(f"<url><loc>{page}</loc></url>" for page in pages)
        body = gzip.compress(f'<?xml version="1.0"?><urlset>{entries}</urlset>'.encode())
        return web.Response(body=body, content_type="application/gzip")

    def _page(self, title: str, links: list[str]) -> web.Response:
        anchors = "".join(f'<a href="{link}">x</a>' for link in links)
        text = f"<!doctype html><title>{title}</title><main><h1>{title}</h1><p>This is {title}.</p>{anchors}</main>"
        return web.Response(text=text, content_type="text/html")

    def repeated(self) -> Iterator[str]:
        """Yield what was asked for more than once."""
        return (path for path, count in self.seen.items() if count > 1)
