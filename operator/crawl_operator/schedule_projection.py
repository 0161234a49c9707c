"""From ScheduledCrawlJobs, and CrawlJobs that they own, to the slim values that schedules are decided from."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from crawl_api.base import printable
from crawl_api.names import (
    ANNOTATION_SLOT,
    ANNOTATION_TRIGGER,
    GROUP,
    LABEL_EXECUTION,
    SCHEDULE_KIND,
)
from crawl_api.schedule import MAX_TRIGGER, ScheduledCrawlJobStatus
from crawl_api.status import CrawlJobStatus
from crawl_operator.decide.run import Run, ScheduleKey
from crawl_operator.decide.schedule_model import Schedule

Json = Mapping[str, Any]


def schedule_of(body: Json) -> Schedule:
    """Project a ScheduledCrawlJob."""
    meta = body["metadata"]
    try:
        status = ScheduledCrawlJobStatus.model_validate(body.get("status") or {})
    except ValidationError:
        status = ScheduledCrawlJobStatus()  # written by hand past the operator: it is made anew from the runs
    return Schedule(
        key=ScheduleKey(meta["namespace"], meta["name"]),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        generation=int(meta.get("generation", 0)),
        created=datetime.fromisoformat(meta["creationTimestamp"]),
        deleting="deletionTimestamp" in meta,
        spec=body["spec"],
        status=status,
        trigger=_repeatable((meta.get("annotations") or {}).get(ANNOTATION_TRIGGER, "")),
    )


def run_of(meta: Json, status: CrawlJobStatus) -> Run | None:
    """Project a CrawlJob as its schedule sees it; None for one that no schedule owns."""
    owner = _owner(meta)
    if owner is None:
        return None
    annotations = meta.get("annotations") or {}
    return Run(
        schedule=ScheduleKey(meta["namespace"], owner["name"]),
        schedule_uid=owner["uid"],
        name=meta["name"],
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        created=datetime.fromisoformat(meta["creationTimestamp"]),
        phase=status.phase,
        deleting="deletionTimestamp" in meta,
        ended=status.completed_at,
        slot=_slot(annotations.get(ANNOTATION_SLOT, "")),
        number=_number((meta.get("labels") or {}).get(LABEL_EXECUTION, "")),
        trigger=_repeatable(annotations.get(ANNOTATION_TRIGGER, "")),
    )


def _owner(meta: Json) -> Json | None:
    for owner in meta.get("ownerReferences") or ():
        if (
            owner.get("controller")
            and owner["kind"] == SCHEDULE_KIND
            and owner["apiVersion"].partition("/")[0] == GROUP
        ):
            found: Json = owner
            return found
    return None


def _slot(text: str) -> datetime | None:
    try:
        slot = datetime.fromisoformat(text)
    except ValueError:
        return None  # changed by hand, or of a run that was asked for
    return slot.astimezone(UTC) if slot.tzinfo is not None else None


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 18 else 0


def _repeatable(text: str) -> str:
    """Return an annotation's value as a status can repeat it."""
    return printable(printable(text)[:MAX_TRIGGER])
