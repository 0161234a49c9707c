"""When results and finished jobs go, and what is said of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from operator_cases import CREATED, NOW, POLICY, batch_of, make_job

from crawl_api.crawljob import Ttl
from crawl_api.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    CrawlJobStatus,
    Phase,
    Result,
)
from crawl_operator.decide.crawljob import decide
from crawl_operator.decide.model import NOTHING, DeleteJob, Observation, RemoveResults
from crawl_operator.decide.retention import KEPT, Expiry, expiry_of

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
STORED = Condition(
    type=ConditionType.RESULT_AVAILABLE, status=ConditionStatus.TRUE, reason="Stored", last_transition_time=CREATED
)


def finished(phase: Phase, *conditions: Condition) -> CrawlJobStatus:
    return CrawlJobStatus(
        phase=phase,
        conditions=conditions,
        completed_at=CREATED,
        result=Result(success=True, data=[{"url": "https://example.org/"}], items=1, sha256="a" * 64),
        result_url="file:///results/one",
    )


@pytest.mark.parametrize(
    ("phase", "ttl", "conditions", "expected"),
    [
        (Phase.COMPLETED, {}, (STORED,), Expiry(CREATED + HOUR, CREATED + DAY)),
        (Phase.PARTIAL_SUCCESS, {}, (STORED,), Expiry(CREATED + HOUR, CREATED + DAY)),
        (Phase.CANCELLED, {}, (), Expiry(None, CREATED + DAY)),
        (Phase.FAILED, {}, (), Expiry(None, CREATED + WEEK)),
        (Phase.FAILED, {}, (STORED,), Expiry(CREATED + HOUR, CREATED + WEEK)),
        (Phase.DEAD_LETTER, {}, (), Expiry(None, None)),
        (Phase.DEAD_LETTER, {"dead_letter_seconds": 60}, (), Expiry(None, CREATED + timedelta(seconds=60))),
        (Phase.COMPLETED, {"completed_seconds": 0, "result_seconds": 0}, (STORED,), Expiry(CREATED, CREATED)),
        (Phase.PROCESSING, {}, (), KEPT),
    ],
)
def test_what_is_kept_for_how_long(
    phase: Phase, ttl: dict[str, int], conditions: tuple[Condition, ...], expected: Expiry
) -> None:
    """An hour for results, a day for jobs that went well, a week for failed ones, dead letters for ever."""
    assert expiry_of(Ttl(**ttl), finished(phase, *conditions)) == expected


def settled(**changes: Any) -> Observation:
    return Observation(replace(make_job(phase=Phase.COMPLETED), settled=True, **changes))


@pytest.mark.parametrize(
    ("expiry", "delete_jobs", "seconds"),
    [
        (Expiry(NOW + HOUR, NOW + DAY), True, 3600),
        (Expiry(None, NOW + DAY), True, 86400),
        (Expiry(NOW + HOUR, NOW + DAY), False, 3600),
        (Expiry(NOW + HOUR, None), True, 3600),
    ],
)
def test_a_finished_job_is_looked_at_again_when_something_is_due(
    expiry: Expiry, *, delete_jobs: bool, seconds: float
) -> None:
    policy = replace(POLICY, delete_jobs=delete_jobs)
    plan = decide(settled(expiry=expiry), policy, NOW)
    assert plan.requeue_after == seconds
    assert plan.actions == ()


def test_a_job_whose_time_is_over_goes_with_all_it_has_stored() -> None:
    assert decide(settled(expiry=Expiry(None, NOW)), POLICY, NOW).actions == (RemoveResults(), DeleteJob())


def test_where_jobs_are_kept_for_git_none_is_deleted() -> None:
    """A job that is applied from Git would come again, and run again."""
    assert decide(settled(expiry=Expiry(None, NOW)), replace(POLICY, delete_jobs=False), NOW) is NOTHING
    assert decide(settled(expiry=KEPT), POLICY, NOW) is NOTHING


def test_an_expired_result_goes_and_its_job_says_so() -> None:
    """Data and link go, counts and checksum stay; doing it twice changes nothing more."""
    status = finished(Phase.COMPLETED, STORED)
    expiry = expiry_of(Ttl(), status)
    job = replace(make_job(spec=batch_of(1), status=status), expiry=expiry)
    assert decide(Observation(job), POLICY, CREATED + HOUR - timedelta(seconds=1)).status is None
    plan = decide(Observation(job), POLICY, CREATED + HOUR)
    assert plan.actions == (RemoveResults(),)
    assert plan.status is not None
    assert plan.status.phase is Phase.COMPLETED
    assert plan.status.result_url == ""
    assert plan.status.result is not None
    assert (plan.status.result.data, plan.status.result.items, plan.status.result.sha256) == (None, 1, "a" * 64)
    condition = plan.status.condition(ConditionType.RESULT_AVAILABLE)
    assert condition is not None
    assert (condition.status, condition.reason) == (ConditionStatus.FALSE, "ResultExpired")
    after = replace(job, status=plan.status, expiry=expiry_of(Ttl(), plan.status))
    assert after.expiry.result is None
    assert decide(Observation(after), POLICY, CREATED + HOUR) == NOTHING
