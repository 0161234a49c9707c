"""`/workers/…`: what is asked for becomes jobs and schedules; what they come to is answered in two sets of words."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from dialect_cases import UID, entry_of, job, schedule
from pydantic import ValidationError as Malformed

from crawl_api.enums import JobType, Phase
from crawl_client import Page, QueueStats, Result, ValidationError, WorkerStats
from crawl_gateway.dialects.workers import answers
from crawl_gateway.dialects.workers.answers import CLIENT, SERVER
from crawl_gateway.dialects.workers.errors import render
from crawl_gateway.dialects.workers.models import CreateScheduledJobRequest, SubmitJobRequest
from crawl_gateway.dialects.workers.requests import new_job, new_schedule
from crawl_gateway.errors import Problem
from crawl_gateway.statistics import count

URL = "https://example.org/"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SINGLE = {"type": "single_crawl", "url": URL}
BATCH = {"type": "batch_crawl", "urls": [URL], "options": None}


def spec_of(request: dict[str, Any]) -> dict[str, Any]:
    return dict(new_job(SubmitJobRequest.model_validate(request)).spec)


TYPES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (SINGLE, {"type": "Single", "single": {"url": URL}}),
    (BATCH, {"type": "Batch", "batch": {"urls": [URL]}}),
    (
        {**BATCH, "options": {"concurrency": 2, "cache_mode": "read_through", "use_spider": None}},
        {
            "type": "Batch",
            "batch": {"urls": [URL]},
            "fetch": {"concurrency": 2, "cacheMode": "ReadThrough"},
        },
    ),
    (
        {**SINGLE, "options": {"concurrency": 5000, "timeout_secs": 7}},
        {"type": "Single", "single": {"url": URL}, "fetch": {"concurrency": 100, "timeoutSeconds": 7}},
    ),
    ({**SINGLE, "options": {}}, {"type": "Single", "single": {"url": URL}}),
    (
        {"type": "maintenance", "task_type": "cache_cleanup", "parameters": {"olderThanSeconds": 5}},
        {"type": "Maintenance", "maintenance": {"task": "cache_cleanup", "parameters": {"olderThanSeconds": 5}}},
    ),
    (
        {"type": "custom", "job_name": "headlines", "payload": {"n": 1}},
        {"type": "Custom", "custom": {"processor": "headlines", "parameters": {"n": 1}}},
    ),
    (
        {"type": "custom", "job_name": "headlines", "payload": [1]},
        {"type": "Custom", "custom": {"processor": "headlines", "parameters": {"payload": [1]}}},
    ),
    ({"type": "pdf", "url": URL}, {"type": "Pdf", "pdf": {"urls": [URL]}}),
    (
        {"type": "pdf", "urls": [URL], "options": {"max_size_bytes": 9}},
        {"type": "Pdf", "pdf": {"urls": [URL], "maxBytes": 9}},
    ),
]


@pytest.mark.parametrize(("job_type", "spec"), TYPES)
def test_each_type_becomes_a_spec(job_type: dict[str, Any], spec: dict[str, Any]) -> None:
    assert spec_of({"job_type": job_type}) == spec


@pytest.mark.parametrize("mode", ["none", "read", "write", "read_write", "read_through", "READ_WRITE", "ReadThrough"])
def test_each_cache_mode_is_understood(mode: str) -> None:
    found = spec_of({"job_type": {**SINGLE, "options": {"cache_mode": mode}}})["fetch"]["cacheMode"]
    assert found.lower() == mode.replace("_", "").lower()


@pytest.mark.parametrize(
    ("word", "priority"),
    [("High", "High"), ("high", "High"), ("CRITICAL", "Critical"), (1, "Low"), (5, "Normal"), ("9", "Critical")],
)
def test_a_priority_is_understood_in_any_case(word: str | int, priority: str) -> None:
    assert spec_of({"job_type": SINGLE, "priority": word})["priority"] == priority


def test_all_that_can_be_overridden_is() -> None:
    spec = spec_of(
        {
            "job_type": SINGLE,
            "retry_config": {
                "max_attempts": 4,
                "initial_delay_secs": 0.5,
                "backoff_multiplier": 1.5,
                "max_delay_secs": 60.0,
                "use_jitter": False,
            },
            "metadata": {"ticket": {"id": 7, "tags": ["a", None]}},
            "scheduled_at": "2026-03-01T12:00:00+02:00",
            "timeout_secs": 12,
            "later": "versions may say more",
        }
    )
    assert spec == {
        "type": "Single",
        "single": {"url": URL},
        "retry": {
            "maxAttempts": 4,
            "initialDelaySeconds": 1,
            "backoffMultiplier": 1.5,
            "maxDelaySeconds": 60,
            "jitter": False,
        },
        "metadata": {"ticket": {"id": 7, "tags": ["a", None]}},
        "scheduledAt": "2026-03-01T10:00:00Z",
        "timeoutSeconds": 12,
    }


def test_a_part_of_the_retry_settings_leaves_the_rest_to_defaults() -> None:
    assert spec_of({"job_type": SINGLE, "retry_config": {"max_attempts": 2}})["retry"] == {"maxAttempts": 2}


@pytest.mark.parametrize(
    "request_body",
    [
        {},
        {"job_type": "batch_crawl"},
        {"job_type": {"type": "no_such"}},
        {"job_type": {"type": "batch_crawl"}},
        {"job_type": {"type": "single_crawl", "url": 7}},
        {"job_type": SINGLE, "timeout_secs": "soon"},
        {"job_type": SINGLE, "scheduled_at": "tomorrow"},
        {"job_type": SINGLE, "metadata": []},
    ],
)
def test_what_has_another_form_is_refused(request_body: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        SubmitJobRequest.model_validate(request_body)


@pytest.mark.parametrize(
    ("request_body", "problem"),
    [
        ({"job_type": {"type": "batch_crawl", "urls": []}}, "spec.batch.urls"),
        ({"job_type": {"type": "single_crawl", "url": "ftp://example.org/"}}, "spec.single.url"),
        ({"job_type": {"type": "pdf"}}, "spec.pdf.urls"),
        ({"job_type": SINGLE, "priority": "urgent"}, "is no priority"),
        ({"job_type": SINGLE, "priority": 11}, "is no priority"),
        ({"job_type": SINGLE, "timeout_secs": 0}, "spec.timeout_seconds"),
        ({"job_type": SINGLE, "retry_config": {"max_attempts": 0}}, "spec.retry.max_attempts"),
        ({"job_type": {**SINGLE, "options": {"cache_mode": "sometimes"}}}, "is no cache mode"),
        ({"job_type": {**SINGLE, "options": {"concurrency": 0}}}, "spec.fetch.concurrency"),
        ({"job_type": {"type": "custom", "job_name": "no name"}}, "spec.custom.processor"),
    ],
)
def test_what_cannot_be_done_is_refused(request_body: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        spec_of(request_body)


def test_a_schedule_becomes_one() -> None:
    new = new_schedule(
        CreateScheduledJobRequest.model_validate(
            {
                "name": "daily_crawl",
                "cron_expression": "0 2 * * *",
                "job_template": BATCH,
                "priority": "Normal",
                "enabled": False,
                "retry_config": {"max_attempts": 2},
                "metadata": {"a": 1},
            }
        )
    )
    assert new.name == "daily-crawl"
    assert new.spec == {
        "schedule": "0 2 * * *",
        "timeZone": "UTC",
        "suspend": True,
        "displayName": "daily_crawl",
        "jobTemplate": {
            "metadata": {},
            "spec": {
                "type": "Batch",
                "batch": {"urls": [URL]},
                "priority": "Normal",
                "retry": {"maxAttempts": 2},
                "metadata": {"a": 1},
            },
        },
    }


@pytest.mark.parametrize("enabled", [True, None])
def test_a_schedule_is_enabled_unless_it_is_said_not_to_be(enabled: bool | None) -> None:  # noqa: FBT001 - a case
    request = {"name": "a", "cron_expression": "@daily", "job_template": SINGLE, "enabled": enabled}
    assert new_schedule(CreateScheduledJobRequest.model_validate(request)).spec["suspend"] is False


@pytest.mark.parametrize("line", ["bad", "61 * * * *", "", "* * * *"])
def test_a_bad_cron_line_is_refused(line: str) -> None:
    request = {"name": "a", "cron_expression": line, "job_template": SINGLE}
    with pytest.raises(ValidationError, match=r"spec\.schedule"):
        new_schedule(CreateScheduledJobRequest.model_validate(request))


RUN: dict[str, Any] = {
    "submittedAt": "2026-03-01T10:00:00.123456Z",
    "startedAt": "2026-03-01T10:00:01.5Z",
    "completedAt": "2026-03-01T10:00:03Z",
    "updatedAt": "2026-03-01T10:00:03.25Z",
    "workerId": "a-1",
    "retryCount": 1,
    "processingTimeMs": 1500,
    "lastError": "HTTP 404",
    "progress": {"percent": 100, "total": 3, "succeeded": 2, "failed": 1, "fromCache": 1},
    "resultURL": "file:///results.jsonl",
}


def test_the_state_of_a_job_is_told_whole() -> None:
    spec = {"type": "Batch", "batch": {"urls": [URL]}, "priority": "High", "metadata": {"a": [1]}}
    found = job(Phase.PARTIAL_SUCCESS, spec=spec, **RUN)
    assert answers.status(found, SERVER).model_dump(mode="json") == {
        "job_id": UID,
        "status": "Completed",
        "created_at": "2026-03-01T10:00:00.123456Z",
        "started_at": "2026-03-01T10:00:01.500000Z",
        "completed_at": "2026-03-01T10:00:03Z",
        "worker_id": "a-1",
        "retry_count": 1,
        "last_error": "HTTP 404",
        "processing_time_ms": 1500,
        "metadata": {"a": [1]},
        "next_retry_at": None,
        "progress": 100,
    }
    row = answers.row(found, CLIENT).model_dump(mode="json")
    assert (row["job_type"], row["status"], row["priority"]) == ("batch_crawl", "completed", "high")
    assert answers.row(found, SERVER).priority == "High"


def test_a_job_that_no_operator_has_seen_has_a_state() -> None:
    told = answers.status(job(), CLIENT).model_dump(mode="json")
    assert (told["status"], told["created_at"], told["metadata"]) == ("pending", "2026-03-01T10:00:00Z", {})
    assert [told[name] for name in ("started_at", "completed_at", "worker_id", "last_error")] == [None] * 4


@pytest.mark.parametrize(("words", "state"), [(SERVER, "Failed"), (CLIENT, "cancelled")])
def test_a_cancelled_job_says_so(words: answers.Words, state: str) -> None:
    told = answers.status(job(Phase.CANCELLED), words)
    assert (told.status, told.last_error) == (state, "cancelled")


def test_a_result_counts_what_failed() -> None:
    came_to = Result(job="a", success=True, items=3, data=[{"url": URL}], processing_time_ms=1500, worker_id="a-1")
    told = answers.result(job(Phase.PARTIAL_SUCCESS, **RUN), came_to).model_dump(mode="json")
    assert told == {
        "job_id": UID,
        "success": True,
        "data": {"total_urls": 3, "successful": 2, "failed": 1, "from_cache": 1, "results": [{"url": URL}]},
        "error": None,
        "processing_time_ms": 1500,
        "worker_id": "a-1",
        "completed_at": "2026-03-01T10:00:03Z",
    }


def test_a_stored_result_is_linked() -> None:
    came_to = Result(job="a", success=True, items=3, url="s3://results/a.jsonl")
    data = answers.result(job(Phase.COMPLETED, **RUN), came_to).data
    assert data is not None
    assert data["result_url"] == "s3://results/a.jsonl"
    assert "results" not in data


@pytest.mark.parametrize(("phase", "error"), [(Phase.FAILED, "HTTP 404"), (Phase.CANCELLED, "cancelled")])
def test_a_failed_job_has_a_result_that_says_why(phase: Phase, error: str) -> None:
    told = answers.result(job(phase, **RUN), Result(job="a", success=False))
    assert (told.success, told.data, told.error, told.worker_id) == (False, None, error, "unknown")


def test_a_page_keeps_its_place() -> None:
    told = answers.listed(Page((job(), job()), total=7, limit=2, offset=4), CLIENT)
    assert (len(told.jobs), told.total, told.limit, told.offset) == (2, 7, 2, 4)


def test_the_total_of_a_queue_is_the_sum_of_six() -> None:
    stats = QueueStats(pending=1, processing=2, completed=3, failed=4, retry=5, delayed=6, dead_letter=2)
    told = answers.queue(stats).model_dump()
    assert told == {
        "pending": 1,
        "processing": 2,
        "completed": 3,
        "failed": 4,
        "retry": 5,
        "delayed": 6,
        "total": 21,
        "dead_letter": 2,
    }


def test_a_pool_is_told_as_it_is() -> None:
    stats = WorkerStats(4, 3, 10, 2, is_running=True)
    assert answers.pool(stats).model_dump() == {each.name: getattr(stats, each.name) for each in fields(stats)}


def test_metrics_are_those_of_the_jobs() -> None:
    jobs = [
        job(Phase.COMPLETED, name=f"a-{n}", completedAt=f"2026-03-01T10:00:{n:02}Z", processingTimeMs=n * 10)
        for n in range(1, 51)
    ]
    jobs += [job(Phase.DEAD_LETTER, retryCount=2), job(Phase.FAILED), job(Phase.PENDING)]
    found = count(entry_of(each) for each in jobs)
    told = answers.metrics(replace(found, at=NOW))
    assert told.model_dump(mode="json") == {
        "jobs_submitted": 53,
        "jobs_completed": 50,
        "jobs_failed": 2,
        "jobs_retried": 2,
        "jobs_dead_letter": 1,
        "avg_processing_time_ms": 255.0,
        "p50_processing_time_ms": 250,
        "p95_processing_time_ms": 480,
        "p99_processing_time_ms": 500,
        "success_rate": 94.34,
        "jobs_by_type": {"single_crawl": 53},
        "queue_sizes": {
            "pending": 1,
            "processing": 0,
            "completed": 50,
            "failed": 2,
            "retry": 0,
            "delayed": 0,
            "dead_letter": 1,
        },
        "timestamp": "2026-03-01T12:00:00Z",
    }


def test_metrics_of_no_jobs_are_zero() -> None:
    told = answers.metrics(count([]))
    assert (told.success_rate, told.avg_processing_time_ms, told.p99_processing_time_ms) == (0, 0, 0)


@pytest.mark.parametrize(
    ("spec", "status", "following"),
    [
        ({}, {}, "2026-03-02T02:00:00Z"),
        ({}, {"nextExecutionAt": "2026-03-05T02:00:00Z"}, "2026-03-05T02:00:00Z"),
        ({"suspend": True}, {"nextExecutionAt": "2026-03-05T02:00:00Z"}, None),
        ({"suspend": True}, {}, None),
        ({"schedule": "0 0 31 2 *"}, {}, None),
    ],
)
def test_a_schedule_tells_its_next_run(spec: dict[str, Any], status: dict[str, Any], following: str | None) -> None:
    told = answers.scheduled(schedule(spec, **status), CLIENT, NOW).model_dump(mode="json")
    assert told["next_execution_at"] == following
    assert (told["id"], told["name"], told["priority"], told["execution_count"]) == (UID, "daily_crawl", "normal", 0)
    assert told["enabled"] is not spec.get("suspend", False)


@pytest.mark.parametrize(
    ("status", "answered", "retryable"),
    [
        (400, 400, False),
        (404, 404, False),
        (409, 400, False),
        (422, 400, False),
        (429, 429, True),
        (503, 503, True),
        (500, 500, True),
    ],
)
def test_an_error_is_told_twice(status: int, answered: int, *, retryable: bool) -> None:
    code, body = render(Problem(status, "Word", "a sentence", ("one", "two")))
    detail = {"type": "Word", "message": "a sentence", "retryable": retryable, "status": answered}
    assert (code, body) == (answered, {"error": detail, "message": "a sentence"})


def test_a_store_that_does_not_answer_is_told_apart_from_a_pool_that_does_not_work() -> None:
    assert render(Problem(503, "ServiceUnavailable", ""))[0] == 500
    assert render(Problem(503, "NoOperator", ""))[0] == 503


def test_every_type_that_is_answered_is_a_type_that_filters_understand() -> None:
    from crawl_client.dialects import job_type  # noqa: PLC0415 - beside what it is compared with
    from crawl_gateway.dialects.words import TYPES as WORDS  # noqa: PLC0415 - same

    assert {job_type(word): each for each, word in WORDS.items()} == {each: each for each in JobType}
