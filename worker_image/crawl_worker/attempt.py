"""One attempt, from assignment to outcome: crawl, hand over, tell.

Whatever happens, an outcome comes back. Three clocks run: the attempt's own time limit ends the crawl, the hand-over's
limit ends the trying, and the grace period after a stop signal shortens both.
"""

import asyncio
import logging
import time
from contextlib import aclosing
from typing import Final

from crawl_api.status import Cause
from crawl_api.worker_protocol import Assignment, AttemptFailure, Outcome, StoredResult
from crawl_worker.context import crawl_context
from crawl_worker.errors import PageError
from crawl_worker.extraction import invalid_selectors
from crawl_worker.guard import Network
from crawl_worker.handover import Handover, handover_seconds
from crawl_worker.operator_client import OperatorClient, RejectedError
from crawl_worker.processors import PROCESSORS
from crawl_worker.progress import Reporter
from crawl_worker.records import Record, from_line, to_line
from crawl_worker.settings import WorkerSettings
from crawl_worker.spool import Spool, SpoolError
from crawl_worker.tally import Ending, Tally
from crawl_worker.watchdog import Watchdog

_LOG: Final = logging.getLogger(__name__)

OVERTIME_SECONDS: Final = 25.0
"""How far beyond its time limits the process may go before the watchdog ends it."""
_CANCEL_SECONDS: Final = 5.0
"""How long what is in flight may take to end."""


