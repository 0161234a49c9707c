"""The life of one CrawlJob, one step at a time: what is seen, and what is to be done about it."""

from dataclasses import replace
from datetime import datetime, timedelta
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
    make_batch_job,
    make_job,
    make_pod,
    outcome_of,
    page_error,
    running_pod,
    status_of,
)

from crawl_api.crawljob import Priority
from crawl_api.status import Cause, Condition, ConditionStatus, ConditionType, CrawlJobStatus, Execution, Phase
from crawl_api.worker_protocol import ProgressReport
from crawl_operator.decide.crawljob import decide, newest
from crawl_operator.decide.model import NOTHING, Admission, Observation, Plan, RecordEvent, StartWorker, StopWorker
from crawl_operator.decide.running import OVERTIME, precise

GRANTED = Admission(granted=True)
FULL = Admission(granted=False, reason="ConcurrencyLimit", message="4 jobs may run at once")


def processing(**changes: Any) -> Observation:
    """A job whose start has been written."""
    before = Observation(make_job(**changes), pods=(running_pod(),))
    return carried_out(before, decide(before, POLICY, NOW))


@pytest.mark.parametrize(
    ("priority", "execution"),
    [
        (Priority.CRITICAL, Execution.POD),
        (Priority.HIGH, Execution.POD),
        (Priority.NORMAL, Execution.JOB),
        (Priority.LOW, Execution.JOB),
    ],
)
def test_a_job_with_a_place_gets_a_worker_of_its_class(priority: Priority, execution: Execution) -> None:
    """No status is written for it: the worker's start says more, and each write counts."""
    plan = decide(Observation(make_job(priority=priority), admission=GRANTED), POLICY, NOW)
    assert plan == Plan(actions=(StartWorker(1, execution),))


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.terminal])
def test_terminal_means_terminal(phase: Phase) -> None:
    """Whatever comes in later, a finished job is left alone: also if all of it is still in memory."""
    job = make_job(phase=phase, cancel=True)
    observation = Observation(job, admission=GRANTED, outcome=outcome_of(1, 1), refusal="no")
    assert decide(observation, POLICY, NOW) == NOTHING
    settled = replace(observation, job=replace(job, settled=True, spec={}))
    assert decide(settled, POLICY, NOW) is NOTHING


@pytest.mark.parametrize("settled", [False, True])
def test_a_worker_that_comes_when_all_is_over_is_stopped_and_no_more(settled: bool) -> None:  # noqa: FBT001 - a case
    """It was asked for by an operator that has been overtaken since."""
    job = make_job(phase=Phase.CANCELLED)
    late = Observation(
        replace(job, settled=True, spec={}) if settled else job, pods=(running_pod(),), batch_jobs=(make_batch_job(),)
    )
    assert decide(late, POLICY, NOW) == Plan(actions=(StopWorker(late.batch_jobs[0]),))
    assert decide(replace(late, batch_jobs=()), POLICY, NOW) == Plan(actions=(StopWorker(late.pods[0]),))


def test_a_job_that_is_being_deleted_is_left_to_the_garbage_collector() -> None:
    observation = Observation(make_job(deleting=True), pods=(ended_pod(),), admission=GRANTED)
    assert decide(observation, POLICY, NOW) is NOTHING


def test_a_worker_that_exists_is_waited_for() -> None:
    """A second worker is never asked for, whatever capacity says."""
    for children in ({"pods": (make_pod(),)}, {"batch_jobs": (make_batch_job(),)}):
        observation = Observation(make_job(), admission=GRANTED, **children)
        assert decide(observation, POLICY, NOW) == NOTHING, children


def test_the_start_of_the_worker_is_written_at_once() -> None:
    status = status_of(decide(Observation(make_job(spec=batch_of(5)), pods=(running_pod(),)), POLICY, NOW))
    assert status.phase is Phase.PROCESSING
    assert status.submitted_at == CREATED
    assert status.started_at == STARTED + timedelta(seconds=1), "to the second, and not before it was possible"
    assert status.updated_at == NOW
    assert status.worker_id == "news-abc-1"
    assert status.observed_generation == 1
    assert (status.progress.percent, status.progress.summary, status.progress.total) == (0, "0%", 5)
    (attempt,) = status.attempts
    assert (attempt.number, attempt.execution, attempt.worker) == (1, Execution.POD, "news-abc-1")
    assert attempt.outcome is None
    assert condition_of(status, ConditionType.SCHEDULED).status is ConditionStatus.TRUE
    assert condition_of(status, ConditionType.RECONCILING).reason == "Crawling"


