"""What is kept of schedules and runs: versions that only grow, ends that wake, and what must not be forgotten."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from operator_cases import SINGLE, open_store

from crawl_api.status import Phase
from crawl_operator.buried import Buried
from crawl_operator.decide.model import JobKey
from crawl_operator.decide.run import Run, ScheduleKey
from crawl_operator.decide.schedule_model import StartRun
from crawl_operator.projection import job_of
from crawl_operator.runs import build_run, run_name
from crawl_operator.schedule_projection import schedule_of
from crawl_operator.schedules import Schedules, ScheduleState
from crawl_operator.store import Store

KEY = ScheduleKey("team", "nightly")
SLOT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def body(version: int = 10, uid: str = "uid-of-nightly", **parts: Any) -> dict[str, Any]:
    metadata = {
        "namespace": "team",
        "name": "nightly",
        "uid": uid,
        "resourceVersion": str(version),
        "generation": 1,
        "creationTimestamp": "2026-03-01T11:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
        **parts.pop("metadata", {}),
    }
    spec = {"schedule": "0 * * * *", "timeZone": "Europe/Berlin", "jobTemplate": {"spec": SINGLE}}
    return {"metadata": metadata, "spec": spec | parts.pop("spec", {}), "status": parts.pop("status", {})}


def run_body(
    start: StartRun, schedule: dict[str, Any] | None = None, version: int = 20, **parts: Any
) -> dict[str, Any]:
    made = build_run(schedule_of(schedule or body()), start)
    given = {"uid": "uid-of-run", "resourceVersion": str(version), "creationTimestamp": "2026-03-01T12:00:01Z"}
    return {**made, "metadata": made["metadata"] | given, **parts}


class Seen:
    """A store, and whom it has woken."""

    def __init__(self) -> None:
        self.woken: list[object] = []
        self.gone = Buried()
        self.schedules = Schedules(self.woken.append, self.gone)

    def run(self, **changes: Any) -> Run:
        found = job_of(run_body(StartRun(1, slot=SLOT), status={"phase": changes.pop("phase", "Pending")})).run
        assert found is not None
        return found


def test_what_is_kept_is_what_was_seen() -> None:
    """Packed and unpacked; what decisions do not need is left out."""
    seen = Seen()
    noted = body(metadata={"annotations": {"crawl-operator.io/trigger": "now", "example.org/large": "x" * 10_000}})
    assert seen.schedules.put(noted)
    assert seen.schedules.get(KEY) == schedule_of(noted)
    ((_, kept),) = seen.schedules.known()
    assert len(kept.packed) < 1000
    assert seen.woken == [KEY]


def test_older_news_are_no_news() -> None:
    seen = Seen()
    assert seen.schedules.put(body(10))
    assert not seen.schedules.put(body(10))
    assert not seen.schedules.put(body(9))
    assert seen.schedules.put(body(11))
    seen.schedules.remove(KEY, "uid-of-nightly")
    assert not seen.schedules.put(body(12)), "what was seen deleted does not come back"
    assert seen.schedules.get(KEY) is None
    assert seen.schedules.put(body(13, uid="uid-of-another"))
    seen.schedules.remove(KEY, "uid-of-nightly")
    assert seen.schedules.get(KEY) is not None, "a namesake stays"


def test_states_are_counted_as_they_come_and_go() -> None:
    seen = Seen()
    stalled = [{"type": "Stalled", "status": "True", "reason": "X", "lastTransitionTime": "2026-03-01T11:00:00Z"}]
    seen.schedules.put(body(1))
    assert +seen.schedules.states == {ScheduleState.ACTIVE: 1}
    seen.schedules.put(body(2, spec={"suspend": True}))
    assert +seen.schedules.states == {ScheduleState.SUSPENDED: 1}
    seen.schedules.put(body(3, status={"conditions": stalled}))
    assert +seen.schedules.states == {ScheduleState.STALLED: 1}
    seen.schedules.remove(KEY, "uid-of-nightly")
    assert not +seen.schedules.states


def test_a_run_wakes_its_schedule_when_it_comes_ends_and_goes() -> None:
    """Its progress does not: a schedule of a long run would be looked at for nothing."""
    seen = Seen()
    seen.schedules.put(body(status={"executionCount": 1}))
    for phase, wakes in (("Pending", 1), ("Processing", 0), ("Retry", 0), ("Completed", 1)):
        seen.woken.clear()
        seen.schedules.put_run(seen.run(phase=phase))
        assert len(seen.woken) == wakes, phase
    seen.woken.clear()
    seen.schedules.remove_run(seen.run())
    assert seen.woken == [KEY]


def test_a_run_that_goes_before_it_was_counted_is_remembered_until_it_is() -> None:
    seen = Seen()
    seen.schedules.put(body(1))
    schedule = schedule_of(body(1))
    seen.schedules.put_run(seen.run())
    seen.schedules.remove_run(seen.run())
    assert [run.gone for run in seen.schedules.runs(schedule)] == [True]
    seen.schedules.put(body(2, status={"executionCount": 1}))
    assert seen.schedules.runs(schedule) == ()
    seen.schedules.put_run(seen.run())
    seen.schedules.remove_run(seen.run())
    assert seen.schedules.runs(schedule) == (), "one that was counted is not"


def test_runs_belong_to_their_very_schedule() -> None:
    seen = Seen()
    seen.schedules.put(body())
    seen.schedules.put_run(seen.run())
    assert seen.schedules.runs(schedule_of(body(uid="uid-of-another"))) == ()
    assert len(seen.schedules.runs(schedule_of(body()))) == 1


def test_jobs_that_are_runs_are_told_to_their_schedule() -> None:
    """Through the store of jobs, also where a namesake takes a run's place."""
    woken: list[object] = []
    store: Store = open_store(woken.append)
    schedule = schedule_of(body())
    store.schedules.put(body(status={"executionCount": 1}))
    made = run_body(StartRun(1, slot=SLOT))
    store.put_job(job_of(made))
    assert [run.uid for run in store.schedules.runs(schedule)] == ["uid-of-run"]
    namesake = {"namespace": "team", "name": made["metadata"]["name"], "uid": "other", "resourceVersion": "30"}
    store.put_job(job_of({"metadata": namesake, "spec": SINGLE}))
    assert store.schedules.runs(schedule) == ()
    store.put_job(job_of(run_body(StartRun(1, slot=SLOT), version=40)))
    store.remove_job(JobKey("team", made["metadata"]["name"]), "uid-of-run")
    assert store.schedules.runs(schedule) == ()


