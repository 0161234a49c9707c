"""What must hold at every moment of a trial for schedules and their runs."""

from collections.abc import Iterator
from datetime import datetime

from world import World, owner_kind, owner_uid, phase_of

from crawl_api.names import ANNOTATION_SLOT, SCHEDULE_KIND
from crawl_api.status import Phase
from crawl_operator.kube import CRAWLJOBS, SCHEDULES


def schedule_violations(world: World) -> Iterator[str]:
    """Name every moment at which a time had two runs, a run came too soon, or a total was not what it counts."""
    made: dict[str, dict[str, str]] = {}  # UID of a schedule → UID of a run → its slot, or what else asked for it
    missed = _born_unseen(world)
    for seen, before, _ in world.moments():
        if seen.gone:
            continue
        if seen.resource is CRAWLJOBS and owner_kind(seen.body) == SCHEDULE_KIND:
            runs = made.setdefault(owner_uid(seen.body), {})
            slot = seen.body["metadata"]["annotations"].get(ANNOTATION_SLOT, "")
            if seen.uid not in runs and slot and slot in runs.values():
                yield f"a second run for {slot}: {seen}"
            if seen.uid not in runs and slot and seen.at is not None and seen.at < datetime.fromisoformat(slot):
                yield f"a run before its time: {seen}"
            runs[seen.uid] = slot
        if seen.resource is SCHEDULES:
            old = (before.objects[SCHEDULES].get(seen.uid) or {}).get("status", {})
            status = seen.body.get("status", {})
            counted = status.get("executionCount", 0)
            if counted > len(made.get(seen.uid, {}).keys() | missed.get(seen.uid, set())):
                yield f"{counted} runs counted, and fewer made: {seen}"
            if counted < old.get("executionCount", 0):
                yield f"fewer runs counted than before: {seen}"
            if status.get("missedCount", 0) < old.get("missedCount", 0) and counted == old.get("executionCount", 0):
                yield f"fewer missed than before, and no run for it: {seen}"


def _born_unseen(world: World) -> dict[str, set[str]]:
    """Return UID of a schedule → UIDs of runs that had changed when a watch first told of them: they may be older.

    It is so when the API server is killed in between.
    """
    found: dict[str, set[str]] = {}
    known: set[str] = set()
    for seen, _, _ in world.moments():
        if seen.resource is CRAWLJOBS and owner_kind(seen.body) == SCHEDULE_KIND and seen.uid not in known:
            known.add(seen.uid)
            if phase_of(seen.body) != Phase.PENDING:
                found.setdefault(owner_uid(seen.body), set()).add(seen.uid)
    return found
