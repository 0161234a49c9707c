"""`/v1/graphs`: jobs that wait for each other, in one call."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from crawl_api.crawljob import DependencyCondition
from crawl_client.errors import ValidationError as InvalidError
from crawl_client.graphs import Graph
from crawl_client.requested import NewJob
from crawl_client.validation import check
from crawl_gateway.faces import Json, gives, takes
from crawl_gateway.session import SessionOf
from crawl_gateway.v1 import examples
from crawl_gateway.v1.bodies import job_of, listed, members, problems, sent
from crawl_gateway.v1.many import outcome
from crawl_gateway.v1.models import JobGraph, Outcome
from crawl_gateway.v1.parameters import Key

router: Final = APIRouter(tags=["jobs"])


class _Edge(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    job: str
    after: str
    condition: DependencyCondition | str = DependencyCondition.COMPLETE


@router.post(
    "/graphs",
    operation_id="createGraph",
    summary="Make jobs that wait for each other",
    openapi_extra=takes(JobGraph, example=examples.GRAPH),
    responses={200: gives("What was made, and what was not, and why.", Outcome), **problems(400, 404, 413)},
)
async def create(request: Request, session: SessionOf, key: Key = "") -> Response:
    """Make jobs, each of which starts when those that it comes after have ended.

    Nothing is made unless all of it is valid; what the API server alone can refuse is said job by job. Every job has a
    name; an edge may also name a job that there is already.
    """
    await session.jobs.require("create")
    body = members(await sent(request), "items", "edges")
    jobs = _jobs(listed({"items": body.get("items")}, "items", session.core.settings.max_bulk))
    ordered = _graph(jobs, body.get("edges") or []).jobs()
    for job in ordered:
        check(job.manifest())

    async def make(number: int) -> dict[str, Any]:
        each = f"{key}/{number}" if key else ""
        return (await session.jobs.submit(ordered[number], key=each, named=True)).to_dict()

    return Json(await outcome(len(ordered), make, lambda number: ordered[number].name))


def _jobs(items: list[Any]) -> dict[str, NewJob]:
    found: dict[str, NewJob] = {}
    wrong: list[str] = []
    for number, item in enumerate(items):
        try:
            job, named = job_of(item)
        except InvalidError as error:
            wrong += [f"items.{number}: {each}" for each in error.problems]
            continue
        if not named:
            wrong.append(f"items.{number}: metadata.name: Required value")
        elif job.name in found:
            wrong.append(f"items.{number}: metadata.name: Duplicate value: {job.name}")
        found[job.name] = job
    if wrong:
        raise InvalidError(wrong)
    return found


def _graph(jobs: Mapping[str, NewJob], edges: Any) -> Graph:
    if not isinstance(edges, list):
        raise InvalidError(["edges: a list is wanted"])
    waits: dict[tuple[str, DependencyCondition], list[str]] = {}
    wrong = []
    for number, item in enumerate(edges):
        try:
            edge = _Edge.model_validate(item)
            condition = DependencyCondition(edge.condition)
        except (ValidationError, ValueError):
            wrong.append(f"edges.{number}: job, after, and maybe condition (Complete or Finished) are wanted")
            continue
        if edge.job not in jobs:
            wrong.append(f"edges.{number}: job: {edge.job} is not among the items")
        else:
            waits.setdefault((edge.job, condition), []).append(edge.after)
    if wrong:
        raise InvalidError(wrong)
    graph = Graph()
    for job in jobs.values():
        graph = graph.add(job)
    for (name, condition), others in waits.items():
        graph = graph.add(jobs[name], others, condition=condition)
    return graph
