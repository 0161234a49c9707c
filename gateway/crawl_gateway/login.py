"""Passwords for tokens, where that is configured: the password grant of OAuth 2.0 at an OpenID provider."""

import asyncio
import base64
import binascii
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus

import httpx2
from pydantic_core import from_json

from crawl_gateway.errors import RefusedError, refused, unauthorized
from crawl_gateway.limits import Limiter
from crawl_gateway.settings import LoginSettings

_log = logging.getLogger(__name__)
_SECONDS: Final = 10.0
"""For an answer of the provider."""
_MOST: Final = 64 << 10
"""Bytes of one."""
_WORD: Final = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True)
class Granted:
    """A token that was given for a password."""

    token: str
    seconds: int | None
    """For how long it is good; None: the provider does not say."""


class Exchange:
    """Asks the provider. No password is kept, and none is logged.

    Args:
        settings: which provider, and as whom.
    """

    def __init__(self, settings: LoginSettings) -> None:
        self._settings = settings
        proxied = settings.token_endpoint.startswith("https:")  # what is not encrypted stays on loopback
        self._http = httpx2.AsyncClient(trust_env=proxied, follow_redirects=False, timeout=_SECONDS)
        self.limiter = Limiter(settings.tries_per_minute / 60, settings.tries_per_minute)
        """Tries of each address."""

    async def aclose(self) -> None:
        """End the connections."""
        await self._http.aclose()

    async def token(self, name: str, password: str) -> Granted:
        """Exchange a password for a token.

        Raises:
            RefusedError: 401: the provider does not take them; 429: it has enough; 502: it does not take the gateway,
                or says what nobody understands; 503: it does not answer, or the client's secret cannot be read.
        """
        try:
            async with asyncio.timeout(_SECONDS):
                status, answer = await self._ask(name, password)
        except (TimeoutError, OSError, httpx2.HTTPError) as error:
            _log.error("login: %s", type(error).__name__)
            raise refused(503, "LoginUnavailable", "the identity provider does not answer", retry_after=5) from error
        return _granted(self._settings.token, status, answer)

    async def _ask(self, name: str, password: str) -> tuple[int, Mapping[str, Any]]:
        form = {"grant_type": "password", "username": name, "password": password, "scope": self._settings.scope}
        auth = None
        if self._settings.client_secret_file is None:
            form["client_id"] = self._settings.client_id
        else:
            secret = await asyncio.to_thread(_secret, self._settings.client_secret_file)
            auth = httpx2.BasicAuth(quote_plus(self._settings.client_id), quote_plus(secret))
        request = self._http.build_request("POST", self._settings.token_endpoint, data=form)
        response = await self._http.send(request, auth=auth, stream=True)
        try:
            content = b""
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > _MOST:
                    return response.status_code, {}
        finally:
            await response.aclose()
        try:
            said = from_json(content)
        except ValueError:
            said = None
        return response.status_code, said if isinstance(said, dict) else {}


def _secret(file: Path) -> str:
    """Read the client's secret: each time, for a mounted Secret changes.

    Raises:
        RefusedError: 503.
    """
    try:
        return file.read_text().strip()
    except (OSError, UnicodeError) as error:
        _log.error("login: clientSecretFile %s: %s", file, getattr(error, "strerror", None) or "no text")
        raise refused(503, "LoginUnavailable", "the gateway cannot read its client secret") from error


def _granted(which: str, status: int, answer: Mapping[str, Any]) -> Granted:
    """Read what the provider has answered.

    Raises:
        RefusedError: 401; 429; 502.
    """
    token = answer.get(which)
    if status == 200 and isinstance(token, str) and token:
        return Granted(token, _left(token) or _seconds(answer.get("expires_in")))
    word = str(answer.get("error", ""))
    if word == "invalid_grant":
        raise unauthorized("the identity provider does not accept this e-mail and password")
    if status == 429:
        raise refused(429, "TooManyRequests", "the identity provider has had enough tries", retry_after=30)
    raise _misunderstood(which, status, word)


def _misunderstood(which: str, status: int, word: str) -> RefusedError:
    """Say that something is wrong between gateway and provider: in words that hold nothing of the request."""
    why = f"HTTP {status}"
    if _WORD.fullmatch(word):
        why += f", {word}"
    if status == 200:
        why += f", without {which}"
    return refused(502, "LoginFailed", f"the identity provider gives no token: {why}")


def _left(token: str) -> int | None:
    """Return for how many seconds a token is good by its own account: `expires_in` is only of access tokens."""
    try:
        payload = token.split(".")[1]
        claims = from_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return None
    end = _seconds(claims.get("exp")) if isinstance(claims, dict) else None
    return max(0, end - int(time.time())) if end is not None else None


def _seconds(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and 0 <= value < 1 << 40 else None
