"""The audit trail of a job: every change of phase, also those that were not worth a write of their own."""

import itertools
from datetime import datetime

from crawl_api.status import MAX_HISTORY, ConditionType, CrawlJobStatus, Move, Phase

_WAITS = (Phase.DELAYED, Phase.RETRY, Phase.SUSPENDED)


def with_history(before: CrawlJobStatus, after: CrawlJobStatus, now: datetime) -> CrawlJobStatus:
    """Return the new status with the moves that lead to it."""
    steps = _steps(before, after)
    if len(steps) == 1:
        return after
    reconciling = after.condition(ConditionType.RECONCILING)
    reasons = {Phase.PENDING: "Due", Phase.PROCESSING: "Crawling"} | {
        after.phase: reconciling.reason if reconciling is not None else after.phase.value
    }
    moves = tuple(Move(origin=origin, to=to, reason=reasons[to], time=now) for origin, to in itertools.pairwise(steps))
    return after.model_copy(update={"history": (*before.history, *moves)[-MAX_HISTORY:]})


def _steps(before: CrawlJobStatus, after: CrawlJobStatus) -> list[Phase]:
    """Return the phases gone through: a wait that ended in a start, or a start that nobody saw, is told afterwards."""
    steps = [before.phase]
    ran = after.phase is Phase.PROCESSING or after.attempts_over > before.attempts_over
    if before.phase in _WAITS and (ran or after.phase is Phase.FAILED):
        steps.append(Phase.PENDING)
    if ran and before.phase is not Phase.PROCESSING:
        steps.append(Phase.PROCESSING)
    if after.phase is not steps[-1]:
        steps.append(after.phase)
    return steps
