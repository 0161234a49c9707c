"""What one caller does to the objects of one kind in one namespace: rights first, then the API server."""

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from crawl_client.collection import Collection
from crawl_client.models import ApiObject
from crawl_gateway.errors import bad_request, missing
from crawl_gateway.identity import Caller
from crawl_gateway.ids import NAME, find
from crawl_gateway.mirror import Mirror
from crawl_gateway.rights import Rights

T = TypeVar("T", bound=ApiObject)

_NEWS_SECONDS: Final = 0.3
"""For how long an id that is unknown is waited for: it may have been given a moment ago, somewhere else."""
_GONE_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Desk(Generic[T]):
    """The verbs that jobs and schedules share."""

    caller: Caller
    namespace: str
    """"" for all, which lists alone understand."""
    rights: Rights
    resource: str
    """The kind, as rights and URLs have it."""
    objects: Collection[T]
    mirror: Mirror[T]

    async def require(self, verb: str, name: str = "") -> None:
        """Pass if the caller may do that here.

        Raises:
            RefusedError: 403.
        """
        await self.rights.require(self.caller, verb, self.resource, self.namespace, name)

    async def get(self, text: str, verb: str = "get") -> T:
        """Read an object, whole and as it is now.

        Args:
            text: what the caller calls it; see `crawl_gateway.ids`.
            verb: what the caller wants with it, which is what must be allowed.

        Raises:
            RefusedError: 403, the same whether or not it exists; 404.
        """
        return await self.objects.read(await self.locate(text, verb), self.namespace)

    async def locate(self, text: str, verb: str) -> str:
        """Return the name of an object.

        Raises:
            RefusedError: 403, the same whether or not it exists; 404.
        """
        if not self.namespace:
            raise bad_request("namespace: one object is in one namespace; name it")
        if not await self.rights.allowed(self.caller, verb, self.resource, self.namespace):
            # A right to some names alone: other ids are not looked up, lest the answer tell what exists.
            await self.require(verb, text if NAME.fullmatch(text) else "")
            return text
        shelf = self.mirror.shelf
        entry = find(shelf, self.namespace, text)
        if entry is None and NAME.fullmatch(text) and not _made_up(text):
            return text  # the API server knows
        if entry is None and await self.mirror.until(
            _NEWS_SECONDS, lambda: find(shelf, self.namespace, text) is not None
        ):
            entry = find(shelf, self.namespace, text)
        if entry is None:
            if NAME.fullmatch(text):
                return text
            raise missing(self.resource, text)
        return entry.key[1]

    async def delete(self, text: str) -> None:
        """Remove an object; the next list does not show it any more."""
        found = await self.get(text, "delete")
        await self.objects.remove(found.name, found.namespace)
        await self.mirror.until(_GONE_SECONDS, lambda: self.mirror.shelf.with_uid(found.uid) is None)


def _made_up(text: str) -> bool:
    """Tell whether a text that could be a name is rather an id: a UID, or a number."""
    return text.isdigit() or (len(text) == 36 and text.count("-") == 4)
