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
        seed: what makes the jitter of this job and attempt its own.
    """
    if failure is None and outcome is not None:
        if outcome.succeeded >= outcome.total:
            return Over(Phase.COMPLETED)
        return _transient(options, status, outcome, seed) if outcome.retryable else Over(Phase.PARTIAL_SUCCESS)
    match failure.cause if failure is not None else Cause.TRANSIENT:
        case Cause.PERMANENT:
            return Over(Phase.FAILED)
        case Cause.INFRASTRUCTURE:
            return _infrastructure(status)
        case Cause.TRANSIENT:
            return _transient(options, status, outcome, seed)


def _infrastructure(status: CrawlJobStatus) -> Again | Over:
    count = status.infrastructure_retries
    if count >= INFRASTRUCTURE_RETRIES:
        return Over(Phase.DEAD_LETTER)
    return Again(min(_INFRASTRUCTURE_DELAY * 2.0**count, _INFRASTRUCTURE_MAX_DELAY), counted=False)


def _transient(options: RetryOptions, status: CrawlJobStatus, outcome: Outcome | None, seed: str) -> Again | Over:
    failed = status.retry_count + 1
    if failed >= options.max_attempts:
        some = outcome is not None and outcome.failure is None and outcome.succeeded > 0
        return Over(Phase.PARTIAL_SUCCESS if some else Phase.DEAD_LETTER)
    delay = min(
        options.initial_delay_seconds * options.backoff_multiplier ** (failed - 1), float(options.max_delay_seconds)
    )
    if options.jitter:
        delay *= 1 + _JITTER * _fraction(f"{seed}/{failed}")
    asked = outcome.retry_after_seconds if outcome is not None else 0
    return Again(max(delay, float(asked)), counted=True)


def _fraction(seed: str) -> float:
    """Return a number from 0 to 1 that looks random and is always the same for the same seed."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4]) / 0xFFFFFFFF
