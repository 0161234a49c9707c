"""The same client without `await`: a thin face, whose calls run on a loop in a thread of its own.

    from crawl_client import single
    from crawl_client.sync import CrawlClient

    with CrawlClient() as client:
        job = client.jobs.submit(single("https://example.org/"))
        client.wait(job.name)

Every method is that of `crawl_client.CrawlClient`, and is described there.
"""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, ParamSpec, Self, TypeVar

from crawl_client.answers import Envelope
from crawl_client.client import CrawlClient as AsyncCrawlClient
from crawl_client.errors import AppError

P = ParamSpec("P")
T = TypeVar("T")


class _Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crawl-client", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something to its end; an interrupt ends it too."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def call(self, method: Callable[P, Awaitable[T]]) -> Callable[P, T]:
        """Make a method that waits for its answer."""

        @functools.wraps(method)
        def called(*args: P.args, **kwargs: P.kwargs) -> T:
            return self.run(_awaited(method(*args, **kwargs)))

        return called

    def iterate(self, method: Callable[P, AsyncIterator[T]]) -> Callable[P, Iterator[T]]:
        """Make a method whose items come one by one, each when it is asked for."""

        @functools.wraps(method)
        def iterated(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            items = method(*args, **kwargs)
            try:
                while (found := self.run(_next(items))) is not _END:
                    yield found  # type: ignore[misc]
            finally:
                close = getattr(items, "aclose", None)
                if close is not None:
                    self.run(close())

        return iterated


_END = object()


async def _awaited(work: Awaitable[T]) -> T:
    return await work


async def _next(items: AsyncIterator[T]) -> T | object:
    return await anext(items, _END)


class CrawlClient:
    """Crawls of one cluster; takes what `crawl_client.CrawlClient` takes. Use it in `with`."""

    def __init__(self, **options: Any) -> None:
        client = AsyncCrawlClient(**options)
        self._client = client
        self._loop = loop = _Loop()
        self.jobs = _Jobs(loop, client)
        self.schedules = _Schedules(loop, client)
        self.results = _Results(loop, client)
        self.dead_letters = _DeadLetters(loop, client)
        self.workers = _Workers(loop, client)
        self.stats = _Stats(loop, client)
        self.wait = loop.call(client.wait)
        self.wait_all = loop.call(client.wait_all)
        self.submit_all = loop.call(client.submit_all)
        self.why = loop.call(client.why)
        self.health = loop.call(client.health)
        self.request = loop.call(client.request)
        self.namespaces = loop.call(client.namespaces)

    def __enter__(self) -> Self:
        self._loop.start()
        try:
            self._loop.run(self._client.__aenter__())
        except BaseException:
            self._loop.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._loop.run(self._client.__aexit__())
        finally:
            self._loop.stop()

    @property
    def namespace(self) -> str:
        """The namespace that is meant where none is named."""
        return self._client.namespace


def enveloped(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Envelope[T]:
    """Make a call and return its answer; what it would raise is told instead.

    Example::

        found = enveloped(client.jobs.get, "docs")
    """
    try:
        return Envelope(success=True, data=call(*args, **kwargs))
    except AppError as error:
        return Envelope(success=False, error=str(error))


class _Jobs:
    def __init__(self, loop: _Loop, client: AsyncCrawlClient) -> None:
        jobs = client.jobs
        self.submit = loop.call(jobs.submit)
        self.get = loop.call(jobs.get)
        self.list = loop.call(jobs.list)
        self.iterate = loop.iterate(jobs.iterate)
        self.watch = loop.iterate(jobs.watch)
        self.cancel = loop.call(jobs.cancel)
        self.suspend = loop.call(jobs.suspend)
        self.resume = loop.call(jobs.resume)
        self.requeue = loop.call(jobs.requeue)
        self.update = loop.call(jobs.update)
        self.delete = loop.call(jobs.delete)


class _Schedules:
    def __init__(self, loop: _Loop, client: AsyncCrawlClient) -> None:
        schedules = client.schedules
        self.create = loop.call(schedules.create)
        self.get = loop.call(schedules.get)
        self.list = loop.call(schedules.list)
        self.iterate = loop.iterate(schedules.iterate)
        self.watch = loop.iterate(schedules.watch)
        self.enable = loop.call(schedules.enable)
        self.disable = loop.call(schedules.disable)
        self.update = loop.call(schedules.update)
        self.trigger = loop.call(schedules.trigger)
        self.delete = loop.call(schedules.delete)


class _Results:
    def __init__(self, loop: _Loop, client: AsyncCrawlClient) -> None:
        self.get = loop.call(client.results.get)
        self.records = loop.iterate(client.results.records)
        self.download = loop.call(client.results.download)


class _DeadLetters:
    def __init__(self, loop: _Loop, client: AsyncCrawlClient) -> None:
        self.iterate = loop.iterate(client.dead_letters.iterate)
        self.get = loop.call(client.dead_letters.get)
        self.requeue = loop.call(client.dead_letters.requeue)
        self.purge = loop.call(client.dead_letters.purge)


class _Workers:
    def __init__(self, loop: _Loop, client: AsyncCrawlClient) -> None:
        self.iterate = loop.iterate(client.workers.iterate)
        self.list = loop.call(client.workers.list)
        self.logs = loop.iterate(client.workers.logs)
        self.restart = loop.call(client.workers.restart)


class _Stats:
    def __init__(self, loop: _Loop, client: AsyncCrawlClient) -> None:
        self.queue = loop.call(client.stats.queue)
        self.workers = loop.call(client.stats.workers)
        self.health = loop.call(client.stats.health)
