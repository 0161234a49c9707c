"""The order to end a pod's containers: given once, with a time limit that can only come nearer."""

import asyncio
from typing import Any


class Halt:
    """An order that may be given.

    Attributes:
        ordered: done once the containers must end.
        expired: done once they must have ended.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ordered: asyncio.Future[None] = self._loop.create_future()
        self.expired: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def given(self) -> bool:
        """Whether the order was given."""
        return self.ordered.done()

    def order(self, grace: float) -> None:
        """Order the end within `grace` seconds; of several orders the earliest limit holds."""
        settle(self.ordered)
        if grace <= 0:
            settle(self.expired)
            return
        at = self._loop.time() + grace
        if self._timer is None or at < self._timer.when():
            self.cancel_timer()
            self._timer = self._loop.call_at(at, settle, self.expired)

    def cancel_timer(self) -> None:
        """Let go of the time limit: nothing waits for it any more."""
        if self._timer is not None:
            self._timer.cancel()

    async def sleep(self, seconds: float) -> bool:
        """Wait, unless or until the order is given; whether it was."""
        await first_of(self.ordered, seconds=seconds)
        return self.given


def settle(future: asyncio.Future[None]) -> None:
    """Mark as done what may be done already."""
    if not future.done():
        future.set_result(None)


async def first_of(*futures: "asyncio.Future[Any]", seconds: float | None = None) -> None:
    """Wait until one of the futures is done, or the time is up; none of them is touched."""
    await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
