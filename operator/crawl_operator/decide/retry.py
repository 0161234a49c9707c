"""What a failed attempt leads to: another one, after which pause, or the end. Pure arithmetic."""

import hashlib
from dataclasses import dataclass
from typing import Final

from crawl_api.crawljob import RetryOptions
from crawl_api.status import Cause, CrawlJobStatus, Phase
from crawl_api.worker_protocol import AttemptFailure, Outcome

INFRASTRUCTURE_RETRIES: Final = 10
"""How often a job is started again after the cluster ended its worker."""

_INFRASTRUCTURE_DELAY: Final = 5.0
_INFRASTRUCTURE_MAX_DELAY: Final = 300.0

_JITTER: Final = 0.1


@dataclass(frozen=True, slots=True)
class Again:
    """The job is run again."""

    delay: float
    """Seconds to wait."""
    counted: bool
    """Whether the attempt is part of the budget of `spec.retry`."""


@dataclass(frozen=True, slots=True)
class Over:
    """The job ends in this phase."""

    phase: Phase


def verdict(
    options: RetryOptions, status: CrawlJobStatus, outcome: Outcome | None, failure: AttemptFailure | None, seed: str
) -> Again | Over:
    """Judge an attempt that has ended.

    Args:
        options: the job's.
        status: its status before this end; it counts the retries so far.
        outcome: what the worker said, if anything.
        failure: why the attempt failed as a whole, if it did.
        seed: what makes the jitter of this job its own.
    """
    if failure is None and outcome is not None:
        if outcome.succeeded >= outcome.total:
            return Over(Phase.COMPLETED)
        if not outcome.retryable:
            return Over(Phase.PARTIAL_SUCCESS if outcome.succeeded else Phase.FAILED)
    match failure.cause if failure is not None else Cause.TRANSIENT:
        case Cause.PERMANENT:
            return Over(Phase.FAILED)
        case Cause.INFRASTRUCTURE:
            return _infrastructure(options, status, seed)
        case Cause.TRANSIENT:
            some = failure is None and outcome is not None and outcome.succeeded > 0
            asked = outcome.retry_after_seconds if outcome is not None else 0
            return _transient(options, status, Phase.PARTIAL_SUCCESS if some else Phase.DEAD_LETTER, asked, seed)


def _infrastructure(options: RetryOptions, status: CrawlJobStatus, seed: str) -> Again | Over:
    count = status.infrastructure_retries
    if count >= INFRASTRUCTURE_RETRIES:
        return Over(Phase.DEAD_LETTER)
    delay = min(_INFRASTRUCTURE_DELAY * 2.0**count, _INFRASTRUCTURE_MAX_DELAY)
    return Again(_spread(options, delay, f"{seed}/infrastructure/{count}"), counted=False)


def _transient(options: RetryOptions, status: CrawlJobStatus, at_last: Phase, asked: int, seed: str) -> Again | Over:
    failed = status.retry_count + 1
    if failed >= options.max_attempts:
        return Over(at_last)
    delay = min(
        options.initial_delay_seconds * options.backoff_multiplier ** (failed - 1), float(options.max_delay_seconds)
    )
    return Again(max(_spread(options, delay, f"{seed}/{failed}"), float(asked)), counted=True)


def _spread(options: RetryOptions, delay: float, seed: str) -> float:
    """Add to a delay what keeps jobs from retrying in step: it looks random, and is the same for the same seed."""
    if not options.jitter:
        return delay
    return delay * (1 + _JITTER * int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4]) / 0xFFFFFFFF)
