"""Capacity: who may start now, and what the others are told."""

from crawl_operator.decide.model import Admission

WAITS = "ConcurrencyLimit"


def admit(*, running: int, limit: int, ahead: int) -> Admission:
    """Grant a job a place if enough are free for those ahead of it too.

    Args:
        running: jobs that hold a place: a live worker, or one being created.
        limit: places there are.
        ahead: waiting jobs that are served first (a more urgent class, or the same and older).
    """
    if ahead < limit - running:
        return Admission(granted=True)
    return Admission(
        granted=False,
        reason=WAITS,
        message=f"{limit} jobs may run at once (limits.running) and as many do; more urgent and older jobs go first",
    )
