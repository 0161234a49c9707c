"""Errors as clients of `/workers/…` read them."""

from typing import Any, Final

from crawl_client.errors import RETRYABLE
from crawl_gateway.errors import Problem

_AS_BAD_REQUEST: Final = frozenset({409, 413, 415, 422})
"""What these clients know as a bad request; 409 is a schedule of a name that exists."""
_STORE_FAILED: Final = "ServiceUnavailable"
"""The API server does not answer. To these clients that is 500, and 503 that nobody works."""


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
