"""`/v1/schedules`: make, find, switch on and off, run now."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from crawl_gateway.faces import Json, gives, takes
from crawl_gateway.session import SessionOf
from crawl_gateway.v1 import examples
from crawl_gateway.v1.bodies import problems, schedule_of, sent, whole
from crawl_gateway.v1.models import (
    NewScheduledCrawlJob,
    NextRuns,
    ScheduledCrawlJob,
    ScheduledCrawlJobList,
    Triggered,
)
from crawl_gateway.v1.parameters import Id

router: Final = APIRouter(tags=["schedules"])

_SCHEDULE: Final[dict[int | str, dict[str, Any]]] = {200: gives("The schedule as it is now.", ScheduledCrawlJob)}


@router.post(
    "/schedules",
    operation_id="createSchedule",
    summary="Make a schedule",
    status_code=201,
    openapi_extra=takes(NewScheduledCrawlJob, example=examples.NEW_SCHEDULE),
    responses={201: gives("The schedule.", ScheduledCrawlJob), **problems(400, 404, 409, 413)},
)
async def create(request: Request, session: SessionOf) -> Response:
    """Make a schedule: a job whenever a cron line is due."""
    return whole(await session.schedules.create(schedule_of(await sent(request))), 201)


@router.get(
    "/schedules",
    operation_id="listSchedules",
    summary="List schedules",
    responses={200: gives("All of them.", ScheduledCrawlJobList), **problems(400, 404)},
)
async def list_schedules(session: SessionOf) -> Response:
    """List schedules, the newest first, from memory."""
    return Json({"items": [each.raw for each in await session.schedules.list()]})


@router.get(
    "/schedules/{id}",
    operation_id="getSchedule",
    summary="Read a schedule",
    responses={**_SCHEDULE, **problems(400, 404)},
)
async def read(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Read a schedule, as it is now."""
    return whole(await session.schedules.get(id))


@router.delete(
    "/schedules/{id}",
    operation_id="deleteSchedule",
    summary="Remove a schedule",
    status_code=204,
    responses={204: gives("It is gone."), **problems(400, 404)},
)
async def delete(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Remove a schedule and its runs."""
    await session.schedules.delete(id)
    return Response(status_code=204)


@router.post(
    "/schedules/{id}/enable",
    operation_id="enableSchedule",
    summary="Let a schedule make runs",
    responses={**_SCHEDULE, **problems(400, 404)},
)
async def enable(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Let a schedule make runs again."""
    return whole(await session.schedules.enable(id))


@router.post(
    "/schedules/{id}/disable",
    operation_id="disableSchedule",
    summary="Let a schedule make no runs",
    responses={**_SCHEDULE, **problems(400, 404)},
)
async def disable(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Let a schedule make no runs by itself; those under way go on."""
    return whole(await session.schedules.disable(id))


@router.post(
    "/schedules/{id}/trigger",
    operation_id="triggerSchedule",
    summary="Run a schedule now",
    status_code=202,
    responses={202: gives("A run is made soon.", Triggered), **problems(400, 404)},
)
async def trigger(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Ask for a run now, also of a disabled schedule."""
    return Json({"trigger": await session.schedules.trigger(id)}, 202)


@router.get(
    "/schedules/{id}/next",
    operation_id="nextRuns",
    summary="When a schedule is due",
    responses={200: gives("Its next times.", NextRuns), **problems(400, 404)},
)
async def next_runs(
    id: Id,  # noqa: A002 - the word on the wire
    session: SessionOf,
    count: Annotated[int, Query(ge=1, le=100)] = 5,
) -> Response:
    """Return the next times at which its cron line is due, in its zone."""
    return Json({"items": await session.schedules.next_runs(id, count)})
