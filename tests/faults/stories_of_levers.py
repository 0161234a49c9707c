"""Stories of what people do to jobs: cancel, suspend, resume, requeue."""

from typing import Any, Final

from nodes import clears_away, completes, ends, loses_pod, makes_pod, runs
from scenarios import Scenario, again, happy
from steps import Step, becomes, waits
from users import applies, cancels, cancels_by_annotation, requeues, resumes, suspends
from workers import REFUSAL, SILENCE, STOPPED, outcome, reports, stores

from crawl_api.status import Phase

_ONE_ATTEMPT: Final = {"maxAttempts": 1}


def _fails(name: str, **spec: Any) -> tuple[Step, ...]:
    """A job's attempt fails in a way that is worth another."""
    said = outcome(0, failure=SILENCE)
    return applies(name, **spec), runs(name), ends(name, said, exit_code=1, reason="Error")


def _stops(name: str, succeeded: int = 1) -> tuple[Step, ...]:
    """The worker was told to stop, and does."""
    said = outcome(succeeded, failure=STOPPED)
    return ends(name, said, exit_code=143, reason="Error", told=True), loses_pod(name)


STORIES: Final = (
    # Cancelled, from wherever it stands
    Scenario(
        "cancelled-while-waiting",
        (
            applies("a"),
            applies("b", after="a"),
            waits("b", "ConcurrencyLimit"),
            cancels("b"),
            runs("a"),
            ends("a", outcome(2)),
        ),
        {"a": Phase.COMPLETED, "b": Phase.CANCELLED},
        running=1,
    ),
    Scenario("cancelled-before-it-ran", (applies("a"), cancels("a")), {"a": Phase.CANCELLED}),
    Scenario(
        "cancelled-while-delayed",
        (applies("a", starts_in=60), cancels_by_annotation("a", when=Phase.DELAYED)),
        {"a": Phase.CANCELLED},
    ),
    Scenario(
        "cancelled-while-suspended",
        (applies("a", suspend=True), cancels("a", when=Phase.SUSPENDED)),
        {"a": Phase.CANCELLED},
    ),
    Scenario(
        "cancelled-while-running",
        (applies("a"), runs("a"), reports("a", 1), cancels("a", when=Phase.PROCESSING), *_stops("a")),
        {"a": Phase.CANCELLED},
    ),
    Scenario(
        "cancelled-while-its-batch-job-runs",
        (
            applies("a", priority="Normal"),
            makes_pod("a"),
            runs("a"),
            cancels_by_annotation("a", when=Phase.PROCESSING),
            *_stops("a"),
        ),
        {"a": Phase.CANCELLED},
    ),
    Scenario(
        "cancelled-too-late",
        (
            applies("a"),
            runs("a"),
            cancels("a", when=Phase.PROCESSING),
            ends("a", outcome(2), told=True),
            loses_pod("a"),
        ),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "cancelled-while-waiting-for-a-retry",
        (*_fails("a"), cancels("a", when=Phase.RETRY)),
        {"a": Phase.CANCELLED},
    ),
    # Suspended, from wherever it stands
    Scenario(
        "suspended-from-the-start",
        (applies("a", suspend=True), resumes("a"), runs("a"), ends("a", outcome(2))),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "suspended-while-delayed",
        (
            applies("a", starts_in=60),
            suspends("a", when=Phase.DELAYED),
            becomes("a", Phase.SUSPENDED),
            cancels("a"),
        ),
        {"a": Phase.CANCELLED},
    ),
    Scenario(
        "suspended-while-running",
        (
            applies("a"),
            runs("a"),
            stores("a", outcome(1, failure=STOPPED)),
            suspends("a", when=Phase.PROCESSING),
            *_stops("a"),
            resumes("a"),
            runs("a"),
            stores("a", outcome(2)),
            ends("a", outcome(2)),
        ),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "suspended-while-waiting-for-a-retry",
        (*_fails("a"), suspends("a", when=Phase.RETRY), resumes("a"), *again("a")),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "makes-room-while-suspended",
        (
            applies("a"),
            runs("a"),
            applies("b", after="a"),
            waits("b", "ConcurrencyLimit"),
            suspends("a", when=Phase.PROCESSING),
            *_stops("a"),
            runs("b"),
            becomes("b", Phase.PROCESSING),
            resumes("a"),
            waits("a", "ConcurrencyLimit"),
            ends("b", outcome(2)),
            runs("a"),
            ends("a", outcome(2)),
        ),
        {"a": Phase.COMPLETED, "b": Phase.COMPLETED},
        running=1,
    ),
    # Run again, from every end
    Scenario(
        "requeued-when-completed",
        (
            *happy("a"),
            requeues("a", when=Phase.COMPLETED),
            runs("a"),
            stores("a", outcome(1)),
            ends("a", outcome(1)),
            requeues("a", when=Phase.PARTIAL_SUCCESS, value="2"),
            runs("a"),
            ends("a", outcome(2)),
        ),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "requeued-dead-letter",
        (
            *_fails("a", retry=_ONE_ATTEMPT),
            requeues("a", when=Phase.DEAD_LETTER),
            runs("a"),
            ends("a", outcome(2)),
        ),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "requeued-and-a-dead-letter-once-more",
        (
            *_fails("a", retry=_ONE_ATTEMPT),
            requeues("a", when=Phase.DEAD_LETTER),
            runs("a"),
            ends("a", exit_code=1, reason="Error"),
        ),
        {"a": Phase.DEAD_LETTER},
    ),
    Scenario(
        "requeued-when-failed",
        (
            applies("a", priority="Normal"),
            makes_pod("a"),
            runs("a"),
            ends("a", outcome(0, failure=REFUSAL), exit_code=1, reason="Error"),
            requeues("a", when=Phase.FAILED),
            makes_pod("a"),
            runs("a"),
            ends("a", outcome(2)),
            completes("a"),
        ),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "requeued-when-cancelled",
        (
            *_fails("a"),
            cancels_by_annotation("a", when=Phase.RETRY),
            becomes("a", Phase.CANCELLED),
            requeues("a", when=Phase.CANCELLED),
            clears_away(),
        ),
        {"a": Phase.CANCELLED},
    ),
)
