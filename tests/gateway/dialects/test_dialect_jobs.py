"""`/jobs`: any type with any payload becomes a job; where it stands is answered with structured errors."""

from typing import Any

import pytest
from dialect_cases import job
from pydantic import ValidationError as Malformed

from crawl_api.enums import Phase
from crawl_client import ValidationError
from crawl_gateway.dialects.jobs import translate
from crawl_gateway.dialects.jobs.models import EnqueueJobPayload
from crawl_gateway.errors import Problem

ID = "job_" + "0a" * 16


def spec_of(request: dict[str, Any]) -> dict[str, Any]:
    return dict(translate.new_job(EnqueueJobPayload.model_validate(request)).spec)


@pytest.mark.parametrize(
    ("request_body", "spec"),
    [
        (
            {"type": "bulk_import", "payload": {"file": "https://example.org/orders.csv", "format": "csv"}},
            {
                "type": "Custom",
                "custom": {
                    "processor": "bulk_import",
                    "parameters": {"file": "https://example.org/orders.csv", "format": "csv"},
                },
            },
        ),
        ({"type": "report", "payload": None}, {"type": "Custom", "custom": {"processor": "report", "parameters": {}}}),
        (
            {"type": "report", "payload": [1]},
            {"type": "Custom", "custom": {"processor": "report", "parameters": {"payload": [1]}}},
        ),
        (
            {"type": " batch_crawl ", "payload": {"urls": ["https://example.org/"]}, "more": 1},
            {"type": "Batch", "batch": {"urls": ["https://example.org/"]}},
        ),
    ],
)
def test_each_type_becomes_a_spec(request_body: dict[str, Any], spec: dict[str, Any]) -> None:
    assert spec_of(request_body) == spec


@pytest.mark.parametrize(
    "request_body",
    [{}, {"type": "a"}, {"payload": {}}, {"type": "", "payload": {}}, {"type": "x" * 101, "payload": {}}, {"type": 7}],
)
def test_what_has_another_form_is_refused(request_body: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        EnqueueJobPayload.model_validate(request_body)


@pytest.mark.parametrize(
    ("request_body", "problem"),
    [
        ({"type": "two words", "payload": None}, "spec.custom.processor"),
        ({"type": "x" * 64, "payload": None}, "spec.custom.processor"),
        ({"type": "batch_crawl", "payload": {"urls": []}}, "spec.batch.urls"),
        ({"type": "single_crawl", "payload": ["https://example.org/"]}, "spec.single"),
    ],
)
def test_what_cannot_be_done_is_refused(request_body: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        spec_of(request_body)


def test_a_new_job_is_queued() -> None:
    assert translate.enqueued(job(), ID).model_dump(mode="json") == {
        "job_id": ID,
        "status": "QUEUED",
        "created_at": "2026-03-01T10:00:00Z",
    }


def test_a_running_job_tells_its_progress() -> None:
    running = job(
        Phase.PROCESSING,
        spec={"type": "Custom", "custom": {"processor": "bulk_import"}},
        progress={"percent": 45},
        submittedAt="2026-03-01T10:00:00.123456Z",
        startedAt="2026-03-01T10:00:01.5Z",
        updatedAt="2026-03-01T10:00:02Z",
    )
    assert translate.status(running, ID).model_dump(mode="json") == {
        "job_id": ID,
        "type": "bulk_import",
        "status": "RUNNING",
        "progress": 45,
        "result_url": None,
        "errors": None,
        "created_at": "2026-03-01T10:00:00.123456Z",
        "updated_at": "2026-03-01T10:00:02Z",
        "started_at": "2026-03-01T10:00:01.500000Z",
        "completed_at": None,
    }


def test_errors_are_structured_and_name_their_url() -> None:
    error = {
        "code": "HTTP_404",
        "message": "not found",
        "url": "https://example.org/x",
        "attempt": 2,
        "retryable": False,
        "time": "2026-03-01T10:00:02.5Z",
        "details": {"server": "a"},
    }
    told = translate.status(job(Phase.PARTIAL_SUCCESS, errors=[error], resultURL="s3://b/r.jsonl"), ID)
    assert (told.status, told.result_url) == ("PARTIAL_SUCCESS", "s3://b/r.jsonl")
    assert told.model_dump(mode="json")["errors"] == [
        {
            "code": "HTTP_404",
            "message": "not found",
            "details": {"server": "a"},
            "context": {
                "url": "https://example.org/x",
                "attempt": 2,
                "retryable": False,
                "occurred_at": "2026-03-01T10:00:02.500000Z",
            },
        }
    ]


def test_a_cancelled_job_failed_for_that_reason() -> None:
    told = translate.status(job(Phase.CANCELLED), ID)
    assert told.status == "FAILED"
    assert told.errors is not None
    assert [error.code for error in told.errors] == ["Cancelled"]


@pytest.mark.parametrize(("status", "answered"), [(400, 400), (404, 404), (413, 400), (422, 400), (500, 500)])
def test_an_error_is_structured(status: int, answered: int) -> None:
    code, body = translate.render(Problem(status, "Word", "a sentence", ("one",)))
    assert (code, body) == (answered, {"error": {"code": "Word", "message": "a sentence", "details": ["one"]}})
