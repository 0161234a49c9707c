"""Sending a message: to public addresses alone, or those that the administrator allows, and to nowhere it leads on."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Final, Self
from urllib.parse import urlsplit

import httpx2

from crawl_api.addresses import Network, check
from crawl_gateway.webhooks.ledger import Outcome

_GONE: Final = 410


class Sender:
    """Sends messages; a context.

    Args:
        allowed: networks beside the public ones.
        seconds: for an answer.
    """

    def __init__(self, allowed: Sequence[Network], seconds: float = 10) -> None:
        self._allowed = allowed
        self._seconds = seconds

    async def __aenter__(self) -> Self:
        limits = httpx2.Limits(max_keepalive_connections=0)  # a connection is to an address that was checked just now
        self._http = httpx2.AsyncClient(trust_env=False, follow_redirects=False, timeout=self._seconds, limits=limits)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def send(self, url: str, content: bytes, headers: Mapping[str, str]) -> Outcome:
        """Send a message; whatever goes wrong is an outcome."""
        try:
            async with asyncio.timeout(2 * self._seconds):
                return await self._send(url, content, headers)
        except TimeoutError:
            return Outcome("no answer in time")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            return Outcome(f"{type(error).__name__}: {error}")

    async def _send(self, url: str, content: bytes, headers: Mapping[str, str]) -> Outcome:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        if parts.scheme not in {"http", "https"} or not host or parts.username or parts.password:
            return Outcome("a URL of http or https without credentials is wanted", final=True)
        addresses = await _addresses(host, port)
        if refusal := check(addresses, self._allowed):
            return Outcome(f"{refusal.address} is refused: {refusal.reason}", final=True)
        target = httpx2.URL(url).copy_with(host=addresses[0])  # the one that was checked, whatever its name means then
        request = self._http.build_request(
            "POST",
            target,
            content=content,
            headers={**headers, "host": parts.netloc},
            extensions={"sni_hostname": host},
        )
        response = await self._http.send(request, stream=True)  # what it says is not read
        await response.aclose()
        if response.is_success:
            return Outcome()
        return Outcome(f"HTTP {response.status_code}", final=response.status_code == _GONE)


async def _addresses(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]
