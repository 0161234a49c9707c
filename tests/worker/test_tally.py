"""Counting and judging: what an attempt came to, within what each receiver holds."""

import itertools
from datetime import UTC, datetime

import pytest

from crawl_api.status import MAX_ERRORS, Cause, JobError
from crawl_api.worker_protocol import (
    MAX_OUTCOME_BYTES,
    MAX_PROGRESS_BYTES,
    MAX_TERMINATION_MESSAGE,
    AttemptFailure,
    Outcome,
    StoredResult,
)
from crawl_worker.handover import fitting, handover_seconds
from crawl_worker.records import Record
from crawl_worker.tally import Ending, Tally

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def record(n: int, *, good: bool = False, retryable: bool = False, message: str = "no") -> Record:
    url = f"http://example.com/{n}"
    error = None if good else JobError(code="HTTP_404", message=message, url=url, retryable=retryable, time=NOW)
    return Record(url=url, bytes=10, error=error)


def tally(*records: Record, total: int | None = None) -> Tally:
    made = Tally(total=len(records) if total is None else total)
    for one in records:
        made.add(one.bytes or 0, one.error)
    return made


@pytest.mark.parametrize(
    ("ending", "records", "verdict"),
    [
        (Ending.FINISHED, [record(1, good=True)], None),
        (Ending.FINISHED, [record(1, good=True), record(2)], None),
        (Ending.FINISHED, [record(1), record(2)], ("AllPagesFailed", Cause.PERMANENT)),
        (Ending.FINISHED, [record(1), record(2, retryable=True)], ("AllPagesFailed", Cause.TRANSIENT)),
        (Ending.TIMED_OUT, [record(1, good=True)], ("Timeout", Cause.TRANSIENT)),
        (Ending.INTERRUPTED, [record(1, good=True)], ("Interrupted", Cause.INFRASTRUCTURE)),
        (Ending.INTERRUPTED, [], ("Interrupted", Cause.INFRASTRUCTURE)),
    ],
)
def test_verdicts(ending: Ending, records: list[Record], verdict: tuple[str, Cause] | None) -> None:
    """One good page makes an attempt that ran to its end a success; the cause follows from the ending and errors."""
    failure = tally(*records).judge(ending, 60)
    assert (failure and (failure.code, failure.cause)) == verdict


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("", 0),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("9" * 500, 86400),
        ("86401", 86400),
        ("Tue, 01 Jan 2030 00:02:00 GMT", 120),
        ("Tue, 01 Jan 2030 00:02:00", 120),
        ("Tue, 01 Jan 2030 01:02:00 +0100", 120),
        ("Mon, 31 Dec 2029 00:00:00 GMT", 0),
        ("Fri, 01 Jan 2999 00:00:00 GMT", 86400),
        ("Fri, 99 Jan 99999 00:00:00 GMT", 0),
    ],
)
def test_a_pause_that_a_site_asks_for(text: str, seconds: int) -> None:
    """A number of seconds or a time; nonsense is none, and nobody can ask for more than a day."""
    asking = JobError(code="HTTP_503", retryable=True, time=NOW, details={"retryAfter": text})
    outcome = tally(Record(url="http://example.com/", error=asking)).outcome(None)
    assert (outcome.retryable, outcome.retry_after_seconds) == (1, seconds)


def test_the_longest_pause_counts_and_only_where_another_try_is_worth_it() -> None:
    def asking(seconds: str, *, retryable: bool) -> Record:
        error = JobError(code="HTTP_503", retryable=retryable, time=NOW, details={"retryAfter": seconds})
        return Record(url="http://example.com/", error=error)

    made = tally(asking("5", retryable=True), asking("9", retryable=True), asking("60", retryable=False))
    assert (made.retryable, made.retry_after, made.failed) == (2, 9, 3)


def test_errors_are_bounded_and_all_counted() -> None:
    """The first hundred are kept; a late retryable one still makes the failure Transient."""
    made = tally(*(record(n) for n in range(MAX_ERRORS + 5)), record(999, retryable=True))
    outcome = made.outcome(made.judge(Ending.FINISHED, 60))
    assert len(outcome.errors) == MAX_ERRORS
    assert outcome.error_count == outcome.failed == MAX_ERRORS + 6
    assert outcome.bytes == 10 * (MAX_ERRORS + 6)
    assert outcome.failure is not None
    assert outcome.failure.cause is Cause.TRANSIENT


def test_every_message_fits_its_receiver() -> None:
    """A hundred long errors and large data are cut down to what progress, outcome and termination message may hold."""
    made = tally(*(record(n, message="\N{SNOWMAN}" * 1024) for n in range(MAX_ERRORS)))
    report = made.report(MAX_PROGRESS_BYTES)
    assert 0 < len(report.errors) < MAX_ERRORS
    assert len(report.model_dump_json(by_alias=True).encode()) <= MAX_PROGRESS_BYTES
    assert report.error_count == MAX_ERRORS
    outcome = made.outcome(made.judge(Ending.FINISHED, 60)).model_copy(update={"data": ["x" * MAX_OUTCOME_BYTES]})
    small = fitting(outcome)
    assert small.data is None
    assert small.errors
    assert len(small.model_dump_json(by_alias=True).encode()) <= MAX_OUTCOME_BYTES
    assert fitting(small, 3000).error_count == MAX_ERRORS
    text = outcome.termination_message()
    assert len(text.encode()) <= MAX_TERMINATION_MESSAGE
    read = Outcome.parse(text)
    assert read is not None
    assert read.failed == MAX_ERRORS


def test_the_longest_failure_still_fits_the_termination_message() -> None:
    """A message of four-byte characters and a long store URL are cut, never left for Kubernetes to cut."""
    failure = AttemptFailure(code="X" * 64, cause=Cause.TRANSIENT, message="\N{PILE OF POO}" * 1024)
    stored = StoredResult(url="\N{PILE OF POO}" * 500, bytes=1, sha256="0" * 64)
    text = tally(record(1)).outcome(failure, stored).termination_message()
    assert len(text.encode()) <= MAX_TERMINATION_MESSAGE
    read = Outcome.parse(text)
    assert read is not None
    assert read.stored == stored
    assert read.failure is not None
    assert read.failure.code == failure.code


def test_small_outcomes_keep_their_data() -> None:
    """Nothing is cut without need."""
    outcome = tally(record(1, good=True)).outcome(None).model_copy(update={"data": [{"url": "x"}]})
    assert fitting(outcome) == outcome


@pytest.mark.parametrize(("left", "seconds"), [(-5, 60), (10, 60), (100, 100), (10_000, 600)])
def test_how_long_to_wait_for_the_operator(left: float, seconds: float) -> None:
    """What is left of the attempt, but at least the minimum and at most ten minutes."""
    assert handover_seconds(left, 60) == seconds


def test_progress_only_grows() -> None:
    """Each record moves exactly one of the counters."""
    made = tally(total=3)
    seen = []
    for one in (record(1, good=True), record(2), record(3, good=True)):
        made.add(one.bytes or 0, one.error)
        seen.append(made.succeeded + made.failed)
    assert seen == list(itertools.accumulate([1, 1, 1]))
