"""Retention: when a finished job's result and the job itself have been kept long enough."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from crawl_api.crawljob import Ttl
from crawl_api.status import ConditionStatus, ConditionType, CrawlJobStatus, Phase
from crawl_operator.decide.conditions import Conditions


@dataclass(frozen=True, slots=True)
class Expiry:
    """When what ends."""

    result: datetime | None = None
    """When the result goes; None where there is none (any more)."""
    job: datetime | None = None
    """When the job goes; None: never."""


KEPT = Expiry()


def expiry_of(ttl: Ttl, status: CrawlJobStatus) -> Expiry:
    """Return when a job's result and the job itself expire; `KEPT` while it has not ended."""
    end = status.completed_at
    if end is None or not status.phase.terminal:
        return KEPT
    match status.phase:
        case Phase.DEAD_LETTER:
            seconds = ttl.dead_letter_seconds
        case Phase.FAILED:
            seconds = ttl.failed_seconds
        case _:
            seconds = ttl.completed_seconds
    available = status.condition(ConditionType.RESULT_AVAILABLE)
    stored = available is not None and available.status is ConditionStatus.TRUE
    return Expiry(
        result=end + timedelta(seconds=ttl.result_seconds) if stored else None,
        job=end + timedelta(seconds=seconds) if seconds is not None else None,
    )


def without_result(status: CrawlJobStatus, ttl: Ttl, now: datetime) -> CrawlJobStatus:
    """Return the status of a job whose result has expired: counts and checksum stay, the data goes."""
    message = f"removed {ttl.result_seconds} s after the end (spec.ttl.resultSeconds)"
    conditions = Conditions(status.conditions, status.observed_generation, now)
    update: dict[str, object] = {
        "conditions": conditions.false(ConditionType.RESULT_AVAILABLE, "ResultExpired", message).all,
        "result_url": "",
    }
    if status.result is not None:
        update["result"] = status.result.model_copy(update={"data": None})
    return status.model_copy(update=update)
