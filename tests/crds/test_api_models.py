"""The models of the API: camelCase on the wire, printable and bounded texts, an outcome that fits where it must."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crawl_api.base import printable
from crawl_api.crawljob import CrawlJobSpec, Priority, union_message
from crawl_api.crd import crawljob_crd
from crawl_api.job_types import JobType
from crawl_api.options import FetchOptions, Selector
from crawl_api.status import TERMINAL_PHASES, Cause, CrawlJobStatus, JobError, Phase, Progress, Result
from crawl_api.worker_protocol import (
    MAX_TERMINATION_MESSAGE,
    Assignment,
    AttemptFailure,
    Outcome,
    StoredResult,
    outcome_path,
    progress_path,
    results_path,
)

patient = settings(deadline=None)
"""Machines are shared: an example may take its time."""

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)

SPEC: dict[str, Any] = {
    "type": "Batch",
    "batch": {"urls": ["https://example.org/a", "http://example.org/ü"]},
    "displayName": "Täglich 日次",
    "fetch": {
        "concurrency": 3,
        "delaySeconds": 0.5,
        "timeoutSeconds": 9,
        "obeyRobots": False,
        "userAgent": "bot/1",
        "maxBodyBytes": 100,
    },
    "extract": {
        "text": False,
        "engine": "Accurate",
        "markdown": True,
        "links": True,
        "metadata": False,
        "selectors": [{"name": "price", "css": ".price", "attribute": "value", "many": True, "required": True}],
    },
    "priority": "Critical",
    "timeoutSeconds": 60,
    "metadata": {"any": [1, None, {"nested": True}], "": ""},
}


def test_a_spec_comes_back_as_it_went_in() -> None:
    spec = CrawlJobSpec.model_validate(SPEC)
    assert spec.model_dump(mode="json", by_alias=True, exclude_unset=True) == SPEC
    assert CrawlJobSpec.model_validate_json(spec.model_dump_json(by_alias=True)) == spec


def test_names_may_be_those_of_python_too() -> None:
    """Programs say `timeout_seconds=`, manifests say `timeoutSeconds:`."""
    spec = CrawlJobSpec(type=JobType.SINGLE, single={"url": "https://example.org/"}, timeout_seconds=5)
    assert spec.model_dump(by_alias=True)["timeoutSeconds"] == 5
    assert spec.urls == ("https://example.org/",)


def test_models_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        CrawlJobSpec.model_validate(SPEC).priority = Priority.LOW  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"unknown": 1}, "Extra inputs"),
        ({"fetch": {"concurency": 1}}, "Extra inputs"),
        ({"priority": "normal"}, "'Critical', 'High', 'Normal' or 'Low'"),
        ({"timeoutSeconds": 0}, "greater than or equal to 1"),
        ({"timeoutSeconds": 86401}, "less than or equal to 86400"),
        ({"fetch": {"userAgent": "a\nb"}}, "match pattern"),
        ({"batch": {"urls": []}}, "at least 1 item"),
        ({"batch": {"urls": ["https://example.org/"] * 1001}}, "at most 1000 items"),
        ({"batch": {"urls": ["x" * 2049]}}, "at most 2048 characters"),
        ({"displayName": "x" * 254}, "at most 253 characters"),
        ({"metadata": {str(number): 1 for number in range(65)}}, "at most 64 items"),
    ],
)
def test_a_client_can_refuse_what_the_api_server_would(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        CrawlJobSpec.model_validate(SPEC | change)


@pytest.mark.parametrize(
    ("spec", "wrong"),
    [
        ({"type": "Single"}, JobType.SINGLE),
        ({"type": "Batch"}, JobType.BATCH),
        ({"type": "Single", "batch": {"urls": ["https://example.org/"]}}, JobType.SINGLE),
        (
            {"type": "Single", "single": {"url": "https://a.org"}, "batch": {"urls": ["https://a.org"]}},
            JobType.BATCH,
        ),
    ],
)
def test_the_union_is_explained_in_the_words_of_the_api_server(spec: dict[str, Any], wrong: JobType) -> None:
    with pytest.raises(ValidationError) as error:
        CrawlJobSpec.model_validate(spec)
    assert union_message(wrong) in str(error.value)
    (version,) = crawljob_crd()["spec"]["versions"]
    rules = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"]
    assert union_message(wrong) in {rule["message"] for rule in rules}


@pytest.mark.parametrize("both", [{}, {"css": "a", "xpath": "//a"}, {"css": "a", "jsonpath": "$.a"}])
def test_a_selector_has_one_language(both: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one of css, xpath and jsonpath must be set"):
        Selector(name="x", **both)


def test_priorities_are_ranked() -> None:
    ranked = sorted(Priority, key=lambda priority: priority.rank)
    assert [priority.value for priority in ranked] == ["Critical", "High", "Normal", "Low"]
    assert [priority.rank for priority in ranked] == [0, 1, 2, 3]


def test_five_phases_are_final() -> None:
    assert [phase.value for phase in Phase if phase.terminal] == [
        "Completed",
        "PartialSuccess",
        "Failed",
        "DeadLetter",
        "Cancelled",
    ]
    assert {phase for phase in Phase if phase.terminal} == TERMINAL_PHASES


def test_times_are_in_utc_and_to_the_microsecond() -> None:
    abroad = NOW.astimezone(timezone(timedelta(hours=9)))
    for moment in (NOW, abroad, NOW.replace(tzinfo=None)):
        error = JobError(code="X", time=moment)
        assert json.loads(error.model_dump_json())["time"] == "2026-03-01T12:00:00.123456Z"


def test_an_acronym_is_spelled_as_people_do() -> None:
    assert CrawlJobStatus(result_url="file:///x").model_dump(by_alias=True, exclude_defaults=True) == {
        "resultURL": "file:///x"
    }


def test_a_newer_program_may_say_more() -> None:
    """Operator and worker are not updated in the same second."""
    report = {"total": 1, "succeeded": 1, "failed": 0, "newInTheNextVersion": {"a": 1}}
    assert Outcome.model_validate(report).total == 1
    assert CrawlJobStatus.model_validate({"phase": "Pending", "later": 1}).phase is Phase.PENDING


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("  line\r\nnext\ttab  ", "line next tab"),
        ("bell\x07 null\x00 escape\x1b[31m", "bell  null  escape [31m"),
        ("right\u202eto left", "right to left"),
        ("isolate\u2066x\u2069", "isolate x"),
        ("separator\u2028\u2029x", "separator x"),
        ("lone\ud800surrogate", "lone surrogate"),
        ("C1\x9b31m", "C1 31m"),
        ("Grüße 日本語 🎉", "Grüße 日本語 🎉"),
    ],
)
def test_what_sites_write_cannot_steer_a_terminal(text: str, cleaned: str) -> None:
    assert printable(text) == cleaned
    assert JobError(code="X", message=text, time=NOW).message == cleaned


@pytest.mark.parametrize("length", [1023, 1024, 1025, 50_000])
def test_a_text_too_long_is_cut_not_refused(length: int) -> None:
    """An error's message must never be the reason why a status cannot be stored."""
    message = JobError(code="X", message="x" * length, time=NOW).message
    assert len(message) == min(length, 1024)
    assert message.endswith("…") is (length > 1024)


