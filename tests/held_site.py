"""A site whose pages the test lets through: what shall be seen while it lasts, lasts until it was seen."""

import asyncio
from threading import Event
from typing import Any

from aiohttp import web

from demo.site import DemoSite


class HeldSite(DemoSite):
    """A demo site that answers so many pages, and holds all others until it is opened; robots.txt never waits."""

    def __init__(self, answered: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self._answered = answered
        self._opened = Event()

    def open(self) -> None:
        """Answer all that wait, and whatever comes."""
        self._opened.set()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.path != "/robots.txt":
            if self._answered:
                self._answered -= 1
            else:
                while not self._opened.is_set():  # noqa: ASYNC110 - set from another thread
                    await asyncio.sleep(0.02)
        return await super()._answer(request)
