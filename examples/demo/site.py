"""The demo site itself: its pages, and what a crawler meets beside pages (redirects, dead ends, robots.txt).

Integration tests use the same site as their real HTTP server.
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from demo import render
from demo.pages import PAGES, Page, page
from demo.serving import LoopbackServer

__all__ = ["DEFAULT_PORT", "FAILURES", "PAGES", "REDIRECTS", "ROBOTS", "DemoSite", "Page", "page"]

DEFAULT_PORT: Final = 8017
"""The port that the manifests in `examples/` name."""

REDIRECTS: Final[dict[str, tuple[int, str]]] = {
    "/moved": (301, "/moved-again"),
    "/moved-again": (301, "/guide/length"),
    "/temporary": (302, "/guide/time"),
    "/loop": (302, "/loop"),
    # Where no site may lead a crawler: a cloud's metadata service and a private network.
    "/escape/metadata": (302, "http://169.254.169.254/latest/meta-data/"),
    "/escape/private": (302, "http://10.0.0.1/"),
}
"""Status and target of each path that answers with a redirect."""

FAILURES: Final[dict[str, int]] = {"/gone": 410, "/error": 500}
"""Status of each path that answers with an error; a path that is nowhere answers 404."""

ROBOTS: Final = "User-agent: *\nDisallow: /private/\n"

SLOW_SECONDS: Final = 2.0


class DemoSite(LoopbackServer):
    """The site on a loopback address."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        delay: float = 0.0,
        delays: Mapping[str, float] | None = None,
        failing: Mapping[str, int] | None = None,
    ) -> None:
        """Prepare the site: every answer waits `delay` seconds, or what `delays` names for its decoded path.

        Unless `delays` says otherwise, /slow takes `SLOW_SECONDS` and robots.txt comes at once. The paths in `failing`
        answer 503 that many times before they work.
        """
        super().__init__(self._answer, host=host, port=port)
        self._delay: Final = delay
        self.delays: Final = {"/slow": SLOW_SECONDS, "/robots.txt": 0.0} | dict(delays or {})
        """Seconds by path; they may change while the site runs."""
        self._failing: Final = dict(failing or {})

    def url(self, path: str) -> str:
        """Return the URL of a path; that of a page comes percent-encoded."""
        known = PAGES.get(path)
        return self.base_url + (known.quoted if known else path)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        path = request.path
        if seconds := self.delays.get(path, self._delay):
            await asyncio.sleep(seconds)
        if self._failing.get(path, 0):
            self._failing[path] -= 1
            return web.Response(status=503, text="not now\n")
        if path in PAGES:
            return self._page(PAGES[path])
        if path in REDIRECTS:
            status, target = REDIRECTS[path]
            return web.Response(status=status, headers={"Location": target})
        match path:
            case "/robots.txt":
                return web.Response(text=ROBOTS)
            case render.PDF_PATH:
                return web.Response(body=render.pdf(), content_type="application/pdf")
            case _:
                status = FAILURES.get(path, 404)
                return web.Response(status=status, text=f"{status} {path}\n")

    def _page(self, served: Page) -> web.Response:
        charset = served.encoding if served.charset_in_header else None
        return web.Response(body=render.html(served, self.base_url), content_type="text/html", charset=charset)


async def _serve(port: int, delay: float) -> None:
    async with DemoSite(port=port, delay=delay) as site:
        sys.stdout.write(f"{site.base_url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Serve the site until interrupted; its address is the only line of output."""
    parser = argparse.ArgumentParser(prog="python -m demo.site", description="Serve the demo site on loopback.")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that every answer waits")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments.port, arguments.delay))


if __name__ == "__main__":
    main()
