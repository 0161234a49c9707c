"""How a job ends: from the worker's outcome document, from its termination message alone, or from neither."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from operator_cases import (
    NOW,
    POLICY,
    STARTED,
    batch_of,
    condition_of,
    ended_pod,
    make_batch_job,
    make_job,
    make_pod,
    outcome_of,
    page_error,
    running_pod,
    status_of,
    stored,
    timeout_failure,
)

from crawl_api.status import (
    Attempt,
    Cause,
    ConditionStatus,
    ConditionType,
    CrawlJobStatus,
    Execution,
    JobError,
    Phase,
    Progress,
)
from crawl_api.worker_protocol import AttemptFailure, Outcome, ProgressReport, StoredResult
from crawl_operator.decide import failure as failures
from crawl_operator.decide.crawljob import decide
from crawl_operator.decide.ending import human_duration
from crawl_operator.decide.model import Observation, Plan, RecordEvent, WorkerPod
from crawl_operator.decide.progress import percent_done, progress_of
from crawl_operator.decide.retry import INFRASTRUCTURE_RETRIES

STORED = StoredResult(url="file:///results/news", bytes=4321, sha256="ab" * 32)


LAST: dict[str, Any] = {"retry": {"maxAttempts": 1}}


def end(pod: WorkerPod, outcome: Outcome | None = None, total: int = 1, **spec: Any) -> Plan:
    """Decide upon the end of a worker whose start was written."""
    job = make_job(spec=batch_of(total) | spec)
    started = decide(Observation(job, pods=(running_pod(),)), POLICY, NOW).status
    assert started is not None
    job = replace(job, status=stored(started), phase=Phase.PROCESSING)
    return decide(Observation(job, pods=(pod,), outcome=outcome), POLICY, NOW)


@pytest.mark.parametrize(
    ("total", "succeeded", "phase"),
    [
        (1, 1, Phase.COMPLETED),
        (1, 0, Phase.FAILED),
        (10, 10, Phase.COMPLETED),
        (10, 9, Phase.PARTIAL_SUCCESS),
        (10, 1, Phase.PARTIAL_SUCCESS),
        (10, 0, Phase.FAILED),
    ],
)
def test_the_phase_follows_from_the_pages(total: int, succeeded: int, phase: Phase) -> None:
    status = status_of(end(ended_pod(outcome=outcome_of(total, succeeded)), total=total))
    assert status.phase is phase
    assert (status.progress.percent == 100) is (phase is not Phase.FAILED), "100 only with a good end"
    assert status.progress.summary == f"{status.progress.percent}%"
    assert (status.progress.succeeded, status.progress.failed) == (succeeded, total - succeeded)
    assert status.attempts[-1].outcome is phase


@pytest.mark.parametrize("succeeded", [0, 4, 10])
def test_a_failed_attempt_is_failed_however_many_pages_it_fetched(succeeded: int) -> None:
    """Where it was the last one, the job is a dead letter."""
    outcome = outcome_of(10, succeeded, failure=timeout_failure())
    status = status_of(end(ended_pod(), outcome, total=10, **LAST))
    assert status.phase is Phase.DEAD_LETTER
    assert condition_of(status, ConditionType.FAILED).reason == "Timeout"
    assert status.last_error == timeout_failure().message
    assert status.attempts[-1].cause is Cause.TRANSIENT
    assert status.progress.percent < 100
    assert status.progress.succeeded == succeeded, "what was done is told"


def test_a_good_end_is_written_whole() -> None:
    outcome = outcome_of(1, 1, stored=STORED, data=[{"title": "News"}])
    plan = end(ended_pod(), outcome)
    status = status_of(plan)
    assert status.phase is Phase.COMPLETED
    assert plan.actions == (), "its conditions say it: an Event would be one more write for every happy job"
    assert status.result is not None
    assert status.result.success
    assert status.result.data == [{"title": "News"}]
    assert status.result.error == ""
    assert (status.result.items, status.result.bytes, status.result.sha256) == (1, 4321, STORED.sha256)
    assert status.result.worker_id == status.worker_id == "news-abc-1"
    assert status.result_url == STORED.url
    assert status.started_at == STARTED + timedelta(seconds=1)
    assert status.completed_at == STARTED + timedelta(seconds=8)
    assert status.result.completed_at == status.attempts[-1].finished_at == status.completed_at
    assert status.processing_time_ms == status.result.processing_time_ms == 7000
    assert status.duration == "7.0s"
    for kind, holds in {
        ConditionType.COMPLETE: ConditionStatus.TRUE,
        ConditionType.RECONCILING: ConditionStatus.FALSE,
        ConditionType.RESULT_AVAILABLE: ConditionStatus.TRUE,
    }.items():
        assert condition_of(status, kind).status is holds, kind
    assert status.condition(ConditionType.FAILED) is None
    assert condition_of(status, ConditionType.COMPLETE).message == "1 of 1 pages crawled"


def test_a_bad_end_is_written_whole() -> None:
    plan = end(ended_pod(outcome=outcome_of(2, 0)), total=2)
    status = status_of(plan)
    assert status.phase is Phase.FAILED
    for kind, holds in {
        ConditionType.FAILED: ConditionStatus.TRUE,
        ConditionType.STALLED: ConditionStatus.TRUE,
        ConditionType.RECONCILING: ConditionStatus.FALSE,
        ConditionType.RESULT_AVAILABLE: ConditionStatus.FALSE,
    }.items():
        assert condition_of(status, kind).status is holds, kind
    assert status.condition(ConditionType.COMPLETE) is None
    assert status.result is not None
    assert not status.result.success
    assert plan.actions == (RecordEvent("Failed", "0 of 2 pages crawled"),)


def test_a_result_tells_its_own_attempts_time_and_the_job_all_of_it() -> None:
    """An hour's wait for the second attempt is no work of its worker's, but time that the job took."""
    before = STARTED - timedelta(hours=1)
    first = Attempt(
        number=1,
        execution=Execution.POD,
        worker="news-abc-1",
        started_at=before,
        finished_at=before + timedelta(seconds=30),
        outcome=Phase.FAILED,
    )
    job = make_job(status=CrawlJobStatus(attempts=(first,), started_at=before, retry_count=1))
    pod = ended_pod("news-abc-2", outcome_of(1, 1, stored=STORED), attempt=2)
    status = status_of(decide(Observation(job, pods=(pod,)), POLICY, NOW))
    assert status.phase is Phase.COMPLETED
    assert status.result is not None
    last = status.attempts[-1]
    assert last.number == 2
    assert last.started_at is not None
    assert last.finished_at is not None
    assert last.finished_at == status.completed_at
    assert status.result.processing_time_ms == _milliseconds(last.finished_at - last.started_at) > 0
    assert status.processing_time_ms == _milliseconds(last.finished_at - before) > 3600_000


def _milliseconds(time: timedelta) -> int:
    return int(time / timedelta(milliseconds=1))


def test_partial_success_tells_what_failed_last() -> None:
    plan = end(ended_pod(outcome=outcome_of(3, 1)), total=3)
    assert plan.actions == (
        RecordEvent("PartialSuccess", "1 of 3 pages crawled; the last error: https://example.org/1 answered 404"),
    )
    status = status_of(plan)
    assert [error.url for error in status.errors] == ["https://example.org/0", "https://example.org/1"]
    assert status.result is not None
    assert status.result.success


def test_the_outcome_document_says_more_than_the_termination_message() -> None:
    full = outcome_of(3, 2, data=[1, 2], stored=STORED)
    status = status_of(end(ended_pod(outcome=outcome_of(3, 3)), full, total=3))
    assert status.phase is Phase.PARTIAL_SUCCESS
    assert status.result is not None
    assert status.result.data == [1, 2]
    assert status.result_url == STORED.url


def test_the_termination_message_alone_is_enough() -> None:
    """The operator was away, the endpoint was never reached: what Kubernetes kept tells the end, without data."""
    status = status_of(end(ended_pod(outcome=outcome_of(3, 2, stored=STORED, data=[1])), total=3))
    assert status.phase is Phase.PARTIAL_SUCCESS
    assert status.error_count == 1
    assert status.result is not None
    assert status.result.data is None
    assert status.result_url == STORED.url


def test_without_any_outcome_the_cluster_is_asked_why() -> None:
    status = status_of(
        end(ended_pod(termination_message="Traceback (most recent call last): ...", exit_code=1), **LAST)
    )
    assert status.phase is Phase.DEAD_LETTER
    (error,) = status.errors
    assert error.code == "WorkerCrashed"
    assert "Traceback" in error.message
    assert condition_of(status, ConditionType.RESULT_AVAILABLE).reason == "NoResult"


@pytest.mark.parametrize(
    ("pod", "code", "cause", "words"),
    [
        ({"end_reason": "OOMKilled", "exit_code": 137}, "OutOfMemory", "Transient", "more memory than its limit"),
        (
            {"end_reason": "DeadlineExceeded", "end_message": "Pod was active too long"},
            "Timeout",
            "Transient",
            "timeoutSeconds and was stopped: Pod was active too long",
        ),
        (
            {"end_reason": "Evicted", "end_message": "The node was low on resource: memory."},
            "Evicted",
            "Infrastructure",
            "(Evicted): The node was low on resource: memory.",
        ),
        ({"end_reason": "NodeLost"}, "NodeLost", "Infrastructure", "ended by the cluster"),
        ({"end_reason": "NodeShutdown"}, "NodeShutdown", "Infrastructure", "ended by the cluster"),
        ({"end_reason": "Terminated"}, "Terminated", "Infrastructure", "ended by the cluster"),
        ({"end_reason": "Preempted"}, "Preempted", "Infrastructure", "ended by the cluster"),
        ({"exit_code": None, "signal": 9}, "WorkerKilled", "Infrastructure", "killed by SIGKILL"),
        ({"exit_code": 137}, "WorkerKilled", "Infrastructure", "killed by SIGKILL"),
        ({"exit_code": 143}, "WorkerKilled", "Infrastructure", "killed by SIGTERM"),
        ({"exit_code": 255}, "WorkerKilled", "Infrastructure", "killed by signal 127"),
        ({"exit_code": 255, "end_reason": "Unknown"}, "WorkerKilled", "Infrastructure", "killed by a restart of its"),
        ({"exit_code": 128}, "WorkerCrashed", "Transient", "exit code 128"),
        ({"exit_code": 1}, "WorkerCrashed", "Transient", "exit code 1 and left no outcome"),
        ({"exit_code": 0}, "WorkerCrashed", "Transient", "exit code 0 and left no outcome"),
        (
            {"end_reason": "StartError", "exit_code": 128, "termination_message": "exec: no such file"},
            "WorkerNotStarted",
            "Infrastructure",
            "never started (StartError): exec: no such file",
        ),
        ({"end_reason": "ContainerCannotRun"}, "WorkerNotStarted", "Infrastructure", "never started"),
        ({"started": None, "end_reason": ""}, "WorkerNotStarted", "Infrastructure", "never started (Failed)"),
        ({"started": None, "end_reason": "DeadlineExceeded"}, "WorkerNotStarted", "Infrastructure", "never started"),
    ],
)
def test_a_worker_that_could_not_report_is_spoken_for(pod: dict[str, Any], code: str, cause: str, words: str) -> None:
    """One code, one cause, and a sentence that names the pod; another attempt may bring what this one did not."""
    status = status_of(end(ended_pod(**pod)))
    assert status.phase is Phase.RETRY
    assert (status.retry_count, status.infrastructure_retries) == ((0, 1) if cause == "Infrastructure" else (1, 0))
    assert status.attempts[-1].cause == cause
    assert "worker pod news-abc-1" in status.last_error
    assert words in status.last_error
    assert status.errors[-1].code == code


def test_a_worker_that_never_ran_has_no_times() -> None:
    """The pod was evicted before its container started: there is an end, and no duration."""
    pod = make_pod(phase="Failed", end_reason="Evicted")
    tired = make_job(status=CrawlJobStatus(infrastructure_retries=INFRASTRUCTURE_RETRIES))
    status = status_of(decide(Observation(tired, pods=(pod,)), POLICY, NOW))
    assert status.phase is Phase.DEAD_LETTER
    assert status.started_at is None
    assert status.completed_at == NOW
    assert status.processing_time_ms is None
    assert status.result is not None
    assert status.result.processing_time_ms is None
    assert status.duration == ""


def test_a_failed_batch_job_and_a_lost_worker_name_what_is_gone() -> None:
    deadline = make_batch_job(failed_reason="DeadlineExceeded", failed_message="was active longer")
    assert failures.of_batch_job(deadline) == AttemptFailure(
        code="Timeout",
        cause=Cause.TRANSIENT,
        message="batch Job news-abc-1 failed (DeadlineExceeded): was active longer",
    )
    backoff = failures.of_batch_job(make_batch_job(failed_reason="BackoffLimitExceeded"))
    assert (backoff.code, backoff.cause) == ("WorkerLost", Cause.INFRASTRUCTURE)
    lost = failures.lost("news-abc-1")
    assert (lost.code, lost.cause) == ("WorkerLost", Cause.INFRASTRUCTURE)
    assert "news-abc-1" in lost.message


def test_errors_are_bounded_and_their_count_is_true() -> None:
    """A hundred are kept, the attempt's own always among them; the count says how many there were."""
    outcome = outcome_of(1000, 1, failure=timeout_failure())
    assert len(outcome.errors) == 100
    status = status_of(end(ended_pod(), outcome, total=1000, **LAST))
    assert len(status.errors) == 100
    assert status.errors[0] == page_error(0)
    assert status.errors[-1].code == "Timeout"
    assert status.errors[-1].retryable
    assert status.error_count == 1000
    assert status.last_error == timeout_failure().message


