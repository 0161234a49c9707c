"""Handing an attempt's results and outcome to the operator, within a time limit that a stop signal can shorten."""

import asyncio
import logging
import time
from typing import Final

from crawl_api.status import Cause
from crawl_api.worker_protocol import MAX_OUTCOME_BYTES, AttemptFailure, Outcome, StoredResult
from crawl_worker.checkpoints import Checkpoints
from crawl_worker.ledger import LedgerError
from crawl_worker.operator_client import OperatorClient, RejectedError
from crawl_worker.store import Content, Store

_LOG: Final = logging.getLogger(__name__)

MAX_SECONDS: Final = 600.0
_FAREWELL_SECONDS: Final = 5.0
"""For the outcome, where the operator did not take the results."""


def handover_seconds(left: float, at_least: float) -> float:
    """Return how long to try, given what is left of the attempt's time: a crawl is worth waiting for the operator."""
    return min(max(left, at_least), MAX_SECONDS)


class Handover:
    """Stores results, then the outcome.

    Args:
        client: an open session with the operator.
        store: takes the results.
        ends: when to give up, on the monotonic clock.
    """

    def __init__(self, client: OperatorClient, store: Store, ends: float) -> None:
        self._client = client
        self._store = store
        self._ends = ends
        self._limit: asyncio.Timeout | None = None

    def hurry(self, ends: float) -> None:
        """Give up by then, if not before."""
        self._ends = min(self._ends, ends)
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(self._ends)

    async def journal(self, checkpoints: Checkpoints) -> None:
        """Save what the next attempt goes on from, or log that it was not: then that one does more again."""
        try:
            async with asyncio.timeout_at(self._ends) as self._limit:
                await checkpoints.save()
        except TimeoutError:
            _LOG.warning("the last checkpoint could not be stored in time")
        finally:
            self._limit = None

    async def results(self, content: Content) -> StoredResult | AttemptFailure:
        """Store the records; return where they are, or why they are not."""
        try:
            async with asyncio.timeout_at(self._ends) as self._limit:
                return await self._store.store_results(content)
        except TimeoutError:
            code, cause = "ResultStoreUnavailable", Cause.INFRASTRUCTURE
            message = f"the results could not be stored in time; the last try: {self._store.last_problem}"
        except RejectedError as error:
            code, cause, message = "ResultRejected", Cause.PERMANENT, f"the results were refused: {error}"
        except (LedgerError, OSError) as error:
            code, cause, message = "DiskFailed", Cause.INFRASTRUCTURE, f"the results cannot be read back: {error}"
        finally:
            self._limit = None
        self._ends = min(self._ends, time.monotonic() + _FAREWELL_SECONDS)
        return AttemptFailure(code=code, cause=cause, message=message)

    async def outcome(self, outcome: Outcome) -> None:
        """Store the outcome, or log that it was not: the termination message says the same, without data."""
        try:
            async with asyncio.timeout_at(self._ends) as self._limit:
                await self._client.store_outcome(fitting(outcome))
        except (TimeoutError, RejectedError) as error:
            _LOG.warning("the outcome could not be stored", extra={"error": str(error) or "in time"})
        finally:
            self._limit = None


def fitting(outcome: Outcome, limit: int = MAX_OUTCOME_BYTES) -> Outcome:
    """Return the outcome with as much as `limit` bytes hold: first the data goes, then errors."""
    while len(outcome.model_dump_json(by_alias=True).encode()) > limit and (outcome.data is not None or outcome.errors):
        less = {"errors": outcome.errors[: len(outcome.errors) // 2]} if outcome.data is None else {"data": None}
        outcome = outcome.model_copy(update=less)
    return outcome
