"""One attempt, from assignment to outcome: crawl, hand over, tell.

Whatever happens, an outcome comes back. Three clocks run: the attempt's own time limit ends the crawl, the hand-over's
limit ends the trying, and the grace period after a stop signal shortens both.
"""

import asyncio
import contextlib
import io
import logging
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from crawl_api.addresses import Network
from crawl_api.status import Cause
from crawl_api.worker_protocol import Assignment, AttemptFailure, Outcome
from crawl_worker.checkpoints import Checkpoints
from crawl_worker.context import Books, crawl_context
from crawl_worker.errors import PageError
from crawl_worker.extract.selectors import invalid_selectors
from crawl_worker.findings import Finding
from crawl_worker.handover import Handover, handover_seconds
from crawl_worker.journal import Journal
from crawl_worker.ledger import Ledger, LedgerError
from crawl_worker.memory import MemoryGuard
from crawl_worker.operator_client import OperatorClient, RejectedError
from crawl_worker.output.buckets import Bucket
from crawl_worker.output.forms import content
from crawl_worker.processors.builtin import PROCESSORS
from crawl_worker.processors.custom import InvalidJobError, resolved
from crawl_worker.processors.maintenance import chosen, told
from crawl_worker.progress import Reporter
from crawl_worker.records import Record
from crawl_worker.secrets import SecretError
from crawl_worker.settings import WorkerSettings
from crawl_worker.store import Store
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
        self._complete = False
        """Whether the processor has come to its own end."""
        self._holds_earlier = False
        """Whether the ledger holds what earlier attempts have brought: only then may it take the place of theirs."""
        self._crawl: asyncio.Task[None] | None = None
        self._store: Store
        """Takes the results."""
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
            self._store = client
            if (wrong := self._wrong()) is not None:
                return await self._conclude(client, None, wrong)
            try:
                if self._job.output.store_url is not None:
                    self._store = Bucket(self._job, self._settings.store_credentials)
                ledger = Ledger(self._settings.work_dir, self._job.uid)
            except RejectedError as error:
                failure = AttemptFailure(code="InvalidStore", cause=Cause.PERMANENT, message=str(error))
                return await self._conclude(client, None, failure)
            except LedgerError as error:
                return await self._conclude(client, None, _disk_failure(error))
            with contextlib.closing(ledger):
                checkpoints = Checkpoints(client, ledger, self._settings.checkpoint_seconds)
                helpers = [asyncio.create_task(each.run()) for each in (Reporter(client, self.tally), checkpoints)]
                try:
                    crawl_failure = await self._crawl_all(client, ledger, checkpoints)
                finally:
                    for helper in helpers:
                        helper.cancel()
                    await asyncio.wait(helpers)
                return await self._conclude(client, (ledger, checkpoints), crawl_failure)

    def _wrong(self) -> AttemptFailure | None:
        """Return why the job can never run as it is; known before anything is fetched."""
        job = self._job
        if bad := invalid_selectors(job.extract.selectors):
            return AttemptFailure(code="InvalidSelector", cause=Cause.PERMANENT, message="; ".join(bad))
        try:
            if job.custom is not None:
                self.tally.parameters = told(resolved(job.custom)[1])
            if job.maintenance is not None:
                self.tally.parameters = told(chosen(job.maintenance)[1])
        except InvalidJobError as error:
            return _invalid(error)
        return None

    async def _crawl_all(
        self, client: OperatorClient, ledger: Ledger, checkpoints: Checkpoints
    ) -> AttemptFailure | None:
        """Crawl until done, out of time or told to stop; return why the attempt failed, if it did."""
        try:
            ending = await self._crawl_until_end(client, ledger, checkpoints)
            if ending is Ending.TIMED_OUT and self._holds_earlier:
                late = PageError("Timeout", f"the attempt's {self._job.timeout_seconds} s were over", retryable=True)
                self._give_up_missing(ledger, late)
        except LedgerError as error:
            return _disk_failure(error)
        except (InvalidJobError, SecretError) as error:
            return _invalid(error)
        except Exception as error:  # noqa: BLE001 (whatever it was, what is done is still handed over)
            _LOG.exception("the crawl broke")
            return crash(error)
        return self.tally.judge(ending, self._job.timeout_seconds)

    async def _take_over(self, client: OperatorClient, ledger: Ledger) -> None:
        """Begin with what this attempt, before its process died, and earlier ones have brought."""
        if self._job.attempt > 1 and not (journal := Journal(ledger)).taken_over:
            try:
                path = await client.earlier(self._settings.work_dir)
            except RejectedError as error:
                _LOG.warning("what earlier attempts did cannot be had; all is done again", extra={"error": str(error)})
                path = None
            if path is not None:
                journal.take_over(_lines(path))
                path.unlink()
        ledger.begin()
        for size, problem, kept in ledger.counted():
            self.tally.add(size, problem, from_cache=kept)
        if self.tally.succeeded:
            _LOG.info("carried over", extra={"pages": self.tally.succeeded})
        self._holds_earlier = True

    async def _crawl_until_end(self, client: OperatorClient, ledger: Ledger, checkpoints: Checkpoints) -> Ending:
        self._crawl = asyncio.create_task(self._consume(client, ledger, checkpoints))
        if self.interrupted:
            self._crawl.cancel()
        guard = asyncio.create_task(MemoryGuard(self._settings.memory_limit_bytes).exhausted())
        left = max(0.0, self._crawl_ends - time.monotonic())
        done, _ = await asyncio.wait({self._crawl, guard}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        guard.cancel()
        if self._crawl not in done:
            self._crawl.cancel()
            await asyncio.wait({self._crawl}, timeout=_CANCEL_SECONDS)
        if self._complete:
            return Ending.FINISHED
        if self.interrupted:
            return Ending.INTERRUPTED
        if guard in done:
            return Ending.OUT_OF_MEMORY
        if not done:
            return Ending.TIMED_OUT
        self._crawl.result()
        return Ending.FINISHED

    async def _consume(self, client: OperatorClient, ledger: Ledger, checkpoints: Checkpoints) -> None:
        await self._take_over(client, ledger)
        if self._job.urls and not ledger.missing(self._job.urls):
            self._complete = True
            return
        process = PROCESSORS[self._job.type]
        async with (
            crawl_context(self._settings, self._job, self._networks, Books(ledger, self.tally, self._store)) as context,
            aclosing(process(context)) as findings,
        ):
            async for finding in findings:
                self._keep(ledger, finding)
                if (most := self._job.fetch.max_total_bytes) is not None and self.tally.bytes >= most:
                    self._give_up_missing(ledger, PageError("ByteLimit", f"the job's {most} bytes were received"))
                    break
                await checkpoints.grown()
            self._complete = True

    def _keep(self, ledger: Ledger, finding: Finding) -> None:
        for record in ledger.keep(finding):
            self.tally.add(record.bytes or 0, record.error, from_cache=record.from_cache or False)
            if record.error is not None:
                _LOG.info(
                    "page failed", extra={"url": record.url, "code": record.error.code, "error": record.error.message}
                )

    def _give_up_missing(self, ledger: Ledger, why: PageError) -> None:
        """Record an error for each URL that the job lists and that has no record."""
        attempt = self._job.attempt
        records = [Record(url=url, error=why.job_error(url, attempt)) for url in ledger.missing(self._job.urls)]
        self._keep(ledger, Finding(records=records))

    async def _conclude(
        self, client: OperatorClient, books: tuple[Ledger, Checkpoints] | None, failure: AttemptFailure | None
    ) -> Outcome:
        """Hand everything over; return the outcome as it then stands."""
        now = time.monotonic()
        ends = self._grace_ends or now + handover_seconds(self._crawl_ends - now, self._settings.min_handover_seconds)
        self._watchdog.move(ends + OVERTIME_SECONDS)
        self._handover = Handover(client, self._store, ends)
        outcome = self.tally.outcome(failure)
        if books is not None and self._holds_earlier:
            outcome = await self._hand_over(self._handover, *books, failure)
        await self._handover.outcome(outcome)
        return outcome

    async def _hand_over(
        self, handover: Handover, ledger: Ledger, checkpoints: Checkpoints, failure: AttemptFailure | None
    ) -> Outcome:
        if self.tally.retryable or (failure is not None and failure.cause is not Cause.PERMANENT):
            await handover.journal(checkpoints)
        if not ledger.items:
            return self.tally.outcome(failure)
        stored = await handover.results(content(ledger, self._job.output, self._settings.work_dir))
        if isinstance(stored, AttemptFailure):
            return self.tally.outcome(failure or stored)
        outcome = self.tally.outcome(failure, stored, ledger.items)
        if stored.bytes <= self._job.inline_limit_bytes:
            return outcome.model_copy(update={"data": ledger.records()})
        return outcome


def _invalid(error: InvalidJobError | SecretError) -> AttemptFailure:
    return AttemptFailure(code="InvalidParameters", cause=Cause.PERMANENT, message=str(error))


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of concatenated zstd frames; what is cut off ends them."""
    import zstandard  # noqa: PLC0415 (needed by later attempts only)

    with path.open("rb") as file, contextlib.suppress(OSError, zstandard.ZstdError):
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        yield from io.BufferedReader(reader)


def crash(error: BaseException) -> AttemptFailure:
    """Return the failure of an attempt that ended by a defect."""
    return AttemptFailure(code="WorkerCrashed", cause=Cause.INFRASTRUCTURE, message=f"{type(error).__name__}: {error}")


def _disk_failure(error: LedgerError) -> AttemptFailure:
    return AttemptFailure(code="DiskFailed", cause=Cause.INFRASTRUCTURE, message=str(error))
