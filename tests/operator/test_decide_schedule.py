"""What is done about a schedule: tables of cases, each a story with its end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from operator_cases import POLICY, SINGLE, batch_of
from schedule_cases import DAY, HOUR, MINUTE, NOON, World, make_schedule, world

from crawl_api.status import Phase
from crawl_operator.decide.model import RecordEvent
from crawl_operator.decide.run import Run
from crawl_operator.decide.schedule import decide
from crawl_operator.decide.schedule_model import DeleteRun, ScheduleObservation, StartRun

SECOND = timedelta(seconds=1)


def test_a_new_schedule_says_when_its_first_run_is_due() -> None:
    here = world()
    assert here.status.next_execution_at == NOON
    assert here.totals == (0, 0)
    assert here.writes == 1
    assert here.plan().requeue_after == 60
    for kind, status in {"Ready": "True", "Valid": "True", "Suspended": "False", "Reconciling": "False"}.items():
        assert here.condition(kind)[0] == status
    assert here.condition("Stalled") == ("", "")
    assert all(each.observed_generation == 1 for each in here.status.conditions)


def test_what_is_due_runs_and_is_counted() -> None:
    """Never early; the run comes first, and what it means for the status afterwards."""
    here = world()
    here.now = NOON - timedelta(microseconds=1)
    assert here.plan().actions == ()
    here.now = NOON
    plan = here.plan()
    assert plan.actions == (StartRun(1, slot=NOON),)
    assert plan.status is None, "no write before it"
    here.settle()
    assert here.totals == (1, 0)
    assert here.status.active == tuple(run.name for run in here.made)
    assert (here.status.active_count, here.status.last_executed_at) == (1, NOON)
    assert here.status.next_execution_at == NOON + HOUR
    assert here.writes == 2
    here.end()
    here.at(NOON + MINUTE)
    assert (here.status.active, here.status.active_count) == ((), 0)
    assert here.status.last_successful_at == NOON
    assert here.events == ["RunCreated", "RunEnded"]
    assert here.writes == 3
    here.at(NOON + HOUR)
    assert [run.number for run in here.made] == [1, 2]


def test_how_a_run_ends_says_nothing_of_the_schedules_health() -> None:
    here = world().at(NOON)
    here.end(Phase.FAILED)
    here.at(NOON + MINUTE)
    assert here.condition("Ready") == ("True", "Scheduled")
    assert here.condition("Stalled") == ("", "")
    assert here.status.last_successful_at is None


OUTAGES: list[tuple[str, timedelta, int, int]] = [
    # line, for how long nobody looked, runs, missed
    ("0 * * * *", timedelta(minutes=50), 0, 0),
    ("0 * * * *", HOUR, 1, 0),
    ("0 * * * *", 2 * HOUR, 1, 1),
    ("*/5 * * * *", HOUR, 1, 11),
    ("0 * * * *", DAY, 1, 23),
    ("* * * * *", DAY, 1, 1439),
    ("0 * * * *", 365 * DAY, 1, 8759),
    ("* * * * *", 365 * DAY, 1, 525_599),
    ("0 0 1 * *", 365 * DAY, 1, 11),
]


@pytest.mark.parametrize(("line", "outage", "runs", "missed"), OUTAGES)
def test_after_an_outage_one_run_is_made_and_all_others_are_counted(
    line: str, outage: timedelta, runs: int, missed: int
) -> None:
    """In a few steps, however long it was."""
    here = world(NOON, schedule=line)
    here.now = NOON + outage
    here.settle(limit=4)
    assert here.totals == (runs, missed)
    assert len(here.made) == runs
    assert len(here.status.last_missed) == min(missed, 10)
    assert {reason for _, reason in here.missed} <= {"Superseded"}
    if runs and missed:
        assert here.missed[-1][0] < (here.slots[-1] or NOON)


DEADLINES: list[tuple[int, timedelta, int, int]] = [
    # deadline, how late the operator looks, runs, missed
    (0, timedelta(milliseconds=1), 1, 0),
    (0, timedelta(milliseconds=999), 1, 0),
    (0, SECOND, 0, 1),
    (60, timedelta(seconds=60), 1, 0),
    (60, timedelta(seconds=60.9), 1, 0),
    (60, timedelta(seconds=61), 0, 1),
    (3600, HOUR - SECOND, 1, 0),
    (3600, HOUR, 1, 1),
    (7200, HOUR + MINUTE, 1, 1),
    (60, 2 * HOUR + 2 * MINUTE, 0, 3),
    (300, 2 * HOUR + 2 * MINUTE, 1, 2),
]


@pytest.mark.parametrize(("deadline", "late", "runs", "missed"), DEADLINES)
def test_what_could_not_be_made_within_the_deadline_is_skipped(
    deadline: int, late: timedelta, runs: int, missed: int
) -> None:
    here = world(NOON - MINUTE, startingDeadlineSeconds=deadline).at(NOON + late)
    assert here.totals == (runs, missed)
    if not runs:
        assert here.missed[-1][1] == "DeadlineExceeded"
        assert here.status.next_execution_at is not None
        assert here.status.next_execution_at > here.now


POLICIES: list[tuple[str, str, int, int, int]] = [
    # policy, what the first run does meanwhile, runs, missed, active after the second slot
    ("Allow", "ended", 2, 0, 1),
    ("Allow", "running", 2, 0, 2),
    ("Forbid", "ended", 2, 0, 1),
    ("Forbid", "running", 1, 0, 1),
    ("Forbid", "deleted", 2, 0, 1),
    ("Replace", "ended", 2, 0, 1),
    ("Replace", "running", 2, 0, 1),
    ("Replace", "deleted", 2, 0, 1),
]


@pytest.mark.parametrize(("policy", "meanwhile", "runs", "missed", "active"), POLICIES)
def test_what_the_policy_makes_of_a_run_that_goes_on(
    policy: str, meanwhile: str, runs: int, missed: int, active: int
) -> None:
    here = world(concurrencyPolicy=policy).at(NOON)
    if meanwhile == "ended":
        here.end()
    elif meanwhile == "deleted":
        here.runs.clear()
    here.at(NOON + HOUR)
    assert here.totals == (runs, missed)
    assert here.status.active_count == len(here.active) == active
    assert here.deleted == ([here.made[0].name] if (policy, meanwhile) == ("Replace", "running") else [])


def test_forbid_waits_for_the_run_that_goes_on_and_says_so() -> None:
    """As CronJob: the run is late, not lost, as long as its deadline and the next one let it."""
    here = world(concurrencyPolicy="Forbid").at(NOON).at(NOON + HOUR)
    assert here.condition("Ready") == ("True", "RunActive")
    assert here.status.next_execution_at == NOON + 2 * HOUR
    assert here.events.count("RunStillActive") == 1
    writes = here.writes
    here.at(NOON + HOUR + MINUTE)
    assert here.writes == writes, "said once"
    assert here.plan().requeue_after == 59 * 60
    here.end()
    here.at(NOON + HOUR + 30 * MINUTE)
    assert here.slots == [NOON, NOON + HOUR]
    assert here.totals == (2, 0)


def test_a_stuck_run_under_forbid_costs_one_miss_per_slot() -> None:
    here = world(concurrencyPolicy="Forbid").at(NOON)
    for hour in range(1, 6):
        here.at(NOON + hour * HOUR)
    assert here.totals == (1, 4), "the latest one still waits"
    assert {reason for _, reason in here.missed} == {"ConcurrencyForbidden"}
    assert here.condition("Ready") == ("True", "RunActive")


def test_under_forbid_the_deadline_ends_the_wait() -> None:
    here = world(concurrencyPolicy="Forbid", startingDeadlineSeconds=600).at(NOON).at(NOON + HOUR)
    assert here.plan().requeue_after == 601
    here.at(NOON + HOUR + timedelta(seconds=601))
    assert here.missed == [(NOON + HOUR, "ConcurrencyForbidden")]
    here.end()
    here.at(NOON + HOUR + timedelta(seconds=700))
    assert here.totals == (1, 1)


def test_replace_makes_the_next_run_when_the_one_before_is_gone() -> None:
    here = world(concurrencyPolicy="Replace").at(NOON)
    (first,) = here.made
    here.now = NOON + HOUR
    plan = here.plan()
    assert [action.reason for action in plan.actions if isinstance(action, RecordEvent)] == ["RunReplaced"]
    assert [action.run.uid for action in plan.actions if isinstance(action, DeleteRun)] == [first.uid]
    assert not any(isinstance(action, StartRun) for action in plan.actions)
    here.runs[first.name] = replace(first, deleting=True)
    assert any(isinstance(action, StartRun) for action in here.plan().actions), "a finalizer holds nothing up"


def test_suspend_and_resume() -> None:
    """What was due meanwhile does not count, but the last of it is made up for, as CronJob does."""
    here = world().at(NOON)
    here.now = NOON + 30 * MINUTE
    here.edit(suspend=True)
    here.settle()
    assert here.status.next_execution_at is None
    assert here.condition("Suspended") == ("True", "Suspended")
    assert here.condition("Ready") == ("True", "Suspended")
    assert here.plan().requeue_after is None
    writes = here.writes
    here.at(NOON + 5 * HOUR)
    assert (here.totals, here.writes) == ((1, 0), writes)
    here.edit(suspend=False)
    here.at(NOON + 5 * HOUR + 30 * MINUTE)
    assert here.slots == [NOON, NOON + 5 * HOUR]
    assert here.totals == (2, 0)
    assert here.condition("Suspended") == ("False", "NotSuspended")


def test_resume_beyond_the_deadline_makes_up_for_nothing() -> None:
    here = world(startingDeadlineSeconds=600).at(NOON)
    here.edit(suspend=True)
    here.at(NOON + MINUTE)
    here.edit(suspend=False)
    here.at(NOON + 5 * HOUR + 30 * MINUTE)
    assert here.totals == (1, 0)
    assert here.at(NOON + 6 * HOUR).totals == (2, 0)


def test_what_was_missed_before_it_was_suspended_counts() -> None:
    """An operator that was down from before until after: it sees the suspension when it comes back."""
    here = world(NOON, schedule="*/5 * * * *")
    here.edit(suspend=True)
    here.at(NOON + HOUR)
    here.edit(suspend=False)
    here.at(NOON + DAY)
    assert here.totals == (1, 12), "an hour's worth; the day of the suspension does not count"


def test_a_run_goes_on_while_its_schedule_is_suspended() -> None:
    here = world().at(NOON)
    here.edit(suspend=True)
    here.at(NOON + MINUTE)
    assert here.status.active_count == 1
    assert here.deleted == []
    here.end()
    assert here.at(NOON + HOUR).status.active_count == 0


EDITS: list[tuple[dict[str, Any], list[datetime], datetime]] = [
    # what is changed at 12:30, runs by 14:00, the next one then
    ({"schedule": "15 * * * *"}, [NOON + HOUR + 15 * MINUTE], NOON + 2 * HOUR + 15 * MINUTE),
    ({"schedule": "45 * * * *"}, [NOON + 45 * MINUTE, NOON + HOUR + 45 * MINUTE], NOON + 2 * HOUR + 45 * MINUTE),
    ({"schedule": "0 0 * * *"}, [], NOON + 12 * HOUR),
    ({"schedule": "0 21 * * *", "timeZone": "Asia/Tokyo"}, [], NOON + DAY),
    ({"timeZone": "Asia/Kolkata"}, [NOON + 90 * MINUTE], NOON + 150 * MINUTE),
    ({"displayName": "x"}, [NOON + HOUR, NOON + 2 * HOUR], NOON + 3 * HOUR),
]


@pytest.mark.parametrize(("change", "slots", "following"), EDITS)
def test_an_edited_line_holds_from_the_edit_on(
    change: dict[str, Any], slots: list[datetime], following: datetime
) -> None:
    """What the new line would have had due before is neither made up for nor counted."""
    here = world().at(NOON)
    here.end()
    here.edit(**change)
    for minutes in range(30, 121, 5):
        here.at(NOON + minutes * MINUTE)
        here.end()
    assert here.slots == [NOON, *slots]
    assert here.totals == (1 + len(slots), 0)
    assert here.status.next_execution_at == following
    assert here.status.observed_generation == here.schedule.generation


@pytest.mark.parametrize("back", [SECOND, 30 * MINUTE, DAY, 365 * DAY])
def test_a_clock_that_steps_back_makes_no_run_twice(back: timedelta) -> None:
    here = world().at(NOON).at(NOON + HOUR)
    for minutes in range(0, int(back / MINUTE) + 5, max(int(back / MINUTE / 50), 1)):
        here.at(NOON + HOUR - back + minutes * MINUTE)
    assert here.slots[:2] == [NOON, NOON + HOUR]
    assert len(set(here.slots)) == len(here.slots) == 2
    assert here.status.next_execution_at == NOON + 2 * HOUR
    assert here.at(NOON + 2 * HOUR).totals == (3, 0)


def test_a_clock_that_steps_forward_is_an_outage() -> None:
    here = world().at(NOON).at(NOON + 10 * HOUR + MINUTE)
    assert here.totals == (2, 9)


def test_a_change_of_clocks_is_what_the_table_says() -> None:
    """A day of Berlin's autumn, minute by minute, and one of its spring."""
    autumn, spring = datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 3, 28, 23, tzinfo=UTC)
    for begin, runs in ((autumn, 2), (spring, 0)):
        here = world(begin, schedule="30 2 * * *", timeZone="Europe/Berlin")
        for quarter in range(1, 24 * 4 - 8):
            here.at(begin + quarter * 15 * MINUTE)
        assert here.totals == (runs, 0)
        assert len({run.name for run in here.made}) == runs


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"schedule": "0 0 30 2 *"}, "NeverDue", "spec.schedule"),
    ({"schedule": "61 * * * *"}, "InvalidSpec", "spec.schedule: "),
    ({"timeZone": "Mars/Olympus"}, "UnknownTimeZone", "spec.timeZone"),
    ({"jobTemplate": {"spec": batch_of(51)}}, "InvalidTemplate", "spec.jobTemplate.spec.batch.urls"),
    ({"jobTemplate": {"spec": {"type": "Single"}}}, "InvalidSpec", "spec.jobTemplate.spec"),
]


