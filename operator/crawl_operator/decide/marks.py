"""The operator's own annotations: they follow from the status, so that a crash between two writes is mended."""

from collections.abc import Mapping
from typing import Final

from crawl_api.names import (
    ANNOTATION_DEAD_LETTER,
    ANNOTATION_DEAD_LETTER_AT,
    ANNOTATION_DEAD_LETTER_REASON,
    ANNOTATION_LAST_FAILURE,
    ANNOTATION_NEXT_RETRY,
    ANNOTATION_RETRY_COUNT,
)
from crawl_api.status import ConditionType, CrawlJobStatus, Phase

OWN: Final = frozenset(
    {
        ANNOTATION_RETRY_COUNT,
        ANNOTATION_NEXT_RETRY,
        ANNOTATION_LAST_FAILURE,
        ANNOTATION_DEAD_LETTER,
        ANNOTATION_DEAD_LETTER_REASON,
        ANNOTATION_DEAD_LETTER_AT,
    }
)


def marks_of(status: CrawlJobStatus) -> Mapping[str, str]:
    """Return the annotations that a job of this status carries: while it waits for a retry, and as a dead letter."""
    reconciling = status.condition(ConditionType.RECONCILING)
    match status.phase:
        case Phase.RETRY if status.next_retry_at is not None:
            return {
                ANNOTATION_RETRY_COUNT: str(status.retry_count),
                ANNOTATION_NEXT_RETRY: status.next_retry_at.isoformat().replace("+00:00", "Z"),
                ANNOTATION_LAST_FAILURE: status.last_error,
            }
        case Phase.DEAD_LETTER if reconciling is not None and status.completed_at is not None:
            return {
                ANNOTATION_DEAD_LETTER: "true",
                ANNOTATION_DEAD_LETTER_REASON: reconciling.reason,
                ANNOTATION_DEAD_LETTER_AT: status.completed_at.isoformat().replace("+00:00", "Z"),
            }
        case _:
            return {}


def asks_again(requeue: str, status: CrawlJobStatus) -> bool:
    """Tell whether the requeue annotation holds a value that was not obeyed yet; to remove it asks for nothing."""
    return bool(requeue) and requeue != status.requeued
