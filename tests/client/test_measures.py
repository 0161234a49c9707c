"""Numbers of jobs: counts by type, a mean, and percentiles that are exact."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl_api.enums import JobType, Phase
from crawl_client.measures import LAST, Measures, Tally, measured
from crawl_client.models import Job

START = datetime(2026, 3, 1, tzinfo=UTC)


def ended(minute: int, took: int, phase: Phase = Phase.COMPLETED) -> Job:
    completed = (START + timedelta(minutes=minute)).isoformat()
    return Job({"spec": {"type": "Single"}, "status": _status(phase, completedAt=completed, processingTimeMs=took)})


def _status(phase: Phase, **more: object) -> dict[str, object]:
    return {"phase": phase, **more}


def test_nothing_comes_to_nothing() -> None:
    assert measured([]) == Measures(Tally(), {}, ())
    assert measured([]).percentile(99) == 0
    assert measured([]).all.success_rate == 0


def test_jobs_are_counted_by_type_and_in_all() -> None:
    jobs = [
        ended(1, 100),
        ended(2, 200, Phase.PARTIAL_SUCCESS),
        ended(3, 600, Phase.CANCELLED),
        Job({"spec": {"type": "Batch"}, "status": _status(Phase.DEAD_LETTER, retryCount=2)}),
        Job({"spec": {"type": "Batch"}, "status": _status(Phase.RETRY, retryCount=1, processingTimeMs=5)}),
        Job({"spec": {"type": "Batch"}}),
    ]
    found = measured(jobs)
    assert found.all == Tally(6, completed=2, failed=2, retried=3, dead_letter=1, average_ms=300.0)
    assert found.all.success_rate == 33.33
    assert found.by_type == {
        JobType.SINGLE: Tally(3, completed=2, failed=1, average_ms=300.0),
        JobType.BATCH: Tally(3, failed=1, retried=3, dead_letter=1),
    }


def test_percentiles_are_of_those_that_ended_last() -> None:
    jobs = [ended(minute, 1_000_000 if minute < 500 else minute) for minute in range(500 + LAST)]
    random.Random(1).shuffle(jobs)  # noqa: S311 - no secret
    found = measured(jobs)
    assert found.last_ms == tuple(range(500, 500 + LAST))
    assert [found.percentile(percent) for percent in (50, 95, 99, 100)] == [999, 1449, 1489, 1499]


@pytest.mark.parametrize(("percent", "expected"), [(1, 7), (50, 7), (100, 7)])
def test_one_job_is_every_percentile(percent: int, expected: int) -> None:
    assert measured([ended(1, 7)]).percentile(percent) == expected


@given(times=st.lists(st.integers(0, 10_000), min_size=1, max_size=50), percent=st.integers(1, 100))
def test_a_percentile_is_the_least_time_that_so_many_did_not_exceed(times: list[int], percent: int) -> None:
    found = measured([ended(minute, took) for minute, took in enumerate(times)]).percentile(percent)
    assert found in times
    assert sum(took <= found for took in times) * 100 >= percent * len(times)
    assert sum(took < found for took in times) * 100 < percent * len(times)
