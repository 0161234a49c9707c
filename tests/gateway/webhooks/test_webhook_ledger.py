"""What is to be told of a job, when, by whom, and how often."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawl_api.enums import Phase
from crawl_api.names import ANNOTATION_NOTIFIED, ANNOTATION_REQUEUE
from crawl_client.models import Job
from crawl_gateway.webhooks.ledger import (
    CLAIM,
    MAX_TRIES,
    Delivery,
    Due,
    Ledger,
    Outcome,
    State,
    agenda,
    claimed,
    end_of,
    hooks_of,
    id_of,
    read,
    settled,
    written,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAUSE = timedelta(seconds=5)
URLS = ("https://a.example/", "https://b.example/")


def job(
    phase: Phase = Phase.COMPLETED,
    *hooks: dict[str, Any],
    ledger: Ledger | None = None,
    at: str = "2026-03-01T11:59:00Z",
    annotations: dict[str, str] | None = None,
) -> Job:
    said = {ANNOTATION_NOTIFIED: written(ledger)} if ledger is not None else {}
    metadata = {"name": "a", "namespace": "n", "uid": "u", "annotations": {**said, **(annotations or {})}}
    notify = list(hooks) or [{"url": url} for url in URLS]
    status = {"phase": phase, "completedAt": at}
    return Job({"metadata": metadata, "spec": {"type": "Single", "notify": notify}, "status": status})


def one(**more: Any) -> Job:
    return job(Phase.COMPLETED, {"url": URLS[0]}, **more)


def due_of(found: Job, now: datetime = NOW) -> list[str]:
    return [due.hook.url for due in agenda(found, now).due]


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.terminal])
def test_nothing_is_told_of_a_job_that_goes_on(phase: Phase) -> None:
    assert agenda(job(phase), NOW).due == ()


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.terminal])
def test_every_end_is_told_unless_some_are_chosen(phase: Phase) -> None:
    assert due_of(job(phase)) == list(URLS)
    chosen = job(phase, {"url": URLS[0], "events": ["Failed"]}, {"url": URLS[1], "events": [phase]})
    assert URLS[1] in due_of(chosen)
    assert (URLS[0] in due_of(chosen)) == (phase is Phase.FAILED)


def test_a_job_that_is_to_run_again_has_not_ended() -> None:
    assert due_of(job(annotations={ANNOTATION_REQUEUE: "x"})) == []


def test_another_end_is_told_anew() -> None:
    ledger = {
        id_of(hook): Delivery(end=end_of(one()), state=State.DELIVERED, tries=1, at=NOW) for hook in hooks_of(one())
    }
    assert due_of(one(ledger=ledger)) == []
    assert due_of(one(ledger=ledger, at="2026-03-01T12:30:00Z")) == [URLS[0]]


@pytest.mark.parametrize(
    ("state", "at", "is_due", "later"),
    [
        (State.DELIVERED, NOW, False, False),
        (State.GIVEN_UP, NOW, False, False),
        (State.WAITING, NOW, True, False),
        (State.WAITING, NOW + PAUSE, False, True),
        (State.SENDING, NOW - PAUSE, True, False),
        (State.SENDING, NOW + PAUSE, False, True),
    ],
)
def test_what_has_become_of_a_message_decides(state: State, at: datetime, *, is_due: bool, later: bool) -> None:
    (hook,) = hooks_of(one())
    ledger = {id_of(hook): Delivery(end=end_of(one()), state=state, tries=3, at=at)}
    plan = agenda(one(ledger=ledger), NOW)
    assert [due.tries for due in plan.due] == ([3] if is_due else [])
    assert plan.next == (at if later else None)


def test_an_annotation_that_is_spoilt_is_none() -> None:
    for text in ("", "{", "[]", '{"a": 1}', '{"a": {"state": "Odd"}}'):
        assert due_of(job(annotations={ANNOTATION_NOTIFIED: text})) == list(URLS)


def test_what_is_written_is_read() -> None:
    ledger = {"a": Delivery(end="Failed@x", state=State.WAITING, tries=2, at=NOW, error="HTTP 500")}
    assert read(one(ledger=ledger)) == ledger


def test_a_claim_keeps_others_off_until_its_time_is_over() -> None:
    (due,) = agenda(one(), NOW).due
    taken = one(ledger=claimed(one(), due, "me", NOW).ledger)
    assert due_of(taken) == []
    assert due_of(taken, NOW + CLAIM - PAUSE) == []
    assert due_of(taken, NOW + CLAIM) == [URLS[0]]


def settle(found: Job, outcome: Outcome, tries: int = 1) -> Delivery:
    (hook,) = hooks_of(found)
    claim = claimed(found, Due(id_of(hook), hook, tries - 1), "me", NOW)
    after = settled(one(ledger=claim.ledger), claim, outcome, NOW, PAUSE)
    assert after is not None
    return after[id_of(hook)]


def test_a_message_that_arrived_is_done() -> None:
    assert settle(one(), Outcome()) == Delivery(end=end_of(one()), state=State.DELIVERED, tries=1, at=NOW)


@pytest.mark.parametrize(
    ("tries", "seconds"), [(1, 5), (2, 20), (3, 80), (4, 320), (5, 1280), (6, 3600), (MAX_TRIES - 1, 3600)]
)
def test_pauses_grow_up_to_an_hour(tries: int, seconds: int) -> None:
    after = settle(one(), Outcome("HTTP 500"), tries)
    assert (after.state, after.at, after.error) == (State.WAITING, NOW + timedelta(seconds=seconds), "HTTP 500")


@pytest.mark.parametrize(("outcome", "tries"), [(Outcome("HTTP 410", final=True), 1), (Outcome("HTTP 500"), MAX_TRIES)])
def test_some_are_given_up(outcome: Outcome, tries: int) -> None:
    assert settle(one(), outcome, tries).state is State.GIVEN_UP


def test_who_comes_late_does_not_overwrite_what_another_has_written() -> None:
    (due,) = agenda(one(), NOW).due
    mine = claimed(one(), due, "me", NOW)
    theirs = claimed(one(), due, "them", NOW + CLAIM)
    assert settled(one(ledger=theirs.ledger), mine, Outcome(), NOW, PAUSE) is None


def test_a_webhook_that_is_gone_is_forgotten() -> None:
    first, second = hooks_of(job())
    both = claimed(job(), Due(id_of(first), first, 0), "me", NOW)
    fewer = job(Phase.COMPLETED, {"url": URLS[1]}, ledger=both.ledger)
    assert set(claimed(fewer, Due(id_of(second), second, 0), "me", NOW).ledger) == {id_of(second)}


@settings(deadline=None)
@given(outcomes=st.lists(st.sampled_from(["", "HTTP 500", "gone"]), max_size=15))
def test_a_message_is_told_until_it_arrives_or_is_given_up(outcomes: list[str]) -> None:
    """Whatever happens, it ends; it is never sent after it has arrived, and never more often than allowed."""
    found, now, sent, arrived = one(), NOW, 0, 0
    for text in [*outcomes, *[""] * 2]:
        plan = agenda(found, now)
        if not plan.due:
            assert plan.next is None or plan.next > now
            now = plan.next or now
            plan = agenda(found, now)
        if not plan.due:
            break
        (due,) = plan.due
        claim = claimed(found, due, "me", now)
        sent += 1
        arrived += not text
        after = settled(one(ledger=claim.ledger), claim, Outcome(text, final=text == "gone"), now, PAUSE)
        assert after is not None
        found = one(ledger=after)
    assert arrived <= 1
    assert sent <= MAX_TRIES
