"""Slim projections of jobs and schedules: what lists show and filters ask for, and not what single objects carry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from pydantic_core import to_json

from crawl_api.enums import JobType, Phase, Priority
from crawl_api.names import LABEL_JOB_ID, LABEL_SCHEDULE, LABEL_TASK_ID
from crawl_client.models import ApiObject, Job, Schedule

T = TypeVar("T", bound=ApiObject)

_LONG: Final = frozenset({"attempts", "errors", "history", "parameters"})
_LARGE: Final = 32 << 10
"""Bytes of an object above which a list shows the beginning of it: whoever makes jobs shall not fill the memory."""
_SHOWN: Final = 20
_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
ALIASES: Final = (LABEL_JOB_ID, LABEL_TASK_ID)
"""Labels that an object is found by, beside its name and UID."""
DISPLAY_NAME: Final = "displayName"
"""What people call it finds it too."""

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """One object in a list."""

    object: T
    """Slim: without its result, its errors, and its history."""
    version: int
    """Its resource version."""
    created: datetime
    key: Key
    uid: str
    text: str
    """What free text is searched in, in small letters."""
    phase: Phase = Phase.PENDING
    type: JobType = JobType.SINGLE
    priority: Priority = Priority.NORMAL
    schedule: str = ""
    """Of a job: the schedule that made it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    """Bytes of the whole object as JSON."""
    started: datetime | None = None
    completed: datetime | None = None
    processing_ms: int | None = None
    worker: str = ""
    """Of a job: the pod that runs, or last ran, it."""
    retries: int = 0

    @property
    def weight(self) -> int:
        """Bytes of what is kept of it as JSON, roughly."""
        return min(self.size, 2 * _LARGE)

    @property
    def aliases(self) -> list[tuple[str, str, str]]:
        """Namespace, kind, and value of whatever else it is found by: see `ALIASES` and `DISPLAY_NAME`."""
        labelled = [(self.key[0], label, self.labels[label]) for label in ALIASES if label in self.labels]
        return [*labelled, (self.key[0], DISPLAY_NAME, self.object.display_name)]


MakeEntry = Callable[[Mapping[str, Any]], Entry[T]]


def job_entry(raw: Mapping[str, Any]) -> Entry[Job]:
    """Make an entry of a CrawlJob."""
    size = len(to_json(raw))
    job = Job(slim(raw, size))
    spec = job.raw["spec"]
    member = spec.get(job.type.lower()) or {}
    urls = (member.get("url", ""), *member.get("urls", ()), *member.get("startUrls", ()))
    return Entry(
        object=job,
        version=version_of(raw),
        created=job.created,
        key=(job.namespace, job.name),
        uid=job.uid,
        text="\n".join((job.name, job.display_name, *urls)).lower(),
        phase=job.phase,
        type=job.type,
        priority=job.priority,
        schedule=job.labels.get(LABEL_SCHEDULE, ""),
        labels=job.labels,
        size=size,
        started=job.started,
        completed=job.completed,
        processing_ms=(raw.get("status") or {}).get("processingTimeMs"),
        worker=job.worker,
        retries=job.retries,
    )


def schedule_entry(raw: Mapping[str, Any]) -> Entry[Schedule]:
    """Make an entry of a ScheduledCrawlJob."""
    size = len(to_json(raw))
    schedule = Schedule(slim(raw, size))
    return Entry(
        object=schedule,
        version=version_of(raw),
        created=schedule.created,
        key=(schedule.namespace, schedule.name),
        uid=schedule.uid,
        text=f"{schedule.name}\n{schedule.display_name}".lower(),
        labels=schedule.labels,
        size=size,
    )


def version_of(raw: Mapping[str, Any]) -> int:
    """Return an object's resource version, which later writes make larger."""
    return int(raw["metadata"]["resourceVersion"])


def slim(raw: Mapping[str, Any], size: int = 0) -> dict[str, Any]:
    """Leave away what is long, and what the API server keeps for itself; more of an object of many bytes."""
    metadata = {key: value for key, value in raw["metadata"].items() if key != "managedFields"}
    if _APPLIED in (annotations := metadata.get("annotations") or {}):
        metadata["annotations"] = {key: value for key, value in annotations.items() if key != _APPLIED}
    whole = {**raw, "metadata": metadata}
    if size > _LARGE:
        whole["spec"] = _beginning(raw["spec"])
    if status := raw.get("status"):
        short = {key: value for key, value in status.items() if key not in _LONG}
        if (result := status.get("result")) and "data" in result:
            short["result"] = {key: value for key, value in result.items() if key != "data"}
        whole["status"] = short
    return whole


def _beginning(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec without the caller's own data, and with the first few of its URLs, filters and parameters."""
    short = {key: value for key, value in spec.items() if key not in {"metadata", "jobTemplate"}}
    member = str(spec.get("type", "")).lower()
    if isinstance(spec.get(member), dict):
        short[member] = {
            key: value[:_SHOWN] if isinstance(value, list) else value
            for key, value in spec[member].items()
            if key != "parameters"
        }
    if "jobTemplate" in spec:
        short["jobTemplate"] = {"spec": _beginning(spec["jobTemplate"].get("spec", {}))}
    return short
