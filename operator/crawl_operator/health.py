"""Liveness, readiness and metrics: not whether the process answers, but whether it still sees and still works."""

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web

from crawl_operator.metrics import Metrics
from crawl_operator.queue import WorkQueue
from crawl_operator.store import Key
from crawl_operator.watch_guard import WatchGuard

STUCK_SECONDS: Final = 180.0
"""A key that waits or is in hand for longer means that the queue is stuck: one round has a shorter limit."""


_ENDING_SECONDS: Final = 10.0
"""For how long requests that are under way may keep an operator from its end."""


class HealthApi:
    """Serves /healthz and /readyz: 200, or 503 with one line for each thing that is wrong; and /metrics.

    Args:
        standby: says why workers must not be sent here, and nothing while they may: this operator leads, or passes on
            what they say.
    """

    def __init__(
        self,
        guard: WatchGuard,
        queue: WorkQueue[Key],
        metrics: Metrics | None = None,
        standby: Callable[[], str] = str,
        *,
        stuck_seconds: float = STUCK_SECONDS,
    ) -> None:
        self._guard = guard
        self._queue = queue
        self._metrics = metrics or Metrics()
        self._standby = standby
        self._stuck_seconds = stuck_seconds

    def application(self) -> web.Application:
        """Return the application to serve."""
        application = web.Application()
        application.router.add_get("/healthz", self._live)
        application.router.add_get("/readyz", self._ready)
        application.router.add_get("/metrics", self._show_metrics)
        return application

    def problems(self) -> list[str]:
        """Say what is wrong enough for a restart."""
        found = [f"the watch of {kind} is stale: it has missed changes" for kind in self._guard.frozen]
        if (age := self._queue.oldest_age()) > self._stuck_seconds:
            found.append(f"the queue is stuck: a job has waited for {age:.0f} s")
        return found

    async def _live(self, _: web.Request) -> web.Response:
        return _answer(self.problems())

    async def _ready(self, _: web.Request) -> web.Response:
        starting = [] if self._guard.synced else ["starting: the first list of jobs is not complete"]
        standby = [f"standby: {why}"] if (why := self._standby()) else []
        trouble = [self._guard.trouble] if self._guard.trouble else []
        return _answer(starting + standby + trouble + self.problems())

    async def _show_metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics.exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


def _answer(problems: list[str]) -> web.Response:
    if problems:
        return web.Response(status=503, text="\n".join(problems) + "\n")
    return web.Response(text="ok\n")


async def serve(application: web.Application, host: str, port: int) -> web.AppRunner:
    """Serve an application until the runner's `cleanup` is called.

    Raises:
        OSError: the address cannot be listened on.
    """
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_ENDING_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    await asyncio.sleep(0)
    return runner
