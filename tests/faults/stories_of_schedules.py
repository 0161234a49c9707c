"""Stories of schedules: times come, runs are made, missed, held back, replaced and asked for.

A schedule is due once an hour, half an hour from now at first; its runs are cancelled as they are made, or held until
somebody cancels them, so that no worker comes into it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from scenarios import Scenario
from steps import Hand, Step, patch
from users import cancels
from world import Picture

from crawl_api.names import ANNOTATION_TRIGGER, API_VERSION, SCHEDULE_KIND
from crawl_api.status import Phase
from crawl_operator.kube import SCHEDULES

_SHORT: Final = {"cancel": True}
_ENDLESS: Final = {"suspend": True}
_KEPT: Final = 10
_HOUR: Final = 3600


def schedules(name: str, job: Mapping[str, Any], **spec: Any) -> Step:
    """Apply a ScheduledCrawlJob whose runs are like that."""

    async def do(hand: Hand) -> None:
        first = hand.world.clock.now() + timedelta(minutes=30)
        body = {
            "apiVersion": API_VERSION,
            "kind": SCHEDULE_KIND,
            "metadata": {"name": name},
            "spec": {
                "schedule": f"{first.minute} * * * *",
                "failedJobsHistoryLimit": _KEPT,
                "jobTemplate": {"spec": {"type": "Single", "single": {"url": "https://example.org/"}, **job}},
                **spec,
            },
        }
        hand.world.expect(await hand.stage.call("POST", SCHEDULES.path(hand.world.namespace), body))

    return Step(f"{name} is scheduled", do)


def comes(name: str, runs: int = 0, missed: int = 0, *, times: int = 1, later: float = 0, held: bool = False) -> Step:
    """Let the next time come, once so many runs are counted as made and as missed.

    Args:
        name: the schedule's.
        runs: counted by then.
        missed: likewise.
        times: how many times come at once: nobody looks in between.
        later: seconds more.
        held: whether a run that is due must wait by then for one that goes on: the count does not tell.
    """

    async def do(hand: Hand) -> None:
        schedule = hand.world.now.schedule(name)
        assert schedule is not None
        due = datetime.fromisoformat(schedule["status"]["nextExecutionAt"])
        hand.pass_time((due - hand.world.clock.now()).total_seconds() + (times - 1) * _HOUR + later)

    def ready(now: Picture) -> bool:
        waits = _condition(now, name, "Ready").get("reason") == "RunActive"
        return _counted(now, name) == (runs, missed) and "nextExecutionAt" in _status(now, name) and waits >= held

    return Step(f"{times} times of {name} come", do, ready)


def has(name: str, runs: int, missed: int = 0) -> Step:
    """Wait until so many runs are counted."""
    return Step(
        f"{name} has made {runs} runs and missed {missed}", _nothing, lambda now: _counted(now, name) == (runs, missed)
    )


def hours_pass(name: str, hours: int, *, suspended: bool) -> Step:
    """Let hours pass once the operator has seen that the schedule is suspended, or that it is not."""

    async def do(hand: Hand) -> None:
        hand.pass_time(hours * _HOUR)

    wanted = "True" if suspended else "False"
    return Step(f"{hours} hours pass", do, lambda now: _condition(now, name, "Suspended").get("status") == wanted)


def edits(name: str, runs: int, **spec: Any) -> Step:
    """Change a schedule once so many runs are counted."""

    async def do(hand: Hand) -> None:
        await patch(hand, SCHEDULES, name, {"spec": spec})

    return Step(
        f"{name} is changed", do, lambda now: _counted(now, name)[0] == runs and bool(_condition(now, name, "Ready"))
    )


def asks(name: str, value: str, runs: int) -> Step:
    """Ask for a run now, once so many are counted."""

    async def do(hand: Hand) -> None:
        await patch(hand, SCHEDULES, name, {"metadata": {"annotations": {ANNOTATION_TRIGGER: value}}})

    return Step(f"a run of {name} is asked for ({value})", do, lambda now: _counted(now, name)[0] == runs)


def removes(name: str, runs: int) -> Step:
    """Delete a schedule, once so many runs are counted."""

    async def do(hand: Hand) -> None:
        schedule = hand.world.now.schedule(name)
        assert schedule is not None
        hand.world.expect_gone(schedule["metadata"]["uid"])
        await hand.stage.call("DELETE", SCHEDULES.path(hand.world.namespace, name))

    return Step(f"{name} is deleted", do, lambda now: _counted(now, name)[0] == runs)


async def _nothing(hand: Hand) -> None:
    pass


def _status(now: Picture, name: str) -> dict[str, Any]:
    status: dict[str, Any] = (now.schedule(name) or {}).get("status", {})
    return status


def _counted(now: Picture, name: str) -> tuple[int, int]:
    status = _status(now, name)
    return status.get("executionCount", 0), status.get("missedCount", 0)


def _condition(now: Picture, name: str, kind: str) -> dict[str, Any]:
    return next((each for each in _status(now, name).get("conditions", ()) if each["type"] == kind), {})


def _all(phase: Phase, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, phase)


STORIES: Final = (
    Scenario(
        "a-run-each-time",
        (schedules("a", _SHORT), comes("a"), comes("a", 1), has("a", 2)),
        _all(Phase.CANCELLED, "a-1", "a-2"),
    ),
    Scenario(
        "times-missed",
        (schedules("a", _SHORT), comes("a"), comes("a", 1, times=4), has("a", 2, 3)),
        _all(Phase.CANCELLED, "a-1", "a-2"),
    ),
    Scenario(
        "beyond-the-deadline",
        (schedules("a", _SHORT, startingDeadlineSeconds=60), comes("a", later=120), comes("a", 0, 1), has("a", 1, 1)),
        _all(Phase.CANCELLED, "a-1"),
    ),
    Scenario(
        "the-next-waits-for-the-one-before",
        (
            schedules("a", _ENDLESS, concurrencyPolicy="Forbid"),
            comes("a"),
            comes("a", 1),
            comes("a", 1, held=True),
            has("a", 1, 1),
            cancels("a-1", when="Suspended"),
            has("a", 2, 1),
            cancels("a-2", when="Suspended"),
        ),
        _all(Phase.CANCELLED, "a-1", "a-2"),
    ),
    Scenario(
        "the-next-replaces-the-one-before",
        (
            schedules("a", _ENDLESS, concurrencyPolicy="Replace"),
            comes("a"),
            comes("a", 1),
            has("a", 2),
            cancels("a-2", when="Suspended"),
        ),
        _all(Phase.CANCELLED, "a-2"),
    ),
    Scenario(
        "both-at-once",
        (
            schedules("a", _ENDLESS),
            comes("a"),
            comes("a", 1),
            has("a", 2),
            cancels("a-1", when="Suspended"),
            cancels("a-2", when="Suspended"),
        ),
        _all(Phase.CANCELLED, "a-1", "a-2"),
    ),
    Scenario(
        "old-runs-go",
        (
            schedules("a", _SHORT, failedJobsHistoryLimit=1),
            comes("a"),
            comes("a", 1),
            comes("a", 2),
            has("a", 3),
        ),
        _all(Phase.CANCELLED, "a-3"),
    ),
    Scenario(
        "asked-for",
        (schedules("a", _SHORT), asks("a", "one", 0), has("a", 1), asks("a", "two", 1), comes("a", 2), has("a", 3)),
        _all(Phase.CANCELLED, "a-1", "a-2", "a-3"),
    ),
    Scenario(
        "asked-for-while-one-goes-on",
        (
            schedules("a", _ENDLESS, concurrencyPolicy="Forbid"),
            comes("a"),
            asks("a", "one", 1),
            cancels("a-1", when="Suspended"),
            has("a", 2),
            cancels("a-2", when="Suspended"),
        ),
        _all(Phase.CANCELLED, "a-1", "a-2"),
    ),
    Scenario(
        "suspended-for-a-while",
        (
            schedules("a", _SHORT),
            comes("a"),
            edits("a", 1, suspend=True),
            hours_pass("a", 3, suspended=True),
            edits("a", 1, suspend=False),
            has("a", 2),
        ),
        _all(Phase.CANCELLED, "a-1", "a-2"),
    ),
    Scenario(
        "a-schedule-goes-with-its-runs",
        (schedules("a", _SHORT), comes("a"), removes("a", 1)),
        {},
        garbage_goes=True,
    ),
)
