"""Telling the operator how far the attempt is: the newest state, seldom, and never at the crawl's expense."""

import asyncio
import logging
from typing import Final

from crawl_api.worker_protocol import MAX_PROGRESS_BYTES, ProgressReport
from crawl_worker.operator_client import OperatorClient, RejectedError, UnavailableError
from crawl_worker.tally import Tally

_LOG: Final = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 1.0
_MAX_BACKOFF_SECONDS: Final = 30.0


class Reporter:
    """Reports a tally whenever it changed, one report at a time, the latest only."""

    def __init__(self, client: OperatorClient, tally: Tally) -> None:
        self._client = client
        self._tally = tally

    async def run(self) -> None:
        """Report until cancelled."""
        sent: ProgressReport | None = None
        pause = INTERVAL_SECONDS
        warned = False
        while True:
            report = self._tally.report(MAX_PROGRESS_BYTES)
            if report != sent:
                try:
                    await self._client.report(report)
                    sent, pause = report, INTERVAL_SECONDS
                except (UnavailableError, RejectedError) as error:
                    pause = min(pause * 2, _MAX_BACKOFF_SECONDS)
                    if not warned:
                        _LOG.warning("progress cannot be reported; the crawl goes on", extra={"error": str(error)})
                        warned = True
            await asyncio.sleep(pause)
