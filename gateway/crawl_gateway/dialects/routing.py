"""What the routes of all dialects share."""

from collections.abc import Awaitable, Callable, Coroutine
from json import JSONDecodeError
from typing import Annotated, Any, Final, TypeVar

from fastapi import Header
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from crawl_client.errors import NotFoundError, ResultUnavailableError
from crawl_gateway.errors import RefusedError, refused

T = TypeVar("T")

Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        description="The same request with the same key is answered with the same job, however often it comes.",
    ),
]

_MEANINGS: Final = {
    400: "The request cannot be understood, or what it asks for is wrong.",
    401: "The token is missing, unknown, expired, or not meant for here.",
    403: "The caller may not do that there.",
    404: "There is no such thing, as far as the caller may know.",
    422: "A parameter has another form.",
    429: "Too many requests, or a quota is used up; `Retry-After` says for how long to wait.",
    500: "Something went wrong here.",
    503: "The Kubernetes API does not answer, or nobody works.",
}


class _Request(Request):
    """A request whose body is JSON by the standard: no NaN, no half of a character, no depth without end."""

    async def json(self) -> Any:
        try:
            return from_json(await self.body(), allow_inf_nan=False)
        except ValueError as error:
            raise JSONDecodeError(str(error), "", 0) from error


class Route(APIRoute):
    """A route that reads its body strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what handles a request."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(_Request(request.scope, request.receive))

        return strictly


def problems(model: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document what can go wrong, beside what always can."""
    always = {401, 403, 429, 500, 503}
    said: dict[int | str, dict[str, Any]] = {
        status: {"description": _MEANINGS[status], "model": model} for status in sorted({*always, *statuses})
    }
    return {**said, "default": {"description": "Anything else that goes wrong.", "model": model}}


def answered(example: Any, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Document what is answered, by an example."""
    return {status: {"content": {"application/json": {"example": example}}}}


def operation_id(route: APIRoute) -> str:
    """Name an operation by its method and path, which are its own even where one function serves several paths."""
    (method,) = route.methods or {""}
    return "_".join([method.lower(), *(part.strip("{}") for part in route.path_format.split("/") if part)])


async def found(asked: Awaitable[T], message: str) -> T:
    """Wait for what is asked for; where there is none, say so in a dialect's own words.

    Raises:
        RefusedError: 404, with that message.
    """
    try:
        return await asked
    except ResultUnavailableError:
        raise
    except (NotFoundError, RefusedError) as error:
        if isinstance(error, RefusedError) and error.problem.status != 404:
            raise
        raise refused(404, "NotFound", message) from error
