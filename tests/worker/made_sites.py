"""Small sites that a test makes page by page, and the jobs that crawl them."""

from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web
from operator_stand_in import StandIn, serving
from worker_process import assignment

Pages = dict[str, web.Response | str | Callable[[web.Request], web.Response]]


class MadeSites:
    """Serves pages by path and query, until `open_` is closed."""

    def __init__(self, open_: AsyncExitStack) -> None:
        self._open = open_

    async def __call__(self, pages: Pages, host: str = "127.0.0.1") -> tuple[str, Counter[str]]:
        """Serve a site; return its URL and how often each path has been asked for, which goes on counting."""
        asked: Counter[str] = Counter()

        async def answer(request: web.Request) -> web.Response:
            asked[request.path_qs] += 1
            page = pages.get(request.path_qs)
            if callable(page):
                return page(request)
            if isinstance(page, web.Response):
                return web.Response(status=page.status, body=page.body, headers=page.headers)
            return web.Response(status=404) if page is None else web.Response(text=page, content_type="text/html")

        app = web.Application()
        app.router.add_route("GET", "/{path:.*}", answer)
        port = await self._open.enter_async_context(serving(app, host=host))
        return f"http://{host}:{port}", asked


def site_job(operator: StandIn, start: str, *, more: dict[str, Any] | None = None, **site: Any) -> dict[str, Any]:
    wanted = {"startUrls": [start], "maxPages": 100_000} | site
    limits = {"timeoutSeconds": 110} | (more or {})
    return assignment(operator, start, type="Site", single=None, site=wanted, **limits)


def linking(*links: str, head: str = "", text: str = "") -> str:
    return f"<title>t</title>{head}<p>{text}</p>" + "".join(f'<a href="{link}">x</a>' for link in links)


def redirect(to: str) -> web.Response:
    return web.Response(status=301, headers={"Location": to})


def paths(operator: StandIn) -> list[str]:
    return sorted(record["url"].split("/", 3)[3] for record in operator.lines)
