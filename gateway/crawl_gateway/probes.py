"""What the kubelet and Prometheus ask; nobody needs a token for that, and nothing of any job is told."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from crawl_api.enums import Phase
from crawl_client.models import Job
from crawl_client.stats import UNSEEN_SECONDS
from crawl_gateway.core import Core
from crawl_gateway.entries import Entry
from crawl_gateway.faces import Json
from crawl_gateway.metrics import CONTENT_TYPE
from crawl_gateway.session import core_of

router: Final = APIRouter(tags=["probes"])

STALE_SECONDS: Final = 150.0
"""A watch says something every minute, even if nothing happens; after more than twice that, it is not alive."""
_UNKNOWN: Final = "queue: the jobs are not known, or not as they are now"


class _Part(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class ConnectionPool(_Part):
    """Watches of the API server."""

    watches: int
    alive: int
    """Those that were heard of lately."""


class Watched(_Part):
    """What is known of one resource."""

    resource: str
    synced: bool
    """Whether everything was listed."""
    objects: int
    silent_seconds: Annotated[float | None, Field(alias="silentSeconds")]
    """Since something was heard; null before everything was listed."""


class GatewayHealth(_Part):
    """How the gateway is."""

    status: Literal["healthy", "unhealthy"]
    message: str
    """What is wrong; empty where all is well."""
    uptime_seconds: int
    overall_healthy: bool
    queue_healthy: bool
    """Whether jobs are known as they are now."""
    worker_pool_healthy: bool
    """Whether an operator looks at jobs."""
    connection_pool: ConnectionPool
    watches: list[Watched]


def _told(description: str, *, fresh: bool, message: str = "") -> dict[str, Any]:
    """Document an answer."""
    example = {
        "status": "healthy" if fresh else "unhealthy",
        "message": message,
        "uptime_seconds": 3600,
        "overall_healthy": fresh,
        "queue_healthy": fresh,
        "worker_pool_healthy": True,
        "connection_pool": {"watches": 2, "alive": 2 if fresh else 0},
        "watches": [{"resource": "crawljobs", "synced": True, "objects": 17, "silentSeconds": 0.4 if fresh else 160.2}],
    }
    return {"description": description, "model": GatewayHealth, "content": {"application/json": {"example": example}}}


@router.get(
    "/health",
    operation_id="health",
    summary="Whether all is well: what is known here is fresh, and jobs are looked at",
    responses={200: _told("How it is, well or not.", fresh=True)},
)
async def health(request: Request) -> Response:
    """Answer always with 200: a restart would bring neither the API server back nor an operator."""
    return Json(_state(request))


@router.get(
    "/ready",
    operation_id="ready",
    summary="Whether requests can be answered",
    responses={
        200: _told("They can.", fresh=True),
        503: _told("They cannot.", fresh=False, message=_UNKNOWN),
    },
)
async def ready(request: Request) -> Response:
    """Answer 503 before everything was listed, when the watches are silent for long, and while the process ends."""
    return Json(_state(request), 200 if _fresh(core_of(request)) else 503)


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="The process's own metrics for Prometheus",
    response_class=PlainTextResponse,
)
async def metrics(request: Request) -> Response:
    """Write the metrics in Prometheus' text format."""
    return Response(core_of(request).metrics.exposition(), media_type=CONTENT_TYPE)


def _state(request: Request) -> dict[str, Any]:
    core = core_of(request)
    kinds = (core.jobs, core.schedules)
    fresh = _fresh(core)
    unseen = max((_unseen(each.shelf) for each in core.jobs.all), default=0.0)
    working = unseen <= UNSEEN_SECONDS
    said = [] if fresh else [_UNKNOWN]
    said += [] if working else [f"pool: no operator has looked at a job for {unseen:.0f} s"]
    return {
        "status": "healthy" if fresh and working else "unhealthy",
        "message": "; ".join(said),
        "uptime_seconds": int(time.monotonic() - core.started),
        "overall_healthy": fresh and working,
        "queue_healthy": fresh,
        "worker_pool_healthy": working,
        "connection_pool": {
            "watches": sum(len(each.all) for each in kinds),
            "alive": sum(watch.silence < STALE_SECONDS for each in kinds for watch in each.all),
        },
        "watches": [
            {
                "resource": each.resource,
                "synced": each.synced,
                "objects": len(each),
                "silentSeconds": round(each.silence, 1) if each.synced else None,
            }
            for each in kinds
        ],
    }


def _unseen(jobs: Iterable[Entry[Job]]) -> float:
    """Return for how many seconds a job has waited for any operator to look at it."""
    waiting = (entry for entry in jobs if entry.phase is Phase.PENDING and entry.object.reason == "AwaitingOperator")
    oldest = min((entry.created for entry in waiting), default=None)
    return (datetime.now(UTC) - oldest).total_seconds() if oldest is not None else 0.0


def _fresh(core: Core) -> bool:
    """Tell whether what is known can be relied on, and will be for a while."""
    kinds = (core.jobs, core.schedules)
    return all(each.synced and each.silence < STALE_SECONDS for each in kinds) and not core.stopping.is_set()
