"""Parts that decide for themselves: limits, answers that hold for a while, errors, idempotency, percentiles."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from gateway_cases import raw
from hypothesis import given, settings
from hypothesis import strategies as st

from crawl_client import errors as client
from crawl_client.models import Job
from crawl_client.requested import single
from crawl_gateway.dialects.tasks.translate import worker
from crawl_gateway.entries import job_entry
from crawl_gateway.errors import RefusedError, problem_of
from crawl_gateway.idempotency import keyed, repeated
from crawl_gateway.limits import Limiter
from crawl_gateway.places import Places
from crawl_gateway.recent import Recent
from crawl_gateway.statistics import count


@settings(deadline=None)
@given(st.lists(st.floats(min_value=0, max_value=3), max_size=60))
def test_no_caller_gets_more_than_burst_and_rate(pauses: list[float]) -> None:
    limiter, now, passed = Limiter(2, 5), 100.0, 0
    waits: list[float] = []
    for pause in pauses:
        now += pause
        try:
            limiter.take("a", now)
            passed += 1
        except RefusedError as error:
            waits.append(error.problem.retry_after)
    assert all(0 < wait <= 0.5 for wait in waits)
    assert passed <= 5 + 2 * (now - 100) + 1e-6
    limiter.take("b", now)


async def test_an_answer_is_asked_for_once_while_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("crawl_gateway.recent.time", SimpleNamespace(monotonic=lambda: now))
    recent: Recent[str, int] = Recent(5, size=2)
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return asked

    assert set(await asyncio.gather(*(recent.get("a", ask) for _ in range(20)))) == {1}
    now += 4.9
    assert recent.known("a")
    now += 0.2
    assert not recent.known("a")
    assert await recent.get("a", ask) == 2
    await recent.get("b", ask)
    await recent.get("c", ask)
    assert not recent.known("a")


async def test_a_failure_is_not_kept_and_who_gives_up_takes_nobody_along() -> None:
    recent: Recent[str, int] = Recent(10)
    tries: list[Callable[[], int]] = [lambda: 1 // 0, lambda: 7]

    async def ask() -> int:
        await asyncio.sleep(0.01)
        return tries.pop(0)()

    with pytest.raises(ZeroDivisionError):
        await recent.get("a", ask)
    waiting = [asyncio.create_task(recent.get("a", ask)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    assert await waiting[1] == 7


def test_streams_of_one_caller_are_bounded() -> None:
    places = Places(2)
    with places.taken("a"), places.taken("a"), places.taken("b"), pytest.raises(RefusedError), places.taken("a"):
        pass
    with places.taken("a"), places.taken("a"):
        pass


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (client.ValidationError(["spec.x: Required value"]), 422, "Invalid"),
        (client.NotFoundError("gone", 404, reason="NotFound"), 404, "NotFound"),
        (client.ResultUnavailableError("early", 404, reason="NotFinished"), 404, "NotFinished"),
        (client.ConflictError("there", 409, reason="AlreadyExists"), 409, "AlreadyExists"),
        (client.QueueFullError("quota", 403, reason="Forbidden"), 429, "QueueFull"),
        (client.RateLimitError("slow", 429, retry_after=3), 429, "TooManyRequests"),
        (client.ForbiddenError("account x may not", 403), 502, "GatewayForbidden"),
        (client.AuthenticationError("who", 401), 502, "GatewayForbidden"),
        (client.UnavailableError("10.0.0.1 refused"), 503, "ServiceUnavailable"),
        (RuntimeError("secret"), 500, "InternalError"),
    ],
)
def test_what_goes_wrong_has_a_status_and_a_word(error: Exception, status: int, code: str) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.code) == (status, code)
    assert "secret" not in problem.message
    assert "10.0.0.1" not in problem.message
    assert problem.message


def test_a_key_makes_the_name_and_the_request_is_known_again() -> None:
    first = keyed(single("https://example.org/"), "x", "key", named=False)
    again = keyed(single("https://example.org/"), "x", "key", named=False)
    other = keyed(single("https://example.com/"), "x", "key", named=False)
    assert first == again
    assert first.name == other.name != keyed(single("https://example.org/"), "y", "key", named=False).name
    made = Job({"metadata": {"name": first.name, "annotations": first.annotations}, "spec": first.spec})
    assert repeated(again, made)
    with pytest.raises(RefusedError) as caught:
        repeated(other, made)
    assert caught.value.problem.status == 422
    assert not repeated(single("https://example.org/"), made)
    assert keyed(single("https://example.org/", name="mine"), "x", "key", named=True).name == "mine"
    assert len(first.name) <= 63


def test_percentiles_are_exact_and_of_the_latest() -> None:
    def finished(number: int, ms: int) -> dict[str, object]:
        moment = f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
        return {"phase": "Completed", "completedAt": moment, "processingTimeMs": ms, "workerId": f"w{number % 3}"}

    old = [job_entry(raw(f"old-{n}", status=finished(n, 10**6))) for n in range(50)]
    new = [job_entry(raw(f"new-{n}", status=finished(100 + n, n + 1))) for n in range(1000)]
    found = count(old + new)
    assert found.processing_ms == {"average": 500.5, "p50": 500, "p95": 950, "p99": 990}
    assert found.sample == 1000
    assert [(use.worker_id, use.processed) for use in sorted(found.workers, key=lambda use: use.worker_id)] == [
        ("w0", 350),
        ("w1", 351),
        ("w2", 349),
    ]
    assert found.success_rate == 100
    assert found.bytes > 1050 * 300
    assert count([]).processing_ms == {}


def test_a_worker_of_which_no_time_is_told_was_seen_when_its_job_came() -> None:
    status = {"phase": "Processing", "workerId": "w"}
    created = "2026-01-01T00:00:00Z"
    later = {**status, "phase": "Failed", "updatedAt": "2026-01-02T00:00:00Z"}
    told = [job_entry(raw("a", created=created, status=status)), job_entry(raw("b", status={**later, "workerId": "v"}))]
    seen = {use.worker_id: worker(use, {}).last_heartbeat for use in count(told).workers}
    assert seen == {"v": datetime(2026, 1, 2, tzinfo=UTC), "w": datetime(2026, 1, 1, tzinfo=UTC)}
