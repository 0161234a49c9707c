"""The one place where requests are made: headers, time limits, repeated tries, errors as exceptions."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Self

import httpx2
from pydantic_core import from_json, to_json

from crawl_client.credentials import Credentials
from crawl_client.errors import RETRYABLE, APIError, AppError, AuthenticationError, UnavailableError, from_status
from crawl_client.kubeconfig import Login

Object = dict[str, Any]

MERGE_PATCH: Final = "application/merge-patch+json"
_LONGEST_PAUSE: Final = 30.0


class Transport:
    """Requests to one API server, over pooled connections.

    Args:
        login: where it is and who asks.
        token: a bearer token instead of what the login says.
        timeout: seconds for one try.
        retries: further tries after an answer, or a silence, that another try can change.
        parallel: connections at once.
    """

    def __init__(
        self, login: Login, *, token: str | None = None, timeout: float = 30, retries: int = 4, parallel: int = 32
    ) -> None:
        self.login = login
        self.timeout = timeout
        self.retries = retries
        self._parallel = parallel
        self._token = token
        self._http: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        tls = self.login.tls()
        self._credentials = Credentials(self.login, self._token, tls)
        self._http = httpx2.AsyncClient(
            verify=tls if tls is not None else True,
            timeout=httpx2.Timeout(self.timeout, connect=min(self.timeout, 5)),
            limits=httpx2.Limits(max_connections=self._parallel, max_keepalive_connections=self._parallel),
            proxy=self.login.cluster.get("proxy-url"),
            headers={"User-Agent": "crawl-client", "Accept": "application/json"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def call(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        """Make a request and return what it was answered, repeated where another try can help.

        Raises:
            AppError: see `crawl_client.errors`; `tries` in its notes says if it was tried more than once.
        """
        content = to_json(body) if body is not None else None
        headers = {"Content-Type": content_type, "Accept": accept}
        for tried in range(self.retries + 1):
            try:
                async with self._send(method, path, params, content, headers) as response:
                    return _object(await response.aread(), f"{method} {path}")
            except APIError as error:
                again = error.status_code in RETRYABLE or isinstance(error, UnavailableError)
                if not again or tried == self.retries:
                    if tried:
                        error.add_note(f"tried {tried + 1} times")
                    raise
                await asyncio.sleep(pause(tried, error.retry_after))
        raise AssertionError("unreachable")

    async def credentials(self) -> dict[str, str]:
        """Return the headers that say who asks, for another server that asks this one about them.

        Raises:
            AuthenticationError: a token cannot be had.
        """
        return await self._credentials.headers()

    def renew(self) -> bool:
        """Ask anew for a token before the next request; False where the same would come."""
        self._credentials.forget()
        return self._credentials.renewable

    async def text(self, path: str, params: Mapping[str, str] | None = None) -> str:
        """Read what is no JSON, such as a probe."""
        async with self._send("GET", path, params, None, {"Accept": "*/*"}) as response:
            return (await response.aread()).decode(errors="replace")

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, params: Mapping[str, str] | None = None, *, silence: float | None = None
    ) -> AsyncIterator[httpx2.Response]:
        """Open an answer that goes on: a watch, a log. `silence` is for how many seconds it may say nothing."""
        async with self._send("GET", path, params, None, {"Accept": "*/*"}, silence=silence) as response:
            yield response

    @contextlib.asynccontextmanager
    async def _send(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        content: bytes | None,
        headers: Mapping[str, str],
        *,
        silence: float | None = None,
    ) -> AsyncIterator[httpx2.Response]:
        """Send once (twice where a token may have been renewed) and yield an answer that is none of the errors."""
        if self._http is None:
            raise RuntimeError("the client is not open: use it in `async with`")
        call = f"{method} {path}"
        options: dict[str, Any] = {"timeout": httpx2.Timeout(self.timeout, read=silence)} if silence else {}
        for last in (False, True):
            sent = {**headers, **await self._credentials.headers()}
            try:
                async with self._http.stream(
                    method, self.login.server + path, params=params, content=content, headers=sent, **options
                ) as response:
                    if response.status_code < 300:
                        yield response
                        return
                    error = _error(response, await response.aread(), call)
            except (httpx2.TransportError, OSError) as broken:
                raise self._unreachable(call, broken) from broken
            if isinstance(error, AuthenticationError) and self._credentials.renewable and not last:
                self._credentials.forget()
                continue
            raise error

    def _unreachable(self, call: str, error: Exception) -> UnavailableError:
        what = str(error) or type(error).__name__
        return UnavailableError(f"the API server at {self.login.server} does not answer ({call}): {what}")


def pause(tried: int, retry_after: float) -> float:
    """Return how long to wait before the next try: what the server says, else ever longer, never in step."""
    return min(retry_after or 0.25 * 2**tried, _LONGEST_PAUSE) * random.uniform(1, 1.25)  # noqa: S311 - no secret


def _object(answer: bytes, call: str) -> Object:
    try:
        parsed = from_json(answer)
    except ValueError as error:
        raise UnavailableError(f"{call}: the answer is not JSON; is that the address of an API server?") from error
    if not isinstance(parsed, dict):
        raise UnavailableError(f"{call}: the answer is no object")
    return parsed


def _error(response: httpx2.Response, answer: bytes, call: str) -> AppError:
    try:
        body = from_json(answer)
    except ValueError:
        body = {"message": answer[:300].decode(errors="replace").strip()}
    try:
        retry_after = max(float(response.headers.get("Retry-After", "0")), 0)
    except ValueError:
        retry_after = 0
    return from_status(response.status_code, body if isinstance(body, dict) else {}, retry_after, call)
