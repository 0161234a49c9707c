"""The Kubernetes API in the few verbs the operator needs: bounded in time and number, errors typed, writes guarded."""

import asyncio
import math
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp
from pydantic_core import from_json, to_json

from crawl_api.names import API_VERSION, PLURAL, SCHEDULE_PLURAL
from crawl_operator.kube_errors import NotLeadingError, UnavailableError, error_of
from crawl_operator.metrics import Metrics

Object = dict[str, Any]

_PAGE: Final = 100
"""Objects per page of a list: those of one page are in memory at once."""

_PLAIN: Final = {"Accept-Encoding": "identity"}
"""Between an operator and its API server, packing a list takes longer than sending it."""

_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object, as its URL names it."""

    api: str
    plural: str

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Return the URL path of the collection, of an object, or of a subresource of it."""
        root = f"/api/{self.api}" if "/" not in self.api else f"/apis/{self.api}"
        scope = f"/namespaces/{namespace}" if namespace is not None else ""
        tail = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}{scope}/{self.plural}{tail}"


CRAWLJOBS: Final = Resource(API_VERSION, PLURAL)
SCHEDULES: Final = Resource(API_VERSION, SCHEDULE_PLURAL)
PODS: Final = Resource("v1", "pods")
BATCH_JOBS: Final = Resource("batch/v1", "jobs")
EVENTS: Final = Resource("v1", "events")
LEASES: Final = Resource("coordination.k8s.io/v1", "leases")
TOKEN_REVIEWS: Final = Resource("authentication.k8s.io/v1", "tokenreviews")
ACCESS_REVIEWS: Final = Resource("authorization.k8s.io/v1", "subjectaccessreviews")

_QUESTIONS: Final = frozenset({TOKEN_REVIEWS.plural, ACCESS_REVIEWS.plural})
"""To create one of these is to ask: nothing is written, so those who stand by may do it too."""