def test_the_attempt_says_that_a_batch_job_ran_it() -> None:
    observation = Observation(make_job(), pods=(running_pod(),), batch_jobs=(make_batch_job(),))
    assert status_of(decide(observation, POLICY, NOW)).attempts[0].execution is Execution.JOB


def test_a_replaced_pod_of_the_same_attempt_is_still_one_attempt() -> None:
    """A batch Job may start a second pod; the first start time stays, progress starts anew."""
    before = processing()
    second = running_pod("news-abc-1-second", version=99)
    status = status_of(decide(replace(before, pods=(running_pod(), second)), POLICY, NOW + timedelta(seconds=9)))
    assert status.worker_id == "news-abc-1-second"
    assert [attempt.worker for attempt in status.attempts] == ["news-abc-1-second"]
    assert status.started_at == before.job.status.started_at


def report_of(succeeded: int, failed: int = 0, total: int = 10) -> ProgressReport:
    errors = tuple(page_error(each) for each in range(failed))
    return ProgressReport(
        total=total, succeeded=succeeded, failed=failed, bytes=1, errors=errors, error_count=len(errors)
    )


def test_progress_is_written_as_often_as_agreed() -> None:
    before = replace(processing(spec=batch_of(10)), report=report_of(3, 1))
    soon, later = NOW + timedelta(seconds=0.5), NOW + timedelta(seconds=2)

    assert decide(before, POLICY, soon) == Plan(requeue_after=1.5)
    status = status_of(decide(before, POLICY, later))

    assert (status.progress.percent, status.progress.summary) == (40, "40%")
    assert (status.progress.succeeded, status.progress.failed, status.progress.total) == (3, 1, 10)
    assert status.error_count == 1
    assert status.last_error == page_error(0).message
    assert status.updated_at == later


def test_a_report_that_says_nothing_new_costs_no_write() -> None:
    before = replace(processing(spec=batch_of(10)), report=report_of(3))
    after = carried_out(before, decide(before, POLICY, NOW + timedelta(seconds=2)))
    for pause in (3, 300):
        plan = decide(after, POLICY, NOW + timedelta(seconds=pause))
        assert (plan.status, plan.actions) == (None, ())
        assert plan.requeue_after is not None
        assert plan.requeue_after > 30, "nor another look for the report's sake"


def test_without_a_report_a_running_worker_costs_no_write() -> None:
    """It is looked at again when it should have ended, and not before."""
    limit = STARTED + timedelta(seconds=300) + OVERTIME
    assert decide(processing(), POLICY, NOW) == Plan(requeue_after=(limit - NOW).total_seconds())


def test_waiting_for_capacity_is_said_once_and_only_after_patience() -> None:
    created = NOW - timedelta(seconds=1.5)
    observation = Observation(make_job(created=created), admission=FULL)

    assert decide(observation, POLICY, NOW) == Plan(requeue_after=0.5, in_line=True)
    plan = decide(observation, POLICY, NOW + timedelta(seconds=0.5))
    after = carried_out(observation, plan)

    condition = condition_of(status_of(plan), ConditionType.SCHEDULED)
    assert (condition.status, condition.reason) == (ConditionStatus.FALSE, "ConcurrencyLimit")
    assert condition.message == FULL.message
    assert status_of(plan).phase is Phase.PENDING
    assert plan.actions == ()
    assert decide(after, POLICY, NOW + timedelta(hours=1)) == Plan(in_line=True)


