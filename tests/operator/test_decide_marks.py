"""The operator's own annotations: they follow the status, whatever was lost between two writes."""

from dataclasses import replace
from datetime import timedelta

import pytest
from operator_cases import NOW, POLICY, carried_out, ended_pod, make_job, running_pod

from crawl_api.status import Condition, ConditionStatus, ConditionType, CrawlJobStatus, Execution, Phase
from crawl_operator.decide.crawljob import decide
from crawl_operator.decide.marks import OWN, asks_again, marks_of
from crawl_operator.decide.model import Admission, Mark, Observation, Plan, StartWorker

RECONCILING = Condition(
    type=ConditionType.RECONCILING, status=ConditionStatus.FALSE, reason="WorkerCrashed", last_transition_time=NOW
)
RETRY = CrawlJobStatus(phase=Phase.RETRY, retry_count=2, next_retry_at=NOW, last_error="it went wrong")
DEAD = CrawlJobStatus(phase=Phase.DEAD_LETTER, completed_at=NOW, conditions=(RECONCILING,))
PREFIX = "crawl-operator.io/"


def short(marks: object) -> dict[str, str]:
    assert isinstance(marks, dict)
    return {name.removeprefix(PREFIX): value for name, value in marks.items()}


def test_a_retry_is_marked_with_what_is_waited_for() -> None:
    assert short(marks_of(RETRY)) == {
        "retry-count": "2",
        "next-retry-at": "2026-03-01T12:00:10.250000Z",
        "last-failure-reason": "it went wrong",
    }


def test_a_dead_letter_is_marked_as_one() -> None:
    assert short(marks_of(DEAD)) == {
        "dead-letter": "true",
        "dead-letter-reason": "WorkerCrashed",
        "dead-letter-at": "2026-03-01T12:00:10.250000Z",
    }


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in {Phase.RETRY, Phase.DEAD_LETTER}])
def test_no_other_job_is_marked(phase: Phase) -> None:
    status = DEAD.model_copy(update={"phase": phase, "next_retry_at": NOW, "retry_count": 2})
    assert marks_of(status) == {}


def test_every_mark_is_known_as_the_operators_own() -> None:
    """Else it would never be taken away."""
    assert marks_of(RETRY).keys() | marks_of(DEAD).keys() == OWN


def test_marks_come_and_go_with_the_phase() -> None:
    observation = Observation(make_job(), pods=(ended_pod(),), admission=Admission(granted=True))
    plan = decide(observation, POLICY, NOW)
    assert plan.status is not None
    assert plan.actions[-1] == Mark(marks_of(plan.status))
    retry = carried_out(observation, plan)
    assert retry.job.marks.keys() >= {f"{PREFIX}next-retry-at"}
    due = NOW + timedelta(minutes=1)
    assert decide(retry, POLICY, due) == Plan(actions=(StartWorker(2, Execution.JOB),)), "nothing new to mark"
    running = replace(retry, pods=(running_pod("news-abc-2", attempt=2),))
    assert decide(running, POLICY, due).actions == (Mark({}),)


@pytest.mark.parametrize("status", [RETRY, DEAD], ids=["retry", "dead letter"])
def test_a_crash_between_status_and_annotations_is_mended(status: CrawlJobStatus) -> None:
    job = make_job(status=status)
    plan = decide(Observation(job), POLICY, NOW - timedelta(seconds=1))
    assert plan.status is None
    assert plan.actions == (Mark(marks_of(status)),)


def test_marks_that_came_with_a_copied_manifest_are_taken_away() -> None:
    """Somebody applies what `kubectl get -o yaml` has shown of a dead letter: this job is none."""
    job = replace(make_job(), marks=marks_of(DEAD))
    plan = decide(Observation(job, admission=Admission(granted=True)), POLICY, NOW)
    assert plan.actions == (StartWorker(1, Execution.JOB), Mark({})), "which delays nothing"


@pytest.mark.parametrize(
    ("value", "obeyed", "asks"),
    [("", "", False), ("1", "", True), ("1", "1", False), ("2", "1", True), ("", "1", False)],
)
def test_only_a_new_value_asks_for_another_run(value: str, obeyed: str, asks: bool) -> None:  # noqa: FBT001 - a column
    assert asks_again(value, CrawlJobStatus(phase=Phase.FAILED, requeued=obeyed)) is asks
