"""What a failed attempt leads to: every cause, every budget, every pause."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from operator_cases import (
    NOW,
    POLICY,
    batch_of,
    carried_out,
    condition_of,
    ended_pod,
    failure_by,
    make_job,
    outcome_of,
    running_pod,
    status_of,
)

from crawl_api.crawljob import RetryOptions
from crawl_api.status import Cause, ConditionStatus, ConditionType, CrawlJobStatus, Execution, Phase
from crawl_api.worker_protocol import AttemptFailure, Outcome, StoredResult
from crawl_operator.decide.crawljob import decide
from crawl_operator.decide.model import Admission, Observation, Plan, RecordEvent, StartWorker
from crawl_operator.decide.retry import INFRASTRUCTURE_RETRIES, Again, Over, verdict

PLAIN = RetryOptions(jitter=False)
KEPT = StoredResult(url="file:///results/first", bytes=10, sha256="ab" * 32)


def judge(
    outcome: Outcome | None = None,
    failure: AttemptFailure | None = None,
    options: RetryOptions = PLAIN,
    seed: str = "uid",
    **status: Any,
) -> Again | Over:
    return verdict(options, CrawlJobStatus(**status), outcome, failure, seed)


@pytest.mark.parametrize(
    ("total", "succeeded", "retryable", "phase"),
    [
        (1, 1, 0, Phase.COMPLETED),
        (9, 9, 0, Phase.COMPLETED),
        (9, 8, 0, Phase.PARTIAL_SUCCESS),
        (9, 1, 0, Phase.PARTIAL_SUCCESS),
        (9, 0, 0, Phase.FAILED),
        (9, 8, 1, None),
        (9, 0, 9, None),
    ],
)
def test_what_another_try_cannot_change_is_not_repeated(
    total: int, succeeded: int, retryable: int, phase: Phase | None
) -> None:
    judged = judge(outcome_of(total, succeeded, retryable=retryable))
    assert judged == (Again(30, counted=True) if phase is None else Over(phase))


@pytest.mark.parametrize("budget", [1, 2, 3, 20])
@pytest.mark.parametrize("cause", list(Cause))
def test_the_cause_decides_whether_there_is_another_attempt(cause: Cause, budget: int) -> None:
    """Transient: as often as the budget says. Permanent: never. Infrastructure: whatever the budget says."""
    options = PLAIN.model_copy(update={"max_attempts": budget})
    for failed_before in range(budget):
        judged = judge(None, failure_by(cause), options, retry_count=failed_before)
        match cause:
            case Cause.PERMANENT:
                assert judged == Over(Phase.FAILED)
            case Cause.INFRASTRUCTURE:
                assert judged == Again(5, counted=False)
            case Cause.TRANSIENT if failed_before + 1 < budget:
                assert isinstance(judged, Again)
                assert judged.counted
            case Cause.TRANSIENT:
                assert judged == Over(Phase.DEAD_LETTER)


@pytest.mark.parametrize(
    ("outcome", "failure", "phase"),
    [
        (None, failure_by(Cause.TRANSIENT), Phase.DEAD_LETTER),
        (outcome_of(9, 0, retryable=9), None, Phase.DEAD_LETTER),
        (outcome_of(9, 8, retryable=1), None, Phase.PARTIAL_SUCCESS),
        (outcome_of(9, 8, retryable=1), failure_by(Cause.TRANSIENT), Phase.DEAD_LETTER),
    ],
    ids=["no word", "no page", "some pages", "some pages, and then it failed as a whole"],
)
def test_when_the_attempts_are_used_up(outcome: Outcome | None, failure: AttemptFailure | None, phase: Phase) -> None:
    assert judge(outcome, failure, retry_count=2) == Over(phase)
    assert isinstance(judge(outcome, failure, retry_count=1), Again)


def test_the_pauses_grow_up_to_the_longest() -> None:
    """30, 60, 120, 240, and then 300 each time."""
    options = PLAIN.model_copy(update={"max_attempts": 20})
    pauses = [judge(None, failure_by(Cause.TRANSIENT), options, retry_count=count) for count in range(7)]
    assert pauses == [Again(delay, counted=True) for delay in (30, 60, 120, 240, 300, 300, 300)]


def test_a_job_may_name_pauses_of_its_own() -> None:
    options = RetryOptions(
        max_attempts=5, initial_delay_seconds=2, backoff_multiplier=1.5, max_delay_seconds=4, jitter=False
    )
    pauses = [judge(None, failure_by(Cause.TRANSIENT), options, retry_count=count) for count in range(4)]
    assert pauses == [Again(delay, counted=True) for delay in (2, 3, 4, 4)]


def test_the_largest_numbers_a_spec_may_hold_are_a_pause_too() -> None:
    options = RetryOptions(max_attempts=20, initial_delay_seconds=86400, backoff_multiplier=10, max_delay_seconds=86400)
    judged = judge(None, failure_by(Cause.TRANSIENT), options, retry_count=18)
    assert isinstance(judged, Again)
    assert 86400 <= judged.delay <= 86400 * 1.1


def test_infrastructure_has_a_budget_and_pauses_of_its_own() -> None:
    """Attempts of the job's own are not counted against it, nor it against them."""
    lost = failure_by(Cause.INFRASTRUCTURE)
    pauses = [
        judge(None, lost, retry_count=19, infrastructure_retries=count) for count in range(INFRASTRUCTURE_RETRIES)
    ]
    assert pauses == [Again(delay, counted=False) for delay in (5, 10, 20, 40, 80, 160, 300, 300, 300, 300)]
    assert judge(None, lost, infrastructure_retries=INFRASTRUCTURE_RETRIES) == Over(Phase.DEAD_LETTER)
    transient = failure_by(Cause.TRANSIENT)
    assert judge(None, transient, infrastructure_retries=INFRASTRUCTURE_RETRIES) == Again(30, counted=True)


