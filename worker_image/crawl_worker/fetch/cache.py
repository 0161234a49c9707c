"""Answers that were fetched before: which may be used, which are asked about again, and which are kept.

What HTTP says of an answer's life is decided by Scrapy's policy. The job says on top how old an answer may be that is
used without asking; then an answer without any such header is worth keeping, too.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final

import zstandard
from scrapy import Request
from scrapy.extensions.httpcache import RFC2616Policy
from scrapy.http import Response
from scrapy.responsetypes import responsetypes
from scrapy.settings import Settings

from crawl_api.options import FetchOptions
from crawl_api.worker_protocol import MAX_CACHED_BYTES
from crawl_worker.store import CacheStore, StoreUnavailableError

_LOG: Final = logging.getLogger(__name__)

_KEPT: Final = frozenset({200, 203, 301, 308})
_MAX_HEAD: Final = 1 << 20
_MAX_FAILURES: Final = 3
"""Failures of the store in a row after which the crawl goes on without it."""
_VALIDATORS: Final = (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since"))


@dataclass(frozen=True)
class Held:
    """An answer that was kept."""

    response: Response
    fresh: bool
    """Whether it may be used without asking."""

    @property
    def conditions(self) -> dict[str, str]:
        """Headers that ask whether it still holds."""
        headers = self.response.headers
        return {ask: value.decode("latin-1") for name, ask in _VALIDATORS if (value := headers.get(name))}


class Cache:
    """The cache of one attempt.

    Args:
        store: where answers are kept.
        options: as the user asked.
        user_agent: a site may answer another one differently.
        private: says of which URLs the answers are this job's alone.
    """

    def __init__(
        self, store: CacheStore, options: FetchOptions, user_agent: str, private: Callable[[str], bool]
    ) -> None:
        self._private = private
        self._store = store
        self._mode = options.cache_mode
        self._seconds = options.cache_seconds
        self._user_agent = user_agent
        self._max_bytes = options.max_body_bytes
        self._policy: Any = RFC2616Policy(Settings({"HTTPCACHE_ALWAYS_STORE": True}))
        self._failures = 0

    async def held(self, url: str) -> Held | None:
        """Return the answer of a normalised URL that was kept, as far as the job wants it."""
        if not self._mode.reads or self._given_up or self._private(url):
            return None
        try:
            content = await self._store.cached(self._key(url))
        except StoreUnavailableError as error:
            self._failed(error)
            return None
        self._failures = 0
        response = _decoded(content, url, self._max_bytes) if content is not None else None
        return Held(response, self._is_fresh(response)) if response is not None else None

    async def keep(self, response: Response) -> None:
        """Keep an answer, if the job and its site allow it."""
        if not self._mode.writes or self._given_up or not self._may_keep(response):
            return
        # By our own clock: an answer from the future would never grow old.
        headers = response.headers.copy()
        headers["Date"] = formatdate(usegmt=True)
        content = _encoded(response.replace(headers=headers))
        if len(content) > MAX_CACHED_BYTES:
            return
        try:
            await self._store.keep_cached(self._key(response.url), content)
        except StoreUnavailableError as error:
            self._failed(error)

    async def renew(self, held: Response, answer: Response) -> Response:
        """Keep anew what a site has just said (304) that it still holds; return it."""
        headers = held.headers.copy()
        headers.update({name: values for name, values in answer.headers.items() if name.lower() != b"content-length"})
        renewed: Response = held.replace(headers=headers)
        await self.keep(renewed)
        return renewed

    def _is_fresh(self, response: Response) -> bool:
        request = Request(response.url, headers={"Cache-Control": f"max-stale={self._seconds}"})
        age = self._policy._compute_current_age(response, request, time.time())  # noqa: SLF001 (it has no other face)
        return bool(age < self._seconds and self._policy.is_cached_response_fresh(response, request))

    def _may_keep(self, response: Response) -> bool:
        if response.status not in _KEPT or self._private(response.url) or b"*" in (response.headers.get("Vary") or b""):
            return False
        return bool(self._policy.should_cache_response(response, Request(response.url)))

    def _key(self, url: str) -> str:
        return hashlib.sha256(f"{url}\n{self._user_agent}".encode()).hexdigest()

    @property
    def _given_up(self) -> bool:
        return self._failures >= _MAX_FAILURES

    def _failed(self, error: StoreUnavailableError) -> None:
        self._failures += 1
        if self._failures == _MAX_FAILURES:
            _LOG.warning("the crawl goes on without a cache", extra={"error": str(error)})


def _encoded(response: Response) -> bytes:
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, values in response.headers.items()
        for value in values
    ]
    head = json.dumps({"url": response.url, "status": response.status, "headers": headers}).encode()
    return zstandard.compress(head + b"\n" + response.body, 3)


def _decoded(content: bytes, url: str, max_bytes: int) -> Response | None:
    """Return the answer; None for what is none, is too large, or belongs to another URL."""
    try:
        plain = zstandard.ZstdDecompressor().decompress(content, max_output_size=max_bytes + _MAX_HEAD)
        line, _, body = plain.partition(b"\n")
        head = json.loads(line)
        if head["url"] != url or len(body) > max_bytes:
            return None
        response = Response(url, int(head["status"]))
        for name, value in head["headers"]:
            response.headers.appendlist(name, value.encode("latin-1"))
        kind = responsetypes.from_args(headers=response.headers, url=url, body=body)
        return kind(url, status=response.status, headers=response.headers, body=body)
    except (zstandard.ZstdError, ValueError, KeyError, TypeError):
        return None
