"""What pods refer to on the API server: ConfigMaps, Secrets and service account tokens, each asked for once.

Reading on demand, instead of a watch per object, means that a pod always starts with what was true after it was
created. Requests that overlap are one request, and a version young enough serves everyone who looks for changes.
"""

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from local_cluster.node.api import Api, ApiError
from local_cluster.node.k8s import Json, parse_time, utc_now

Data = Mapping[str, bytes]

_REFRESH_SHARE = 0.8  # of a token's life, as kubelet
_REFRESH_AGE = timedelta(hours=24)  # as kubelet, however long the token lives
_UNUSED_SECONDS = 600


@dataclass(slots=True)
class _Entry:
    read_at: float
    data: Data | None
    immutable: bool


@dataclass(slots=True)
class _Token:
    text: str
    refresh_at: float


class Objects:
    """Reads ConfigMaps, Secrets and tokens for pods of this node."""

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._reading: dict[str, asyncio.Task[Data | None]] = {}
        self._tokens: dict[tuple[str, str, int], _Token] = {}

    async def config_map(self, namespace: str, name: str, max_age: float) -> Data | None:
        """The ConfigMap's data, at most `max_age` seconds old; None when there is no such object."""
        return await self._read(f"/api/v1/namespaces/{namespace}/configmaps/{name}", max_age)

    async def secret(self, namespace: str, name: str, max_age: float) -> Data | None:
        """The Secret's data, at most `max_age` seconds old; None when there is no such object."""
        return await self._read(f"/api/v1/namespaces/{namespace}/secrets/{name}", max_age)

    async def token(self, pod: Json, audience: str, seconds: int) -> str:
        """A token of the pod's service account, bound to the pod and with at least a fifth of its life left."""
        uid = pod["metadata"]["uid"]
        key = (uid, audience, seconds)
        held = self._tokens.get(key)
        if held is None or self._clock() >= held.refresh_at:
            held = self._tokens[key] = await self._request_token(pod, audience, seconds)
        return held.text

    def forget(self, uid: str) -> None:
        """Drop the tokens of a pod that is gone, and what nobody has asked for in a while."""
        self._tokens = {key: token for key, token in self._tokens.items() if key[0] != uid}
        oldest = self._clock() - _UNUSED_SECONDS
        self._entries = {path: entry for path, entry in self._entries.items() if entry.read_at >= oldest}

    async def _read(self, path: str, max_age: float) -> Data | None:
        entry = self._entries.get(path)
        now = self._clock()
        if entry is not None and max_age and (entry.immutable or now - entry.read_at <= max_age):
            return entry.data
        if path not in self._reading:
            task = self._reading[path] = asyncio.create_task(self._fetch(path))
            task.add_done_callback(lambda _: self._reading.pop(path, None))
        # One pod that goes away must not take the answer from the others that wait for it.
        return await asyncio.shield(self._reading[path])

    async def _fetch(self, path: str) -> Data | None:
        read_at = self._clock()
        try:
            found = await self._api.get(path)
        except ApiError as error:
            if error.status != 404:
                raise
            found = None
        data = None if found is None else _data(found, secret="/secrets/" in path)
        self._entries[path] = _Entry(read_at, data, immutable=bool(found and found.get("immutable")))
        return data

    async def _request_token(self, pod: Json, audience: str, seconds: int) -> _Token:
        metadata = pod["metadata"]
        account = pod["spec"].get("serviceAccountName") or "default"
        path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token"
        bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        spec: Json = {"expirationSeconds": seconds, "boundObjectRef": bound}
        if audience:
            spec["audiences"] = [audience]
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        status = (await self._api.create(path, request))["status"]
        life = parse_time(status["expirationTimestamp"]) - utc_now()
        wait = min(life * _REFRESH_SHARE, _REFRESH_AGE)
        return _Token(status["token"], self._clock() + wait.total_seconds())


def _data(found: Json, *, secret: bool) -> Data:
    encoded = {
        key: base64.b64decode(text)
        for key, text in ((found.get("data") or {}) if secret else found.get("binaryData") or {}).items()
    }
    return encoded if secret else {**{key: text.encode() for key, text in (found.get("data") or {}).items()}, **encoded}