def test_an_attempt_is_not_blamed_twice() -> None:
    """Where a page's error already says what ended the attempt, no second one is added."""
    outcome = outcome_of(2, 0, errors=(page_error(1, "Timeout"),), error_count=1, failure=timeout_failure())
    status = status_of(end(ended_pod(), outcome, total=2, **LAST))
    assert [error.code for error in status.errors] == ["Timeout"]
    assert status.error_count == 1


def test_what_an_earlier_attempt_died_of_is_not_taken_for_this_ones_end() -> None:
    """Both were killed: each is named with its own pod."""
    told = JobError(code="WorkerKilled", message="worker pod news-abc-1 was killed", attempt=1, time=NOW)
    closed = Attempt(number=1, execution=Execution.POD, worker="news-abc-1", outcome=Phase.FAILED)
    job = make_job(status=CrawlJobStatus(attempts=(closed,), errors=(told,), error_count=1, retry_count=2))
    pod = ended_pod("news-abc-2", attempt=2, signal=9, exit_code=137)
    status = status_of(decide(Observation(job, pods=(pod,)), POLICY, NOW))
    assert [(error.code, error.attempt) for error in status.errors] == [("WorkerKilled", 1), ("WorkerKilled", 2)]
    assert "news-abc-2" in status.last_error


