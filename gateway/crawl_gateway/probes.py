"""What the kubelet and Prometheus ask; nobody needs a token for that, and nothing of any job is told."""

from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from crawl_gateway.faces import Json
from crawl_gateway.metrics import CONTENT_TYPE
from crawl_gateway.session import core_of

router: Final = APIRouter(tags=["probes"])

STALE_SECONDS: Final = 150.0
"""A watch says something every minute, even if nothing happens; after more than twice that, it is not alive."""


@router.get("/health", operation_id="health", summary="Whether the process is alive, and how fresh what it knows is")
async def health(request: Request) -> Response:
    """Answer always with 200: a restart would not bring the API server back."""
    return Json(_state(request))


@router.get("/ready", operation_id="ready", summary="Whether requests can be answered")
async def ready(request: Request) -> Response:
    """Answer 503 before everything was listed, when the watches are silent for long, and while the process ends."""
    state = _state(request)
    return Json(state, 200 if state["status"] == "healthy" else 503)


@router.get("/metrics", operation_id="metrics", summary="The process's own metrics for Prometheus")
async def metrics(request: Request) -> Response:
    """Write the metrics in Prometheus' text format."""
    return Response(core_of(request).metrics.exposition(), media_type=CONTENT_TYPE)


def _state(request: Request) -> dict[str, Any]:
    core = core_of(request)
    kinds = (core.jobs, core.schedules)
    fresh = all(each.synced and each.silence < STALE_SECONDS for each in kinds)
    return {
        "status": "healthy" if fresh and not core.stopping.is_set() else "unhealthy",
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