@patient
@given(st.text(max_size=3000))
def test_any_text_is_stored_and_read_back_the_same(text: str) -> None:
    error = JobError(code="X", message=text, url=f"https://{text}", details={"words": text}, time=NOW)
    assert len(error.message) <= 1024
    assert all(len(value) <= 512 for value in error.details.values())
    assert JobError.model_validate_json(error.model_dump_json(by_alias=True)) == error


def test_what_is_no_text_is_not_made_one() -> None:
    with pytest.raises(ValidationError):
        JobError(code="X", message=1, time=NOW)


@pytest.mark.parametrize("code", ["", "lower", "With space", "X" * 65, "9", "Ä"])
def test_a_reason_is_one_word_for_machines(code: str) -> None:
    with pytest.raises(ValidationError):
        JobError(code=code, time=NOW)


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_percentage_is_one(percent: int) -> None:
    with pytest.raises(ValidationError):
        Progress(percent=percent)


def test_data_of_a_result_is_any_json() -> None:
    data = [{"a": None, "b": [1.5, "ü", True, {}]}]
    result = Result(success=True, data=data)
    assert json.loads(result.model_dump_json())["data"] == data


ERRORS = st.builds(
    JobError,
    code=st.just("HTTP_404"),
    message=st.text(max_size=1500),
    url=st.none() | st.text(min_size=1, max_size=2100).map(lambda text: f"https://{text}"),
    time=st.just(NOW),
    details=st.dictionaries(st.text(max_size=5), st.text(max_size=600), max_size=2),
)
OUTCOMES = st.builds(
    Outcome,
    total=st.integers(0, 10**9),
    succeeded=st.integers(0, 10**9),
    failed=st.integers(0, 10**9),
    bytes=st.integers(0, 2**60),
    errors=st.lists(ERRORS, max_size=6).map(tuple) | ERRORS.map(lambda error: (error,) * 100),
    error_count=st.integers(0, 10**9),
    failure=st.none()
    | st.builds(AttemptFailure, code=st.just("Timeout"), cause=st.sampled_from(Cause), message=st.text(max_size=1500)),
    stored=st.none() | st.just(StoredResult(url="file:///" + "x" * 492, bytes=2**40, sha256="0" * 64)),
    items=st.integers(0, 10**9),
    data=st.none() | st.just([{"text": "x" * 10_000}]),
)