@pytest.mark.parametrize(("change", "reason", "field"), FAULTS)
def test_what_cannot_be_kept_is_said_by_its_field_and_nothing_runs(
    change: dict[str, Any], reason: str, field: str
) -> None:
    here = world(**change)
    assert here.condition("Valid") == ("False", reason)
    assert here.condition("Stalled") == ("True", reason)
    assert here.condition("Ready") == ("False", reason)
    assert here.condition("Reconciling")[0] == "False"
    assert field in next(each.message for each in here.status.conditions if each.type == "Valid")
    assert here.status.next_execution_at is None
    assert here.events == [reason]
    assert here.at(NOON + DAY).made == []
    assert here.writes == 1
    here.edit(schedule="0 * * * *", timeZone="UTC", jobTemplate={"spec": SINGLE})
    here.at(NOON + DAY + MINUTE)
    assert here.condition("Valid") == ("True", "Valid")
    assert here.condition("Stalled") == ("", "")


def test_a_run_on_request() -> None:
    """Each new value once; it stands beside the line, and is counted."""
    here = world()
    here.ask("now")
    here.settle()
    assert here.totals == (1, 0)
    assert here.status.triggered == "now"
    assert (here.made[0].slot, here.made[0].trigger) == (None, "now")
    here.settle()
    here.ask("again")
    here.settle()
    here.ask("now")
    here.settle()
    here.ask("")
    here.settle()
    assert [run.trigger for run in here.made] == ["now", "again", "now"]
    assert len({run.name for run in here.made}) == 3
    assert [run.number for run in here.at(NOON).made] == [1, 2, 3, 4]
    assert here.slots[-1] == NOON


