"""Kubernetes objects → the slim, frozen values that the store keeps and decisions read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from crawl_api.base import Time, printable
from crawl_api.crawljob import Priority, Ttl
from crawl_api.names import (
    ANNOTATION_CANCEL,
    ANNOTATION_REQUEUE,
    LABEL_ATTEMPT,
    LABEL_JOB,
    LABEL_JOB_UID,
    LABEL_PRIORITY,
    LABEL_QUEUE,
    WORKER_CONTAINER,
)
from crawl_api.status import MAX_REQUEUE, ConditionType, CrawlJobStatus, Phase
from crawl_operator.decide.dependencies import CYCLE
from crawl_operator.decide.marks import OWN, asks_again, marks_of
from crawl_operator.decide.model import BatchJob, Job, JobKey, WorkerPod
from crawl_operator.decide.retention import KEPT, expiry_of
from crawl_operator.schedule_projection import run_of

Json = Mapping[str, Any]

_START_TIME: Final = TypeAdapter[datetime | None](Time | None)
_SETTLED: Final = {phase: CrawlJobStatus(phase=phase) for phase in Phase}
"""What is kept of the status of jobs with which all is settled: one for all of them, for there are thousands."""
_NO_TIME: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def job_of(body: Json, *, whole: bool = False) -> Job:
    """Project a CrawlJob; `whole` keeps spec and status of one with which all is settled."""
    meta = body["metadata"]
    phase = Phase((body.get("status") or {}).get("phase", Phase.PENDING))
    status = _status(body.get("status") or {}, phase)
    annotations = meta.get("annotations") or {}
    marks = {name: value for name, value in annotations.items() if name in OWN}
    requeue = _repeatable(annotations.get(ANNOTATION_REQUEUE, ""))
    created = _time(meta.get("creationTimestamp")) or _NO_TIME
    settled = not whole and phase.terminal and marks == marks_of(status) and not asks_again(requeue, status)
    return Job(
        key=JobKey(meta["namespace"], meta["name"]),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        generation=int(meta.get("generation", 0)),
        created=created,
        since=max(created, _start_time(body) or created),
        priority=Priority((body.get("spec") or {}).get("priority", Priority.NORMAL)),
        phase=phase,
        deleting="deletionTimestamp" in meta,
        spec={} if settled else dict(body["spec"]),
        status=_SETTLED[phase] if settled else status,
        requeue=requeue,
        cancel=annotations.get(ANNOTATION_CANCEL, "").lower() == "true",
        marks=marks,
        queue=(meta.get("labels") or {}).get(LABEL_QUEUE, ""),
        settled=settled,
        expiry=expiry_of(_ttl(body), status) if phase.terminal else KEPT,
        run=run_of(meta, status),
        depends_on=_depends_on(body, status),
    )


def _repeatable(text: str) -> str:
    """Return an annotation's value as a status can repeat it."""
    return printable(printable(text)[:MAX_REQUEUE])


def pod_of(body: Json) -> WorkerPod:
    """Project a worker's pod."""
    meta, status = body["metadata"], body.get("status") or {}
    state = _worker_state(status)
    terminated, running, waiting = (state.get(name) or {} for name in ("terminated", "running", "waiting"))
    unschedulable = _false_condition(status, "PodScheduled")
    return WorkerPod(
        name=meta["name"],
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        attempt=_attempt(meta),
        priority=_priority(meta),
        deleting="deletionTimestamp" in meta,
        phase=status.get("phase", "Pending"),
        started=_time(running.get("startedAt") or terminated.get("startedAt")),
        finished=_time(terminated.get("finishedAt")),
        exit_code=terminated.get("exitCode"),
        signal=terminated.get("signal"),
        end_reason=str(status.get("reason") or terminated.get("reason") or ""),
        end_message=str(status.get("message") or ""),
        termination_message=str(terminated.get("message") or ""),
        hold_reason=str(waiting.get("reason") or unschedulable.get("reason") or ""),
        hold_message=str(waiting.get("message") or unschedulable.get("message") or ""),
    )


def batch_job_of(body: Json) -> BatchJob:
    """Project a batch Job."""
    meta, status = body["metadata"], body.get("status") or {}
    held = {each["type"]: each for each in status.get("conditions") or () if each.get("status") == "True"}
    failed = held.get("Failed") or {}
    return BatchJob(
        name=meta["name"],
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        attempt=_attempt(meta),
        priority=_priority(meta),
        deleting="deletionTimestamp" in meta,
        suspended=bool((body.get("spec") or {}).get("suspend")),
        failed_reason=str(failed.get("reason", "Failed")) if failed else "",
        failed_message=str(failed.get("message", "")),
        completed="Complete" in held,
    )


def owner_of(body: Json) -> tuple[JobKey, str] | None:
    """Return key and UID of the CrawlJob that a child belongs to; None for an object that is no child of ours."""
    meta = body["metadata"]
    labels = meta.get("labels") or {}
    if LABEL_JOB not in labels or LABEL_JOB_UID not in labels:
        return None
    return JobKey(meta["namespace"], labels[LABEL_JOB]), labels[LABEL_JOB_UID]


def _ttl(body: Json) -> Ttl:
    try:
        return Ttl.model_validate((body.get("spec") or {}).get("ttl", {}))
    except ValidationError:
        return Ttl()  # the schema refuses such a one


def _depends_on(body: Json, status: CrawlJobStatus) -> tuple[str, ...]:
    failed = status.condition(ConditionType.FAILED)
    if status.phase.terminal and (failed is None or failed.reason != CYCLE):
        return ()
    return tuple(str(each["name"]) for each in (body.get("spec") or {}).get("dependsOn") or ())


def _start_time(body: Json) -> datetime | None:
    try:
        return _START_TIME.validate_python((body.get("spec") or {}).get("scheduledAt"))
    except ValidationError:
        return None  # the schema refuses such a one


def _status(status: Json, phase: Phase) -> CrawlJobStatus:
    try:
        return CrawlJobStatus.model_validate(status)
    except ValidationError:
        return CrawlJobStatus(phase=phase)  # written by hand past the operator: it will be written anew


def _worker_state(pod_status: Json) -> Json:
    for container in pod_status.get("containerStatuses") or ():
        if container.get("name") == WORKER_CONTAINER:
            state: Json = container.get("state") or {}
            return state
    return {}


def _false_condition(status: Json, kind: str) -> Json:
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind and condition.get("status") == "False":
            found: Json = condition
            return found
    return {}


def _attempt(meta: Json) -> int:
    text = (meta.get("labels") or {}).get(LABEL_ATTEMPT, "1")
    return int(text) if text.isdecimal() else 1


def _priority(meta: Json) -> Priority:
    try:
        return Priority((meta.get("labels") or {}).get(LABEL_PRIORITY, ""))
    except ValueError:
        return Priority.NORMAL  # changed by hand: counted somewhere all the same


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
