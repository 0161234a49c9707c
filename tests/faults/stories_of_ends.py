"""Stories of one attempt after another: what a worker comes to, and what follows."""

from typing import Final

from nodes import (
    cannot_pull,
    clears_away,
    completes,
    ends,
    evicts,
    fails,
    holds,
    loses_pod,
    makes_pod,
    runs,
)
from scenarios import Scenario, again
from steps import becomes, comes_due, passes, waits
from users import allows_workers, applies, deletes_worker, forbids_workers
from workers import REFUSAL, SILENCE, outcome, reports, stores

from crawl_api.status import Phase

_TWO_ATTEMPTS: Final = {"maxAttempts": 2}

STORIES: Final = (
    Scenario(
        "happy-pod",
        (applies("a"), runs("a"), reports("a", 1), stores("a", outcome(2)), ends("a", outcome(2))),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "happy-job",
        (
            applies("a", priority="Normal"),
            makes_pod("a"),
            runs("a"),
            reports("a", 1),
            ends("a", outcome(2)),
            completes("a"),
        ),
        {"a": Phase.COMPLETED},
    ),
    Scenario("ends-at-once", (applies("a"), ends("a", outcome(2))), {"a": Phase.COMPLETED}),
    Scenario(
        "partial",
        (applies("a", priority="Low"), makes_pod("a"), runs("a"), stores("a", outcome(1)), ends("a"), completes("a")),
        {"a": Phase.PARTIAL_SUCCESS},
    ),
    Scenario(
        "all-failed",
        (applies("a"), runs("a"), ends("a", outcome(0), exit_code=1, reason="Error")),
        {"a": Phase.FAILED},
    ),
    Scenario(
        "attempt-failed",
        (applies("a"), runs("a"), ends("a", outcome(1, failure=REFUSAL), exit_code=1, reason="Error")),
        {"a": Phase.FAILED},
    ),
    Scenario("refused-spec", (applies("a", urls=51),), {"a": Phase.FAILED}),
    # What is worth another try
    Scenario(
        "retried-pages",
        (
            applies("a"),
            runs("a"),
            reports("a", 1),
            stores("a", outcome(1, retryable=True)),
            ends("a", outcome(1, retryable=True), exit_code=1, reason="Error"),
            comes_due("a"),
            runs("a"),
            stores("a", outcome(2)),
            ends("a", outcome(2)),
        ),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "retried-job",
        (
            applies("a", priority="Normal"),
            makes_pod("a"),
            runs("a"),
            ends("a", exit_code=137, reason="OOMKilled"),
            fails("a"),
            comes_due("a"),
            makes_pod("a"),
            runs("a"),
            ends("a", outcome(2)),
            completes("a"),
        ),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "retried-at-once",
        (
            applies("a", retry={"initialDelaySeconds": 0}),
            runs("a"),
            ends("a", outcome(0, failure=SILENCE), exit_code=1, reason="Error"),
            runs("a"),
            ends("a", outcome(2)),
        ),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "some-pages-never-come",
        (
            applies("a", retry=_TWO_ATTEMPTS),
            runs("a"),
            ends("a", outcome(1, retryable=True), exit_code=1, reason="Error"),
            comes_due("a"),
            runs("a"),
            ends("a", outcome(1, retryable=True), exit_code=1, reason="Error"),
        ),
        {"a": Phase.PARTIAL_SUCCESS},
    ),
    Scenario(
        "dead-letter",
        (
            applies("a", retry=_TWO_ATTEMPTS),
            runs("a"),
            ends("a", outcome(0, failure=SILENCE), exit_code=1, reason="Error"),
            comes_due("a"),
            runs("a"),
            ends("a", outcome(0, failure=SILENCE), exit_code=1, reason="Error"),
        ),
        {"a": Phase.DEAD_LETTER},
    ),
    # What the cluster does to workers
    Scenario(
        "killed-pod",
        (applies("a"), runs("a"), reports("a", 1), ends("a", exit_code=137, reason="Error"), *again("a")),
        {"a": Phase.COMPLETED},
    ),
    Scenario("evicted", (applies("a"), runs("a"), evicts("a"), *again("a")), {"a": Phase.COMPLETED}),
    Scenario("evicted-before-it-ran", (applies("a"), evicts("a"), *again("a")), {"a": Phase.COMPLETED}),
    Scenario(
        "evicted-again-and-again",
        (
            applies("a"),
            *(evicts("a"), comes_due("a")) * 3,
            evicts("a"),
        ),
        {"a": Phase.DEAD_LETTER},
    ),
    Scenario(
        "pod-deleted",
        (
            applies("a"),
            runs("a"),
            deletes_worker("a"),
            ends("a", exit_code=143, reason="Error"),
            clears_away(),
            *again("a"),
        ),
        {"a": Phase.COMPLETED},
        or_as="pod-vanished",
    ),
    Scenario(
        "pod-vanished",
        (applies("a"), runs("a"), deletes_worker("a"), clears_away(), *again("a")),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "pod-deleted-before-it-ran",
        (applies("a"), deletes_worker("a", when=""), clears_away(), runs("a"), ends("a", outcome(2))),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "batch-job-failed-without-pod",
        (applies("a", priority="Normal", retry={"maxAttempts": 1}), fails("a", "DeadlineExceeded")),
        {"a": Phase.DEAD_LETTER},
    ),
    Scenario(
        "batch-job-lost-its-pod",
        (
            applies("a", priority="Normal"),
            makes_pod("a"),
            runs("a"),
            deletes_worker("a"),
            clears_away(),
            fails("a"),
            comes_due("a"),
            makes_pod("a"),
            ends("a", outcome(2)),
            completes("a"),
        ),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "pod-deleted-after-its-end",
        (
            applies("a", priority="Normal"),
            makes_pod("a"),
            runs("a"),
            becomes("a", Phase.PROCESSING),
            stores("a", outcome(2)),
            ends("a", outcome(2)),
            completes("a"),
            deletes_worker("a", when=""),
            clears_away(),
        ),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "batch-job-completed-without-pod",
        (
            applies("a", priority="Normal"),
            completes("a"),
            comes_due("a"),
            makes_pod("a"),
            ends("a", outcome(2)),
            completes("a"),
        ),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "unschedulable",
        (applies("a"), holds("a"), waits("a", "PodUnschedulable"), runs("a"), ends("a", outcome(2))),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "image-not-pulled",
        (
            applies("a"),
            cannot_pull("a", "ErrImagePull"),
            waits("a", "ImagePullFailed"),
            cannot_pull("a", "ImagePullBackOff"),
            runs("a"),
            ends("a", outcome(2)),
        ),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "worker-refused",
        (forbids_workers(), applies("a"), allows_workers("a"), runs("a"), ends("a", outcome(2))),
        {"a": Phase.COMPLETED},
    ),
    # Time limits
    Scenario(
        "the-cluster-ends-it-in-time",
        (applies("a"), runs("a"), evicts("a", "DeadlineExceeded"), *again("a")),
        {"a": Phase.COMPLETED},
    ),
    Scenario(
        "the-operator-ends-it-in-time",
        (
            applies("a", timeoutSeconds=60),
            runs("a"),
            passes(181, "a", Phase.PROCESSING),
            ends("a", exit_code=143, reason="Error", told=True),
            loses_pod("a"),
            *again("a"),
        ),
        {"a": Phase.COMPLETED},
    ),
)