def test_a_request_that_was_taken_back_before_its_run_was_counted_was_obeyed() -> None:
    here = world()
    here.ask("now")
    asked = here.plan()
    here.ask("")
    here.carry_out(asked)
    here.settle()
    assert (here.totals, here.status.triggered, here.status.last_run) == ((1, 0), "now", here.made[0].name)
    here.ask("now")
    here.settle()
    assert here.totals == (1, 0)


@pytest.mark.parametrize("first", ["line", "request"])
def test_two_runs_of_one_number_are_counted_both(first: str) -> None:
    """One operator makes the run that is due, another, which does not know of it, the one that is asked for."""
    here = world()
    here.now = NOON
    due = here.plan()
    here.now = NOON - MINUTE
    here.ask("now")
    asked = here.plan()
    here.now = NOON
    for plan in (due, asked) if first == "line" else (asked, due):
        here.carry_out(plan)
        counted = here.plan()
        here.carry_out(counted)
    here.settle()
    assert [run.number for run in here.made] == [1, 1]
    assert here.totals == (2, 0)
    assert here.status.triggered == "now"


def test_a_run_on_request_while_suspended() -> None:
    here = world(suspend=True)
    here.ask("now")
    here.settle()
    assert here.totals == (1, 0)
    assert here.status.next_execution_at is None


