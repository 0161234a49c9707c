"""Exit codes, and errors as one line that says what to do."""

import sys
from typing import Final

from crawl_client import errors

FAILED: Final = 1
"""The job ended without success; or something went wrong that has no code of its own."""
USAGE: Final = 2
NOT_FOUND: Final = 3
INVALID: Final = 4
TIMEOUT: Final = 5
NOT_ALLOWED: Final = 6
CONFLICT: Final = 7
UNREACHABLE: Final = 8
FULL: Final = 9
DEAD_LETTER: Final = 10
CANCELLED: Final = 11
PARTIAL: Final = 12
INTERRUPTED: Final = 130

OF_PHASE: Final = {"Failed": FAILED, "DeadLetter": DEAD_LETTER, "Cancelled": CANCELLED}

_KINDS: Final[tuple[tuple[type[errors.AppError], int, str], ...]] = (
    (errors.ResultUnavailableError, NOT_FOUND, ""),
    (errors.NotFoundError, NOT_FOUND, "`kubectl crawl list` shows what there is; -n names another namespace"),
    (errors.ValidationError, INVALID, "`kubectl crawl explain` describes each field"),
    (errors.TimeoutError, TIMEOUT, ""),
    (errors.AuthenticationError, NOT_ALLOWED, "log in again, or choose another --context"),
    (
        errors.ForbiddenError,
        NOT_ALLOWED,
        "ask an administrator for that right; `kubectl auth can-i` tells what you have",
    ),
    (errors.ConflictError, CONFLICT, ""),
    (errors.QueueFullError, FULL, "delete jobs that are over, or ask for a larger quota"),
    (errors.RateLimitError, FULL, "try again later"),
    (errors.UnavailableError, UNREACHABLE, "see that the cluster runs and that --context names the right one"),
    (errors.ConfigurationError, USAGE, ""),
)


class Refused(errors.AppError):
    """What was typed makes no sense."""


def report(error: errors.AppError) -> int:
    """Print an error as one line on standard error and return the exit code."""
    code, hint = FAILED, ""
    if isinstance(error, Refused):
        code = USAGE
    elif isinstance(error, errors.JobFailedError):
        code = OF_PHASE.get(error.phase, FAILED)
    else:
        for kind, its_code, its_hint in _KINDS:
            if isinstance(error, kind):
                code, hint = its_code, its_hint
                break
    if code == NOT_FOUND and "crawljobs" not in str(error):
        hint = ""
    if "scheduledcrawljobs" in str(error):
        hint = hint.replace("crawl list", "crawl schedule list")
    if "could not find the requested resource" in str(error):
        hint = "the cluster does not know CrawlJobs: install crawl-operator there"
    message = " ".join(str(error).split()).rstrip(".")
    sys.stderr.write(f"error: {message}" + (f"; {hint}" if hint else "") + "\n")
    return code
