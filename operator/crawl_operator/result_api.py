"""The HTTP endpoint that hands out results: to whoever may `get` the subresource `crawljobs/results` of the job.

It serves what `crawl_api.downloads` describes. The answer to what is refused is a Kubernetes `Status`, as from the API
server itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from crawl_api.downloads import RESULTS_RESOURCE, Refusal, form_of, manifest_path, part_path
from crawl_api.names import GROUP, PLURAL
from crawl_operator.callers import Caller, Callers
from crawl_operator.decide.download import NothingToDownloadError, Offer, Span, offer_of, span_of
from crawl_operator.decide.model import JobKey
from crawl_operator.kube import CRAWLJOBS, Kube
from crawl_operator.kube_errors import KubeError, NotFoundError, RefusedError
from crawl_operator.metrics import Metrics
from crawl_operator.results import ResultStore, pieces
from crawl_operator.setting_groups import Downloads

_log = logging.getLogger(__name__)

_NAME: Final = "[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?"
_FILE: Final = "[A-Za-z0-9][-A-Za-z0-9._]{0,99}"
_STATUSES: Final = {Refusal.EXPIRED: 410, Refusal.LOST: 410}
"""Of what is gone for good; all else that is not there may come."""
_LATER: Final = {"Retry-After": "2"}
_PATIENCE: Final = 60.0
"""Seconds in which a reader must take a piece of a file."""

Handler = Callable[[web.Request, JobKey, Caller], Awaitable[web.StreamResponse]]


class ResultApi:
    """Serves results.

    Args:
        kube: reads the jobs, and asks who may read their results.
        results: where results lie.
        settings: whether and how.
        namespaces: those that are served; none named: all.
        metrics: what counts the answers.
    """

    def __init__(
        self,
        kube: Kube,
        results: ResultStore,
        settings: Downloads,
        *,
        namespaces: tuple[str, ...] = (),
        metrics: Metrics | None = None,
    ) -> None:
        self._kube = kube
        self._callers = Callers(kube, settings.audiences)
        self._results = results
        self._settings = settings
        self._namespaces = namespaces
        self._metrics = metrics or Metrics()
        self._running: list[asyncio.Transport | None] = []

    def add_to(self, application: web.Application) -> None:
        """Serve results in an application, beside what it serves already."""
        namespace, name, part = f"{{namespace:{_NAME}}}", f"{{name:{_NAME}}}", f"{{part:{_FILE}}}"
        for kind, path, handler in (
            ("manifest", manifest_path(namespace, name), self._manifest),
            ("part", part_path(namespace, name, part), self._part),
        ):
            application.router.add_get(path, self._counted(kind, self._for_caller(handler)))
        application.on_shutdown.append(self._cut)

    async def _cut(self, _: web.Application) -> None:
        """Keep no operator from its end: whoever downloads goes on at the next one."""
        for transport in self._running:
            if transport is not None:
                transport.abort()

    def _counted(
        self, kind: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def counted(request: web.Request) -> web.StreamResponse:
            try:
                response = await handler(request)
            except _RefusedError as refused:
                response = refused.response()
            self._metrics.download_answered(kind, response.status)
            return response

        return counted

    def _for_caller(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def checked(request: web.Request) -> web.StreamResponse:
            key = JobKey(request.match_info["namespace"], request.match_info["name"])
            if not self._settings.enabled:
                raise _RefusedError(404, Refusal.OFF, "this operator hands out no results (downloads.enabled)")
            if self._namespaces and key.namespace not in self._namespaces:
                raise _RefusedError(
                    404, Refusal.NOT_SERVED, f"this operator does not serve the namespace {key.namespace}"
                )
            try:
                return await handler(request, key, await self._caller(request, key))
            except NothingToDownloadError as nothing:
                raise _RefusedError(_STATUSES.get(nothing.reason, 404), nothing.reason, str(nothing)) from None
            except NotFoundError:
                raise _RefusedError(404, "NotFound", f'{PLURAL}.{GROUP} "{key.name}" not found') from None
            except KubeError as error:
                _log.warning("results of %s cannot be handed out: %s", key, error)
                raise _RefusedError(503, "ServiceUnavailable", _without_answer(error), _LATER) from None

        return checked

    async def _caller(self, request: web.Request, key: JobKey) -> Caller:
        """Return who asks, if they may."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        challenge = {"WWW-Authenticate": "Bearer"}
        if scheme.lower() != "bearer" or not token.strip():
            raise _RefusedError(401, "Unauthorized", "a token of the Kubernetes API is required", challenge)
        caller = await self._callers.identify(token.strip())
        if caller is None:
            text = "the API server does not know this token: it is wrong, expired or for another audience"
            raise _RefusedError(401, "Unauthorized", text, challenge)
        if not await self._callers.may_read(caller, key):
            right = f'cannot get resource "{PLURAL}/{RESULTS_RESOURCE}" in API group "{GROUP}"'
            text = f'{PLURAL}.{GROUP} "{key.name}" is forbidden: User "{caller.name}" {right}'
            raise _RefusedError(403, "Forbidden", f'{text} in the namespace "{key.namespace}"')
        return caller

    async def _manifest(self, request: web.Request, key: JobKey, caller: Caller) -> web.StreamResponse:
        offer, _ = await self._found(key)
        return web.json_response(offer.manifest())

    async def _part(self, request: web.Request, key: JobKey, caller: Caller) -> web.StreamResponse:
        if len(self._running) >= self._settings.parallel:
            text = f"{len(self._running)} downloads are under way, and no more may be (downloads.parallel)"
            raise _RefusedError(503, "TooManyDownloads", text, _LATER)
        transport = request.transport
        self._running.append(transport)
        try:
            offer, path = await self._found(key)
            if request.match_info["part"] != offer.file:
                text = f"the result of {key} has no part {request.match_info['part']}, but {offer.file}"
                raise NothingToDownloadError(Refusal.NO_PART, text)
            _log.info("%s downloads %s of %s", caller.name, offer.file, key)
            return await _send(request, offer, path)
        finally:
            self._running.remove(transport)

    async def _found(self, key: JobKey) -> tuple[Offer, Path]:
        """Return a result of which it is certain that it can be handed out."""
        offer = offer_of(key, await self._kube.get(CRAWLJOBS, key.namespace, key.name))
        path = self._results.located(offer.url, key, offer.uid)
        if path is None:
            text = f"the result of {key} lies in {offer.url}, for which the operator has no credentials: read it there"
            raise NothingToDownloadError(Refusal.ELSEWHERE, text)
        try:
            size = (await asyncio.to_thread(path.stat)).st_size
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise NothingToDownloadError(
                Refusal.LOST, f"the operator's store has lost the result of {key}: {why}"
            ) from None
        if size != offer.bytes:
            text = f"the operator's store holds {size} of the {offer.bytes} bytes of the result of {key}"
            raise NothingToDownloadError(Refusal.LOST, text)
        return offer, path


