"""When a trial counts as stuck: by how often it has looked and found nothing new, however slow the machine is."""

from collections.abc import Callable
from typing import Final

TURN: Final = 0.008
"""Seconds between two looks; more where the machine is slow."""
_LOOKS: Final = 3750
"""With nothing new, in a row: 30 s at least."""


class StuckError(Exception):
    """Nothing happens any more, and the scenario is not at its end."""


class Patience:
    """Counts looks.

    Args:
        news: returns something else whenever anything has happened.
    """

    def __init__(self, news: Callable[[], object]) -> None:
        self._news = news
        self._last: object = None
        self._looks = 0

    def renew(self) -> None:
        """Begin to wait for something else."""
        self._looks = 0

    def take(self, what: str) -> None:
        """Count a look.

        Raises:
            StuckError: nothing has happened for long; it says what.
        """
        news = self._news()
        self._looks = self._looks + 1 if news == self._last else 0
        self._last = news
        if self._looks > _LOOKS:
            raise StuckError(what)
