"""The demo site, held where a test needs a job to stay in the middle of its crawl."""

import asyncio
from threading import Event

from aiohttp import web

from demo.site import DemoSite


class HeldSite(DemoSite):
    """Answers so many pages, and the others when it is released; /slow takes three seconds more."""

    def __init__(self, free: int = 0) -> None:
        super().__init__(delays={"/slow": 3})
        self.released = Event()
        self._free = free

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.path != "/robots.txt":
            self._free -= 1
            while self._free < 0 and not self.released.is_set():  # noqa: ASYNC110 - set from another thread
                await asyncio.sleep(0.05)
        return await super()._answer(request)
