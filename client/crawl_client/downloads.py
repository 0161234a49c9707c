"""Results out of the operator's own store, over HTTP: a stream that goes on after a break, or the reason why not."""

import asyncio
import os
import re
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from pydantic_core import from_json

from crawl_api.downloads import part_path
from crawl_client.errors import (
    RETRYABLE,
    APIError,
    AppError,
    AuthenticationError,
    ConfigurationError,
    ForbiddenError,
    NotFoundError,
    ResultUnavailableError,
    UnavailableError,
    from_status,
)
from crawl_client.transport import Transport, pause
from crawl_client.tunnel import Tunnel

ENV_URL: Final = "CRAWL_RESULTS_URL"
ENV_TOKEN: Final = "CRAWL_RESULTS_TOKEN"  # noqa: S105 - the name of a variable
SERVICE: Final = "service://crawl-operator/crawl-operator:8082"
"""Where the chart puts the operator, unless told otherwise."""

_CHUNK: Final = 1 << 18
_SERVICE: Final = re.compile(r"service://(?P<namespace>[a-z0-9-]+)/(?P<name>[a-z0-9-]+)(:(?P<port>[0-9]{1,5}))?")
_NO_BEARER: Final = (
    "{context} logs in without a token, by which alone the operator can tell who asks{why}: set {env} to one of an "
    'account that may `get crawljobs/results`, as with {env}="$(kubectl create token NAME)"'
)
_LENT_SECONDS: Final = 600
"""For how long a token of the release's own account is asked for; it is used for a minute less."""