def test_a_job_that_waited_is_started_like_any_other() -> None:
    waiting = Observation(make_job(created=NOW - timedelta(hours=1)), admission=FULL)
    after = carried_out(waiting, decide(waiting, POLICY, NOW))
    plan = decide(replace(after, admission=GRANTED), POLICY, NOW)
    assert plan == Plan(actions=(StartWorker(1, Execution.JOB),))


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("Unschedulable", "PodUnschedulable"),
        ("ErrImagePull", "ImagePullFailed"),
        ("ImagePullBackOff", "ImagePullFailed"),
        ("ErrImageNeverPull", "ImagePullFailed"),
        ("InvalidImageName", "ImagePullFailed"),
        ("CreateContainerConfigError", "WorkerNotStartable"),
        ("CreateContainerError", "WorkerNotStartable"),
        ("RunContainerError", "WorkerNotStartable"),
    ],
)
def test_a_worker_that_does_not_start_says_why(word: str, reason: str) -> None:
    observation = Observation(make_job(), pods=(make_pod(hold_reason=word, hold_message="the cluster's words"),))
    plan = decide(observation, POLICY, NOW)
    condition = condition_of(status_of(plan), ConditionType.SCHEDULED)
    assert (condition.status, condition.reason) == (ConditionStatus.FALSE, reason)
    assert condition.message == "the cluster's words"
    assert condition_of(status_of(plan), ConditionType.RECONCILING).reason == reason
    assert plan.actions == (RecordEvent(reason, "the cluster's words"),)


def test_a_hold_is_said_once_per_reason() -> None:
    """The cluster rewords and alternates; a status write and an Event for each would be noise without end."""
    first = Observation(make_job(), pods=(make_pod(hold_reason="ErrImagePull", hold_message="not found"),))
    after = carried_out(first, decide(first, POLICY, NOW))
    for word, message in (("ErrImagePull", "reworded"), ("ImagePullBackOff", "Back-off pulling image")):
        pods = (make_pod(hold_reason=word, hold_message=message),)
        assert decide(replace(after, pods=pods), POLICY, NOW) == NOTHING, word
    other = decide(replace(after, pods=(make_pod(hold_reason="CreateContainerError"),)), POLICY, NOW)
    assert condition_of(status_of(other), ConditionType.SCHEDULED).reason == "WorkerNotStartable"
    assert other.actions == (RecordEvent("WorkerNotStartable", "CreateContainerError"),), "at least the word itself"


def test_a_worker_that_is_known_to_run_is_not_held_by_older_news() -> None:
    """Another operator has said that it runs; this one's watch of pods lags."""
    running = Observation(make_job(), pods=(running_pod(),))
    after = carried_out(running, decide(running, POLICY, NOW))
    assert after.job.phase is Phase.PROCESSING
    lagging = replace(after, pods=(make_pod(hold_reason="Unschedulable", hold_message="0/3 nodes"),))
    assert decide(lagging, POLICY, NOW) == NOTHING


@pytest.mark.parametrize("word", ["ContainerCreating", "PodInitializing", "", "SchedulingGated"])
def test_a_worker_on_its_way_is_not_a_hold(word: str) -> None:
    assert decide(Observation(make_job(), pods=(make_pod(hold_reason=word),)), POLICY, NOW) == NOTHING


def test_a_batch_job_that_a_queue_holds_is_said_once() -> None:
    held = make_batch_job(suspended=True)
    observation = Observation(replace(make_job(), queue="crawls"), batch_jobs=(held,))
    plan = decide(observation, POLICY, NOW)
    scheduled = condition_of(status_of(plan), ConditionType.SCHEDULED)
    assert (scheduled.status, scheduled.reason) == ("False", "WorkerSuspended")
    assert scheduled.message == f"the batch Job {held.name} is suspended; it waits for its queue, crawls"
    assert plan.actions == (RecordEvent("WorkerSuspended", scheduled.message),)
    assert decide(carried_out(observation, plan), POLICY, NOW) == NOTHING


def test_a_refused_worker_is_said_once() -> None:
    words = "POST pods: 403 exceeded quota: pods=5"
    observation = Observation(make_job(), admission=GRANTED, refusal=words)
    plan = decide(observation, POLICY, NOW)
    assert condition_of(status_of(plan), ConditionType.SCHEDULED).reason == "WorkerRefused"
    assert plan.actions == (RecordEvent("WorkerRefused", words),)
    again = replace(carried_out(observation, plan), refusal="POST pods: 403 exceeded quota: pods=6")
    assert decide(again, POLICY, NOW) == NOTHING


