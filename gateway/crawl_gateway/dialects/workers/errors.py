"""Errors as clients of `/workers/…` read them."""

from typing import Any, Final

from pydantic import ConfigDict

from crawl_client.errors import RETRYABLE
from crawl_gateway.dialects.workers.models import Wire
from crawl_gateway.errors import Problem

_AS_BAD_REQUEST: Final = frozenset({409, 413, 415, 422})
"""What these clients know as a bad request; 409 is a schedule of a name that exists."""
_STORE_FAILED: Final = "ServiceUnavailable"
"""The API server does not answer. To these clients that is 500, and 503 that nobody works."""


class WorkersErrorDetail(Wire):
    """Why a request was not done."""

    type: str
    """One word for machines."""
    message: str
    retryable: bool
    """Whether the same request may go well later."""
    status: int
    """HTTP status."""


class WorkersError(Wire):
    """An error."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "error": {"type": "NotFound", "message": "Job not found", "retryable": False, "status": 404},
                    "message": "Job not found",
                }
            ]
        }
    )

    error: WorkersErrorDetail
    message: str
    """The same once more, where clients look for it."""


def render(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Write a problem: under `error`, and its message on top once more, where the Python client looks."""
    status = 400 if problem.status in _AS_BAD_REQUEST else 500 if problem.code == _STORE_FAILED else problem.status
    detail = {
        "type": problem.code,
        "message": problem.message,
        "retryable": problem.status in RETRYABLE,
        "status": status,
    }
    return status, {"error": detail, "message": problem.message}