@pytest.mark.parametrize(("policy", "made", "active"), [("Allow", 2, 2), ("Forbid", 1, 1), ("Replace", 2, 1)])
def test_the_policy_holds_for_a_run_on_request(policy: str, made: int, active: int) -> None:
    here = world(concurrencyPolicy=policy).at(NOON)
    here.ask("now")
    here.at(NOON + MINUTE)
    assert (len(here.made), len(here.active)) == (made, active)
    if policy == "Forbid":
        assert here.condition("Ready") == ("True", "RunActive")
        here.end()
        here.at(NOON + 2 * MINUTE)
        assert here.made[-1].trigger == "now"


LIMITS: list[tuple[dict[str, int], int, int]] = [
    # limits, good and bad runs that stay of four and six
    ({}, 3, 1),
    ({"successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 0}, 0, 0),
    ({"successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 2}, 1, 2),
    ({"successfulJobsHistoryLimit": 10, "failedJobsHistoryLimit": 10}, 4, 6),
]


@pytest.mark.parametrize(("limits", "good", "bad"), LIMITS)
def test_the_oldest_finished_runs_go(limits: dict[str, int], good: int, bad: int) -> None:
    here = world(NOON - MINUTE, **limits)
    ends = [Phase.COMPLETED, Phase.FAILED, Phase.PARTIAL_SUCCESS, Phase.DEAD_LETTER, Phase.CANCELLED]
    for hour in range(10):
        here.at(NOON + hour * HOUR)
        here.end(ends[hour % 5])
        here.at(NOON + hour * HOUR + MINUTE)
    left = sorted(here.runs.values(), key=lambda run: run.order)
    assert (sum(run.good for run in left), sum(not run.good for run in left)) == (good, bad)
    numbers = [run.number for run in left]
    assert numbers == sorted(numbers)
    assert [number for number in numbers if number % 5 in {1, 3}] == [1, 3, 6, 8][4 - good :], "the newest stay"
    assert here.totals == (10, 0)


def test_a_run_that_is_due_comes_before_everything_else() -> None:
    """Also before an end is told or an old run deleted."""
    here = world(successfulJobsHistoryLimit=0).at(NOON)
    here.end()
    here.now = NOON + HOUR
    assert here.plan().status is None
    assert [type(action) for action in here.plan().actions] == [StartRun]
    here.settle()
    assert here.deleted == [here.made[0].name]
    assert here.events == ["RunCreated", "RunCreated", "RunEnded"]


def test_a_run_that_is_gone_before_it_was_counted_is_counted_and_not_made_again() -> None:
    here = world()
    here.now = NOON
    here.carry_out(here.plan())
    ((name, run),) = here.runs.items()
    here.runs[name] = replace(run, gone=True)
    here.settle()
    assert here.totals == (1, 0)
    assert len(here.made) == 1
    assert here.status.active == ()


def test_a_run_of_somebody_else_counts_for_the_policy_alone() -> None:
    """A CrawlJob that a person made the schedule the owner of."""
    here = world(concurrencyPolicy="Forbid")
    run = Run(
        schedule=here.schedule.key,
        schedule_uid=here.schedule.uid,
        name="by-hand",
        uid="uid-of-by-hand",
        version=1,
        created=NOON - MINUTE,
        phase=Phase.PROCESSING,
        deleting=False,
    )
    here.runs["by-hand"] = run
    here.at(NOON)
    assert (here.totals, here.status.active) == ((0, 0), ("by-hand",))
    here.runs["by-hand"] = replace(run, phase=Phase.COMPLETED)
    assert here.at(NOON + MINUTE).totals == (1, 0)


def test_what_another_operator_gave_up_and_this_one_made_is_a_run() -> None:
    """Two at the edge of a deadline: the run is there, so it was not missed."""
    here = world(startingDeadlineSeconds=60)
    stale = here.schedule
    here.at(NOON + 2 * MINUTE)
    assert here.totals == (0, 1)
    here.make(stale, StartRun(1, slot=NOON))
    here.settle()
    assert (here.totals, here.missed) == ((1, 0), [])


def test_a_cluster_that_takes_no_run_is_said_once_and_tried_until_the_next() -> None:
    here = world()
    here.now = NOON
    for each in range(3):
        refused = replace(here.observe(), refusal=f"403 exceeded quota, {each} used")
        here.carry_out(decide(refused, POLICY, here.now))
    assert here.condition("Ready") == ("False", "RunRefused")
    assert here.condition("Reconciling") == ("True", "RunRefused")
    assert (here.events, here.writes) == (["RunRefused"], 2)
    assert here.plan().actions == (StartRun(1, slot=NOON),), "it is tried again"
    here.now = NOON + HOUR
    here.carry_out(here.plan())
    assert here.missed == [(NOON, "RunRefused")]
    here.settle()
    assert here.totals == (1, 1)
    assert here.condition("Ready") == ("True", "Scheduled")


def test_a_schedule_that_is_deleted_does_nothing() -> None:
    observation = ScheduleObservation(replace(make_schedule(), deleting=True))
    assert decide(observation, POLICY, NOON + DAY).actions == ()


def test_a_status_that_was_lost_is_made_anew_from_the_runs() -> None:
    here: World = world()
    for hour in range(3):
        here.at(NOON + hour * HOUR)
    here.schedule = replace(here.schedule, status=type(here.status)(), version=here.schedule.version + 1)
    here.settle()
    assert here.totals == (3, 0)
    assert len(here.made) == 3
