"""A client of the API server with just the verbs a node uses.

Plain JSON over one connection pool: a generated client spends more time on building models of a pod than the node has
for starting one.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

import aiohttp

from local_cluster.node.k8s import Json
from local_cluster.node.kubeconfig import Endpoint

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

_REQUEST_SECONDS = 30
_WATCH_SECONDS = 300


class ApiError(Exception):
    """The API server answered with something else than success.

    Attributes:
        status: the HTTP status code; 0 when there was no answer at all.
        message: what the server says.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} ({status})" if status else message)
        self.status = status
        self.message = message

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later without anyone changing anything."""
        return self.status in (0, 408, 429) or self.status >= 500


class Api:
    """The API server as this node's user sees it. Use it as an asynchronous context manager."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self.endpoint.tls or False, limit=64, keepalive_timeout=90),
            timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, **params: str) -> Json:
        """GET an object or a list."""
        return await self._request("GET", path, params=params)

    async def create(self, path: str, body: Json) -> Json:
        """POST an object to its collection or subresource."""
        return await self._request("POST", path, body=body)

    async def replace(self, path: str, body: Json) -> Json:
        """PUT an object."""
        return await self._request("PUT", path, body=body)

    async def patch(self, path: str, body: Json, content_type: str = STRATEGIC) -> Json:
        """PATCH an object."""
        return await self._request("PATCH", path, body=body, content_type=content_type)

    async def delete(self, path: str, body: Json) -> Json:
        """DELETE an object; `body` holds the delete options."""
        return await self._request("DELETE", path, body=body)

    async def watch(self, path: str, resource_version: str, **params: str) -> AsyncIterator[Json]:
        """The changes of a collection after `resource_version`, until the server ends the watch.

        Raises:
            ApiError: status 410 when the version is too old: list again.
        """
        query = {
            **params,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_REQUEST_SECONDS, sock_read=_WATCH_SECONDS + 30)
        try:
            async with self._open("GET", path, params=query, timeout=timeout) as response:
                await _raise_for_status(response)
                rest = b""
                async for chunk in response.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in filter(None, lines):
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            raise ApiError(event["object"].get("code", 500), event["object"].get("message", ""))
                        yield event
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ApiError(0, _words(error)) from error

    def _open(self, method: str, path: str, **options: Any) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("the client is not open")
        return self._session.request(method, self.endpoint.url + path, **options)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> Json:
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {} if body is None else {"Content-Type": content_type}
        try:
            async with self._open(method, path, params=params or {}, data=data, headers=headers) as response:
                await _raise_for_status(response)
                answer: Json = json.loads(await response.read())
                return answer
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ApiError(0, _words(error)) from error


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    text = await response.text()
    try:
        message = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        message = text[:500] or response.reason or "no message"
    raise ApiError(response.status, message)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
