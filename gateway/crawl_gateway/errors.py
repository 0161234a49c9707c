"""Everything that can go wrong → one `Problem`, which each face writes in its own words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final

from crawl_client import errors as client

_OWN_TROUBLE: Final = "the gateway itself may not do that on the Kubernetes API: see its rights"


@dataclass(frozen=True)
class Problem:
    """Why a request was not done."""

    status: int
    """HTTP status."""
    code: str
    """One word for machines, Kubernetes' own where it has one: NotFound, Invalid, BadRequest, Forbidden…"""
    message: str
    """A sentence for people."""
    details: tuple[str, ...] = ()
    """One sentence for each thing that is wrong with what was sent."""
    retry_after: float = 0
    """Seconds after which another try may go well; 0: unknown, or none can."""
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""


Render = Callable[[Problem], tuple[int, Any]]
"""Writes a problem as a face has it: HTTP status and JSON body."""


class RefusedError(Exception):
    """Raised by the gateway itself."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def refused(status: int, code: str, message: str, **more: Any) -> RefusedError:
    """Make the error of a request that is not done."""
    return RefusedError(Problem(status, code, message, **more))


def unauthorized(message: str) -> RefusedError:
    """Make the error of a caller who is not known."""
    return refused(401, "Unauthorized", message, headers={"WWW-Authenticate": 'Bearer realm="crawl-gateway"'})


def missing(what: str, name: str) -> RefusedError:
    """Make the error of an object that does not exist."""
    return refused(404, "NotFound", f'{what} "{name}" not found')


def bad_request(*problems: str) -> RefusedError:
    """Make the error of a request that cannot be understood."""
    return refused(400, "BadRequest", "; ".join(problems), details=problems)


_WORDS: Final[tuple[tuple[type[Exception], Problem], ...]] = (
    (client.ValidationError, Problem(422, "Invalid", "")),
    (client.QueueFullError, Problem(429, "QueueFull", "", retry_after=10)),
    (client.RateLimitError, Problem(429, "TooManyRequests", "", retry_after=1)),
    (client.ResultUnavailableError, Problem(404, "NoResult", "")),
    (client.NotFoundError, Problem(404, "NotFound", "")),
    (client.ConflictError, Problem(409, "Conflict", "")),
    (client.ForbiddenError, Problem(502, "GatewayForbidden", _OWN_TROUBLE)),
    (client.AuthenticationError, Problem(502, "GatewayForbidden", _OWN_TROUBLE)),
    (client.UnavailableError, Problem(503, "ServiceUnavailable", "the Kubernetes API does not answer", retry_after=2)),
    (client.TimeoutError, Problem(504, "Timeout", "")),
    (TimeoutError, Problem(504, "Timeout", "it took too long")),
)
"""What errors of the client mean; one without a message has the error's own, as has one without a reason its code."""


def problem_of(error: Exception) -> Problem:
    """Say what an error means to whoever asked; what is not foreseen is a 500 without its text."""
    if isinstance(error, RefusedError):
        return error.problem
    found = next((problem for kind, problem in _WORDS if isinstance(error, kind)), None)
    if found is None:
        return Problem(500, "InternalError", "something went wrong here; the log knows more by the request id")
    if found.message:
        return found
    # A quota that is used up is Forbidden to the API server, like what may never be done.
    reason = "" if isinstance(error, client.QueueFullError) else getattr(error, "reason", "")
    return replace(
        found,
        code=reason or found.code,
        message=str(error),
        details=getattr(error, "problems", ()),
        retry_after=getattr(error, "retry_after", 0) or found.retry_after,
    )


_CODES: Final = {413: "PayloadTooLarge"}
"""Words for what Python's versions call differently."""


def of_status(status: int, message: str = "", headers: Mapping[str, str] | None = None) -> Problem:
    """Return the problem of a bare HTTP status, such as the framework's own."""
    phrase = HTTPStatus(status).phrase
    code = _CODES.get(status) or phrase.title().replace(" ", "")
    return Problem(status, code, message or phrase, headers=headers or {})


def render(problem: Problem) -> tuple[int, Any]:
    """Write a problem as `/v1` has it."""
    said: dict[str, Any] = {"code": problem.code, "message": problem.message}
    if problem.details:
        said["details"] = list(problem.details)
    if problem.retry_after:
        said["retryAfterSeconds"] = problem.retry_after
    return problem.status, {"error": {**said, "requestId": problem.request_id}}