@pytest.mark.parametrize("cause", [Cause.TRANSIENT, Cause.INFRASTRUCTURE])
def test_jitter_is_at_most_a_tenth_stable_and_each_jobs_own(cause: Cause) -> None:
    """The same answer however often it is asked: an operator that restarts does not start the wait anew."""
    options = RetryOptions()
    plain = judge(None, failure_by(cause))
    assert isinstance(plain, Again)
    pauses = []
    for number in range(200):
        judged, again = (judge(None, failure_by(cause), options, seed=f"uid-{number}") for _ in range(2))
        assert isinstance(judged, Again)
        assert judged == again
        assert plain.delay <= judged.delay <= plain.delay * 1.1
        pauses.append(judged.delay)
    assert len(set(pauses)) == 200
    middle = plain.delay * 1.05
    assert 70 < sum(pause < middle for pause in pauses) < 130, "spread over the whole tenth"


def test_jitter_differs_between_the_attempts_of_a_job() -> None:
    options = RetryOptions(max_attempts=9, backoff_multiplier=1)
    pauses = {judge(None, failure_by(Cause.TRANSIENT), options, retry_count=count) for count in range(8)}
    assert len(pauses) == 8


@pytest.mark.parametrize(("asked", "delay"), [(0, 30), (7, 30), (30, 30), (31, 31), (3600, 3600), (86400, 86400)])
def test_a_site_may_lengthen_the_pause_and_never_shorten_it(asked: int, delay: int) -> None:
    """Also beyond the longest pause of the job's own: who asks to be left alone is left alone."""
    some = outcome_of(9, 8, retryable=1, retry_after_seconds=asked)
    none = outcome_of(9, 0, retryable=9, retry_after_seconds=asked, failure=failure_by(Cause.TRANSIENT))
    assert judge(some) == Again(delay, counted=True)
    assert judge(none, none.failure) == Again(delay, counted=True)


def attempt(observation: Observation, number: int, *, killed: bool = False, outcome: Outcome | None = None) -> Plan:
    """Decide upon the end of a job's attempt."""
    worker = f"news-abc-{number}"
    started = replace(observation, pods=(running_pod(worker, attempt=number),))
    started = carried_out(started, decide(started, POLICY, NOW))
    killing = {"signal": 9, "exit_code": 137} if killed else {}
    pods = (ended_pod(worker, outcome, attempt=number, **killing),)
    return decide(replace(started, pods=pods, outcome=outcome), POLICY, NOW)


def test_a_retry_says_what_happened_and_when_it_goes_on() -> None:
    job = make_job(spec=batch_of(3) | {"retry": {"jitter": False}})
    plan = attempt(Observation(job), 1, outcome=outcome_of(3, 2, retryable=1))
    status = status_of(plan)
    assert status.phase is Phase.RETRY
    assert status.retry_count == 1
    assert status.next_retry_at == NOW + timedelta(seconds=30)
    assert status.last_error == "https://example.org/0 answered 404"
    assert status.attempts[-1].outcome is Phase.PARTIAL_SUCCESS
    assert status.completed_at is None
    scheduled = condition_of(status, ConditionType.SCHEDULED)
    assert (scheduled.status, scheduled.reason) == (ConditionStatus.FALSE, "RetryBackoff")
    for words in ("attempt 1 of 3 failed", "answered 404", "due at 2026-03-01T12:00:40Z"):
        assert words in scheduled.message
    assert condition_of(status, ConditionType.RECONCILING).reason == "RetryBackoff"
    assert plan.actions[0] == RecordEvent("RetryBackoff", scheduled.message)
    assert plan.requeue_after == 30


