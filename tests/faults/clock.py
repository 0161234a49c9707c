"""The time in a trial: it stands still until a step lets it pass, so no wait is waited for, and none is cut short."""

from datetime import UTC, datetime, timedelta
from typing import Final

_AHEAD: Final = timedelta(seconds=60)
"""By which it is ahead of the API server's clock: what that has created is never of the future."""


class Clock:
    """Shared by all operators of a trial, and by what happens to their jobs from outside."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC) + _AHEAD

    def now(self) -> datetime:
        """Return the time."""
        return self._now

    def stamp(self) -> str:
        """Return the time as Kubernetes writes it, in whole seconds."""
        return self._now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
