"""What happens to jobs from outside, step by step; here what steps are, and those of the clock.

A step is done as soon as it can be: `ready` says when that is, by what the API server holds. What needs the operator
to have acted thereby waits for it, and all else happens whether the operator lives or not. `users`, `nodes` and
`workers` hold what each of them does.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from stage import Stage
from world import Object, Picture, World, attempt_of, ended, phase_of

from crawl_operator.kube import BATCH_JOBS, CRAWLJOBS, PODS, Resource

MERGE: Final = "application/merge-patch+json"


class Hand(Protocol):
    """Who does the steps: it knows the cluster, what is in it, and how to reach an operator."""

    stage: Stage
    world: World

    async def report(self, method: str, path: str, token: str, body: bytes) -> tuple[int, bytes]:
        """Send what a worker has to say to whichever operator answers, until one does."""
        ...

    async def until(self, holds: Callable[[Picture], bool], what: str) -> None:
        """Let things go on until something holds."""
        ...

    async def rest(self) -> None:
        """Let things go on until nothing more happens by itself."""
        ...

    async def go_on(self) -> None:
        """Help things on that have come to rest."""
        ...

    def pass_time(self, seconds: float) -> None:
        """Let that much time pass at once."""
        ...


@dataclass(frozen=True)
class Step:
    """One thing that happens."""

    text: str
    do: Callable[[Hand], Awaitable[None]]
    ready: Callable[[Picture], bool] = lambda _: True
    slow: bool = False
    """Whether the operator tries again and again meanwhile, so that there is no rest to wait for."""


# The clock


def passes(seconds: float, name: str, phase: str, reason: str = "") -> Step:
    """Let time pass once a job is in a phase, and its result as the reason says."""

    async def do(hand: Hand) -> None:
        hand.pass_time(seconds)

    def ready(now: Picture) -> bool:
        return now.phase(name) == phase and reason in {"", now.condition(name, "ResultAvailable").get("reason")}

    return Step(f"{seconds} s pass", do, ready)


def comes_due(name: str) -> Step:
    """Let the time come of a job's next attempt."""

    async def do(hand: Hand) -> None:
        due = datetime.fromisoformat(job_named(hand, name)["status"]["nextRetryAt"])
        hand.pass_time(max((due - hand.world.clock.now()).total_seconds(), 0))

    def ready(now: Picture) -> bool:
        job = now.job(name)
        if job is None or phase_of(job) != "Retry":
            return False
        over = max(each["number"] for each in job["status"]["attempts"])
        return all(attempt_of(child) <= over for kind in (PODS, BATCH_JOBS) for child in now.children(kind, name))

    return Step(f"the next attempt of {name} is due", do, ready)


# Only waiting


def becomes(name: str, phase: str) -> Step:
    return Step(f"{name} is {phase}", _nothing, lambda now: now.phase(name) == phase)


def waits(name: str, reason: str, saying: str = "") -> Step:
    """Wait until a job's status says why it waits, in words that hold this."""

    def ready(now: Picture) -> bool:
        condition = now.condition(name, "Scheduled")
        return condition.get("reason") == reason and saying in condition["message"]

    return Step(f"{name} waits for {reason} {saying}".strip(), _nothing, ready)


def expires(name: str) -> Step:
    return Step(
        f"the result of {name} has expired",
        _nothing,
        lambda now: now.condition(name, "ResultAvailable").get("reason") == "ResultExpired",
    )


async def _nothing(hand: Hand) -> None:
    pass


# What steps share


def job_named(hand: Hand, name: str) -> Object:
    """Return the CrawlJob of that name."""
    job = hand.world.now.job(name)
    assert job is not None, f"{name} is not there"
    return job


def child_of(hand: Hand, resource: Resource, name: str) -> Object:
    """Return the latest pod or batch Job of a CrawlJob."""
    child = hand.world.now.child(resource, name)
    assert child is not None, f"{name} has no {resource.plural}"
    return child


def worker_of(now: Picture, name: str) -> Object | None:
    """Return the job's pod that has not ended, even if it is being deleted."""
    return next((pod for pod in now.children(PODS, name) if not ended(pod)), None)


def runs_now(now: Picture, name: str) -> bool:
    """Tell whether the job's latest pod is running."""
    pod = now.child(PODS, name)
    return pod is not None and phase_of(pod) == "Running"


async def patch(hand: Hand, resource: Resource, name: str, change: dict[str, Any]) -> None:
    """Merge a change into an object."""
    path = resource.path(hand.world.namespace, name)
    hand.world.expect(await hand.stage.call("PATCH", path, change, kind=MERGE))


async def patch_job(hand: Hand, name: str, change: dict[str, Any]) -> None:
    """Merge a change into a CrawlJob."""
    await patch(hand, CRAWLJOBS, job_named(hand, name)["metadata"]["name"], change)


async def patch_status(hand: Hand, resource: Resource, name: str, status: dict[str, Any]) -> None:
    """Merge a change into an object's status."""
    path = resource.path(hand.world.namespace, name, "status")
    hand.world.expect(await hand.stage.call("PATCH", path, {"status": status}, kind=MERGE))