@pytest.mark.parametrize(
    ("number", "refused"), [(1, False), (49, False), (50, False), (51, True), (1000, True)], ids=str
)
def test_the_configured_batch_size_is_kept_to_the_url(number: int, refused: bool) -> None:  # noqa: FBT001 - a column
    plan = decide(Observation(make_job(spec=batch_of(number)), admission=GRANTED), POLICY, NOW)
    assert (plan.status is not None) is refused
    if refused:
        status = status_of(plan)
        assert status.phase is Phase.FAILED
        assert condition_of(status, ConditionType.FAILED).reason == "InvalidSpec"
        for part in ("spec.batch.urls", f"{number} URLs", "at most 50", "limits.urlsPerJob", "split the list"):
            assert part in status.last_error, "it names field, limit and fix"
    else:
        assert plan.actions == (StartWorker(1, Execution.JOB),)


@pytest.mark.parametrize(
    ("image", "refused"),
    [
        ("", False),
        ("crawl-worker:latest", False),
        ("example.org/crawls/prices:3", False),
        ("example.org/crawls/team/prices@sha256:0a", False),
        ("example.org/others/prices:3", True),
        ("crawl-worker:latest2", True),
        ("docker.io/example.org/crawls/prices:3", True),
    ],
)
def test_only_images_that_are_allowed_are_run(image: str, *, refused: bool) -> None:
    observation = Observation(make_job(spec=SINGLE | {"worker": {"image": image}}), admission=GRANTED)
    plan = decide(observation, POLICY, NOW)
    assert (plan.status is not None) is refused
    if refused:
        status = status_of(plan)
        assert status.phase is Phase.FAILED
        assert condition_of(status, ConditionType.STALLED).reason == "InvalidSpec"
        for part in ("spec.worker.image", image, "worker.allowedImages", "example.org/crawls/*", "leave it empty"):
            assert part in status.last_error, "it names field, limit and fix"


def test_all_that_configuration_forbids_is_said_at_once() -> None:
    spec = batch_of(51) | {"worker": {"image": "evil"}}
    status = status_of(decide(Observation(make_job(spec=spec), admission=GRANTED), POLICY, NOW))
    assert [error.code for error in status.errors] == ["InvalidSpec"] * 2
    assert [error.message.partition(":")[0] for error in status.errors] == ["spec.batch.urls", "spec.worker.image"]


def test_a_spec_too_large_for_an_annotation_is_refused() -> None:
    """Forty URLs of the longest kind fit, a configured thousand of them cannot reach the worker."""
    urls = [f"https://example.org/{'x' * 2000}{each}" for each in range(200)]
    policy = replace(POLICY, max_urls=1000)
    spec: dict[str, Any] = {"type": "Batch", "batch": {"urls": urls}}
    status = status_of(decide(Observation(make_job(spec=spec), admission=GRANTED), policy, NOW))
    assert "at most 200000" in status.last_error
    spec["batch"] = {"urls": urls[:40]}
    assert decide(Observation(make_job(spec=spec), admission=GRANTED), policy, NOW).status is None


def test_metadata_does_not_count_against_what_a_worker_is_handed() -> None:
    spec = batch_of(1) | {"metadata": {"blob": "x" * 300_000}}
    assert decide(Observation(make_job(spec=spec), admission=GRANTED), POLICY, NOW).status is None


def test_everything_wrong_with_a_spec_is_said_at_once() -> None:
    """A spec that only an older or a newer API server could have let through is refused as a whole."""
    spec = {
        "type": "Single",
        "single": {"url": ""},
        "fetch": {"concurrency": 0, "delaySeconds": 61},
        "unknown": 1,
    }
    plan = decide(Observation(make_job(spec=spec), admission=GRANTED), POLICY, NOW)
    status = status_of(plan)
    assert status.phase is Phase.FAILED
    assert status.error_count == len(status.errors) == 4
    messages = [error.message for error in status.errors]
    for field in ("spec.single.url:", "spec.fetch.concurrency:", "spec.fetch.delaySeconds:", "spec.unknown:"):
        assert any(message.startswith(field) for message in messages), messages
        assert field in condition_of(status, ConditionType.FAILED).message
    assert {error.code for error in status.errors} == {"InvalidSpec"}
    assert not any(error.retryable for error in status.errors)
    assert [action.reason for action in plan.actions if isinstance(action, RecordEvent)] == ["InvalidSpec"]


