"""`/v1/statistics`: jobs, queues, workers, rates."""

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from crawl_gateway.faces import Json, gives
from crawl_gateway.session import SessionOf
from crawl_gateway.statistics import shown
from crawl_gateway.v1.bodies import problems
from crawl_gateway.v1.models import Statistics

router: Final = APIRouter(tags=["statistics"])


@router.get(
    "/statistics",
    operation_id="statistics",
    summary="Count jobs, queues and workers",
    responses={200: gives("The numbers.", Statistics), **problems(400, 404)},
)
async def statistics(session: SessionOf) -> Response:
    """Count what is there now; average and percentiles are exact, of the latest 1,000 that have ended."""
    return Json(shown(await session.jobs.statistics()))
