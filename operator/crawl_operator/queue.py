"""The work queue: each key at most once in hand, re-added keys looked at again, failing keys after a growing pause.

Urgent keys are handed out first: a Critical job does not wait until thousands of others have been looked at.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

K = TypeVar("K")

_FIRST_BACKOFF: Final = 0.05
_LAST_BACKOFF: Final = 60.0


class WorkQueue(Generic[K]):
    """A queue of keys. A key that is added while it is in hand is handed out again afterwards, never in parallel.

    Args:
        urgent: tells, when a key is added, whether it goes before those that are not.
    """

    def __init__(self, urgent: Callable[[K], bool] = lambda _: False) -> None:
        self._loop = asyncio.get_running_loop()
        self._urgent = urgent
        self._first: OrderedDict[K, float] = OrderedDict()  # urgent key → since when
        self._ready: OrderedDict[K, float] = OrderedDict()  # likewise the others
        self._in_hand: dict[K, float] = {}
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._waiters: list[asyncio.Future[None]] = []

    def add(self, key: K) -> None:
        """Have the key looked at as soon as possible."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._in_hand:
            self._again.add(key)
        elif not self._is_ready(key):
            (self._first if self._urgent(key) else self._ready)[key] = self._loop.time()
            self._wake_one()

    def add_after(self, key: K, delay: float) -> None:
        """Have the key looked at after `delay` seconds, or earlier if something else asks for it."""
        due = self._loop.time() + delay
        if timer := self._timers.get(key):
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = self._loop.call_at(due, self._due, key)

    async def get(self) -> K:
        """Take the next key; `done` or `failed` must follow."""
        while not len(self):
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if len(self) and not waiter.cancelled():
                    self._wake_one()  # it had been woken, and passes that on
                raise
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        key, _ = (self._first or self._ready).popitem(last=False)
        self._in_hand[key] = self._loop.time()
        return key

    def done(self, key: K) -> None:
        """Give the key back after success."""
        self._failures.pop(key, None)
        self._give_back(key)

    def failed(self, key: K, at_least: float = 0) -> float:
        """Give the key back after a failure; it comes again after a growing pause, which is returned (seconds)."""
        count = self._failures[key] = self._failures.get(key, 0) + 1
        pause = min(_FIRST_BACKOFF * 2.0 ** min(count - 1, 20), _LAST_BACKOFF)
        pause = max(pause * random.uniform(1, 1.2), at_least)  # noqa: S311 - spreads load, guards nothing
        self._give_back(key)
        if not self._is_ready(key):
            self.add_after(key, pause)
        return pause

    def __len__(self) -> int:
        return len(self._first) + len(self._ready)

    def oldest_age(self) -> float:
        """Return for how many seconds the longest-waiting key waits, or the longest-held one is held."""
        now = self._loop.time()
        heads = (next(iter(ready.values()), now) for ready in (self._first, self._ready))
        return now - min(*heads, min(self._in_hand.values(), default=now))

    def _is_ready(self, key: K) -> bool:
        return key in self._first or key in self._ready

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _give_back(self, key: K) -> None:
        self._in_hand.pop(key, None)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.pop(0)
            if not waiter.done():
                waiter.set_result(None)
                return
