"""Keeps the node's pods what the API server says they are: one task per pod, fed by a list and a watch."""

import asyncio
import logging
from typing import Any

from local_cluster.node import addresses, processes
from local_cluster.node.api import ApiError
from local_cluster.node.k8s import Json, pod_key
from local_cluster.node.pod import Pod
from local_cluster.node.services import Services

_log = logging.getLogger(__name__)

_PODS = "/api/v1/pods"
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_SHUTDOWN_SECONDS = 8.0


class Manager:
    """All pods of the node, by unique id."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._selector = f"spec.nodeName={services.name}"
        self._pods: dict[str, Pod] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def find(self, namespace: str, name: str) -> Pod | None:
        """The pod of that name, the newest if an older one is still ending."""
        key = f"{namespace}/{name}"
        return next((pod for pod in reversed(self._pods.values()) if pod_key(pod.pod) == key), None)

    async def run(self) -> None:
        """Follow the API server, whatever happens to it, until cancelled."""
        pause, first = _FIRST_PAUSE, True
        while True:
            try:
                listed = await self._services.api.get(_PODS, fieldSelector=self._selector)
                self._adopt(listed.get("items") or [])
                if first:
                    self._sweep()
                    first = False
                pause = _FIRST_PAUSE
                await self._follow(listed["metadata"]["resourceVersion"])
                await asyncio.sleep(_FIRST_PAUSE)  # a server that ends every watch at once is not to be flooded
            except ApiError as error:
                _log.warning("cannot follow the pods, trying again: %s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def shut_down(self) -> None:
        """Kill all processes of all pods and wait for their end, within a bound."""
        for pod in self._pods.values():
            pod.shut_down()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=_SHUTDOWN_SECONDS)

    async def _follow(self, version: str) -> None:
        async for event in self._services.api.watch(_PODS, version, fieldSelector=self._selector):
            if event["type"] in ("ADDED", "MODIFIED"):
                self._see(event["object"])
            elif event["type"] == "DELETED" and (pod := self._pods.get(event["object"]["metadata"]["uid"])) is not None:
                pod.vanish()

    def _adopt(self, listed: list[Json]) -> None:
        """Make what is known the same as the list, whatever was missed."""
        uids = {pod["metadata"]["uid"] for pod in listed}
        for uid, pod in list(self._pods.items()):
            if uid not in uids:
                pod.vanish()
        for seen in listed:
            self._see(seen)

    def _see(self, seen: Json) -> None:
        try:
            self._take(seen)
        except Exception:  # noqa: BLE001 - one pod that cannot be understood must not stop the others
            _log.exception("pod %s cannot be taken", pod_key(seen))

    def _take(self, seen: Json) -> None:
        uid = seen["metadata"]["uid"]
        if (known := self._pods.get(uid)) is not None:
            known.update(seen)
            return
        address = addresses.choose(uid, {pod.ip for pod in self._pods.values()})
        pod = self._pods[uid] = Pod(seen, address, self._services)
        task = self._tasks[uid] = asyncio.create_task(pod.run(), name=pod_key(seen))
        task.add_done_callback(lambda ended: self._forget(uid, ended))

    def _forget(self, uid: str, ended: "asyncio.Task[Any]") -> None:
        self._pods.pop(uid, None)
        self._tasks.pop(uid, None)
        if not ended.cancelled() and (error := ended.exception()) is not None:
            _log.error("pod %s", ended.get_name(), exc_info=error)

    def _sweep(self) -> None:
        """Remove what pods have left that were deleted while the node was away."""
        directory = self._services.state / "pods"
        for entry in directory.iterdir() if directory.exists() else ():
            if entry.name not in self._pods:
                processes.remove_tree(entry)
