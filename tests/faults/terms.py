"""The time of a trial's lease: it stands still until the lease shall run out, so that no slow machine loses it."""

from typing import Final

from crawl_operator.lease import Lease
from crawl_operator.setting_groups import Leadership

LEASE_SECONDS: Final = 60
_RENEW_SECONDS: Final = 0.5
"""In real time, which no lease here goes by."""


class LeaseClock:
    """Tells all operators of a trial the same seconds."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        return self._now

    def run_out(self) -> None:
        """Let a lease run out that nobody renews from now on."""
        self._now += LEASE_SECONDS


class Term(Lease):
    """A stand for election that shows when it is between two tries."""

    _trying = False

    @property
    def pauses(self) -> bool:
        """Whether it neither has the lease nor is about to get it."""
        return not (self._trying or self._held.is_set())

    async def _try(self) -> float:
        self._trying = True
        try:
            return await super()._try()
        finally:
            self._trying = False


def leadership_of(namespace: str, *, leased: bool) -> Leadership:
    """Return how the operators of a trial agree on who acts."""
    return Leadership(enabled=leased, namespace=namespace, lease_seconds=LEASE_SECONDS, renew_seconds=_RENEW_SECONDS)
