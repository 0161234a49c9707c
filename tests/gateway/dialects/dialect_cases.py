"""Jobs and schedules as the API server tells them, for tables of translations."""

from typing import Any

from crawl_api.enums import Phase
from crawl_client.models import Job, Schedule
from crawl_gateway.entries import Entry, job_entry
from gateway_client import Gateway

UID = "0f8fad5b-d9cb-469f-a165-70867728950e"
SINGLE: dict[str, Any] = {"type": "Single", "single": {"url": "https://example.org/"}}
COUNTS_HOLD = 1.1
"""Seconds after which the gateway counts anew."""
CREATED = "2026-03-01T10:00:00Z"
PATHS = {
    **{
        f"{base}{path}": methods
        for base in ("/workers", "/api/v1/workers")
        for path, methods in {
            "/jobs": {"get", "post"},
            "/jobs/{job_id}": {"get"},
            "/jobs/{job_id}/result": {"get"},
            "/stats/queue": {"get"},
            "/queue/stats": {"get"},
            "/stats/workers": {"get"},
            "/stats": {"get"},
            "/metrics": {"get"},
            "/schedule": {"get", "post"},
            "/scheduled": {"get", "post"},
            "/schedule/{job_id}": {"delete"},
            "/scheduled/{job_id}": {"delete"},
        }.items()
    },
    "/tasks": {"get", "post"},
    "/tasks/{task_id}": {"get", "delete"},
    "/workers": {"get"},
    "/schemas": {"get"},
    "/schemas/{task_type}": {"get"},
    "/statistics": {"get"},
    "/jobs": {"post"},
    "/jobs/{jobId}": {"get"},
}
"""Every path of the dialects, and its methods."""


def job(phase: Phase | None = None, *, spec: dict[str, Any] | None = None, **more: Any) -> Job:
    """Make a job; what is not of its metadata is of its status."""
    metadata = {key: more.pop(key) for key in ("labels", "annotations", "uid", "name") if key in more}
    status = ({"phase": phase} if phase else {}) | more
    return Job.from_dict(
        {
            "metadata": {"name": "a", "namespace": "n", "uid": UID, "creationTimestamp": CREATED, **metadata},
            "spec": spec or SINGLE,
            "status": status,
        }
    )


def entry_of(made: Job) -> Entry[Job]:
    """Put a job into memory."""
    metadata = {"resourceVersion": "1", **made.raw["metadata"]}
    return job_entry({**made.raw, "metadata": metadata})


def schedule(spec: dict[str, Any] | None = None, **status: Any) -> Schedule:
    """Make a schedule."""
    given = {"schedule": "0 2 * * *", "jobTemplate": {"spec": SINGLE}, "displayName": "daily_crawl", **(spec or {})}
    metadata = {"name": "daily-crawl", "namespace": "n", "uid": UID, "creationTimestamp": CREATED}
    return Schedule.from_dict({"metadata": metadata, "spec": given, "status": status})


def ask(call: Gateway, path: str, expected: int = 200, /, **params: Any) -> Any:
    """Ask with parameters of any name, `status` among them, and return the JSON."""
    return call.call("GET", path, expected, params=params)
