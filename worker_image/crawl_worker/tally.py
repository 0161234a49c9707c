"""Counting an attempt, and judging it: pure, so that the last-resort watchdog can do it at any moment."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from crawl_api.status import MAX_ERRORS, Cause, JobError
from crawl_api.worker_protocol import AttemptFailure, Outcome, ProgressReport, StoredResult
from crawl_worker.errors import asked_pause


class Ending(Enum):
    """How the crawl itself came to its end."""

    FINISHED = auto()
    TIMED_OUT = auto()
    INTERRUPTED = auto()
    OUT_OF_MEMORY = auto()


@dataclass
class Tally:
    """What an attempt has come to so far."""

    total: int
    succeeded: int = 0
    failed: int = 0
    bytes: int = 0
    from_cache: int = 0
    error_count: int = 0
    errors: list[JobError] = field(default_factory=list)
    """The first ones, oldest first."""
    retryable: int = 0
    """Failed pages that another attempt could bring."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """What the task or processor is told, defaults included."""
    retry_after: int = 0
    """The longest pause that a site asked for, in seconds."""

    def add(self, size: int, error: JobError | None, *, from_cache: bool = False) -> None:
        """Count one record.

        Args:
            size: bytes of the page.
            error: why it has none, where it failed.
            from_cache: whether its answer had been kept.
        """
        self.bytes += size
        if error is None:
            self.succeeded += 1
            self.from_cache += from_cache
            return
        self.failed += 1
        self.error_count += 1
        if error.retryable:
            self.retryable += 1
            self.retry_after = max(self.retry_after, asked_pause(error.details.get("retryAfter", ""), error.time))
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(error)

    def report(self, limit: int) -> ProgressReport:
        """Return the progress, with as many errors as fit into `limit` bytes."""
        report = ProgressReport(
            total=self.total,
            succeeded=self.succeeded,
            failed=self.failed,
            bytes=self.bytes,
            from_cache=self.from_cache,
            errors=tuple(self.errors),
            error_count=self.error_count,
            parameters=self.parameters,
        )
        while report.errors and len(report.model_dump_json(by_alias=True).encode()) > limit:
            report = report.model_copy(update={"errors": report.errors[: len(report.errors) // 2]})
        return report

    def outcome(self, failure: AttemptFailure | None, stored: StoredResult | None = None, items: int = 0) -> Outcome:
        """Return the outcome without data."""
        return Outcome(
            total=self.total,
            succeeded=self.succeeded,
            failed=self.failed,
            bytes=self.bytes,
            from_cache=self.from_cache,
            errors=tuple(self.errors),
            error_count=self.error_count,
            parameters=self.parameters,
            retryable=self.retryable,
            retry_after_seconds=self.retry_after,
            failure=failure,
            stored=stored,
            items=items,
        )

    def judge(self, ending: Ending, timeout_seconds: int) -> AttemptFailure | None:
        """Return why the attempt failed as a whole; None where it ran to its end and one page succeeded."""
        done = f"{self.succeeded + self.failed} of {self.total} pages were done"
        match ending:
            case Ending.INTERRUPTED:
                return AttemptFailure(
                    code="Interrupted", cause=Cause.INFRASTRUCTURE, message=f"told to stop when {done}"
                )
            case Ending.OUT_OF_MEMORY:
                return AttemptFailure(
                    code="MemoryLimit",
                    cause=Cause.TRANSIENT,
                    message=f"stopped before its memory was used up, when {done}; another attempt goes on from there",
                )
            case Ending.TIMED_OUT:
                return AttemptFailure(
                    code="Timeout",
                    cause=Cause.TRANSIENT,
                    message=f"not finished within {timeout_seconds} s: {self.succeeded} of {self.total} pages done",
                )
            case Ending.FINISHED if self.succeeded == 0 and self.errors:
                first = self.errors[0]
                return AttemptFailure(
                    code="AllPagesFailed",
                    cause=Cause.TRANSIENT if self.retryable else Cause.PERMANENT,
                    message=f"all {self.total} pages failed; the first: {first.code}: {first.message} ({first.url})",
                )
        return None
