"""JSON bodies ↔ jobs and schedules, and what every route of `/v1` documents."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from crawl_api.names import API_VERSION, KIND, SCHEDULE_KIND
from crawl_client.errors import ValidationError as InvalidError
from crawl_client.models import ApiObject
from crawl_client.requested import NewJob, NewSchedule
from crawl_gateway.errors import Problem, bad_request, render
from crawl_gateway.faces import Json, gives
from crawl_gateway.v1.examples import PROBLEMS
from crawl_gateway.v1.models import Error

Names = dict[Annotated[str, Field(max_length=317)], Annotated[str, Field(max_length=262_144)]]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Metadata(_Closed):
    name: str = ""
    generateName: Annotated[str, Field(max_length=50)] = ""  # noqa: N815 - the word on the wire
    namespace: str | None = None
    labels: Names = {}
    annotations: Names = {}


class _Manifest(_Closed):
    apiVersion: str = API_VERSION  # noqa: N815 - the word on the wire
    kind: str = ""
    metadata: _Metadata = _Metadata()
    spec: dict[str, Any]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document what can go wrong, beside what always can."""
    return errors({status: PROBLEMS[status] for status in sorted({401, 403, 422, 429, 503, *statuses})})


def errors(known: Mapping[int, tuple[str, Problem]]) -> dict[int | str, dict[str, Any]]:
    """Document errors, each by what it means and by one such."""
    return {
        status: gives(meaning, Error, example=render(replace(problem, request_id="order-17"))[1])
        for status, (meaning, problem) in known.items()
    }


async def sent(request: Request) -> Any:
    """Return the JSON of a request's body.

    Raises:
        RefusedError: 400: it is none.
    """
    try:
        return from_json(await request.body(), allow_inf_nan=False)
    except ValueError as error:
        raise bad_request(f"the body is not JSON: {error}") from error


def job_of(body: Any) -> tuple[NewJob, bool]:
    """Make a job of a body, and tell whether it has a name of its own.

    Raises:
        ValidationError: with all that is wrong.
    """
    manifest = _manifest(body, KIND)
    return NewJob.from_dict(manifest), bool(manifest["metadata"]["name"])


def schedule_of(body: Any) -> NewSchedule:
    """Make a schedule of a body.

    Raises:
        ValidationError: with all that is wrong.
    """
    return NewSchedule.from_dict(_manifest(body, SCHEDULE_KIND))


def members(body: Any, *allowed: str) -> Mapping[str, Any]:
    """Return a body that is an object with no other members.

    Raises:
        ValidationError: it is something else.
    """
    if not isinstance(body, dict):
        raise InvalidError(["the body must be an object"])
    if unknown := sorted(set(body) - set(allowed)):
        raise InvalidError([f'unknown field "{name}"' for name in unknown])
    return body


def listed(body: Any, name: str, most: int) -> list[Any]:
    """Return the items of a body that is a list in an object.

    Raises:
        ValidationError: they are none, or too many.
    """
    items = members(body, name).get(name)
    if not isinstance(items, list) or not items:
        raise InvalidError([f"{name}: a list with at least one item is wanted"])
    if len(items) > most:
        raise InvalidError([f"{name}: Too many: {len(items)}: must have at most {most} items"])
    return items


def whole(item: ApiObject, status: int = 200) -> Response:
    """Answer with an object; its version is the ETag."""
    version = item.raw["metadata"].get("resourceVersion", "")
    return Json(item.to_dict(), status, {"ETag": f'"{version}"'} if version else None)


def _manifest(body: Any, kind: str) -> dict[str, Any]:
    try:
        manifest = _Manifest.model_validate(body)
    except ValidationError as error:
        raise InvalidError([_sentence(each["loc"], each["msg"]) for each in error.errors(include_url=False)]) from error
    return manifest.model_dump(by_alias=True) | {"kind": manifest.kind or kind}


def _sentence(place: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(map(str, place)) or 'body'}: {message}"