class _RefusedError(Exception):
    """What was asked for is not to be had."""

    def __init__(self, status: int, reason: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self._status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status} | {
            "reason": reason,
            "message": message,
        }
        self._code = status
        self._headers = headers

    def response(self) -> web.Response:
        """Return the answer."""
        return web.json_response(self._status, status=self._code, headers=self._headers)


async def _send(request: web.Request, offer: Offer, path: Path) -> web.StreamResponse:
    """Send a file, or the part of it that is asked for, in pieces."""
    span = _wanted(request, offer)
    partial = span.length != offer.bytes
    response = web.StreamResponse(status=206 if partial else 200, headers=_heads(offer))
    response.content_length = span.length
    if partial:
        response.headers["Content-Range"] = span.content_range
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    sent = 0
    try:
        async for piece in pieces(path, span.start, span.length):
            async with asyncio.timeout(_PATIENCE):
                await response.write(piece)
            sent += len(piece)
    except (OSError, TimeoutError) as error:  # whoever reads is gone or asleep, or the disk fails
        _log.info("a download of %s broke off after %d bytes: %s", offer.key, sent, str(error) or type(error).__name__)
    if sent < span.length and request.transport is not None:
        request.transport.abort()  # that it is not whole must not look like an end
    return response


def _wanted(request: web.Request, offer: Offer) -> Span:
    whole = Span(0, offer.bytes, offer.bytes)
    if "Range" not in request.headers or request.headers.get("If-Range", _tag(offer)) != _tag(offer):
        return whole
    try:
        span = span_of(request.http_range, offer.bytes)
        why = f"is beyond the {offer.bytes} bytes of {offer.file}"
    except ValueError as error:
        span, why = None, f"cannot be served: {error}"
    if span is None:
        beyond = {"Content-Range": f"bytes */{offer.bytes}"}
        raise _RefusedError(416, "RangeNotSatisfiable", f"the range {request.headers['Range']!r} {why}", beyond)
    return span


def _heads(offer: Offer) -> dict[str, str]:
    return {
        "Content-Type": form_of(offer.file)[2],
        "Content-Disposition": f'attachment; filename="{offer.file}"',
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "ETag": _tag(offer),
    }


def _tag(offer: Offer) -> str:
    return f'"{offer.sha256}"'


def _without_answer(error: KubeError) -> str:
    if isinstance(error, RefusedError):
        return f"the API server does not let the operator find out who may read results: {error}"
    return "the API server does not say who may read results; try again"
