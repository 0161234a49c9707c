"""The CrawlJob of a run: made from its schedule's template, under a name that follows from schedule and time alone."""

import hashlib
from base64 import b32encode
from typing import Any, Final
from zoneinfo import ZoneInfo

from crawl_api.names import (
    ANNOTATION_SLOT,
    ANNOTATION_TRIGGER,
    API_VERSION,
    KIND,
    LABEL_EXECUTION,
    LABEL_SCHEDULE,
    LABEL_SCHEDULE_UID,
    SCHEDULE_KIND,
)
from crawl_operator.decide.schedule_model import Schedule, StartRun

Object = dict[str, Any]

_MAX_PREFIX: Final = 40
"""Characters of the schedule's name in those of its runs: 63 are allowed, and a pod's name adds to them."""


def run_name(schedule: Schedule, start: StartRun) -> str:
    """Name a run: the same for the same schedule (by UID) and time, whoever asks and however often."""
    if start.slot is not None:
        middle = what = str(int(start.slot.timestamp()) // 60)
    else:
        middle, what = "manual", f"{start.number}/{start.trigger}"
    digest = b32encode(hashlib.sha256(f"{schedule.uid}/{what}".encode()).digest())[:8].decode().lower()
    return f"{schedule.key.name[:_MAX_PREFIX].rstrip('-.')}-{middle}-{digest}"


def build_run(schedule: Schedule, start: StartRun) -> Object:
    """Return the CrawlJob of a run."""
    template = schedule.spec["jobTemplate"]
    metadata = template.get("metadata") or {}
    annotations = dict(metadata.get("annotations") or {}) | {LABEL_EXECUTION: str(start.number)}
    if start.slot is not None:
        zone = ZoneInfo(schedule.spec.get("timeZone", "UTC"))
        annotations[ANNOTATION_SLOT] = start.slot.astimezone(zone).isoformat()
    if start.trigger:
        annotations[ANNOTATION_TRIGGER] = start.trigger
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": run_name(schedule, start),
            "namespace": schedule.key.namespace,
            "labels": dict(metadata.get("labels") or {})
            | {
                LABEL_SCHEDULE: schedule.key.name,
                LABEL_SCHEDULE_UID: schedule.uid,
                LABEL_EXECUTION: str(start.number),
            },
            "annotations": annotations,
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": SCHEDULE_KIND,
                    "name": schedule.key.name,
                    "uid": schedule.uid,
                    "controller": True,
                    "blockOwnerDeletion": False,  # it needs the right to set finalizers on schedules
                }
            ],
        },
        "spec": template["spec"],
    }
