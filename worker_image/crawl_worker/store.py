"""Where the results of a job go, and what else lies there: the operator's own store, or one that the job names."""

from collections.abc import Callable, Iterator
from typing import Protocol

from crawl_api.worker_protocol import Cleaned, Cleaning, StoredResult

Content = Callable[[], Iterator[bytes]]
"""Yields a result from its start whenever it is called."""


class StoreUnavailableError(Exception):
    """The store cannot be used now."""


class CacheStore(Protocol):
    """Keeps answers for jobs of the namespace; every method is one short try that raises StoreUnavailableError."""

    async def cached(self, key: str) -> bytes | None:
        """Return what is kept under a key of 64 hexadecimal digits; None if nothing is."""

    async def keep_cached(self, key: str, content: bytes) -> None:
        """Keep something under a key."""


class Store(CacheStore, Protocol):
    """A place for results and for the cache."""

    last_problem: str
    """What the last failed try to store a result came to."""

    async def store_results(self, content: Content) -> StoredResult:
        """Store a result, trying until it works or the caller's time is up; raises RejectedError."""

    async def clean(self, cleaning: Cleaning) -> Cleaned:
        """Remove what is old of the namespace; raises StoreUnavailableError or RejectedError."""
