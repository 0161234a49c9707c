"""What can go wrong, as one tree: `AppError` is the root; `APIError` is what the API server said.

AppError
├── ConfigurationError      no cluster can be told from kubeconfig, environment or arguments
├── ValidationError         what was asked for is wrong; nothing was sent or stored
├── TimeoutError            waiting took longer than allowed
├── JobFailedError          a job that was waited for ended without success
└── APIError                status_code, reason
├── AuthenticationError 401: who asks is not known
├── ForbiddenError      403: who asks may not
├── NotFoundError       404
│   └── ResultUnavailableError   not finished, without a result, or its time is over
├── ConflictError       409: it exists already, has changed, or cannot change any more
├── RateLimitError      429: retry_after seconds
└── UnavailableError    no answer, or one that says to come back later
"""

from collections.abc import Mapping, Sequence


class AppError(Exception):
    """Everything that this package raises."""


class ConfigurationError(AppError):
    """No cluster can be told from kubeconfig, environment or arguments."""


class ValidationError(AppError):
    """What was asked for is wrong.

    Attributes:
        problems: one sentence each, in the API server's words, all of them.
    """

    def __init__(self, problems: Sequence[str], what: str = "") -> None:
        self.problems = tuple(problems)
        text = self.problems[0] if len(self.problems) == 1 else f"[{', '.join(self.problems)}]"
        super().__init__(f"{what} is invalid: {text}" if what else text)


class TimeoutError(AppError):  # noqa: A001 - the name that clients of such APIs expect
    """Waiting took longer than allowed; what was waited for goes on."""


class JobFailedError(AppError):
    """A job that was waited for ended without success.

    Attributes:
        phase: how it ended.
    """

    def __init__(self, message: str, phase: str) -> None:
        super().__init__(message)
        self.phase = phase


class APIError(AppError):
    """A call to the API failed.

    Attributes:
        status_code: HTTP status; 0 when there was no answer.
        reason: the API server's own word for it.
        retry_after: seconds that it asks to wait.
    """

    def __init__(
        self,
        message: str,
        status_code: int = 0,
        *,
        reason: str = "",
        retry_after: float = 0,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.reason = reason
        self.retry_after = retry_after


class AuthenticationError(APIError):
    """The API server does not know who asks: no token, a wrong or an expired one."""


class ForbiddenError(APIError):
    """Who asks may not do that."""


class NotFoundError(APIError):
    """There is no such object."""


class ResultUnavailableError(NotFoundError):
    """There is no result to be had: the job is not finished, made none, or its time is over."""


class ConflictError(APIError):
    """An object of that name exists, has changed since it was read, or cannot change in that way any more."""


class RateLimitError(APIError):
    """Too many requests; `retry_after` says for how long to stay away."""


class QueueFullError(RateLimitError):
    """No more jobs may be stored there now: a quota of the namespace is used up."""


class UnavailableError(APIError):
    """No answer, or one that says to come back later."""


RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
"""HTTP statuses after which the same request may go well."""

_OF_QUOTAS = ("exceeded quota", "status unknown for quota")
"""What the API server says when a quota is used up, or so new that nothing of it is counted yet."""


def from_status(code: int, body: Mapping[str, object], retry_after: float, call: str) -> AppError:
    """Make the error of an answer of the API server; what it finds invalid is a `ValidationError`."""
    message = str(body.get("message") or f"{call}: HTTP {code}")
    reason = str(body.get("reason", ""))
    if code in {400, 422}:
        return ValidationError([message])
    kind: type[APIError]
    match code:
        case 401:
            kind, message = AuthenticationError, f"{call}: the API server does not know who asks: {message}"
        case 403:
            kind = QueueFullError if any(words in message for words in _OF_QUOTAS) else ForbiddenError
        case 404:
            kind = NotFoundError
        case 409:
            kind = ConflictError
        case 429:
            kind = RateLimitError
        case _:
            kind = UnavailableError if code in RETRYABLE else APIError
    return kind(message, code, reason=reason, retry_after=retry_after)
