"""Saving the ledger on the way: what a lost disk costs the next attempt is bounded by what no segment holds yet."""

import asyncio
import contextlib
import logging
from typing import Final

import zstandard

from crawl_worker.journal import Journal
from crawl_worker.ledger import Ledger
from crawl_worker.operator_client import OperatorClient

_LOG: Final = logging.getLogger(__name__)

SAVE_AFTER: Final = 100
"""Results at which a segment is saved before its time."""
MAX_UNSAVED: Final = 500
"""Results at which the crawl waits for a segment to be saved."""


class Checkpoints:
    """Saves segments of a ledger with the operator.

    Args:
        client: an open session with the operator.
        ledger: the attempt's.
        seconds: how long a result may wait for its segment.
    """

    def __init__(self, client: OperatorClient, ledger: Ledger, seconds: float) -> None:
        self._client = client
        self._ledger = ledger
        self._journal = Journal(ledger)
        self._seconds = seconds
        self._due = asyncio.Event()
        self._saved = asyncio.Event()
        self._turn = asyncio.Lock()
        self._refused = False

    async def run(self) -> None:
        """Save until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._due.wait()
            self._due.clear()
            await self.save()

    async def grown(self) -> None:
        """Tell that the ledger has grown; returns when the crawl may go on."""
        if self._ledger.unsaved >= SAVE_AFTER:
            self._due.set()
        while self._ledger.unsaved >= MAX_UNSAVED and not self._refused:
            self._saved.clear()
            await self._saved.wait()

    async def save(self) -> None:
        """Save all that no segment holds, trying until it works or the caller's time is up."""
        async with self._turn:
            while not self._refused:
                try:
                    if (segment := self._journal.segment()) is None:
                        return
                    content = await asyncio.to_thread(zstandard.compress, segment.content, 1)
                    await self._client.store_segment(self._journal.segments, content)
                    self._journal.saved(segment)
                except Exception as error:  # noqa: BLE001 (the crawl goes on without)
                    self._refused = True
                    told = f"{type(error).__name__}: {error}"
                    _LOG.warning("there are no checkpoints from here on", extra={"error": told})
                self._saved.set()