class Attempt:
    """Runs once. Everything but `tally` and `interrupted` belongs to the event loop's thread.

    Args:
        settings: the worker's.
        job: the assignment.
        networks: exempt from the guard against internal addresses.
        started: when the attempt began, on the monotonic clock.
        watchdog: told when the process should be done.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        job: Assignment,
        networks: tuple[Network, ...],
        started: float,
        watchdog: Watchdog,
    ) -> None:
        self.tally = Tally(total=len(job.urls))
        self.interrupted = False
        self._settings = settings
        self._job = job
        self._networks = networks
        self._watchdog = watchdog
        self._crawl_ends = started + job.timeout_seconds
        self._unfinished = list(job.urls)
        self._holds_earlier = job.attempt == 1
        """Whether the spool holds what earlier attempts have brought: only then may it take the place of theirs."""
        self._crawl: asyncio.Task[None] | None = None
        self._handover: Handover | None = None
        self._grace_ends: float | None = None

    def interrupt(self) -> None:
        """Stop fetching now, and hand over within the grace period."""
        self.interrupted = True
        self._grace_ends = time.monotonic() + self._settings.grace_seconds
        if self._crawl is not None:
            self._crawl.cancel()
        if self._handover is not None:
            self._handover.hurry(self._grace_ends)

    async def run(self) -> Outcome:
        """Crawl, hand over and return the outcome, whatever happens."""
        async with OperatorClient(self._job, self._settings.token_file) as client:
            if bad := invalid_selectors(self._job.extract.selectors):
                failure = AttemptFailure(code="InvalidSelector", cause=Cause.PERMANENT, message="; ".join(bad))
                return await self._conclude(client, None, failure)
            try:
                spool = Spool(self._settings.work_dir)
            except SpoolError as error:
                return await self._conclude(client, None, _spool_failure(error))
            reporter = asyncio.create_task(Reporter(client, self.tally).run())
            try:
                crawl_failure = await self._crawl_all(client, spool)
            finally:
                reporter.cancel()
                spool.close()
            return await self._conclude(client, spool, crawl_failure)

    async def _crawl_all(self, client: OperatorClient, spool: Spool) -> AttemptFailure | None:
        """Crawl until done, out of time or told to stop; return why the attempt failed, if it did."""
        try:
            ending = await self._crawl_until_end(client, spool)
            if ending is Ending.TIMED_OUT and self._holds_earlier:
                self._give_up_unfinished(spool)
        except SpoolError as error:
            return _spool_failure(error)
        except Exception as error:  # noqa: BLE001 (whatever it was, what is done is still handed over)
            _LOG.exception("the crawl broke")
            return crash(error)
        return self.tally.judge(ending, self._job.timeout_seconds)

    async def _carry_over(self, client: OperatorClient, spool: Spool) -> None:
        """Begin with the pages that earlier attempts have brought: only what failed is fetched again."""
        try:
            path = await client.earlier_records(self._settings.work_dir)
        except RejectedError as error:
            _LOG.warning(
                "the results of earlier attempts cannot be had; all is fetched again", extra={"error": str(error)}
            )
            return
        if path is None:
            return
        with path.open("rb") as lines:
            for line in lines:
                record = from_line(line)
                if record is not None and record.error is None and record.url in self._unfinished:
                    self._keep(spool, record)
        path.unlink()
        _LOG.info("carried over", extra={"pages": self.tally.succeeded})

    async def _crawl_until_end(self, client: OperatorClient, spool: Spool) -> Ending:
        self._crawl = asyncio.create_task(self._consume(client, spool))
        if self.interrupted:
            self._crawl.cancel()
        done, _ = await asyncio.wait({self._crawl}, timeout=max(0.0, self._crawl_ends - time.monotonic()))
        if not done:
            self._crawl.cancel()
            await asyncio.wait({self._crawl}, timeout=_CANCEL_SECONDS)
        if self.interrupted:
            return Ending.INTERRUPTED if self._unfinished else Ending.FINISHED
        if not done:
            return Ending.TIMED_OUT if self._unfinished else Ending.FINISHED
        self._crawl.result()
        return Ending.FINISHED

    async def _consume(self, client: OperatorClient, spool: Spool) -> None:
        if not self._holds_earlier:
            await self._carry_over(client, spool)
            self._holds_earlier = True
        if not self._unfinished:
            return
        process = PROCESSORS[self._job.type]
        rest = remaining(self._job, tuple(self._unfinished))
        async with (
            crawl_context(self._settings, self._job, self._networks) as context,
            aclosing(process(rest, context)) as records,
        ):
            async for record in records:
                self._keep(spool, record)

    def _keep(self, spool: Spool, record: Record) -> None:
        spool.append(to_line(record))
        self.tally.add(record)
        self._unfinished.remove(record.url)
        if record.error is not None:
            _LOG.info(
                "page failed", extra={"url": record.url, "code": record.error.code, "error": record.error.message}
            )

    def _give_up_unfinished(self, spool: Spool) -> None:
        late = PageError("Timeout", f"the attempt's {self._job.timeout_seconds} s were over", retryable=True)
        for url in tuple(self._unfinished):
            self._keep(spool, Record(url=url, error=late.job_error(url, self._job.attempt)))

    async def _conclude(self, client: OperatorClient, spool: Spool | None, failure: AttemptFailure | None) -> Outcome:
        """Hand everything over; return the outcome as it then stands."""
        now = time.monotonic()
        ends = self._grace_ends or now + handover_seconds(self._crawl_ends - now, self._settings.min_handover_seconds)
        self._watchdog.move(ends + OVERTIME_SECONDS)
        self._handover = Handover(client, ends)
        stored: StoredResult | None = None
        if spool is not None and spool.items and self._holds_earlier:
            answer = await self._handover.results(spool)
            if isinstance(answer, StoredResult):
                stored = answer
            else:
                failure = failure or answer
        outcome = self.tally.outcome(failure, stored, spool.items if spool is not None and stored is not None else 0)
        if spool is not None and stored is not None and stored.bytes <= self._job.inline_limit_bytes:
            outcome = outcome.model_copy(update={"data": spool.records()})
        await self._handover.outcome(outcome)
        return outcome


def remaining(job: Assignment, urls: tuple[str, ...]) -> Assignment:
    """Return the job with only these of its URLs left to fetch."""
    if job.batch is None:
        return job
    return job.model_copy(update={"batch": job.batch.model_copy(update={"urls": urls})})


def crash(error: BaseException) -> AttemptFailure:
    """Return the failure of an attempt that ended by a defect."""
    return AttemptFailure(code="WorkerCrashed", cause=Cause.INFRASTRUCTURE, message=f"{type(error).__name__}: {error}")


def _spool_failure(error: SpoolError) -> AttemptFailure:
    return AttemptFailure(code="SpoolFailed", cause=Cause.INFRASTRUCTURE, message=str(error))