_METHODS: Final = {"get": "GET", "list": "GET", "create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
"""Kubernetes' verbs, as rights and metrics name them, and what they are in HTTP."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach an API server."""

    server: str
    tls: ssl.SSLContext | None
    headers: Mapping[str, str]


class Kube:
    """A client of one API server.

    Args:
        login: returns a connection; asked again when the server answers 401, because tokens are renewed.
        timeout: seconds for one request.
        parallel: requests in flight at once.
        write_seconds: returns for how many seconds from now writes are allowed; a write ends within them.
    """

    def __init__(
        self,
        login: Callable[[], Awaitable[Connection]],
        *,
        timeout: float,
        parallel: int = 32,
        metrics: Metrics | None = None,
        write_seconds: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._login = login
        self._timeout = timeout
        self._parallel = parallel
        self._metrics = metrics or Metrics()
        self._write_seconds = write_seconds
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._parallel),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=True,
        )
        self._connection = await self._login()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def may_write(self) -> bool:
        """Whether writes are allowed now."""
        return self._write_seconds() > 0

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Read an object.

        Raises:
            NotFoundError: there is none.
        """
        return await self._call("get", resource.plural, resource.path(namespace, name))

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        """Create an object.

        Raises:
            AlreadyExistsError: one of that name is there.
        """
        return await self._call("create", resource.plural, resource.path(namespace), body=body)

    async def review(self, resource: Resource, kind: str, spec: Object) -> Object:
        """Ask the API server about a token or a right, which it answers as the status of an object that it forgets."""
        body = {"apiVersion": resource.api, "kind": kind, "spec": spec}
        status: Object = (await self._call("create", resource.plural, resource.path(None), body=body)).get("status", {})
        return status

    async def update(self, resource: Resource, namespace: str, body: Object) -> Object:
        """Replace an object, if it is still at the version that the body carries.

        Raises:
            ConflictError: it is not; nothing was written.
        """
        return await self._call(
            "update", resource.plural, resource.path(namespace, body["metadata"]["name"]), body=body
        )

    async def patch_status(self, resource: Resource, namespace: str, name: str, version: int, patch: Object) -> Object:
        """Merge a patch into an object's status, if the object is still at that version.

        Raises:
            ConflictError: it is not; nothing was written.
        """
        body = {"metadata": {"resourceVersion": str(version)}, "status": patch}
        path = resource.path(namespace, name, "status")
        return await self._call(
            "patch", f"{resource.plural}/status", path, body=body, content_type="application/merge-patch+json"
        )

    async def patch_metadata(
        self, resource: Resource, namespace: str, name: str, version: int, metadata: Object
    ) -> Object:
        """Merge labels and annotations into an object, if it is still at that version; None removes one.

        Raises:
            ConflictError: it is not; nothing was written.
        """
        body = {"metadata": {"resourceVersion": str(version), **metadata}}
        path = resource.path(namespace, name)
        return await self._call("patch", resource.plural, path, body=body, content_type="application/merge-patch+json")

    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str, *, version: int | None = None
    ) -> bool:
        """Delete this very object, in this version if one is given, and then what it owns; a pod gets its grace period.

        Returns whether it is gone at once: one with a grace period or finalizers is not.

        Raises:
            NotFoundError: it is gone.
            ConflictError: an object of that name is there, but it is another.
        """
        preconditions = {"uid": uid} | ({"resourceVersion": str(version)} if version is not None else {})
        body = {"preconditions": preconditions, "propagationPolicy": "Background"}
        answer = await self._call("delete", resource.plural, resource.path(namespace, name), body=body)
        return answer.get("kind") == "Status"

    async def list(
        self, resource: Resource, namespace: str | None, *, selector: str = "", metadata_only: bool = False
    ) -> AsyncIterator[Object]:
        """Yield all objects of a kind, page by page; with `metadata_only` just their metadata.

        Raises:
            UnavailableError: the list broke off (410 Gone included); what was yielded may be incomplete.
        """
        params = {"limit": str(_PAGE)}
        if selector:
            params["labelSelector"] = selector
        accept = _METADATA_ONLY if metadata_only else "application/json"
        while True:
            page = await self._call("list", resource.plural, resource.path(namespace), params=params, accept=accept)
            for item in page["items"] or ():  # null, where there are none
                yield item
            params["continue"] = page["metadata"].get("continue", "")
            if not params["continue"]:
                return

    async def read(self, path: str) -> Object:
        """Read a non-resource URL, such as the published token keys."""
        return await self._call("get", path, path, accept="*/*")

    async def _call(  # noqa: PLR0913 - the parts of a request
        self,
        verb: str,
        resource: str,
        path: str,
        *,
        body: Object | None = None,
        params: Mapping[str, str] | None = None,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> Object:
        method = _METHODS[verb]
        call = f"{method} {path}"
        data = to_json(body) if body is not None else None
        for last_try in (False, True):
            connection = self._connection
            if self._session is None or connection is None:
                raise RuntimeError("the client is not open")
            allowed = math.inf if method == "GET" or resource in _QUESTIONS else self._write_seconds()
            if allowed <= 0:
                raise NotLeadingError(f"{call}: not sent, for this operator does not lead")
            started, code = time.monotonic(), 0
            try:
                # Not the library's own time limit: where both strike at once, it takes a cancellation for its own.
                async with (
                    asyncio.timeout(min(self._timeout, allowed)),
                    self._session.request(
                        method,
                        connection.server + path,
                        headers={**connection.headers, **_PLAIN, "Accept": accept, "Content-Type": content_type},
                        data=data,
                        params=params,
                        ssl=connection.tls if connection.tls is not None else True,
                    ) as response,
                ):
                    answer, code = await response.read(), response.status
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                what = str(error) or type(error).__name__
                raise UnavailableError(f"{call}: no answer from the API server: {what}") from error
            finally:
                self._metrics.api_answered(verb, resource, code, time.monotonic() - started)
            if code == 401 and not last_try:
                await self._login_again(connection)
                continue
            if code < 300:
                return _object(answer, call)
            raise error_of(code, response.headers, answer, call)
        raise AssertionError("unreachable")

    async def _login_again(self, stale: Connection) -> None:
        async with self._lock:
            if self._connection is stale:
                self._connection = await self._login()


def _object(answer: bytes, call: str) -> Object:
    try:
        parsed = from_json(answer)
    except ValueError as error:
        raise UnavailableError(f"{call}: the answer is not JSON") from error
    if not isinstance(parsed, dict):
        raise UnavailableError(f"{call}: the answer is no object")
    return parsed
