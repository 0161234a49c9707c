"""Sees what happens on the API server, by this process's clock."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Self

from local_cluster.node.api import Api

Json = dict[str, Any]


class NotInTimeError(Exception):
    """What was waited for did not come."""


class Watch:
    """Remembers when each of some objects first met each of some conditions; runs as long as its block.

    Args:
        api: the API server.
        path: the collection that they are in.
        names: theirs.
        marks: the conditions, each by a name.
        name: returns an object's name, or that of what it belongs to.

    Attributes:
        times: by condition and name, when it was first met (seconds of `time.monotonic`).
    """

    def __init__(
        self,
        api: Api,
        path: str,
        names: Collection[str],
        marks: Mapping[str, Callable[[Json], bool]],
        name: Callable[[Json], str] = lambda body: str(body["metadata"]["name"]),
    ) -> None:
        self._api = api
        self._path = path
        self._names = frozenset(names)
        self._marks = marks
        self._name = name
        self.times: dict[str, dict[str, float]] = {mark: {} for mark in marks}
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        page = await self._api.get(self._path, limit="1")
        self._task = asyncio.create_task(self._follow(page["metadata"]["resourceVersion"]))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def reached(self, mark: str, seconds: float) -> None:
        """Wait until all of them have met a condition.

        Raises:
            NotInTimeError: they have not within these seconds.
        """
        try:
            async with asyncio.timeout(seconds):
                while len(self.times[mark]) < len(self._names):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            raise NotInTimeError(f"{self._path}: {mark} are {len(self.times[mark])} of {len(self._names)}") from error

    async def _follow(self, version: str) -> None:
        while True:
            async for event in self._api.watch(self._path, version):
                body = event["object"]
                version = body["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._see(body, time.monotonic())

    def _see(self, body: Json, now: float) -> None:
        name = self._name(body)
        if name not in self._names:
            return
        for mark, met in self._marks.items():
            if name not in self.times[mark] and met(body):
                self.times[mark][name] = now
                self._changed.set()
