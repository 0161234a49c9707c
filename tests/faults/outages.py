"""Restarts of the API server that many trials share."""

import asyncio

from local_cluster.cluster import LocalCluster

_API_SERVER = "kube-apiserver"


class Outages:
    """Kills the API server each time that all who take part are ready, and lets them go on while it is away.

    Args:
        cluster: whose API server it is.
        parties: how many take part.
    """

    def __init__(self, cluster: LocalCluster, parties: int) -> None:
        self._cluster = cluster
        self._parties = parties
        self._ready = 0
        self._killed = asyncio.Event()
        self._return: asyncio.Task[None] | None = None

    async def next(self) -> None:
        """Wait for the next outage to begin."""
        self._ready += 1
        killed = self._killed
        await self._begin()
        await killed.wait()

    async def leave(self) -> None:
        """Take part no longer."""
        self._parties -= 1
        await self._begin()

    @property
    def away(self) -> bool:
        """Whether the API server is gone, or back but not ready: then it refuses what its caches do not know yet."""
        return self._return is not None and not self._return.done()

    async def over(self) -> None:
        """Wait until the API server is back for good."""
        if self._return is not None:
            await self._return

    async def _begin(self) -> None:
        if not self._ready or self._ready < self._parties:
            return
        self._ready = 0
        killed, self._killed = self._killed, asyncio.Event()
        await self.over()
        await asyncio.to_thread(self._cluster.kill, _API_SERVER)
        self._return = asyncio.create_task(asyncio.to_thread(self._cluster.start, _API_SERVER))
        killed.set()
