"""The mirrors of one kind: one for the whole cluster, or one for each namespace that is served."""

import asyncio
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from crawl_client.collection import Collection
from crawl_client.models import ApiObject
from crawl_client.transport import Transport
from crawl_gateway.entries import MakeEntry
from crawl_gateway.errors import refused
from crawl_gateway.mirror import Mirror

T = TypeVar("T", bound=ApiObject)


class Mirrors(Generic[T]):
    """Mirrors by namespace.

    Args:
        transport: how to ask the API server.
        collection: the kind.
        resource: its name in URLs.
        make: object → entry.
        namespaces: those that are served; none: all.
        remembered: changes that each keeps.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a mirror is made of
        self,
        transport: Transport,
        collection: Collection[T],
        resource: str,
        make: MakeEntry[T],
        namespaces: Sequence[str],
        remembered: int,
    ) -> None:
        self.resource = resource
        self._by_scope = {
            scope: Mirror(transport, collection, scope, make, remembered) for scope in (namespaces or ("",))
        }

    def __len__(self) -> int:
        return sum(len(each.shelf) for each in self._by_scope.values())

    @property
    def silence(self) -> float:
        """Seconds since the quietest watch was heard of."""
        return max(each.silence for each in self._by_scope.values())

    @property
    def synced(self) -> bool:
        """Whether all objects have been listed."""
        return all(each.synced for each in self._by_scope.values())

    @property
    def all(self) -> list[Mirror[T]]:
        """Each of them."""
        return list(self._by_scope.values())

    def of(self, namespace: str) -> Mirror[T]:
        """Return the mirror that has a namespace's objects; "" is all namespaces.

        Raises:
            RefusedError: 404: it is not served; 400: all of them, where single ones are served; 503: not yet.
        """
        mirror = self._by_scope.get("") or self._by_scope.get(namespace)
        if mirror is None and not namespace:
            served = ", ".join(self._by_scope)
            raise refused(400, "BadRequest", f"namespace: name one; these are served: {served}")
        if mirror is None:
            raise refused(404, "NotFound", f"namespace {namespace} is not served here")
        if not mirror.synced:
            raise refused(503, "ServiceUnavailable", "the jobs have not been listed yet", retry_after=1)
        return mirror

    def wake(self) -> None:
        """Let all streams look around."""
        for each in self._by_scope.values():
            each.wake()

    def runs(self) -> list[Any]:
        """Return what keeps them up to date, as coroutines to be run for ever."""
        return [each.run() for each in self._by_scope.values()]


async def run_all(*mirrors: Mirrors[Any]) -> None:
    """Keep all of them up to date until cancelled."""
    async with asyncio.TaskGroup() as group:
        for each in mirrors:
            for run in each.runs():
                group.create_task(run)
