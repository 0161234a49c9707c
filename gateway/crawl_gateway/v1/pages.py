"""A page of jobs, in the words of `/v1`."""

from typing import Any

from crawl_client.models import Job
from crawl_gateway.selection import Listed


def page(found: Listed[Job]) -> dict[str, Any]:
    """Write a page."""
    return {
        "items": [job.raw for job in found.items],
        "total": found.total,
        "cursor": found.cursor,
        "resourceVersion": str(found.version),
    }