def test_errors_told_while_it_ran_outlive_a_worker_that_was_killed() -> None:
    started = decide(Observation(make_job(), pods=(running_pod(),)), POLICY, NOW).status
    assert started is not None
    told = started.model_copy(update={"errors": (page_error(1),), "error_count": 7})
    job = make_job(status=stored(told))
    status = status_of(decide(Observation(job, pods=(ended_pod(signal=9, exit_code=137),)), POLICY, NOW))
    assert [error.code for error in status.errors] == ["HTTP_404", "WorkerKilled"]
    assert status.error_count == 8


def test_an_end_before_its_beginning_is_straightened() -> None:
    """The cluster's clock has whole seconds, and nodes differ: a duration is never negative."""
    pod = ended_pod(outcome=outcome_of(1, 1), finished=STARTED - timedelta(seconds=30))
    status = status_of(end(pod))
    assert status.processing_time_ms == 0
    assert status.duration == "0ms"
    assert status.completed_at == status.started_at


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0ms"),
        (999, "999ms"),
        (1000, "1.0s"),
        (12_345, "12.3s"),
        (59_900, "59.9s"),
        (60_000, "1m0s"),
        (72_999, "1m12s"),
        (3_599_999, "59m59s"),
        (3_600_000, "1h0m"),
        (7_500_000, "2h5m"),
        (90_000_000, "25h0m"),
    ],
)
def test_durations_read_as_in_kubectl(milliseconds: int, text: str) -> None:
    assert human_duration(milliseconds) == text


@pytest.mark.parametrize(
    ("before", "done", "total", "percent"),
    [
        (0, 0, 0, 0),
        (0, 0, 10, 0),
        (0, 1, 3, 33),
        (0, 2, 3, 66),
        (50, 1, 10, 50),
        (0, 10, 10, 99),
        (0, 12, 10, 99),
        (99, 0, 10, 99),
    ],
)
def test_progress_is_a_share_that_never_falls_and_stops_short_of_100(
    before: int, done: int, total: int, percent: int
) -> None:
    report = ProgressReport(total=total, succeeded=done, failed=0)
    told = progress_of(Progress(percent=before), report)
    assert told.percent == percent
    assert told.summary == f"{percent}%"
    assert percent_done(told, told, ended_well=True) == 100


def test_a_late_report_takes_nothing_back() -> None:
    """Reports may overtake each other: what was fetched once stays fetched."""
    before = Progress(percent=50, summary="50%", total=10, succeeded=4, failed=1, bytes=900)
    assert progress_of(before, ProgressReport(total=10, succeeded=3, failed=0, bytes=700)) == before
