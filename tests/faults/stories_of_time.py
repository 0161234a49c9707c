"""Stories of waiting for a time or for another job, and of how long things are kept."""

from typing import Any, Final

from nodes import ends, runs
from scenarios import Scenario, happy
from steps import Step, expires, passes, waits
from users import applies, deletes, requeues
from workers import REFUSAL, SILENCE, outcome, stores

from crawl_api.status import Phase

_HOUR, _DAY = 3600, 86400


def _after(*names: str, condition: str = "Complete") -> dict[str, Any]:
    return {"dependsOn": [{"name": name, "condition": condition} for name in names]}


def _stored(name: str, **spec: Any) -> tuple[Step, ...]:
    """A job stores its result and completes."""
    return applies(name, **spec), runs(name), stores(name, outcome(2)), ends(name, outcome(2))


def _fails(name: str, failure: Any = REFUSAL, **spec: Any) -> tuple[Step, ...]:
    return applies(name, **spec), runs(name), _breaks(name, failure)


def _breaks(name: str, failure: Any = REFUSAL) -> Step:
    return ends(name, outcome(0, failure=failure), exit_code=1, reason="Error")


STORIES: Final = (
    Scenario(
        "starts-at-its-time",
        (applies("a", starts_in=60), passes(30, "a", Phase.DELAYED), passes(30, "a", Phase.DELAYED), *happy("a")[1:]),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "starts-at-its-time-when-there-is-a-place",
        (
            applies("a"),
            runs("a"),
            applies("b", after="a", starts_in=60),
            passes(60, "b", Phase.DELAYED),
            waits("b", "ConcurrencyLimit"),
            ends("a", outcome(2)),
            runs("b"),
            ends("b", outcome(2)),
        ),
        {"a": Phase.COMPLETED, "b": Phase.COMPLETED},
        running=1,
    ),
    # Other jobs
    Scenario(
        "one-after-another",
        (
            applies("b", **_after("a")),
            waits("b", "DependencyNotMet"),
            *happy("a"),
            runs("b"),
            ends("b", outcome(2)),
        ),
        {"a": Phase.COMPLETED, "b": Phase.COMPLETED},
    ),
    Scenario(
        "what-it-needs-has-failed",
        (
            applies("b", **_after("a")),
            waits("b", "DependencyNotMet"),
            applies("a"),
            runs("a"),
            waits("b", "DependencyNotMet", "a is Processing"),
            _breaks("a"),
        ),
        {"a": Phase.FAILED, "b": Phase.FAILED},
    ),
    Scenario(
        "whatever-the-end",
        (
            applies("b", **_after("a", condition="Finished")),
            waits("b", "DependencyNotMet"),
            *_fails("a"),
            runs("b"),
            ends("b", outcome(2)),
        ),
        {"a": Phase.FAILED, "b": Phase.COMPLETED},
    ),
    Scenario(
        "each-waits-for-the-other",
        (applies("a", **_after("b")), waits("a", "DependencyNotMet"), applies("b", **_after("a"))),
        {"a": Phase.FAILED, "b": Phase.FAILED},
    ),
    Scenario(
        "each-waits-for-the-others-end",
        (
            applies("a", **_after("b", condition="Finished")),
            waits("a", "DependencyNotMet"),
            applies("b", **_after("a", condition="Finished")),
        ),
        {"a": Phase.FAILED, "b": Phase.FAILED},
    ),
    # How long things are kept
    Scenario(
        "result-expires",
        (*_stored("a"), passes(_HOUR, "a", Phase.COMPLETED), expires("a")),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "completed-goes",
        (
            *_stored("a"),
            passes(_HOUR, "a", Phase.COMPLETED),
            passes(_DAY, "a", Phase.COMPLETED, "ResultExpired"),
        ),
        {},
    ),
    Scenario(
        "goes-before-its-result",
        (*_stored("a", ttl={"resultSeconds": 100, "completedSeconds": 50}), passes(60, "a", Phase.COMPLETED)),
        {},
    ),
    Scenario("failed-goes", (*_fails("a"), passes(7 * _DAY, "a", Phase.FAILED)), {}),
    Scenario(
        "dead-letter-stays",
        (*_fails("a", SILENCE, retry={"maxAttempts": 1}), passes(300 * _DAY, "a", Phase.DEAD_LETTER)),
        {"a": Phase.DEAD_LETTER},
    ),
    Scenario(
        "dead-letter-goes",
        (
            *_fails("a", SILENCE, retry={"maxAttempts": 1}, ttl={"deadLetterSeconds": 60}),
            passes(60, "a", Phase.DEAD_LETTER),
        ),
        {},
    ),
    Scenario(
        "requeued-when-its-result-has-expired",
        (
            *_stored("a"),
            passes(_HOUR, "a", Phase.COMPLETED),
            expires("a"),
            requeues("a", when=Phase.COMPLETED),
            runs("a"),
            stores("a", outcome(2)),
            ends("a", outcome(2)),
        ),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "deleted-with-its-result",
        (*_stored("a"), deletes("a", when=Phase.COMPLETED)),
        {},
    ),
)
