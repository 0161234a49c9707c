"""Answers that hold for seconds: asked for once, however many wait for one."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Answers by what was asked, for a while; failures are not kept.

    Args:
        seconds: for how long an answer holds.
        size: answers kept; the oldest make room.
    """

    def __init__(self, seconds: float, size: int = 10_000) -> None:
        self._seconds = seconds
        self._size = size
        self._known: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._asking: dict[K, asyncio.Task[V]] = {}

    def known(self, key: K) -> bool:
        """Tell whether there is an answer that still holds."""
        entry = self._known.get(key)
        return entry is not None and entry[0] > time.monotonic()

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        """Return the answer that holds, or ask."""
        entry = self._known.get(key)
        if entry is not None and entry[0] > time.monotonic():
            return entry[1]
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key, ask))
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(task)  # whoever gives up does not take the others along

    async def _ask(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        answer = await ask()
        self._known[key] = (time.monotonic() + self._seconds, answer)
        self._known.move_to_end(key)
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return answer

    def _done(self, key: K, task: asyncio.Task[V]) -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may have