class Downloads:
    """The operator's store, for as long as a client is open.

    Args:
        transport: to the API server; its token is the one that the operator is sent. Whoever logs in with a
            certificate has none, and asks the API server for one of the account that the chart makes for that.
        url: `https://…` of an Ingress, or `service://NAMESPACE/NAME:PORT`, which `kubectl port-forward` reaches; None
            for $CRAWL_RESULTS_URL, and without it for the Service that the chart makes.
        token: instead of the transport's; None for $CRAWL_RESULTS_TOKEN.

    Attributes:
        named: whether somebody has said where the operator hands out results.
    """

    def __init__(self, transport: Transport, url: str | None = None, token: str | None = None) -> None:
        self._transport = transport
        named = url or os.environ.get(ENV_URL)
        self.named = bool(named)
        self._url = (named or SERVICE).rstrip("/")
        self._token = token or os.environ.get(ENV_TOKEN)
        self._tunnel: Tunnel | None = None
        self._http: httpx2.AsyncClient | None = None
        self._lent, self._lent_until = "", float("-inf")

    async def aclose(self) -> None:
        """Close what was opened on the way."""
        if self._http is not None:
            await self._http.aclose()
        if self._tunnel is not None:
            await self._tunnel.close()
        self._http = self._tunnel = None

    async def part(self, namespace: str, job: str, file: str, *, size: int, sha256: str) -> AsyncGenerator[bytes, None]:
        """Yield a file as it is stored. Where the stream breaks off, it goes on from there, a few times.

        Args:
            namespace: the job's.
            job: its name.
            file: the part's name.
            size: its bytes.
            sha256: its checksum, by which one that has changed meanwhile is told.

        Raises:
            ResultUnavailableError: it is not there; the reason says why.
            ForbiddenError: who asks may not have it; the message names the right.
            AuthenticationError: the operator does not know who asks.
            UnavailableError: it broke off again and again.
            ConfigurationError: the URL is none.
        """
        received = tried = 0
        while True:
            try:
                async with aclosing(self._once(part_path(namespace, job, file), f'"{sha256}"', received)) as chunks:
                    async for chunk in chunks:
                        received += len(chunk)
                        tried = 0
                        yield chunk
                if received < size:
                    raise UnavailableError(f"{self._url} ended {file} of {job} early")
            except APIError as error:
                if received and received >= size:
                    return
                if tried == self._transport.retries or not _may_pass(error):
                    if received and isinstance(error, UnavailableError):
                        error.add_note(f"after {received} of {size} bytes")
                    raise
                await asyncio.sleep(pause(tried, error.retry_after))
                tried += 1
            else:
                return

    async def _once(self, path: str, tag: str, start: int) -> AsyncGenerator[bytes, None]:
        base, http = await self._open()
        wanted = {"Range": f"bytes={start}-", "If-Range": tag} if start else {}
        for last in (False, True):
            heads = {"Accept-Encoding": "identity", **wanted, **await self._who()}
            try:
                async with http.stream("GET", base + path, headers=heads) as response:
                    if response.status_code in {200, 206}:
                        if start and response.status_code == 200:
                            raise _unavailable(f"{path} has changed while it was read", "Changed")
                        async for chunk in response.aiter_raw(_CHUNK):
                            yield chunk
                        return
                    error = _error(response, await response.aread(), self._url)
            except (httpx2.TransportError, OSError) as broken:
                await self._mend()
                what = str(broken) or type(broken).__name__
                raise UnavailableError(f"the operator at {self._url} does not answer: {what}") from broken
            if not isinstance(error, AuthenticationError) or last or self._token or not self._transport.renew():
                raise error

    async def _who(self) -> Mapping[str, str]:
        if self._token:
            return {"Authorization": f"Bearer {self._token}"}
        heads = await self._transport.credentials()
        if heads.get("Authorization", "").startswith("Bearer "):
            return heads
        if time.monotonic() >= self._lent_until:
            asked_at = time.monotonic()
            self._lent = await self._lend()
            self._lent_until = asked_at + _LENT_SECONDS - 60
        return {"Authorization": f"Bearer {self._lent}"}

    async def _lend(self) -> str:
        """Ask for a token of the account that the chart makes for those who log in with a certificate.

        Raises:
            AuthenticationError: who asks may not have one.
        """
        why = ""
        if found := _SERVICE.fullmatch(self._url):
            account = f"{found['name']}-results"
            path = f"/api/v1/namespaces/{found['namespace']}/serviceaccounts/{account}/token"
            kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
            try:
                answer = await self._transport.call(
                    "POST", path, body={**kind, "spec": {"expirationSeconds": _LENT_SECONDS}}
                )
                return str(answer["status"]["token"])
            except (ForbiddenError, NotFoundError) as error:
                why = f" (nor is there one of the account {account} to be had: {error})"
        context = self._transport.login.context or "the kubeconfig"
        text = _NO_BEARER.format(context=context, why=why, env=ENV_TOKEN)
        raise AuthenticationError(text, 401, reason="NoToken")

    async def _open(self) -> tuple[str, httpx2.AsyncClient]:
        if self._tunnel is None and (found := _SERVICE.fullmatch(self._url)):
            self._tunnel = Tunnel(self._transport.login, found["namespace"], found["name"], int(found["port"] or 8082))
        elif self._tunnel is None and urlsplit(self._url).scheme not in {"http", "https"}:
            text = f"{self._url} is no URL of results: it is https://HOST or service://NAMESPACE/NAME:PORT"
            raise ConfigurationError(text)
        base = await self._tunnel.url(await self._transport.credentials()) if self._tunnel is not None else self._url
        if self._http is None:
            self._http = httpx2.AsyncClient(
                verify=ssl.create_default_context(),
                timeout=self._transport.timeout,
                trust_env=self._tunnel is None,  # no proxy on the way to this machine
                headers={"User-Agent": "crawl-client"},
            )
        return base, self._http

    async def _mend(self) -> None:
        """Have the next try begin anew: the pod at the other end of a tunnel may be gone."""
        if self._tunnel is not None:
            await self._tunnel.close()


def _may_pass(error: APIError) -> bool:
    return error.status_code in RETRYABLE or (isinstance(error, UnavailableError) and not error.status_code)


def _unavailable(message: str, reason: str, code: int = 404) -> ResultUnavailableError:
    return ResultUnavailableError(message, code, reason=reason)


def _error(response: httpx2.Response, answer: bytes, url: str) -> AppError:
    """Return the error that an answer tells of, in the operator's words."""
    code = response.status_code
    try:
        body: Any = from_json(answer)
        message, reason = str(body["message"]), str(body["reason"])
    except (ValueError, KeyError, TypeError):
        body, message, reason = {}, f"{url} answered {code}, which is none of the operator's answers", ""
    if code in {404, 410} and reason not in {"", "NotFound"}:
        return _unavailable(message, reason, code)
    if not reason and code not in RETRYABLE:
        return _unavailable(message, "Unreachable", code)
    if code == 401:
        return AuthenticationError(message, code, reason=reason)
    try:
        retry_after = max(float(response.headers.get("Retry-After", "0")), 0)
    except ValueError:
        retry_after = 0
    return from_status(code, body, retry_after, url)
