"""What must hold at every moment of a trial, whatever goes wrong in it."""

import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from invariants_of_schedules import schedule_violations
from scenarios import Scenario
from world import TERMINAL, Object, Picture, Seen, World, attempt_of, ended, job_uid, owner_kind, owner_uid, phase_of

from crawl_api.names import LABEL_PRIORITY
from crawl_api.status import Phase
from crawl_operator.kube import CRAWLJOBS, SCHEDULES

_ENDS: Final = (Phase.COMPLETED, Phase.PARTIAL_SUCCESS, Phase.FAILED, Phase.DEAD_LETTER, Phase.CANCELLED)

MOVES: Final = frozenset(
    {
        *itertools.product(
            [Phase.PENDING], [Phase.DELAYED, Phase.SUSPENDED, Phase.PROCESSING, Phase.FAILED, Phase.CANCELLED]
        ),
        *itertools.product([Phase.DELAYED], [Phase.PENDING, Phase.SUSPENDED, Phase.CANCELLED]),
        *itertools.product([Phase.SUSPENDED], [Phase.PENDING, Phase.RETRY, Phase.CANCELLED]),
        *itertools.product([Phase.PROCESSING], [*_ENDS, Phase.RETRY, Phase.SUSPENDED]),
        *itertools.product([Phase.RETRY], [Phase.PENDING, Phase.SUSPENDED, Phase.CANCELLED]),
        *itertools.product(_ENDS, [Phase.PENDING]),
    }
)
"""All moves from phase to phase that there are; those from an end only when a person asks for it."""


def violations(world: World, limits: Scenario | None) -> Iterator[str]:
    """Name every moment that broke an invariant; without limits, capacity is not judged."""
    yield from schedule_violations(world)
    begun: set[tuple[str, int]] = set()  # UID of a job and attempt of it that a worker has begun
    for seen, before, after in world.moments():
        if limits is not None:
            yield from _too_many(limits, before, after, seen)
        children: dict[str, list[str]] = {}
        for each in after.live():
            children.setdefault(job_uid(each), []).append(each["metadata"]["name"])
        yield from (f"workers at once for one job, {names}: {seen}" for names in children.values() if len(names) > 1)
        if seen.gone:
            continue
        old = before.objects[seen.resource].get(seen.uid)
        if seen.resource is SCHEDULES:
            continue
        if seen.resource is CRAWLJOBS:
            yield from _bad_history(seen)
            if old is not None:
                yield from _bad_change(old, seen)
        elif old is None and owner_kind(seen.body) == "CrawlJob":
            late = limits is None or seen.body["metadata"]["name"] in world.late
            yield from _bad_birth(seen, before, begun, late=late)
        if seen.resource is not CRAWLJOBS and _has_begun(seen.body):
            begun.add((job_uid(seen.body), attempt_of(seen.body)))


def _too_many(limits: Scenario, before: Picture, after: Picture, seen: Seen) -> Iterator[str]:
    """No job may start beyond a limit; one whose priority is changed while it runs may be beyond it."""
    for limit, priority in ((limits.running, ""), (limits.running_low, "Low")):
        old, new = (
            {job_uid(each) for each in now.live() if priority in {"", each["metadata"]["labels"][LABEL_PRIORITY]}}
            for now in (before, after)
        )
        if limit is not None and len(new) > max(limit, len(old)):
            yield f"more than {limit} {priority} jobs run: {seen}"


def moves_of(status: Object) -> list[tuple[str, str]]:
    """Return the phases that a job went through, as it tells."""
    return [(move["from"], move["to"]) for move in status.get("history", ())]


def _bad_history(seen: Seen) -> Iterator[str]:
    """The trail must lead from `Pending` to where the job stands, by moves that there are."""
    status = seen.body.get("status") or {}
    moves = moves_of(status)
    yield from (f"{origin} → {to}, which is no move: {seen}" for origin, to in moves if (origin, to) not in MOVES)
    trail = ["Pending", *itertools.chain.from_iterable(moves), phase_of(seen.body) or "Pending"]
    if trail[::2] != trail[1::2]:
        yield f"a gap in the history, {moves}: {seen}"


def _bad_change(old: Object, seen: Seen) -> Iterator[str]:
    """What has ended stays, but for a result that expires, unless a person asks for more; nothing is unsaid."""
    before, after = old.get("status") or {}, seen.body.get("status") or {}
    again = before.get("requeued", "") != after.get("requeued", "")
    if phase_of(old) in TERMINAL and _lasting(before) != _lasting(after) and not again:
        yield f"written after its end: {phase_of(old)} → {seen}"
    if not _begins_with(after.get("history", []), before.get("history", [])):
        yield f"history rewritten: {seen}"
    over = [each for each in before.get("attempts", ()) if "outcome" in each]
    if not _begins_with(after.get("attempts", []), over):
        yield f"attempts rewritten: {seen}"


def _lasting(status: Object) -> dict[str, Any]:
    lasting = {name: value for name, value in status.items() if name not in {"updatedAt", "resultURL", "result"}}
    lasting["conditions"] = [each for each in status.get("conditions", ()) if each["type"] != "ResultAvailable"]
    return lasting


def _begins_with(items: list[Any], start: list[Any]) -> bool:
    return items[: len(start)] == start


def _bad_birth(seen: Seen, before: Picture, begun: set[tuple[str, int]], *, late: bool) -> Iterator[str]:
    """A worker comes for a job that waits for one, in time, and for an attempt that nobody has begun.

    One that comes late, its operator having been overtaken, may find its job over: nothing can hold it up any more.
    So may one of two operators that share no lease and do not see the same at the same time.
    """
    job = before.objects[CRAWLJOBS].get(owner_uid(seen.body))
    if job is None:
        return  # deleted while it was asked for: the garbage collector takes it
    if (job_uid(seen.body), attempt_of(seen.body)) in begun:
        yield f"an attempt begun twice: {seen}"
    if phase_of(job) in TERMINAL and not late:
        yield f"a worker for a job that has ended: {seen}"
    for due in (job["spec"].get("scheduledAt"), job.get("status", {}).get("nextRetryAt")):
        if due is not None and seen.at is not None and seen.at < datetime.fromisoformat(due):
            yield f"a worker before its time: {seen}"


def _has_begun(child: Object) -> bool:
    return ended(child) or phase_of(child) == "Running"