def test_both_limits_broken_are_both_said() -> None:
    urls = [f"https://example.org/{'x' * 2000}{each}" for each in range(200)]
    spec = {"type": "Batch", "batch": {"urls": urls}}
    status = status_of(decide(Observation(make_job(spec=spec)), POLICY, NOW))
    assert [error.message.split(":")[0] for error in status.errors] == ["spec.batch.urls", "spec"]


def test_a_worker_that_is_gone_is_named_and_repeated() -> None:
    """The cluster's fault: nothing of the job's own budget is used up."""
    status = status_of(decide(replace(processing(), pods=()), POLICY, NOW))
    assert status.phase is Phase.RETRY
    assert "news-abc-1" in status.last_error
    assert (status.retry_count, status.infrastructure_retries) == (0, 1)
    (attempt,) = status.attempts
    assert (attempt.outcome, attempt.cause, attempt.finished_at) == (Phase.FAILED, Cause.INFRASTRUCTURE, NOW)
    assert status.errors[-1].code == "WorkerLost"


def test_a_worker_that_is_gone_is_believed_if_it_stored_its_outcome() -> None:
    observation = replace(processing(), pods=(), outcome=outcome_of(1, 1))
    assert status_of(decide(observation, POLICY, NOW)).phase is Phase.COMPLETED


@pytest.mark.parametrize(
    ("reason", "code", "counted"), [("DeadlineExceeded", "Timeout", 1), ("BackoffLimitExceeded", "WorkerLost", 0)]
)
def test_a_failed_batch_job_without_a_pod_ends_the_attempt_once(reason: str, code: str, counted: int) -> None:
    """Its pod went before anybody saw it: the attempt is over all the same, and the next one has its own number."""
    failed = make_batch_job(failed_reason=reason, failed_message="Job was active longer than specified deadline")
    observation = Observation(make_job(), batch_jobs=(failed,), admission=GRANTED)
    plan = decide(observation, POLICY, NOW)
    status = status_of(plan)
    assert status.phase is Phase.RETRY
    assert status.errors[-1].code == code
    assert "news-abc-1" in status.last_error
    assert "active longer" in status.last_error
    assert [(each.number, each.execution, each.outcome) for each in status.attempts] == [
        (1, Execution.JOB, Phase.FAILED)
    ]
    assert (status.retry_count, status.infrastructure_retries) == (counted, 1 - counted)
    after = carried_out(observation, plan)
    assert after.batch_jobs == (), "it belongs to an attempt that is over"
    assert decide(after, POLICY, NOW).status is None
    due = NOW + timedelta(minutes=1)
    assert decide(after, POLICY, due).actions == (StartWorker(2, Execution.JOB),)


def test_the_pod_says_more_than_its_batch_job() -> None:
    """While the pod is there, its outcome counts, not the Job's own word for it."""
    failed = make_batch_job(failed_reason="BackoffLimitExceeded")
    pod = ended_pod(outcome=outcome_of(2, 1))
    status = status_of(decide(Observation(make_job(), pods=(pod,), batch_jobs=(failed,)), POLICY, NOW))
    assert status.phase is Phase.PARTIAL_SUCCESS


@pytest.mark.parametrize("seen_running", [True, False])
def test_a_completed_batch_job_whose_pod_is_gone_has_lost_its_worker(seen_running: bool) -> None:  # noqa: FBT001 - a column
    """Also if the operator was away from its start to its end: nobody waits for a pod that comes no more."""
    before = processing() if seen_running else Observation(make_job())
    status = status_of(decide(replace(before, pods=(), batch_jobs=(make_batch_job(completed=True),)), POLICY, NOW))
    assert status.phase is Phase.RETRY
    assert status.errors[-1].code == "WorkerLost"
    assert make_batch_job().name in status.last_error
    assert [each.number for each in status.attempts] == [1]


def test_a_lost_worker_of_a_batch_job_is_believed_if_it_stored_its_outcome() -> None:
    failed = make_batch_job(failed_reason="BackoffLimitExceeded")
    observation = replace(processing(), pods=(), batch_jobs=(failed,), outcome=outcome_of(1, 1))
    assert status_of(decide(observation, POLICY, NOW)).phase is Phase.COMPLETED


