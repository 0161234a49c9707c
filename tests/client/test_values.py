"""Values of the library without a cluster: factories, words of other systems, `from_dict`, the tree of errors."""

import asyncio
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from crawl_client import (
    APIError,
    AppError,
    AuthenticationError,
    ConflictError,
    Event,
    Health,
    Job,
    JobType,
    NewJob,
    NewSchedule,
    NotFoundError,
    Page,
    Phase,
    Priority,
    QueueStats,
    RateLimitError,
    Result,
    Schedule,
    TimeoutError,  # noqa: A004 - the client's own
    ValidationError,
    Worker,
    WorkerStats,
    batch,
    custom,
    dialects,
    enveloped,
    maintenance,
    pdf,
    schedule,
    single,
    site,
    sync,
)
from crawl_client.bulk import for_each
from crawl_client.rows import RECORD_COLUMNS
from crawl_worker.records import Record

URL = "https://example.org/"
META = {"name": "a", "namespace": "team", "creationTimestamp": "2026-03-01T12:00:00Z", "labels": {}}
FACTORIES: dict[JobType, Callable[[], NewJob]] = {
    JobType.SINGLE: lambda: single(URL),
    JobType.BATCH: lambda: batch([URL]),
    JobType.SITE: lambda: site([URL]),
    JobType.PDF: lambda: pdf([URL]),
    JobType.MAINTENANCE: lambda: maintenance("health_check", {"urls": [URL]}),
    JobType.CUSTOM: lambda: custom("scrapy", {"spider": "books"}),
}


@pytest.mark.parametrize("kind", JobType)
def test_each_type_of_job_has_a_factory(kind: JobType) -> None:
    job = FACTORIES[kind]()
    assert job.spec["type"] == kind
    assert NewJob.from_dict(job.manifest()) == job


def test_null_is_as_good_as_nothing_but_in_what_is_free_in_form() -> None:
    """As the API server has it, also for addresses that are no pages to be fetched."""
    job = single(URL, fetch=None, retry={"maxAttempts": None}, metadata={"ticket": None})
    assert job.spec == {"type": "Single", "single": {"url": URL}, "retry": {}, "metadata": {"ticket": None}}
    assert custom("scrapy", {"spider": None}).spec["custom"]["parameters"] == {"spider": None}
    assert maintenance("health_check", {"urls": ["tcp://example.org"]}).spec["maintenance"]["parameters"]["urls"]


PHASES = {
    "PENDING": {Phase.PENDING}, "DELAYED": {Phase.DELAYED}, "PROCESSING": {Phase.PROCESSING}, "RETRY": {Phase.RETRY},
    "COMPLETED": {Phase.COMPLETED}, "FAILED": {Phase.FAILED}, "DEAD_LETTER": {Phase.DEAD_LETTER},
    "claimed": {Phase.PROCESSING}, "cancelled": {Phase.CANCELLED},
    "queued": {Phase.PENDING, Phase.DELAYED, Phase.SUSPENDED, Phase.RETRY},
    "RUNNING": {Phase.PROCESSING}, "SUCCESS": {Phase.COMPLETED}, "PARTIAL_SUCCESS": {Phase.PARTIAL_SUCCESS},
    "Dead Letter": {Phase.DEAD_LETTER}, "Suspended": {Phase.SUSPENDED},
}  # fmt: skip


@pytest.mark.parametrize("word", PHASES)
def test_words_of_other_systems_mean_phases(word: str) -> None:
    assert dialects.phases(word) == PHASES[word]


