"""Objects of one kind on the API server: the verbs that jobs and schedules share."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from crawl_api.names import API_VERSION
from crawl_client.answers import Event
from crawl_client.errors import UnavailableError
from crawl_client.models import ApiObject
from crawl_client.transport import MERGE_PATCH, Object, Transport
from crawl_client.watching import watch

PAGE: Final = 500
"""Objects per request of a list: those of one page are in memory at once."""

T = TypeVar("T", bound=ApiObject)


class Collection(Generic[T]):
    """Objects of one kind.

    Args:
        transport: how to ask.
        plural: the kind, as its URL has it.
        model: what an object becomes.
    """

    def __init__(self, transport: Transport, plural: str, model: type[T]) -> None:
        self._transport = transport
        self._plural = plural
        self._model = model

    @property
    def namespace(self) -> str:
        """The namespace that is meant where none is named."""
        return self._transport.login.namespace

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Return the URL's path; "" is all namespaces, None the one that is meant."""
        chosen = self.namespace if namespace is None else namespace
        scope = f"/namespaces/{quote(chosen, safe='')}" if chosen else ""
        tail = "".join(f"/{quote(part, safe='')}" for part in (name, subresource) if part)
        return f"/apis/{API_VERSION}{scope}/{self._plural}{tail}"

    async def read(self, name: str, namespace: str | None = None) -> T:
        """Read one by its name."""
        return self._model(await self._transport.call("GET", self.path(namespace, name)))

    async def create(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> T:
        """Create one; unknown fields are refused, as kubectl has it."""
        params = {"fieldValidation": "Strict", "fieldManager": "crawl-client"} | ({"dryRun": "All"} if dry_run else {})
        namespace = manifest["metadata"].get("namespace")
        return self._model(await self._transport.call("POST", self.path(namespace), params=params, body=dict(manifest)))

    async def patch(self, name: str, patch: Object, namespace: str | None = None) -> T:
        """Merge a patch into one."""
        params = {"fieldValidation": "Strict", "fieldManager": "crawl-client"}
        path = self.path(namespace, name)
        return self._model(
            await self._transport.call("PATCH", path, params=params, body=patch, content_type=MERGE_PATCH)
        )

    async def remove(self, name: str, namespace: str | None = None) -> None:
        """Delete one, and what it owns after it."""
        body = {"propagationPolicy": "Background"}
        await self._transport.call("DELETE", self.path(namespace, name), body=body)

    async def pages(
        self, namespace: str | None = None, *, labels: str = "", fields: str = "", size: int = PAGE
    ) -> AsyncIterator[tuple[list[T], str]]:
        """Yield the objects page by page, in order of namespace and name, each with the version of the whole list."""
        params = {"limit": str(size)} | _selectors(labels, fields)
        while True:
            answer = await self._transport.call("GET", self.path(namespace), params=params)
            metadata = answer["metadata"]
            yield [self._model(item) for item in answer.get("items") or ()], metadata.get("resourceVersion", "")
            params["continue"] = metadata.get("continue", "")
            if not params["continue"]:
                return

    async def changes(
        self, namespace: str | None = None, *, labels: str = "", fields: str = "", since: str = ""
    ) -> AsyncGenerator[Event[T], None]:
        """Yield what happens, for as long as it is asked for: first (unless `since` is a version) what there is.

        What happened while the connection was gone is caught up on; an object is then `MODIFIED` though it may not be.
        """
        known: set[tuple[str, str]] = set()
        version, first = since, not since
        while True:
            if not version:
                seen = set()
                async for page, listed in self.pages(namespace, labels=labels, fields=fields):
                    version = listed
                    for item in page:
                        seen.add((item.namespace, item.name))
                        yield Event("ADDED" if first or (item.namespace, item.name) not in known else "MODIFIED", item)
                for gone in known - seen:
                    metadata = {"namespace": gone[0], "name": gone[1]}
                    yield Event("DELETED", self._model({"metadata": metadata, "spec": {}}))
                known, first = seen, False
            watched = watch(self._transport, self.path(namespace), _selectors(labels, fields), version)
            try:
                async with contextlib.aclosing(watched):
                    async for kind, changed, _ in watched:
                        if kind == "BOOKMARK":
                            continue
                        found = self._model(changed)
                        (known.discard if kind == "DELETED" else known.add)((found.namespace, found.name))
                        yield Event(kind, found)
            except UnavailableError as error:
                if error.reason != "Expired":
                    raise
                version = ""


def _selectors(labels: str, fields: str) -> dict[str, str]:
    return ({"labelSelector": labels} if labels else {}) | ({"fieldSelector": fields} if fields else {})
