"""Who asks for results, and whether they may: told by the API server, which knows tokens and rights.

Answers are kept for some seconds, so that a download in many pieces costs one question of each kind; so long a token
or a right may outlive its end. Few questions are under way at once: what strangers ask must not keep the operator
from its own requests.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from crawl_api.downloads import RESULTS_RESOURCE
from crawl_api.names import GROUP, PLURAL
from crawl_operator.decide.model import JobKey
from crawl_operator.kube import ACCESS_REVIEWS, TOKEN_REVIEWS, Kube, Resource

_KEPT_SECONDS: Final = 10.0
_MOST_KEPT: Final = 1000
_AT_ONCE: Final = 4

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a token speaks for, as the API server names them."""

    name: str
    uid: str = ""
    groups: Sequence[str] = ()
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Callers:
    """Asks the API server, as standing by or leading alike.

    Args:
        kube: its client; needs the right to create TokenReviews and SubjectAccessReviews.
        audiences: of the tokens that are taken; none named: the API server's own.
        clock: tells seconds.
    """

    def __init__(self, kube: Kube, audiences: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._audiences = list(audiences)
        self._under_way = asyncio.Semaphore(_AT_ONCE)
        self._known: _Kept[Caller | None] = _Kept(clock)
        self._allowed: _Kept[bool] = _Kept(clock)

    async def identify(self, token: str) -> Caller | None:
        """Return whom a token speaks for; None for one that the API server does not know, or is for others.

        Raises:
            KubeError: the API server did not say.
        """
        return await self._known.get(_fingerprint(token), lambda: self._review_token(token))

    async def may_read(self, caller: Caller, key: JobKey) -> bool:
        """Tell whether somebody may read a job's results.

        Raises:
            KubeError: the API server did not say.
        """
        who = (caller.name, caller.uid, tuple(caller.groups), tuple((k, tuple(v)) for k, v in caller.extra.items()))
        return await self._allowed.get((who, key), lambda: self._review_access(caller, key))

    async def _review_token(self, token: str) -> Caller | None:
        wanted = {"token": token, **({"audiences": self._audiences} if self._audiences else {})}
        status = await self._ask(TOKEN_REVIEWS, "TokenReview", wanted)
        user = status.get("user") or {}
        if not status.get("authenticated") or not user.get("username"):
            return None
        if self._audiences and not set(self._audiences) & set(status.get("audiences") or ()):
            return None  # an authenticator that knows of no audiences has looked at none
        return Caller(user["username"], user.get("uid", ""), user.get("groups") or (), user.get("extra") or {})

    async def _review_access(self, caller: Caller, key: JobKey) -> bool:
        resource = {
            "namespace": key.namespace,
            "name": key.name,
            "verb": "get",
            "group": GROUP,
            "resource": PLURAL,
            "subresource": RESULTS_RESOURCE,
        }
        wanted = {
            "user": caller.name,
            "uid": caller.uid,
            "groups": list(caller.groups),
            "extra": {name: list(values) for name, values in caller.extra.items()},
            "resourceAttributes": resource,
        }
        return (await self._ask(ACCESS_REVIEWS, "SubjectAccessReview", wanted)).get("allowed") is True

    async def _ask(self, review: Resource, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        async with self._under_way:
            return await self._kube.review(review, kind, spec)


class _Kept(Generic[T]):
    """Answers, each for some seconds, a bounded number of them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._answers: dict[Hashable, tuple[float, T]] = {}

    async def get(self, question: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        kept = self._answers.pop(question, None)
        if kept is None or kept[0] <= self._clock():
            kept = self._clock() + _KEPT_SECONDS, await ask()
        if kept[1]:  # a refusal may be mended in the next moment
            self._answers[question] = kept
        if len(self._answers) > _MOST_KEPT:
            del self._answers[next(iter(self._answers))]
        return kept[1]


def _fingerprint(token: str) -> bytes:
    """Return what stands for a token, so that none lies in memory for longer than its request."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