def test_a_run_is_told_apart_from_what_only_looks_like_one() -> None:
    made = run_body(
        StartRun(7, slot=SLOT, trigger=""), status={"phase": "Completed", "completedAt": "2026-03-01T12:01:00Z"}
    )
    run = job_of(made).run
    assert run is not None
    assert (run.schedule, run.schedule_uid, run.slot, run.number, run.phase) == (
        KEY,
        "uid-of-nightly",
        SLOT,
        7,
        Phase.COMPLETED,
    )
    assert run.ended == datetime(2026, 3, 1, 12, 1, tzinfo=UTC)
    orphan = {**made, "metadata": {**made["metadata"], "ownerReferences": []}}
    assert job_of(orphan).run is None
    guest = {**made["metadata"]["ownerReferences"][0], "apiVersion": "example.org/v1"}
    assert job_of({**made, "metadata": {**made["metadata"], "ownerReferences": [guest]}}).run is None


@pytest.mark.parametrize(
    ("slot", "number"), [("", ""), ("soon", "x"), ("2026-03-01T12:00:00", "-1"), ("2026-13-01T12:00:00Z", "9" * 30)]
)
def test_what_a_person_has_made_of_a_runs_marks_does_no_harm(slot: str, number: str) -> None:
    made = run_body(StartRun(1, slot=SLOT))
    made["metadata"]["annotations"]["crawl-operator.io/scheduled-at"] = slot
    made["metadata"]["labels"]["crawl-operator.io/execution"] = number
    run = job_of(made).run
    assert run is not None
    assert (run.slot, run.number) == (None, 0)


def test_a_run_carries_where_it_comes_from() -> None:
    template = {
        "metadata": {"labels": {"team": "catalogue"}, "annotations": {"example.org/contact": "c@example.org"}},
        "spec": SINGLE | {"priority": "High", "metadata": {"ticket": None}},
    }
    made = build_run(schedule_of(body(spec={"jobTemplate": template})), StartRun(41, slot=SLOT))
    meta = made["metadata"]
    assert made["spec"] == template["spec"], "the template, as it was written"
    assert meta["labels"] == {
        "team": "catalogue",
        "crawl-operator.io/schedule": "nightly",
        "crawl-operator.io/schedule-uid": "uid-of-nightly",
        "crawl-operator.io/execution": "41",
    }
    assert meta["annotations"] == {
        "example.org/contact": "c@example.org",
        "crawl-operator.io/execution": "41",
        "crawl-operator.io/scheduled-at": "2026-03-01T13:00:00+01:00",
    }


def test_a_runs_name_follows_from_schedule_and_time() -> None:
    """And from nothing else; 63 characters at the most, whatever the schedule is called."""
    schedule, another = schedule_of(body()), schedule_of(body(uid="uid-of-another"))
    name = run_name(schedule, StartRun(1, slot=SLOT))
    assert name.startswith("nightly-29539440-")
    assert run_name(schedule, StartRun(2, slot=SLOT)) == name
    assert run_name(another, StartRun(1, slot=SLOT)) != name
    assert run_name(schedule, StartRun(1, slot=SLOT.replace(hour=13))) != name
    asked = {run_name(schedule, StartRun(number, trigger=value)) for number in (1, 2) for value in ("a", "b")}
    assert len(asked) == 4
    long = schedule_of(body(metadata={"name": "n" * 39 + "-" + "n" * 23}))
    assert len(run_name(long, StartRun(1, slot=datetime(2199, 1, 1, tzinfo=UTC)))) <= 63
    assert "--" not in run_name(long, StartRun(1, slot=SLOT))


def test_a_status_that_is_none_is_made_anew() -> None:
    assert schedule_of(body(status={"executionCount": "many"})).status == schedule_of(body()).status


def test_of_runs_of_the_same_second_the_one_made_first_is_the_older() -> None:
    """Their names tell nothing: they are made of hashes."""
    seen = Seen()
    made = seen.run()
    runs = [replace(made, uid=f"uid-{n}", name=name, number=n, slot=None) for n, name in enumerate("zyxab", start=1)]
    for run in runs:
        seen.schedules.put_run(run)
    schedule = schedule_of(body(uid=made.schedule_uid))
    seen.schedules.put(body(uid=made.schedule_uid))
    assert [run.number for run in seen.schedules.runs(schedule)] == [1, 2, 3, 4, 5]
