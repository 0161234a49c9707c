"""What may be downloaded of a job, by its status alone; and which bytes a range means."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawl_api.downloads import Refusal, form_of
from crawl_api.enums import Phase
from crawl_api.output import Compression, OutputFormat, OutputOptions
from crawl_operator.decide.download import NothingToDownloadError, Span, offer_of, span_of
from crawl_operator.decide.model import JobKey

KEY = JobKey("team", "news")
SHA = "0" * 64
URL = "file:///results/team/news/uid/news-1/results.jsonl.gz"


def body(**status: Any) -> dict[str, Any]:
    ended = {"phase": "Completed", "result": {"bytes": 12, "sha256": SHA, "items": 3}, "resultURL": URL}
    return {"metadata": {"uid": "uid"}, "status": {**ended, **status}}


def test_a_stored_result_is_described() -> None:
    assert offer_of(KEY, body()).manifest() == {
        "namespace": "team",
        "name": "news",
        "uid": "uid",
        "items": 3,
        "parts": [
            {
                "name": "results.jsonl.gz",
                "format": "JSONLines",
                "compression": "gzip",
                "mediaType": "application/gzip",
                "bytes": 12,
                "sha256": SHA,
                "path": "/v1/namespaces/team/jobs/news/results/results.jsonl.gz",
            }
        ],
    }


@pytest.mark.parametrize("phase", Phase)
def test_a_result_is_there_from_the_end_on(phase: Phase) -> None:
    """Also that of a job that failed or was cancelled; that of an attempt before the last one is not the job's."""
    if phase.terminal:
        assert offer_of(KEY, body(phase=phase)).bytes == 12
    else:
        with pytest.raises(NothingToDownloadError) as error:
            offer_of(KEY, body(phase=phase))
        assert error.value.reason is Refusal.NOT_FINISHED


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        ({"resultURL": "", "lastError": "the store is full"}, Refusal.NO_RESULT, "the store is full"),
        ({"result": {"bytes": 0}}, Refusal.NO_RESULT, "no attempt stored one"),
        ({"phase": "Sleeping"}, Refusal.NOT_FINISHED, "Sleeping"),
        (
            {
                "resultURL": "",
                "conditions": [{"type": "ResultAvailable", "reason": "ResultExpired", "message": "removed 5 s after"}],
            },
            Refusal.EXPIRED,
            "was removed 5 s after",
        ),
    ],
)
def test_why_there_is_none_is_said(status: dict[str, Any], reason: Refusal, words: str) -> None:
    with pytest.raises(NothingToDownloadError, match=words) as error:
        offer_of(KEY, body(**status))
    assert error.value.reason is reason


def test_a_job_that_nobody_has_looked_at_is_not_finished() -> None:
    with pytest.raises(NothingToDownloadError) as error:
        offer_of(KEY, {"metadata": {"uid": "uid"}})
    assert error.value.reason is Refusal.NOT_FINISHED


@pytest.mark.parametrize("form", OutputFormat)
@pytest.mark.parametrize("compression", Compression)
def test_the_name_of_a_file_tells_its_form(form: OutputFormat, compression: Compression) -> None:
    if form is not OutputFormat.JSON_LINES and compression is not Compression.NONE:
        return
    output = OutputOptions(format=form, compression=compression)
    kind, packed, media_type = form_of(output.file_name)
    assert (kind, packed) == (form, compression)
    assert media_type.startswith("application/")


@settings(deadline=None)
@given(
    content=st.binary(max_size=40),
    start=st.none() | st.integers(-50, 50),
    stop=st.none() | st.integers(0, 50),
)
def test_a_span_is_what_python_would_cut(content: bytes, start: int | None, stop: int | None) -> None:
    wanted = slice(start, stop, 1)
    span = span_of(wanted, len(content))
    if span is None:
        assert content[wanted] == b""
    else:
        assert content[span.start : span.start + span.length] == content[wanted] != b""
        assert 0 <= span.start < span.start + span.length <= span.size == len(content)


def test_a_span_is_told_as_http_has_it() -> None:
    assert Span(0, 10, 100).content_range == "bytes 0-9/100"
