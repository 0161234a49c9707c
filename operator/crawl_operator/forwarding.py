"""An operator that stands by passes on to the one that leads what workers tell it: a Service may lead to either."""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDict, CIMultiDictProxy

_CHUNK: Final = 1 << 16
_TIMEOUT: Final = ClientTimeout(sock_connect=2, sock_read=60)
_VIA: Final = "1.1 crawl-operator"
_NOT_PASSED_ON: Final = frozenset({"connection", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})
"""Headers of one connection (RFC 9110, 7.6.1); the rest is the worker's and the leader's."""


class Forwarder:
    """Passes requests on, as long as the `async with` block.

    Args:
        leader_url: where the operator that leads takes reports; empty while this one leads, or nobody is known to.
    """

    def __init__(self, leader_url: Callable[[], str]) -> None:
        self._leader_url = leader_url
        self._session: ClientSession | None = None

    @property
    def url(self) -> str:
        """Where requests are passed on to; empty if they cannot be."""
        return self._leader_url()

    async def __aenter__(self) -> Self:
        self._session = ClientSession(timeout=_TIMEOUT, auto_decompress=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def middleware(self) -> Middleware:
        """Has the leader answer each request for as long as its URL is known, and this operator otherwise."""

        @web.middleware
        async def led(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._pass_on(request) if self.url else await handler(request)

        return led

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        """Have the leader answer a request; both are streamed."""
        # Two that believe each other to lead would pass it on for ever.
        if _VIA in (each.strip() for each in request.headers.get("Via", "").split(",")):
            raise _refused("the lease is changing hands")
        assert self._session is not None  # noqa: S101 - requests come inside the block; for the type checker
        headers = _passed_on(request.headers)
        headers["Via"] = ", ".join((*headers.popall("Via", ()), _VIA))
        body = request.content if request.body_exists else None
        response: web.StreamResponse | None = None
        try:
            asked = self._session.request(
                request.method, self.url + request.path_qs, headers=headers, data=body, allow_redirects=False
            )
            async with asked as answer:
                response = web.StreamResponse(status=answer.status, headers=_passed_on(answer.headers))
                await response.prepare(request)
                async for chunk in answer.content.iter_chunked(_CHUNK):
                    await response.write(chunk)
                await response.write_eof()
                return response
        except (ClientError, TimeoutError) as error:
            if response is not None and request.transport is not None:
                request.transport.abort()  # an answer has begun: that it is not whole must not look like an end
                return response
            raise _refused(f"the operator that leads cannot be reached: {error}") from error


def _refused(why: str) -> web.HTTPServiceUnavailable:
    refused = web.HTTPServiceUnavailable(text=why, headers={"Retry-After": "1"})
    refused.force_close()  # a new connection may lead to the operator that leads
    return refused


def _passed_on(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _NOT_PASSED_ON)
