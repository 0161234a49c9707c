"""What can go wrong with a page, in the words of the API: one typed error, and how it becomes a `JobError`."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from crawl_api.base import printable
from crawl_api.status import JobError

RETRYABLE_STATUS: Final = frozenset({408, 425, 429})
"""Client error statuses that another try may change; every 5xx is one too."""

MAX_RETRY_AFTER: Final = 86400
"""Seconds: no site may make a job wait for longer than a day."""


class PageError(Exception):
    """One page could not be fetched or read."""

    def __init__(
        self, code: str, message: str, *, retryable: bool = False, details: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.details = details or {}

    def job_error(self, url: str, attempt: int) -> JobError:
        """Return it as the API tells it, naming the URL as the job names it."""
        return JobError(
            code=self.code,
            message=self.message,
            url=url if printable(url) else None,
            attempt=attempt,
            retryable=self.retryable,
            time=datetime.now(UTC),
            details=self.details,
        )


def http_error(status: int, reason: str, retry_after: str | None) -> PageError:
    """Return the error of a page that was answered with a status other than 2xx."""
    if not 100 <= status <= 999:  # a number that a server made up
        return PageError("ConnectionFailed", f"answered with the status {status}", retryable=True)
    return PageError(
        f"HTTP_{status}",
        f"answered {status} {reason}".rstrip(),
        retryable=status in RETRYABLE_STATUS or status >= 500,
        details={"retryAfter": retry_after} if retry_after else None,
    )


def asked_pause(retry_after: str, now: datetime) -> int:
    """Return for how many seconds a site asked to be left alone: Retry-After names a number of them, or a time."""
    if retry_after.isdecimal():
        return min(int(retry_after), MAX_RETRY_AFTER)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0
    until = until.replace(tzinfo=UTC) if until.tzinfo is None else until
    return min(max(math.ceil((until - now).total_seconds()), 0), MAX_RETRY_AFTER)
