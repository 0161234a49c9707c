"""A person's levers: cancel, suspend and resume, a start time; and the operator's own time limit."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from operator_cases import (
    CREATED,
    NOW,
    POLICY,
    SINGLE,
    STARTED,
    batch_of,
    carried_out,
    condition_of,
    ended_pod,
    failure_by,
    make_batch_job,
    make_job,
    make_pod,
    outcome_of,
    running_pod,
    status_of,
)

from crawl_api.status import (
    Cause,
    ConditionStatus,
    ConditionType,
    Execution,
    Phase,
)
from crawl_api.worker_protocol import Outcome, StoredResult
from crawl_operator.decide.crawljob import decide
from crawl_operator.decide.model import (
    NOTHING,
    Admission,
    Observation,
    Plan,
    RecordEvent,
    StartWorker,
    StopWorker,
    WorkerPod,
)
from crawl_operator.decide.running import OVERTIME

GRANTED = Admission(granted=True)
KEPT = StoredResult(url="file:///results/first", bytes=10, sha256="ab" * 32)
INTERRUPTED = failure_by(Cause.INFRASTRUCTURE, "Interrupted", "told to stop when 1 of 3 pages were done")
HOW: list[dict[str, Any]] = [{"spec": batch_of(3) | {"cancel": True}}, {"spec": batch_of(3), "cancel": True}]
"""The two ways to cancel: by the spec, and by the annotation."""


def pulled(observation: Observation, lever: dict[str, Any]) -> Observation:
    """Return what is seen when a person has pulled a lever."""
    spec = {"priority": observation.job.priority.value} | lever.get("spec", batch_of(3))
    job = replace(observation.job, spec=spec, cancel=lever.get("cancel", False), requeue=lever.get("requeue", ""))
    return replace(observation, job=job)


def processing(**spec: Any) -> Observation:
    before = Observation(make_job(spec=batch_of(3) | spec), pods=(running_pod(),), admission=GRANTED)
    return carried_out(before, decide(before, POLICY, NOW))


def waiting_for_retry() -> Observation:
    before = replace(processing(), pods=(ended_pod(),))
    return carried_out(before, decide(before, POLICY, NOW))


def suspended() -> Observation:
    before = Observation(make_job(spec=batch_of(3) | {"suspend": True}), admission=GRANTED)
    return carried_out(before, decide(before, POLICY, NOW))


def delayed() -> Observation:
    spec = batch_of(3) | {"scheduledAt": (NOW + timedelta(hours=1)).isoformat()}
    before = Observation(make_job(spec=spec), admission=GRANTED)
    return carried_out(before, decide(before, POLICY, NOW))


# Cancelling.


@pytest.mark.parametrize("lever", HOW, ids=["spec", "annotation"])
@pytest.mark.parametrize(
    ("before", "phase"),
    [
        (Observation(make_job(spec=batch_of(3)), admission=GRANTED), Phase.PENDING),
        (delayed(), Phase.DELAYED),
        (suspended(), Phase.SUSPENDED),
        (waiting_for_retry(), Phase.RETRY),
    ],
    ids=["pending", "delayed", "suspended", "retry"],
)
def test_a_job_without_a_worker_is_cancelled_at_once(before: Observation, phase: Phase, lever: dict[str, Any]) -> None:
    assert before.job.phase is phase
    observation = pulled(before, lever)
    plan = decide(observation, POLICY, NOW)
    status = status_of(plan)
    assert status.phase is Phase.CANCELLED
    assert status.completed_at is not None
    assert condition_of(status, ConditionType.FAILED).reason == "Cancelled"
    assert condition_of(status, ConditionType.RECONCILING).status is ConditionStatus.FALSE
    assert status.condition(ConditionType.STALLED) is None, "nobody needs to look after it"
    assert plan.actions[0] == RecordEvent("Cancelled", "cancelled on request", warning=False)
    assert not any(isinstance(action, StartWorker) for action in plan.actions)
    again = carried_out(observation, plan)
    assert decide(again, POLICY, NOW) is NOTHING, "cancelled twice is cancelled"


@pytest.mark.parametrize("lever", HOW, ids=["spec", "annotation"])
@pytest.mark.parametrize("batch_jobs", [(), (make_batch_job(),)], ids=["pod", "batch job"])
@pytest.mark.parametrize("pod", [make_pod(), running_pod()], ids=["not started", "running"])
def test_a_worker_is_gone_before_its_job_is_cancelled(lever: dict[str, Any], batch_jobs: Any, pod: Any) -> None:
    """With a batch Job goes its pod; the phase waits for both."""
    before = replace(processing(), pods=(pod,), batch_jobs=batch_jobs)
    observation = pulled(before, lever)
    plan = decide(observation, POLICY, NOW)
    assert plan == Plan(actions=(StopWorker(batch_jobs[0] if batch_jobs else pod),))
    ending = carried_out(observation, plan)
    assert decide(ending, POLICY, NOW) == NOTHING, "it gets its time, and is told once"
    if batch_jobs:
        orphan = replace(ending, batch_jobs=())
        assert decide(orphan, POLICY, NOW) == Plan(actions=(StopWorker(pod),))
    status = status_of(decide(replace(ending, pods=(), batch_jobs=()), POLICY, NOW))
    assert status.phase is Phase.CANCELLED
    assert status.attempts[-1].outcome is Phase.CANCELLED


def test_what_a_cancelled_worker_hands_back_is_kept() -> None:
    observation = pulled(processing(), HOW[0])
    outcome = outcome_of(3, 1, failure=INTERRUPTED, stored=KEPT)
    status = status_of(decide(replace(observation, pods=(ended_pod(outcome=outcome, exit_code=143),)), POLICY, NOW))
    assert status.phase is Phase.CANCELLED
    assert status.result_url == KEPT.url
    assert status.result is not None
    assert not status.result.success
    assert status.progress.percent < 100
    assert (status.retry_count, status.infrastructure_retries) == (0, 0)


@pytest.mark.parametrize(
    ("outcome", "phase"),
    [
        (outcome_of(3, 3), Phase.COMPLETED),
        (outcome_of(3, 2), Phase.PARTIAL_SUCCESS),
        (outcome_of(3, 2, retryable=1), Phase.PARTIAL_SUCCESS),
        (outcome_of(3, 0, failure=failure_by(Cause.PERMANENT)), Phase.FAILED),
        (outcome_of(3, 0, retryable=3, failure=failure_by(Cause.TRANSIENT)), Phase.CANCELLED),
        (outcome_of(3, 0, retryable=3), Phase.CANCELLED),
    ],
)
@pytest.mark.parametrize("budget", [1, 3])
def test_a_finished_outcome_wins_over_a_late_cancel(outcome: Outcome, phase: Phase, budget: int) -> None:
    """What has come is kept; what would be repeated is not."""
    lever = {"spec": batch_of(3) | {"cancel": True, "retry": {"maxAttempts": budget}}}
    observation = replace(pulled(processing(), lever), pods=(ended_pod(outcome=outcome),))
    assert status_of(decide(observation, POLICY, NOW)).phase is phase


# Holding.


@pytest.mark.parametrize(
    "before",
    [Observation(make_job(spec=batch_of(3)), admission=GRANTED), delayed()],
    ids=["pending", "delayed"],
)
def test_a_waiting_job_is_suspended_and_resumed(before: Observation) -> None:
    held = pulled(before, {"spec": batch_of(3) | {"suspend": True}})
    plan = decide(held, POLICY, NOW)
    status = status_of(plan)
    assert status.phase is Phase.SUSPENDED
    scheduled = condition_of(status, ConditionType.SCHEDULED)
    assert (scheduled.status, scheduled.reason) == (ConditionStatus.FALSE, "Suspended")
    after = carried_out(held, plan)
    assert decide(after, POLICY, NOW + timedelta(days=9)) == NOTHING
    free = pulled(after, {"spec": before.job.spec})
    plan = decide(free, POLICY, NOW)
    assert status_of(plan).phase is Phase.PENDING


def test_a_running_job_hands_back_what_it_has_and_uses_no_attempt() -> None:
    before = pulled(processing(), {"spec": batch_of(3) | {"suspend": True}})
    plan = decide(before, POLICY, NOW)
    assert plan == Plan(actions=(StopWorker(running_pod()),))
    outcome = outcome_of(3, 1, failure=INTERRUPTED, stored=KEPT)
    ended = replace(carried_out(before, plan), pods=(ended_pod(outcome=outcome, exit_code=143),))
    plan = decide(ended, POLICY, NOW)
    status = status_of(plan)
    assert status.phase is Phase.SUSPENDED
    assert (status.retry_count, status.infrastructure_retries) == (0, 0)
    assert status.attempts[-1].outcome is Phase.SUSPENDED
    assert status.result_url == KEPT.url
    resumed = pulled(carried_out(ended, plan), {"spec": batch_of(3)})
    resumed = carried_out(resumed, decide(resumed, POLICY, NOW))
    assert resumed.job.phase is Phase.PENDING
    assert decide(resumed, POLICY, NOW).actions == (StartWorker(2, Execution.JOB),)


def test_a_worker_that_vanished_while_it_was_held_back_uses_no_attempt() -> None:
    before = pulled(replace(processing(), pods=()), {"spec": batch_of(3) | {"suspend": True}})
    status = status_of(decide(before, POLICY, NOW))
    assert (status.phase, status.retry_count, status.infrastructure_retries) == (Phase.SUSPENDED, 0, 0)


@pytest.mark.parametrize(
    ("outcome", "phase", "retries"),
    [
        (outcome_of(3, 3), Phase.COMPLETED, 0),
        (outcome_of(3, 2), Phase.PARTIAL_SUCCESS, 0),
        (outcome_of(3, 0, failure=failure_by(Cause.PERMANENT)), Phase.FAILED, 0),
        (outcome_of(3, 0, retryable=3, failure=failure_by(Cause.TRANSIENT)), Phase.RETRY, 1),
    ],
)
def test_what_ended_by_itself_is_not_undone_by_a_suspend(outcome: Outcome, phase: Phase, retries: int) -> None:
    before = pulled(processing(), {"spec": batch_of(3) | {"suspend": True}})
    status = status_of(decide(replace(before, pods=(ended_pod(outcome=outcome),)), POLICY, NOW))
    assert (status.phase, status.retry_count) == (phase, retries)


def test_a_pause_is_not_shortened_by_holding_the_job_meanwhile() -> None:
    retry = waiting_for_retry()
    due = retry.job.status.next_retry_at
    assert due is not None
    held = pulled(retry, {"spec": batch_of(3) | {"suspend": True}})
    held = carried_out(held, decide(held, POLICY, NOW))
    assert (held.job.phase, held.job.status.next_retry_at) == (Phase.SUSPENDED, due)
    early = status_of(decide(pulled(held, {}), POLICY, NOW + timedelta(seconds=1)))
    assert (early.phase, early.next_retry_at) == (Phase.RETRY, due)
    late = status_of(decide(pulled(held, {}), POLICY, due))
    assert (late.phase, late.next_retry_at) == (Phase.PENDING, None)


# Start times.


def test_a_start_time_is_waited_for_and_never_early() -> None:
    start = NOW + timedelta(seconds=90)
    observation = Observation(make_job(spec=SINGLE | {"scheduledAt": start.isoformat()}), admission=GRANTED)
    plan = decide(observation, POLICY, NOW)
    status = status_of(plan)
    assert status.phase is Phase.DELAYED
    scheduled = condition_of(status, ConditionType.SCHEDULED)
    assert (scheduled.reason, scheduled.status) == ("StartTimeNotReached", ConditionStatus.FALSE)
    assert "2026-03-01T12:01:40Z" in scheduled.message
    assert plan.requeue_after == 90
    after = carried_out(observation, plan)
    early = start - timedelta(microseconds=1)
    assert decide(after, POLICY, early) == Plan(requeue_after=1e-6)
    assert decide(after, POLICY, start) == Plan(actions=(StartWorker(1, Execution.JOB),))
    running = replace(after, pods=(running_pod(started=start),))
    moves = [(move.origin, move.to) for move in status_of(decide(running, POLICY, start)).history]
    assert moves == [
        (Phase.PENDING, Phase.DELAYED),
        (Phase.DELAYED, Phase.PENDING),
        (Phase.PENDING, Phase.PROCESSING),
    ]


def test_a_start_time_in_the_past_is_none() -> None:
    observation = Observation(make_job(spec=SINGLE | {"scheduledAt": CREATED.isoformat()}), admission=GRANTED)
    assert decide(observation, POLICY, NOW) == Plan(actions=(StartWorker(1, Execution.JOB),))


def test_a_job_due_without_a_free_place_says_so() -> None:
    full = Admission(granted=False, reason="ConcurrencyLimit", message="full")
    before = replace(delayed(), admission=full)
    status = status_of(decide(before, POLICY, NOW + timedelta(hours=1)))
    assert (status.phase, condition_of(status, ConditionType.SCHEDULED).reason) == (Phase.PENDING, "ConcurrencyLimit")


# The time limit, where worker and cluster do not keep it.


@pytest.mark.parametrize("batch_jobs", [(), (make_batch_job(),)], ids=["pod", "batch job"])
@pytest.mark.parametrize("how", ["killed", "interrupted", "gone"])
def test_an_overdue_worker_is_ended_and_costs_an_attempt(batch_jobs: Any, how: str) -> None:
    """However it then looks: like one that the cluster has killed, told to stop, or lost."""
    running = replace(processing(timeoutSeconds=60), batch_jobs=batch_jobs)
    limit = STARTED + timedelta(seconds=60) + OVERTIME
    assert decide(running, POLICY, limit - timedelta(seconds=1)) == Plan(requeue_after=1)
    plan = decide(running, POLICY, limit)
    assert plan.actions == (StopWorker(batch_jobs[0] if batch_jobs else running_pod()),)
    assert status_of(plan).phase is Phase.PROCESSING
    ending = carried_out(running, plan)
    deleting = replace(ending, pods=(running_pod(deleting=True),))
    assert decide(deleting, POLICY, limit) == NOTHING
    pods: tuple[WorkerPod, ...]
    match how:
        case "killed":
            pods = (ended_pod(exit_code=137, signal=9),)
        case "interrupted":
            pods = (ended_pod(outcome=outcome_of(3, 1, failure=INTERRUPTED), exit_code=143),)
        case _:
            pods = ()
    over = replace(ending, pods=pods, batch_jobs=())
    status = status_of(decide(over, POLICY, limit + timedelta(seconds=40)))
    assert (status.phase, status.retry_count, status.infrastructure_retries) == (Phase.RETRY, 1, 0)
    assert status.attempts[-1].cause is Cause.TRANSIENT
    assert "far beyond the job's timeoutSeconds (60)" in status.last_error
    assert status.errors[-1].code == "Timeout"


def test_an_overdue_worker_that_finishes_after_all_has_finished() -> None:
    limit = STARTED + timedelta(seconds=300) + OVERTIME
    running = processing()
    ending = carried_out(running, decide(running, POLICY, limit))
    status = status_of(decide(replace(ending, pods=(ended_pod(outcome=outcome_of(3, 3)),)), POLICY, limit))
    assert status.phase is Phase.COMPLETED
    assert (status.attempts[-1].cause, status.attempts[-1].message) == (None, "")


def test_a_worker_that_has_not_started_has_all_its_time() -> None:
    before = Observation(make_job(), pods=(make_pod(),))
    assert decide(before, POLICY, NOW + timedelta(days=1)) == NOTHING
