"""Brings one pod's status to the API server: the newest wins, and none is lost to a server that is away."""

import asyncio
import logging

from local_cluster.node.api import Api, ApiError
from local_cluster.node.halt import first_of, settle
from local_cluster.node.k8s import Json, pod_key

_log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0
_FIRST_LOOK_AGAIN = 1.0
_LONGEST_LOOK_AGAIN = 60.0
_MOST_REFUSALS = 10  # what the server does not accept it never will; a pod must not hang on that


class Publisher:
    """Patches one pod's status; `run` must be running for it to leave.

    Attributes:
        gone: done once the watch has shown that the API server no longer has the pod.
    """

    def __init__(self, api: Api, pod: Json) -> None:
        metadata = pod["metadata"]
        self._api = api
        self._name = pod_key(pod)
        self._uid = metadata["uid"]
        self._path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self._wanted: Json | None = None
        self._delivered: Json | None = None
        self._news = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def wanted(self) -> Json:
        """The status last published."""
        return self._wanted or {}

    def publish(self, status: Json) -> None:
        """Make `status` the one to be shown."""
        if status != self._wanted:
            self._wanted = status
            self._settled.clear()
            self._news.set()

    async def settled(self) -> None:
        """Wait until the status last published is shown, or the pod is gone."""
        await self._settled.wait()

    def vanish(self) -> None:
        """Note that the API server no longer has the pod."""
        settle(self.gone)
        self._settled.set()
        self._news.set()

    async def run(self) -> None:
        """Deliver what is published, until the pod is gone."""
        pause, refusals = _FIRST_PAUSE, 0
        while not self.gone.done():
            await self._news.wait()
            self._news.clear()
            wanted = self._wanted
            if wanted == self._delivered or self.gone.done():
                continue
            try:
                await self._api.patch(f"{self._path}/status", {"metadata": {"uid": self._uid}, "status": wanted})
            except ApiError as error:
                refusals += not error.transient
                if refusals < _MOST_REFUSALS:
                    pause = await self._pause("status", error, pause)
                    self._news.set()
                    continue
                _log.exception("pod %s: its status is refused and stays unknown", self._name)
            pause, refusals, self._delivered = _FIRST_PAUSE, 0, wanted
            if wanted == self._wanted:
                self._settled.set()

    async def delete(self) -> None:
        """Remove the pod from the API server; returns once the pod is gone, with our doing or without."""
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self._uid}}
        pause, again = _FIRST_PAUSE, _FIRST_LOOK_AGAIN
        while not self.gone.done():
            try:
                await self._api.delete(self._path, options)
            except ApiError as error:
                if error.status not in (404, 409):
                    pause = await self._pause("deletion", error, pause)
                    continue
            # A server that has just started may answer 404 for a pod it has, and a finalizer keeps what was deleted.
            await first_of(self.gone, seconds=again)
            again = min(again * 2, _LONGEST_LOOK_AGAIN)

    async def _pause(self, what: str, error: ApiError, pause: float) -> float:
        _log.warning("pod %s: %s not accepted, trying again: %s", self._name, what, error)
        await first_of(self.gone, seconds=pause)
        return min(pause * 2, _LONGEST_PAUSE)
