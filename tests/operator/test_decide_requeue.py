"""Running a finished job again, and the trail that all its moves leave."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from operator_cases import (
    CREATED,
    NOW,
    POLICY,
    batch_of,
    carried_out,
    ended_pod,
    make_job,
    outcome_of,
    running_pod,
    status_of,
)

from crawl_api.status import (
    MAX_HISTORY,
    Attempt,
    ConditionStatus,
    ConditionType,
    CrawlJobStatus,
    Execution,
    Move,
    Phase,
)
from crawl_operator.decide.crawljob import decide
from crawl_operator.decide.model import (
    Admission,
    Observation,
    RecordEvent,
    StartWorker,
)

GRANTED = Admission(granted=True)


def finished(phase: Phase, requeued: str = "", **changes: Any) -> CrawlJobStatus:
    attempts = tuple(
        Attempt(number=number, execution=Execution.POD, worker=f"news-abc-{number}", outcome=Phase.FAILED)
        for number in (1, 2, 3)
    )
    values: dict[str, Any] = {
        "phase": phase,
        "requeued": requeued,
        "attempts": attempts,
        "retry_count": 2,
        "infrastructure_retries": 4,
        "completed_at": NOW,
        "submitted_at": CREATED,
        "last_error": "it went wrong",
        "history": (Move(origin=Phase.PROCESSING, to=phase, reason="Because", time=NOW),),
    }
    return CrawlJobStatus(**(values | changes))


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.terminal])
def test_a_finished_job_runs_again_on_request_with_a_fresh_budget(phase: Phase) -> None:
    observation = Observation(make_job(status=finished(phase), requeue="2026-03-02"), admission=GRANTED)
    plan = decide(observation, POLICY, NOW)
    status = status_of(plan)
    assert status.phase is Phase.PENDING
    assert status.requeued == "2026-03-02"
    assert (status.retry_count, status.infrastructure_retries, status.last_error) == (0, 0, "")
    assert (status.completed_at, status.result, status.started_at) == (None, None, None)
    assert status.submitted_at == CREATED
    assert status.requeued_after == 3, "records of the attempts before are not carried over"
    assert [(move.origin, move.to, move.reason) for move in status.history[1:]] == [(phase, Phase.PENDING, "Requeued")]
    assert plan.actions == (RecordEvent("Requeued", "run again on request ('2026-03-02')", warning=False),)
    assert {each.type: each.status for each in status.conditions} == {
        ConditionType.RECONCILING: ConditionStatus.TRUE,
        ConditionType.SCHEDULED: ConditionStatus.FALSE,
    }
    after = carried_out(observation, plan)
    assert decide(after, POLICY, NOW).actions == (StartWorker(4, Execution.JOB),), "the numbering goes on"


def test_the_same_value_does_nothing_again() -> None:
    observation = Observation(make_job(status=finished(Phase.DEAD_LETTER, requeued="1"), requeue="1"))
    assert decide(observation, POLICY, NOW).status is None


def test_taking_the_annotation_away_asks_for_nothing() -> None:
    observation = Observation(make_job(status=finished(Phase.DEAD_LETTER, requeued="1"), requeue=""))
    assert decide(observation, POLICY, NOW).status is None


def running() -> Observation:
    before = Observation(make_job(spec=batch_of(3)), pods=(running_pod(),), admission=GRANTED)
    return carried_out(before, decide(before, POLICY, NOW))


@pytest.mark.parametrize(
    "before",
    [
        Observation(make_job(spec=batch_of(3), requeue="1"), pods=(ended_pod(outcome=outcome_of(3, 3)),)),
        replace(running(), pods=(ended_pod(outcome=outcome_of(3, 3)),)),
    ],
    ids=["from the beginning", "while it ran"],
)
def test_a_value_set_before_the_end_has_no_effect_later(before: Observation) -> None:
    before = replace(before, job=replace(before.job, requeue="1"))
    plan = decide(before, POLICY, NOW)
    assert (status_of(plan).phase, status_of(plan).requeued) == (Phase.COMPLETED, "1")
    assert carried_out(before, plan).job.settled


def test_who_is_still_cancelled_is_cancelled_again() -> None:
    """The levers say both; the person has to let go of one."""
    observation = Observation(make_job(status=finished(Phase.CANCELLED), requeue="1", cancel=True))
    after = carried_out(observation, decide(observation, POLICY, NOW))
    assert status_of(decide(after, POLICY, NOW)).phase is Phase.CANCELLED


def test_old_children_do_not_count_for_the_new_run() -> None:
    observation = Observation(make_job(status=finished(Phase.FAILED), requeue="1"), admission=GRANTED)
    after = carried_out(observation, decide(observation, POLICY, NOW))
    assert after.job.attempts_over == 3


def test_the_history_is_bounded_and_the_latest_moves_stay() -> None:
    moves = tuple(
        Move(origin=Phase.PENDING, to=Phase.SUSPENDED, reason="Suspended", time=NOW - timedelta(hours=number))
        for number in range(MAX_HISTORY, 0, -1)
    )
    job = make_job(status=CrawlJobStatus(history=moves))
    status = status_of(decide(Observation(job, pods=(ended_pod(outcome=outcome_of(1, 1)),)), POLICY, NOW))
    assert len(status.history) == MAX_HISTORY
    assert status.history[:-2] == moves[2:]
    assert [(move.origin, move.to, move.reason) for move in status.history[-2:]] == [
        (Phase.PENDING, Phase.PROCESSING, "Crawling"),
        (Phase.PROCESSING, Phase.COMPLETED, "Completed"),
    ]


def test_a_write_that_changes_no_phase_is_no_move() -> None:
    full = Admission(granted=False, reason="ConcurrencyLimit", message="full")
    observation = Observation(make_job(), admission=full)
    assert status_of(decide(observation, POLICY, NOW)).history == ()


def test_attempts_are_bounded_and_the_latest_stay() -> None:
    attempts = tuple(
        Attempt(number=number, execution=Execution.POD, worker=f"w-{number}", outcome=Phase.FAILED)
        for number in range(5, 25)
    )
    job = make_job(status=CrawlJobStatus(phase=Phase.RETRY, attempts=attempts))
    status = status_of(decide(Observation(job, pods=(running_pod("w-25", attempt=25),)), POLICY, NOW))
    assert [each.number for each in status.attempts] == list(range(6, 26))
