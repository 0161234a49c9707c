"""Jobs and records as flat rows, for tables and spreadsheets."""

from typing import Any, Final

from crawl_client.models import Job

COLUMNS: Final = (
    "namespace",
    "name",
    "uid",
    "displayName",
    "type",
    "priority",
    "phase",
    "percent",
    "succeeded",
    "failed",
    "retries",
    "worker",
    "createdAt",
    "startedAt",
    "completedAt",
    "processingTimeMs",
    "lastError",
    "resultURL",
)

RECORD_COLUMNS: Final = (
    "url",
    "finalUrl",
    "status",
    "contentType",
    "kind",
    "fetchedAt",
    "elapsedMs",
    "bytes",
    "fromCache",
    "title",
    "text",
    "markdown",
    "links",
    "metadata",
    "images",
    "tables",
    "jsonLd",
    "fields",
    "pdf",
    "data",
    "digest",
    "duplicateOf",
    "truncated",
    "error",
)
"""All members that a record may have: of one job some have these, others those."""


def row(job: Job) -> dict[str, Any]:
    """Return a job's values by the names of `COLUMNS`."""
    status = job.raw.get("status") or {}
    values = (
        job.namespace,
        job.name,
        job.uid,
        job.display_name,
        str(job.type),
        str(job.priority),
        str(job.phase),
        job.percent,
        job.progress.get("succeeded", 0),
        job.progress.get("failed", 0),
        job.retries,
        job.worker,
        job.raw["metadata"]["creationTimestamp"],
        status.get("startedAt"),
        status.get("completedAt"),
        status.get("processingTimeMs"),
        job.last_error,
        job.result_url,
    )
    return dict(zip(COLUMNS, values, strict=True))
