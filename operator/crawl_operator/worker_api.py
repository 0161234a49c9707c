"""The HTTP endpoint that workers report to: progress, results, outcome. A worker speaks for its own job only.

Who speaks is told by its token: its pod's UID leads to the job that the operator made the pod for. What is said must
concern that job and that attempt.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from aiohttp import web
from aiohttp.typedefs import Middleware
from pydantic import BaseModel, ValidationError

from crawl_api.job_types import JobType
from crawl_api.output import OutputOptions
from crawl_api.worker_protocol import (
    MAX_CACHED_BYTES,
    MAX_OUTCOME_BYTES,
    MAX_PROGRESS_BYTES,
    MAX_SEGMENT_BYTES,
    Cleaned,
    Cleaning,
    Leftover,
    Outcome,
    ProgressReport,
    cache_path,
    cleaning_path,
    journal_path,
    outcome_path,
    progress_path,
    results_path,
)
from crawl_operator.decide.model import Job, WorkerPod
from crawl_operator.kube_errors import KubeError
from crawl_operator.metrics import Metrics
from crawl_operator.page_cache import PageCache
from crawl_operator.results import ResultStore, StoreFullError, TooLargeError, pieces
from crawl_operator.store import Store
from crawl_operator.tokens import TokenRefusedError, TokenVerifier

_log = logging.getLogger(__name__)

_CHUNK: Final = 1 << 16
_RETRY: Final = {"Retry-After": "1"}

_M = TypeVar("_M", bound=BaseModel)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Handler = Callable[[web.Request, Job, WorkerPod], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Keeping:
    """Where what workers bring is kept."""

    results: ResultStore
    cache: PageCache


class WorkerApi:
    """Serves what `crawl_api.worker_protocol` describes.

    Args:
        standby: says why another operator is to be told instead; nothing while this one is the right one.
    """

    def __init__(
        self,
        store: Store,
        verifier: TokenVerifier,
        keeping: Keeping,
        metrics: Metrics | None = None,
        standby: Callable[[], str] = str,
    ) -> None:
        self._store = store
        self._verifier = verifier
        self._keeping = keeping
        self._metrics = metrics or Metrics()
        self._standby = standby

    def application(self, *middlewares: Middleware) -> web.Application:
        """Return the application to serve, what these leave to it."""
        size = max(MAX_OUTCOME_BYTES, MAX_PROGRESS_BYTES, MAX_SEGMENT_BYTES)
        application = web.Application(client_max_size=size, middlewares=middlewares)
        job_uid, attempt = "{job_uid:[0-9a-f-]{1,64}}", "{attempt:[0-9]{1,6}}"
        for kind, method, path, handler in (
            ("progress", "POST", progress_path, self._progress),
            ("earlier_journal", "GET", journal_path, self._earlier_journal),
            ("journal", "PUT", _segment_path, self._save_segment),
            ("results", "PUT", results_path, self._save_results),
            ("outcome", "PUT", outcome_path, self._save_outcome),
            ("cached", "GET", _cached_path, self._cached),
            ("cache", "PUT", _cached_path, self._keep_cached),
            ("cleaning", "POST", cleaning_path, self._clean),
        ):
            # The paths are made by the functions that workers use; the attempt is a number there, a pattern here.
            route = path(job_uid, 0).replace("/0/", f"/{attempt}/")
            application.router.add_route(method, route, self._counted(kind, self._for_worker(handler)))
        return application

    def _counted(self, kind: str, handler: Answer) -> Answer:
        async def counted(request: web.Request) -> web.StreamResponse:
            try:
                response = await handler(request)
            except web.HTTPException as answer:
                self._metrics.report_answered(kind, answer.status)
                raise
            self._metrics.report_answered(kind, response.status)
            return response

        return counted

    def _for_worker(self, handler: Handler) -> Answer:
        async def checked(request: web.Request) -> web.StreamResponse:
            if why := self._standby():
                refused = web.HTTPServiceUnavailable(text=why, headers=_RETRY)
                refused.force_close()  # a new connection may lead to the operator that is to be told
                raise refused
            job, pod = await self._worker(request)
            try:
                return await handler(request, job, pod)
            except TooLargeError as error:
                raise web.HTTPRequestEntityTooLarge(max_size=0, actual_size=0, text=str(error)) from None
            except StoreFullError as error:
                _log.error("result of %s not stored: %s", job.key, error)
                raise web.HTTPInsufficientStorage(text=str(error), headers=_RETRY) from None

        return checked

    async def _worker(self, request: web.Request) -> tuple[Job, WorkerPod]:
        """Return the job and the pod that a request comes from."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise web.HTTPUnauthorized(text="a worker's token is required", headers={"WWW-Authenticate": "Bearer"})
        try:
            identity = await self._verifier.verify(token.strip())
        except TokenRefusedError as error:
            _log.warning("a worker's token was refused: %s", error)
            raise web.HTTPUnauthorized(text=str(error), headers={"WWW-Authenticate": "Bearer"}) from None
        except KubeError as error:
            _log.warning("a worker's token could not be checked: %s", error)
            raise web.HTTPServiceUnavailable(text="tokens cannot be checked now", headers=_RETRY) from None
        found = self._store.worker(identity.pod_uid)
        if found is None:
            # Its pod may be minutes old or a millisecond: the watch will tell.
            raise web.HTTPServiceUnavailable(text="this pod is not known yet", headers=_RETRY)
        key, job_uid, pod = found
        wanted = (request.match_info["job_uid"], int(request.match_info["attempt"]))
        if wanted != (job_uid, pod.attempt):
            _log.warning("pod %s of job %s reported on another job or attempt", identity.pod_name, key)
            raise web.HTTPForbidden(text="this pod works for another job or attempt")
        job = self._store.job(key)
        if job is None and not self._store.buried(job_uid):
            raise web.HTTPServiceUnavailable(text="this pod's job is not known yet", headers=_RETRY)
        if job is None or job.uid != job_uid or job.deleting or job.phase.terminal:
            raise web.HTTPGone(text="the job is over")
        return job, pod

    async def _progress(self, request: web.Request, job: Job, pod: WorkerPod) -> web.Response:
        self._store.put_report(job, pod.attempt, await _read(request, ProgressReport, MAX_PROGRESS_BYTES))
        return web.Response(status=204)

    async def _earlier_journal(self, request: web.Request, job: Job, pod: WorkerPod) -> web.StreamResponse:
        """Hand out what earlier attempts of this run have saved, oldest first."""
        first, last = job.status.requeued_after, pod.attempt
        workers = [each.worker for each in job.status.attempts if first < each.number < last]
        segments = self._keeping.results.journal(job.key, job.uid, workers)
        if not segments:
            return web.Response(status=204)
        response = web.StreamResponse(headers={"Content-Length": str(sum(path.stat().st_size for path in segments))})
        await response.prepare(request)
        for path in segments:
            async for chunk in pieces(path):
                await response.write(chunk)
        return response

    async def _save_segment(self, request: web.Request, job: Job, pod: WorkerPod) -> web.Response:
        number = int(request.match_info["number"])
        await self._keeping.results.save_segment(job.key, job.uid, pod.name, number, await request.read())
        return web.Response(status=204)

    async def _save_results(self, request: web.Request, job: Job, pod: WorkerPod) -> web.Response:
        output = OutputOptions.model_validate(job.spec.get("output", {}))
        stored = await self._keeping.results.save_results(
            job.key, job.uid, pod.name, _chunks(request), output.file_name
        )
        return web.json_response(text=stored.model_dump_json(by_alias=True), status=201)

    async def _save_outcome(self, request: web.Request, job: Job, pod: WorkerPod) -> web.Response:
        outcome = await _read(request, Outcome, MAX_OUTCOME_BYTES)
        await self._keeping.results.save_outcome(job.key, job.uid, pod.name, outcome)
        return web.Response(status=204)

    async def _cached(self, request: web.Request, job: Job, pod: WorkerPod) -> web.Response:
        content = await self._keeping.cache.get(job.key.namespace, request.match_info["key"])
        return web.Response(status=404) if content is None else web.Response(body=content)

    async def _keep_cached(self, request: web.Request, job: Job, pod: WorkerPod) -> web.Response:
        content = await request.read()
        if len(content) > MAX_CACHED_BYTES:
            raise web.HTTPRequestEntityTooLarge(max_size=MAX_CACHED_BYTES, actual_size=len(content))
        await self._keeping.cache.put(job.key.namespace, request.match_info["key"], content)
        return web.Response(status=204)

    async def _clean(self, request: web.Request, job: Job, pod: WorkerPod) -> web.Response:
        if job.spec.get("type") != JobType.MAINTENANCE:
            raise web.HTTPForbidden(text="only a Maintenance job may clean up")
        wanted = await _read(request, Cleaning, MAX_PROGRESS_BYTES)
        if wanted.what is Leftover.CACHE:
            cleaned = await self._keeping.cache.clean(job.key.namespace, wanted.older_than_seconds)
        else:
            cleaned = await self._clean_results(job.key.namespace, wanted.older_than_seconds)
        return web.json_response(text=cleaned.model_dump_json(by_alias=True))

    async def _clean_results(self, namespace: str, older_than: float) -> Cleaned:
        """Remove what jobs have stored that are gone."""
        sizes = []
        for key, uid in await asyncio.to_thread(self._keeping.results.owners):
            known = self._store.job(key)
            if key.namespace == namespace and (known is None or known.uid != uid):
                sizes.append(await self._keeping.results.remove_old(key, uid, older_than))
        removed = [size for size in sizes if size is not None]
        return Cleaned(removed=len(removed), bytes=sum(removed))


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    async for chunk in request.content.iter_chunked(_CHUNK):
        yield chunk


def _segment_path(job_uid: str, attempt: int) -> str:
    return journal_path(job_uid, attempt) + "/{number:[0-9]{1,6}}"


def _cached_path(job_uid: str, attempt: int) -> str:
    return cache_path(job_uid, attempt, "{key:[0-9a-f]{64}}")


async def _read(request: web.Request, model: type[_M], limit: int) -> _M:
    body = await request.read()
    if len(body) > limit:
        raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=len(body))
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        problems = "; ".join(f"{each['loc']}: {each['msg']}" for each in error.errors(include_url=False)[:5])
        raise web.HTTPBadRequest(text=problems) from None
