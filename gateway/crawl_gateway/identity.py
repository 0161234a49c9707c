"""Who asks: Kubernetes tokens, checked by the API server."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from crawl_client.transport import Transport
from crawl_gateway.errors import unauthorized
from crawl_gateway.recent import Recent

_REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCOUNT: Final = "system:serviceaccount:"
MAX_TOKEN: Final = 16 << 10


@dataclass(frozen=True)
class Caller:
    """Who asks, as the API server has it."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def from_review(cls, user: Mapping[str, Any]) -> "Caller":
        """Make it from the `user` of a TokenReview's status."""
        extra = tuple((key, tuple(values)) for key, values in sorted((user.get("extra") or {}).items()))
        return cls(str(user["username"]), str(user.get("uid", "")), tuple(user.get("groups") or ()), extra)

    @classmethod
    def named(cls, name: str) -> "Caller":
        """Make it from a user's name alone; that of a service account implies its groups.

        >>> Caller.named("system:serviceaccount:crawls:guest").groups
        ('system:serviceaccounts', 'system:serviceaccounts:crawls', 'system:authenticated')
        """
        if not name.startswith(_ACCOUNT):
            return cls(name, groups=("system:unauthenticated",))
        namespace = name.removeprefix(_ACCOUNT).partition(":")[0]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
        return cls(name, groups=groups)


class Identity:
    """Tells who a token speaks for.

    Args:
        transport: how to ask the API server.
        audiences: those of accepted tokens; an empty one stands for the API server's own.
        seconds: for how long an answer is trusted.
        anonymous: whose rights a request without a token has; empty: none.
    """

    def __init__(self, transport: Transport, audiences: Sequence[str], seconds: float, anonymous: str = "") -> None:
        self._transport = transport
        named = [audience for audience in audiences if audience]
        self._wanted: list[list[str]] = ([named] if named else []) + ([[]] if "" in audiences else [])
        self._callers: Recent[bytes, Caller | None] = Recent(seconds)
        self._anonymous = Caller.named(anonymous) if anonymous else None

    def fresh(self, token: str) -> bool:
        """Tell whether the API server would have to be asked about a token."""
        return not self._callers.known(_digest(token))

    async def of(self, token: str) -> Caller:
        """Return who a token speaks for; an empty one is none.

        Raises:
            RefusedError: 401: nobody is known by it.
        """
        if not token:
            if self._anonymous is None:
                raise unauthorized("a Kubernetes token is needed: Authorization: Bearer …")
            return self._anonymous
        if len(token) > MAX_TOKEN or not token.isascii():
            raise unauthorized("that is no token")
        caller = await self._callers.get(_digest(token), lambda: self._review(token))
        if caller is None:
            raise unauthorized(
                "the API server does not accept the token: it is unknown, expired, or not meant for here"
            )
        return caller

    async def _review(self, token: str) -> Caller | None:
        for audiences in self._wanted:
            spec = {"token": token} | ({"audiences": audiences} if audiences else {})
            review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
            status = (await self._transport.call("POST", _REVIEWS, body=review)).get("status") or {}
            # One that knows nothing of audiences answers with none: then only its own are known to be met.
            if status.get("authenticated") and (not audiences or set(status.get("audiences") or ()) & set(audiences)):
                return Caller.from_review(status["user"])
        return None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
