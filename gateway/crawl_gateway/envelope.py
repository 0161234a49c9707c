"""What every answer has and every request meets: an id, a line in the log, a size limit, headers that protect."""

import logging
import re
import time
import uuid
from collections.abc import MutableMapping
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crawl_gateway.errors import problem_of
from crawl_gateway.faces import answer
from crawl_gateway.metrics import Metrics

_access = logging.getLogger("crawl_gateway.access")
_log = logging.getLogger(__name__)
_SANE: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
_QUIET: Final = frozenset({"/health", "/ready", "/metrics"})
_PROTECTION: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Envelope:
    """The outermost part of the application; see the module.

    Args:
        app: what is inside.
        metrics: what counts.
        max_body: bytes of a request's body.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, max_body: int) -> None:
        self._app = app
        self._metrics = metrics
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or one WebSocket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        scope["request_id"] = given if _SANE.fullmatch(given) else uuid.uuid4().hex
        exchange = _Exchange(scope, receive, send, self._max_body)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:
            problem = problem_of(error)
            if problem.status >= 500:
                _log.exception("request %s failed", scope["request_id"])
            if exchange.status or scope["type"] != "http":
                raise
            failed: Response = answer(scope, problem)
            await failed(scope, receive, exchange.send)
        finally:
            self._note(scope, exchange)

    def _note(self, scope: Scope, exchange: "_Exchange") -> None:
        method = scope.get("method", "WEBSOCKET")
        method = method if method in _METHODS else "other"  # what clients make up is no label
        route = getattr(scope.get("route"), "path", "none")
        status = exchange.status or 499  # the client was gone before an answer
        self._metrics.requests.labels(method, route, status).inc()
        if exchange.began is not None:
            self._metrics.seconds.labels(method, route).observe(exchange.began)
        level = logging.DEBUG if scope["path"] in _QUIET else logging.INFO
        _access.log(
            level,
            "%s %s %s %.0fms caller=%s id=%s",
            method,
            _printable(scope["path"]),  # and not the query: clients put into it whatever they like
            status,
            exchange.age * 1000,
            _printable(scope.get("caller", "-")),
            scope["request_id"],
        )


class _Exchange:
    """One request and its answer, as they pass."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_body: int) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._most = self._left = max_body
        self._since = time.monotonic()
        self.status = 0
        self.began: float | None = None

    @property
    def age(self) -> float:
        """Seconds since it came."""
        return time.monotonic() - self._since

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0 or _announced(self._scope) > self._most:
                raise HTTPException(413, "the request is too large")
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "websocket.accept":
            self.status = 101
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            self.status, self.began = message["status"], self.age
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._scope["request_id"]
            for name, value in _PROTECTION.items():
                headers.setdefault(name, value)
        await self._send(message)


def _announced(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def _printable(path: str) -> str:
    return path.encode("unicode_escape").decode()[:500]
