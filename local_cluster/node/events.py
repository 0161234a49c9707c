"""Tells what the node does to pods as Kubernetes Events, without ever delaying it and without a flood.

An event that repeats raises the count of the first one, at most once in a while; when the API server cannot keep up,
events are dropped: they are news, not state.
"""

import asyncio
import logging
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field

from local_cluster.node.api import MERGE, Api, ApiError
from local_cluster.node.k8s import Json, time_text, utc_now

_log = logging.getLogger(__name__)

_COMPONENT = "local-cluster-node"
_QUEUE = 2000
_REMEMBERED = 2000
_REPEAT_SECONDS = 10.0
_TRIES = 3
_COURTESY_SECONDS = 0.02  # what is told about is being done right now: the status goes first


@dataclass(slots=True)
class _Told:
    path: str
    count: int = 1
    told_at: float = field(default_factory=time.monotonic)


class Events:
    """Posts events about pods; `run` must be running for them to leave."""

    def __init__(self, api: Api, node_name: str) -> None:
        self._api = api
        self._node_name = node_name
        self._queue: asyncio.Queue[tuple[str, Json, bool]] = asyncio.Queue(_QUEUE)
        self._told: OrderedDict[tuple[str, str, str, str], _Told] = OrderedDict()

    def normal(self, pod: Json, reason: str, message: str, container: Json | None = None) -> None:
        """Tell of something expected; `container` is its part of the pod spec."""
        self._tell("Normal", pod, reason, message, container)

    def warning(self, pod: Json, reason: str, message: str, container: Json | None = None) -> None:
        """Tell of something that a person may have to act on."""
        self._tell("Warning", pod, reason, message, container)

    async def run(self) -> None:
        """Send what is queued, until cancelled."""
        while True:
            path, body, new = await self._queue.get()
            if new:
                await asyncio.sleep(_COURTESY_SECONDS)
            for wait in range(_TRIES):
                try:
                    await (self._api.create(path, body) if new else self._api.patch(path, body, MERGE))
                    break
                except ApiError as error:
                    _log.debug("event not accepted: %s", error)
                    if not error.transient:
                        break
                    await asyncio.sleep(0.5 * 2**wait)

    def _tell(self, kind: str, pod: Json, reason: str, message: str, container: Json | None) -> None:
        metadata = pod["metadata"]
        field_path = _field_path(pod, container)
        key = (metadata["uid"], reason, message, field_path)
        collection = f"/api/v1/namespaces/{metadata['namespace']}/events"
        now = time_text(utc_now())
        if (told := self._told.get(key)) is not None:
            told.count += 1
            if time.monotonic() - told.told_at >= _REPEAT_SECONDS:
                told.told_at = time.monotonic()
                self._put(told.path, {"count": told.count, "lastTimestamp": now}, new=False)
            return
        name = f"{metadata['name'][:200]}.{uuid.uuid4().hex[:16]}"
        self._told[key] = _Told(f"{collection}/{name}")
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        about = {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata.get("resourceVersion"),
            "fieldPath": field_path or None,
        }
        event = {
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": about,
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": _COMPONENT, "host": self._node_name},
            "reportingComponent": _COMPONENT,
            "reportingInstance": self._node_name,
        }
        self._put(collection, event, new=True)

    def _put(self, path: str, body: Json, *, new: bool) -> None:
        try:
            self._queue.put_nowait((path, body, new))
        except asyncio.QueueFull:
            _log.warning("too many events: one was dropped")


def _field_path(pod: Json, container: Json | None) -> str:
    if container is None:
        return ""
    section = "containers" if container in pod["spec"]["containers"] else "initContainers"
    return f"spec.{section}{{{container['name']}}}"