def test_a_retry_is_started_when_it_is_due_and_not_before() -> None:
    before = Observation(make_job(spec=batch_of(3) | {"retry": {"jitter": False}}), admission=Admission(granted=True))
    after = carried_out(before, attempt(before, 1))
    assert decide(after, POLICY, NOW + timedelta(seconds=12)) == Plan(requeue_after=18)
    due = decide(after, POLICY, NOW + timedelta(seconds=30))
    assert due == Plan(actions=(StartWorker(2, Execution.JOB),))
    running = replace(after, pods=(running_pod("news-abc-2", attempt=2),))
    status = status_of(decide(running, POLICY, NOW + timedelta(seconds=31)))
    assert (status.phase, status.next_retry_at, status.worker_id) == (Phase.PROCESSING, None, "news-abc-2")
    assert status.progress.percent == 0, "each attempt counts anew"
    assert [each.number for each in status.attempts] == [1, 2]


def test_a_retry_without_a_free_place_waits_like_any_other_job() -> None:
    full = Admission(granted=False, reason="ConcurrencyLimit", message="full")
    before = Observation(make_job(), admission=full)
    after = carried_out(before, attempt(before, 1))
    status = status_of(decide(after, POLICY, NOW + timedelta(minutes=1)))
    assert (status.phase, status.next_retry_at) == (Phase.PENDING, None)
    assert condition_of(status, ConditionType.SCHEDULED).reason == "ConcurrencyLimit"


def test_three_failures_make_a_dead_letter_and_three_evictions_do_not() -> None:
    observation = Observation(make_job())
    for number, killed in enumerate((False, True, True, False, True), start=1):
        plan = attempt(observation, number, killed=killed)
        assert status_of(plan).phase is Phase.RETRY
        observation = carried_out(observation, plan)
    assert (observation.job.status.retry_count, observation.job.status.infrastructure_retries) == (2, 3)
    plan = attempt(observation, 6)
    status = status_of(plan)
    assert status.phase is Phase.DEAD_LETTER
    for kind in (ConditionType.FAILED, ConditionType.STALLED):
        assert condition_of(status, kind).reason == "WorkerCrashed"
    assert [each.number for each in status.attempts] == [1, 2, 3, 4, 5, 6]
    event = plan.actions[0]
    assert isinstance(event, RecordEvent)
    assert event.reason == "DeadLetter"
    assert event.warning
    assert "WorkerCrashed: worker pod news-abc-6 ended with exit code 1" in event.message


def test_what_an_earlier_attempt_has_stored_is_not_lost_by_a_later_one() -> None:
    """The second and third leave no word: the records of the first are still the job's result."""
    observation = Observation(make_job(spec=batch_of(3)))
    plan = attempt(observation, 1, outcome=outcome_of(3, 2, retryable=1, stored=KEPT, data=[1, 2]))
    for number in (2, 3):
        observation = carried_out(observation, plan)
        result = observation.job.status.result
        assert result is not None
        assert not result.success, "not before the end"
        plan = attempt(observation, number)
    status = status_of(plan)
    assert status.phase is Phase.DEAD_LETTER
    assert status.result_url == KEPT.url
    assert status.result is not None
    assert (status.result.items, status.result.data, status.result.worker_id) == (2, [1, 2], "news-abc-1")
    assert not status.result.success
    assert "news-abc-3" in status.result.error
    available = condition_of(status, ConditionType.RESULT_AVAILABLE)
    assert (available.status, available.message) == (ConditionStatus.TRUE, "2 records are stored")


def test_a_good_end_forgets_the_errors_before_it() -> None:
    observation = Observation(make_job(spec=batch_of(3)))
    observation = carried_out(observation, attempt(observation, 1, outcome=outcome_of(3, 2, retryable=1, stored=KEPT)))
    later = KEPT.model_copy(update={"url": "file:///results/second"})
    status = status_of(attempt(observation, 2, outcome=outcome_of(3, 3, stored=later)))
    assert status.phase is Phase.COMPLETED
    assert (status.errors, status.error_count, status.last_error) == ((), 0, "")
    assert (status.result_url, status.retry_count) == (later.url, 1)
    assert status.result is not None
    assert (status.result.items, status.result.worker_id) == (3, "news-abc-2")


def test_a_worker_told_to_stop_by_the_cluster_for_lack_of_time_has_run_out_of_time() -> None:
    """It takes the signal for an interruption, which would be repeated for free."""
    interrupted = outcome_of(3, 1, failure=failure_by(Cause.INFRASTRUCTURE, "Interrupted"), stored=KEPT)
    pod = ended_pod(outcome=interrupted, end_reason="DeadlineExceeded")
    status = status_of(decide(Observation(make_job(spec=batch_of(3)), pods=(pod,)), POLICY, NOW))
    assert (status.retry_count, status.infrastructure_retries) == (1, 0)
    assert status.attempts[-1].cause is Cause.TRANSIENT
    assert status.result_url == KEPT.url