def test_priorities_are_words_in_any_case_and_numbers() -> None:
    """Larger is more urgent; 5, the default of who counts, is Normal."""
    numbers = [dialects.priority(number) for number in range(1, 11)]
    assert numbers == [
        *[Priority.LOW] * 3, *[Priority.NORMAL] * 3, *[Priority.HIGH] * 2, *[Priority.CRITICAL] * 2,
    ]  # fmt: skip
    assert [dialects.priority(word) for word in ("critical", "High", "NORMAL", "7")] == [
        Priority.CRITICAL, Priority.HIGH, Priority.NORMAL, Priority.HIGH,
    ]  # fmt: skip
    for wrong in (0, 11, "urgent"):
        with pytest.raises(ValidationError):
            dialects.priority(wrong)


def test_every_value_is_made_of_a_dict_and_never_changes() -> None:
    job = {"metadata": META, "spec": {"type": "Single", "single": {"url": URL}}, "status": {"phase": "Completed"}}
    daily = {"schedule": "@daily", "jobTemplate": {"spec": job["spec"]}}
    counts = {"pending": 1, "processing": 2, "completed": 3, "failed": 4, "retry": 5, "delayed": 6, "total": 21}
    pool = {"total_workers": 4, "healthy_workers": 3, "total_jobs_processed": 2, "total_jobs_failed": 1}
    state = {"status": "unhealthy", "problems": ["a"], "server": "s", "version": "v", "latency_ms": 1.5, "operator": ""}
    made: list[tuple[Any, str, object]] = [
        (Job.from_dict(job), "succeeded", True),
        (Schedule.from_dict({"metadata": META, "spec": daily}), "name", "a"),
        (NewSchedule.from_dict(schedule("a", "@daily", single(URL)).manifest()), "name", "a"),
        (Result.from_dict("a", {"result": {"success": True, "items": 2}}), "worker_id", "unknown"),
        (QueueStats.from_dict(counts), "total", 21),
        (WorkerStats.from_dict(pool | {"is_running": True}), "healthy_workers", 3),
        (Health.from_dict(state), "healthy", False),
        (Worker.from_dict({"metadata": META, "status": {"phase": "Running"}}), "alive", True),
        (Page.from_dict({"items": [job], "total": 3, "limit": 1}, Job.from_dict), "pages", 3),
        (Event("ADDED", 1), "object", 1),
    ]
    for value, name, expected in made:
        assert getattr(value, name) == expected, value
        field = next(iter(value.__dataclass_fields__))
        with pytest.raises(FrozenInstanceError):
            setattr(value, field, None)


def test_errors_are_one_tree() -> None:
    for kind in (AuthenticationError, NotFoundError, RateLimitError, ConflictError):
        assert issubclass(kind, APIError)
    assert issubclass(APIError, AppError)
    for other in (ValidationError, TimeoutError):
        assert issubclass(other, AppError)
        assert not issubclass(other, APIError), "nothing was answered"


async def test_an_error_may_be_told_instead_of_raised() -> None:
    async def answer(*, good: bool) -> int:
        if good:
            return 7
        raise NotFoundError("nothing there", 404)

    found = await enveloped(answer(good=True))
    assert (found.success, found.data, found.error) == (True, 7, None)
    found = await enveloped(answer(good=False))
    assert (found.success, found.data, found.error) == (False, None, "nothing there")
    assert sync.enveloped(single, URL, name="a").data == single(URL, name="a")
    assert "absolute http" in str(sync.enveloped(single, "ftp://x").error)


async def test_many_are_done_so_many_at_a_time_and_in_their_order() -> None:
    most = now = 0

    async def act(number: int) -> int:
        nonlocal most, now
        now += 1
        most = max(most, now)
        for _ in range(number % 3):
            await asyncio.sleep(0)
        now -= 1
        if number == 5:
            raise ConflictError("taken", 409)
        return number

    outcome = await for_each(range(20), act, parallel=4)
    assert most == 4
    assert outcome.done == tuple(each for each in range(20) if each != 5)
    assert [str(failure) for failure in outcome.failed] == ["5: taken"]


def test_a_table_of_records_has_all_their_members() -> None:
    assert set(RECORD_COLUMNS) == {field.alias or name for name, field in Record.model_fields.items()}
