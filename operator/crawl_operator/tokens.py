"""Workers' tokens: checked against the API server's published keys, so that a report costs no API call.

A token is a projected service account token with the operator's audience; Kubernetes binds it to a pod and puts the
pod's name and UID into it. Source of the claims: Kubernetes, "Managing Service Accounts", bound tokens.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import jwt

from crawl_api.names import TOKEN_AUDIENCE

_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
_KEYS_LIFE: Final = 3600.0
_LEAST_PAUSE: Final = 10.0
"""Seconds between two reads of the keys, whatever tokens claim to be signed with."""


class TokenRefusedError(Exception):
    """The token is none of a worker's: expired, for another audience, forged or malformed."""


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Who a token speaks for."""

    namespace: str
    pod_name: str
    pod_uid: str


class TokenVerifier:
    """Verifies workers' tokens.

    Args:
        read: reads a non-resource URL of the API server.
    """

    def __init__(self, read: Callable[[str], Awaitable[dict[str, Any]]]) -> None:
        self._read = read
        self._lock = asyncio.Lock()
        self._issuer = ""
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = float("-inf")

    async def verify(self, token: str) -> WorkerIdentity:
        """Return who the token speaks for.

        Raises:
            TokenRefusedError: it speaks for no worker.
            KubeError: the keys could not be read.
        """
        try:
            key = await self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            claims = jwt.decode(
                token,
                key,
                algorithms=list(_ALGORITHMS),
                audience=TOKEN_AUDIENCE,
                issuer=self._issuer,
                options={"require": ["exp", "iat", "iss", "aud"]},
            )
            bound = claims["kubernetes.io"]
            return WorkerIdentity(str(bound["namespace"]), str(bound["pod"]["name"]), str(bound["pod"]["uid"]))
        except (jwt.InvalidTokenError, UnicodeError) as error:  # the latter: bytes in the header that are no text
            raise TokenRefusedError(str(error)) from None
        except (KeyError, TypeError):
            raise TokenRefusedError("the token is not bound to a pod") from None

    async def _key(self, key_id: str) -> jwt.PyJWK:
        async with self._lock:
            age = time.monotonic() - self._read_at
            if age > _KEYS_LIFE or (key_id not in self._keys and age > _LEAST_PAUSE):
                await self._read_keys()
        if key_id not in self._keys:
            raise TokenRefusedError("the token is signed with none of the cluster's keys")
        return self._keys[key_id]

    async def _read_keys(self) -> None:
        configuration = await self._read("/.well-known/openid-configuration")
        published = await self._read("/openid/v1/jwks")
        self._issuer = str(configuration["issuer"])
        self._keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(published).keys if key.key_id}
        self._read_at = time.monotonic()
