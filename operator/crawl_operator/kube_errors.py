"""What can go wrong with a call to the Kubernetes API, by what is to be done about it."""

from collections.abc import Mapping

from pydantic_core import from_json


class KubeError(Exception):
    """A call to the API failed.

    Attributes:
        status: HTTP status; 0 when there was no answer.
        reason: the API's own word for it.
        retry_after: seconds the API asks to wait.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "", retry_after: float = 0) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class LoginFailedError(KubeError):
    """There are no credentials to log in with."""


class NotLeadingError(KubeError):
    """The write was not sent: another operator may lead by now."""


class NotFoundError(KubeError):
    """The object is not there."""


class ConflictError(KubeError):
    """The object has changed since it was read; read it again."""


class AlreadyExistsError(KubeError):
    """An object of that name is there already."""


class RefusedError(KubeError):
    """The API will refuse the same call again: it is invalid or forbidden."""


class UnavailableError(KubeError):
    """No answer, or one that says to come back later. Whether a write took place is unknown."""


def error_of(status: int, headers: Mapping[str, str], answer: bytes, call: str) -> KubeError:
    """Return the error that an answer tells of."""
    try:
        details = from_json(answer)
        reason, message = str(details["reason"]), str(details["message"])
    except (ValueError, KeyError, TypeError):
        reason, message = "", answer[:500].decode(errors="replace")
    kind: type[KubeError]
    match status, reason:
        case 404, _:
            kind = NotFoundError
        case 409, "AlreadyExists":
            kind = AlreadyExistsError
        case 409, _:
            kind = ConflictError
        case ((400 | 403 | 405 | 413 | 415 | 422), _):
            kind = RefusedError
        case _:
            kind = UnavailableError
    try:
        retry_after = min(float(headers.get("Retry-After", "0")), 60.0)
    except ValueError:
        retry_after = 0
    return kind(f"{call}: {status} {message}", status=status, reason=reason, retry_after=retry_after)