def test_the_latest_child_counts() -> None:
    first, second = make_pod("a", attempt=1, version=90), make_pod("b", attempt=2, version=50)
    later = make_pod("c", attempt=2, version=51)
    assert newest((first, later, second)) is later
    assert newest((second, first)) is second
    assert newest(()) is None


@pytest.mark.parametrize(
    ("given", "now", "sharpened"),
    [
        (CREATED, CREATED + timedelta(seconds=0.3), CREATED + timedelta(seconds=0.3)),
        (CREATED, CREATED + timedelta(seconds=9), CREATED + timedelta(seconds=1)),
        (CREATED, CREATED - timedelta(seconds=5), CREATED),
    ],
    ids=["within the second", "long ago", "a clock that is ahead of ours"],
)
def test_whole_seconds_are_sharpened_by_what_was_seen(given: datetime, now: datetime, sharpened: datetime) -> None:
    assert precise(given, now) == sharpened


def test_a_condition_keeps_the_time_since_which_it_holds() -> None:
    """Reason and message may change; `lastTransitionTime` tells since when the status holds."""
    before = Observation(make_job(), pods=(make_pod(hold_reason="Unschedulable", hold_message="0/3 nodes"),))
    first = carried_out(before, decide(before, POLICY, NOW))
    reworded = replace(first, pods=(make_pod(hold_reason="ErrImagePull", hold_message="not found"),))
    later = NOW + timedelta(minutes=5)
    second = status_of(decide(reworded, POLICY, later))
    assert condition_of(second, ConditionType.SCHEDULED).reason == "ImagePullFailed"
    assert condition_of(second, ConditionType.SCHEDULED).last_transition_time == NOW

    third = status_of(decide(replace(carried_out(reworded, Plan(second)), pods=(running_pod(),)), POLICY, later))
    assert condition_of(third, ConditionType.SCHEDULED).last_transition_time == later, "False → True"
    assert condition_of(third, ConditionType.RECONCILING).last_transition_time == NOW, "True all along"


def test_what_the_schema_said_before_the_operator_has_no_time() -> None:
    """The API server's default condition is of 1970: nobody shall read that a job waits for half a century."""
    default = Condition(
        type=ConditionType.RECONCILING,
        status=ConditionStatus.TRUE,
        reason="AwaitingOperator",
        last_transition_time=datetime.fromisoformat("1970-01-01T00:00:00Z"),
    )
    job = make_job(status=CrawlJobStatus(conditions=(default,)))
    status = status_of(decide(Observation(job, pods=(running_pod(),)), POLICY, NOW))
    assert condition_of(status, ConditionType.RECONCILING).last_transition_time == NOW


def test_each_condition_stands_once() -> None:
    before = Observation(make_job(created=NOW - timedelta(hours=1)), admission=FULL)
    waiting = carried_out(before, decide(before, POLICY, NOW))
    running = replace(waiting, pods=(running_pod(),))
    ended = replace(carried_out(running, decide(running, POLICY, NOW)), pods=(ended_pod(outcome=outcome_of(1, 1)),))
    status = status_of(decide(ended, POLICY, NOW))
    kinds = [condition.type for condition in status.conditions]
    assert kinds == [
        ConditionType.COMPLETE,
        ConditionType.RECONCILING,
        ConditionType.SCHEDULED,
        ConditionType.RESULT_AVAILABLE,
    ]
    assert {condition.observed_generation for condition in status.conditions} == {1}


def test_two_writes_make_a_happy_job() -> None:
    """Besides its child: `Processing`, and the end. Nothing else is written, and no Event is posted."""
    observation = Observation(make_job(), admission=GRANTED)
    writes = 0
    for step in (
        {"batch_jobs": (make_batch_job(),)},
        {"pods": (make_pod(),)},
        {"pods": (running_pod(),)},
        {"pods": (running_pod(),), "report": report_of(1, total=1)},
        {"pods": (ended_pod(outcome=outcome_of(1, 1)),)},
        {"pods": ()},
    ):
        observation = replace(observation, **step)
        plan = decide(observation, POLICY, NOW)
        assert plan.actions == ()
        if plan.status is not None:
            writes += 1
            observation = carried_out(observation, plan)
    assert observation.job.phase is Phase.COMPLETED
    assert writes == 2