WIDEST = "\U0001f600" * 1024
"""Four bytes a character, as many as a message may have: a whole termination message by itself."""


@patient
@given(OUTCOMES)
@example(
    Outcome(
        total=1,
        succeeded=0,
        failed=1,
        failure=AttemptFailure(code="X" * 64, cause=Cause.INFRASTRUCTURE, message=WIDEST),
        stored=StoredResult(url="\U0001f600" * 500, bytes=2**62, sha256="0" * 64),
    )
)
@example(
    Outcome(
        total=1,
        succeeded=0,
        failed=1,
        failure=AttemptFailure(code="X" * 64, cause=Cause.INFRASTRUCTURE, message="\\" * 1024),
        stored=StoredResult(url="\\" * 500, bytes=2**62, sha256="0" * 64),
    )
)
def test_the_termination_message_always_fits_and_tells_the_outcome(outcome: Outcome) -> None:
    """Kubernetes cuts at 4096 bytes: a longer message would be no JSON any more, and the outcome lost."""
    message = outcome.termination_message()
    assert len(message.encode()) <= MAX_TERMINATION_MESSAGE
    read = Outcome.parse(message)
    assert read is not None
    assert read.data is None
    kept = outcome.model_dump(exclude={"data", "errors", "failure"})
    assert read.model_dump(exclude={"data", "errors", "failure"}) == kept
    assert read.errors == outcome.errors[: len(read.errors)], "the first errors, as many as fit"
    assert (read.failure is None) is (outcome.failure is None)
    if outcome.failure is not None and read.failure is not None:
        assert (read.failure.code, read.failure.cause) == (outcome.failure.code, outcome.failure.cause)


def test_short_errors_are_kept_in_the_termination_message() -> None:
    errors = tuple(JobError(code="HTTP_404", url=f"https://example.org/{n}", time=NOW) for n in range(10))
    outcome = Outcome(total=10, succeeded=0, failed=10, errors=errors, error_count=10)
    assert Outcome.parse(outcome.termination_message()) == outcome


@pytest.mark.parametrize("text", ["", "Killed", "{", "null", "[]", "{}", '{"total": 1}', '{"total": "x"}', "\x00"])
def test_what_is_no_outcome_is_none(text: str) -> None:
    assert Outcome.parse(text) is None


def test_an_assignment_says_what_to_fetch() -> None:
    common: dict[str, Any] = {
        "namespace": "team",
        "name": "news",
        "uid": "u",
        "attempt": 1,
        "timeout_seconds": 1,
        "max_concurrency": 1,
        "user_agent": "x",
        "inline_limit_bytes": 0,
        "report_url": "http://x",
    }
    batch = Assignment(type=JobType.BATCH, batch=SPEC["batch"], **common)
    assert batch.urls == ("https://example.org/a", "http://example.org/ü")
    single = Assignment(type=JobType.SINGLE, single={"url": "https://example.org/"}, **common)
    assert single.urls == ("https://example.org/",)
    assert single.fetch == FetchOptions()


def test_each_report_has_a_path_of_its_own() -> None:
    paths = [path("uid", 2) for path in (progress_path, results_path, outcome_path)]
    assert paths == [f"/v1/attempts/uid/2/{what}" for what in ("progress", "results", "outcome")]
