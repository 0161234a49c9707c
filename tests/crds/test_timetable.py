"""When a cron line is due: CronJob's answers by a table, a calendar's by another, and what must hold for any line."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from crawl_api.timetable import BadLineError, Timetable, timetable

patient = settings(deadline=None)


def at(text: str) -> datetime:
    """Read `2026-03-27 01:30`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


BERLIN, NEW_YORK, SYDNEY = "Europe/Berlin", "America/New_York", "Australia/Sydney"

CHANGES: list[tuple[str, str, str, list[str]]] = [
    # zone, line, after when, due when; all in UTC
    # Berlin, spring: 02:00 becomes 03:00. What is skipped is due not at all.
    (BERLIN, "30 2 * * *", "2026-03-27 00:00", ["2026-03-27 01:30", "2026-03-28 01:30", "2026-03-30 00:30"]),
    (BERLIN, "0 2 * * *", "2026-03-27 00:00", ["2026-03-27 01:00", "2026-03-28 01:00", "2026-03-30 00:00"]),
    (BERLIN, "30 3 * * *", "2026-03-27 00:00", ["2026-03-27 02:30", "2026-03-28 02:30", "2026-03-29 01:30"]),
    (
        BERLIN,
        "*/30 1-3 * * *",
        "2026-03-28 22:00",
        ["2026-03-29 00:00", "2026-03-29 00:30", "2026-03-29 01:00", "2026-03-29 01:30", "2026-03-29 23:00"],
    ),
    (BERLIN, "0 * * * *", "2026-03-29 00:30", ["2026-03-29 01:00", "2026-03-29 02:00", "2026-03-29 03:00"]),
    # Berlin, autumn: 03:00 becomes 02:00. What comes twice is due twice.
    (
        BERLIN,
        "30 2 * * *",
        "2026-10-23 22:00",
        ["2026-10-24 00:30", "2026-10-25 00:30", "2026-10-25 01:30", "2026-10-26 01:30"],
    ),
    (BERLIN, "0 * * * *", "2026-10-24 23:30", ["2026-10-25 00:00", "2026-10-25 01:00", "2026-10-25 02:00"]),
    (NEW_YORK, "30 2 * * *", "2026-03-07 00:00", ["2026-03-07 07:30", "2026-03-09 06:30", "2026-03-10 06:30"]),
    (
        NEW_YORK,
        "30 1 * * *",
        "2026-10-30 06:00",
        ["2026-10-31 05:30", "2026-11-01 05:30", "2026-11-01 06:30", "2026-11-02 06:30"],
    ),
    (
        SYDNEY,
        "30 2 * * *",
        "2026-04-03 00:00",
        ["2026-04-03 15:30", "2026-04-04 15:30", "2026-04-04 16:30", "2026-04-05 16:30"],
    ),
    (SYDNEY, "30 2 * * *", "2026-10-02 00:00", ["2026-10-02 16:30", "2026-10-04 15:30", "2026-10-05 15:30"]),
    (SYDNEY, "@daily", "2026-04-03 00:00", ["2026-04-03 13:00", "2026-04-04 13:00", "2026-04-05 14:00"]),
    (SYDNEY, "@daily", "2026-10-02 00:00", ["2026-10-02 14:00", "2026-10-03 14:00", "2026-10-04 13:00"]),
    # Where clocks change at midnight, that midnight is skipped, and an hour of the day before comes twice.
    ("Asia/Beirut", "0 0 * * *", "2026-03-27 22:00", ["2026-03-29 21:00", "2026-03-30 21:00"]),
    ("Asia/Beirut", "30 23 * * *", "2026-10-23 22:00", ["2026-10-24 20:30", "2026-10-24 21:30", "2026-10-25 21:30"]),
    # An island that changes by half an hour, and one that once left out a day.
    (
        "Australia/Lord_Howe",
        "45 1 * * *",
        "2026-04-04 00:00",
        ["2026-04-04 14:45", "2026-04-04 15:15", "2026-04-05 15:15"],
    ),
    ("Pacific/Apia", "0 12 * * *", "2011-12-29 00:00", ["2011-12-29 22:00", "2011-12-30 22:00"]),
    (
        "America/St_Johns",
        "30 23 6 11 *",
        "2010-11-01 00:00",
        ["2010-11-07 02:00", "2010-11-07 03:00", "2011-11-07 03:00"],
    ),
]

CALENDAR: list[tuple[str, str, list[str]]] = [
    # line, after when, due on which days
    ("0 0 29 2 *", "2026-01-01", ["2028-02-29", "2032-02-29", "2036-02-29"]),
    ("0 0 29 2 *", "2096-03-01", ["2104-02-29"]),
    ("0 0 31 * *", "2026-01-01", ["2026-01-31", "2026-03-31", "2026-05-31", "2026-07-31", "2026-08-31"]),
    ("0 0 30 1-4 *", "2026-01-01", ["2026-01-30", "2026-03-30", "2026-04-30", "2027-01-30"]),
    ("0 0 1,15 * mon", "2026-03-01", ["2026-03-02", "2026-03-09", "2026-03-15", "2026-03-16", "2026-03-23"]),
    ("0 0 */2 * mon", "2026-03-01", ["2026-03-02", "2026-03-03", "2026-03-05", "2026-03-07"]),
    ("0 0 */1 * mon", "2026-03-01", ["2026-03-02", "2026-03-09", "2026-03-16"]),
    ("0 0 1-31 * mon", "2026-03-01", ["2026-03-02", "2026-03-03", "2026-03-04"]),
    ("0 0 ? * Mon-Mon", "2026-03-01", ["2026-03-02", "2026-03-09", "2026-03-16"]),
    ("0 0 */31 * *", "2026-01-01", ["2026-02-01", "2026-03-01"]),
    ("0 0 30/1 * *", "2026-01-01", ["2026-01-30", "2026-01-31", "2026-03-30"]),
    ("@weekly", "2026-03-01", ["2026-03-08", "2026-03-15"]),
    ("@monthly", "2026-01-01", ["2026-02-01", "2026-03-01"]),
    ("@yearly", "2026-01-01", ["2027-01-01", "2028-01-01"]),
]


def due(table: Timetable, moment: datetime, number: int) -> list[datetime]:
    found = []
    for _ in range(number):
        following = table.after(moment)
        assert following is not None
        moment = following
        found.append(moment)
    return found


@pytest.mark.parametrize(("zone", "line", "after", "moments"), CHANGES)
def test_what_a_change_of_clocks_makes_of_a_line(zone: str, line: str, after: str, moments: list[str]) -> None:
    """As CronJob has it: the table was made with its own library, but for the last five rows, where that errs."""
    table, wanted = Timetable(line, zone), [at(moment) for moment in moments]
    assert due(table, at(after), len(wanted)) == wanted
    assert table.count(at(after), wanted[-1]) == len(wanted)
    assert list(table.latest(at(after), wanted[-1], 2)) == wanted[-2:]


@pytest.mark.parametrize(("line", "after", "days"), CALENDAR)
def test_what_the_calendar_makes_of_a_line(line: str, after: str, days: list[str]) -> None:
    table, wanted = Timetable(line, "UTC"), [at(day) for day in days]
    assert due(table, at(after), len(wanted)) == wanted


@pytest.mark.parametrize(
    ("line", "zone", "reason", "field"),
    [
        ("0 0 30 2 *", "UTC", "NeverDue", "spec.schedule"),
        ("0 0 31 2,4,6,9,11 *", BERLIN, "NeverDue", "spec.schedule"),
        ("0 0 * * 8", "UTC", "InvalidSchedule", "spec.schedule"),
        ("0 5-1 * * *", "UTC", "InvalidSchedule", "spec.schedule"),
        ("@daily", "Mars/Olympus", "UnknownTimeZone", "spec.timeZone"),
        ("@daily", "right/Europe/Berlin", "UnknownTimeZone", "spec.timeZone"),
    ],
)
def test_a_line_that_cannot_be_used(line: str, zone: str, reason: str, field: str) -> None:
    with pytest.raises(BadLineError) as error:
        Timetable(line, zone)
    assert (error.value.reason, error.value.field) == (reason, field)


def test_a_moment_that_is_due_is_not_later_than_itself() -> None:
    table = Timetable("*/5 * * * *", "UTC")
    noon, second = at("2026-03-01 12:00"), timedelta(microseconds=1)
    assert table.after(noon) == at("2026-03-01 12:05")
    assert table.after(noon - second) == noon
    assert table.after(noon + second) == at("2026-03-01 12:05")
    assert table.latest(noon - second, noon, 5) == (noon,)
    assert table.latest(noon, noon + second, 5) == ()
    assert table.count(noon, noon + timedelta(minutes=5)) == 1
    assert table.count(noon, noon - timedelta(hours=1)) == 0


@pytest.mark.parametrize(
    ("line", "days", "number"), [("* * * * *", 365, 525_600), ("0 * * * *", 366, 8784), ("*/5 * * * *", 1, 288)]
)
def test_a_year_of_moments_is_counted_with_bounded_work(line: str, days: int, number: int) -> None:
    """Far below the time of a walk from one to the next, which would take half a minute."""
    table, end = Timetable(line, BERLIN), at("2027-06-01 00:00")
    started = time.process_time()
    assert table.count(end - timedelta(days=days), end) == number
    assert len(table.latest(end - timedelta(days=days), end, 10)) == 10
    assert time.process_time() - started < 0.5
    assert table.count(at("1700-01-01"), end) == table.count(at("1800-01-01"), end), "and it ends somewhere"


def test_the_same_line_is_read_once() -> None:
    assert timetable("@daily", BERLIN) is timetable("@daily", BERLIN)
    assert timetable("@daily", BERLIN) is not timetable("@daily", "UTC")


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    several = st.lists(number, min_size=2, max_size=4, unique=True).map(lambda each: ",".join(map(str, sorted(each))))
    # The whole range as a span is a restriction to CronJob, as to us, and a star to the other library.
    pairs = st.tuples(number, number).filter(lambda pair: pair[0] < pair[1] and pair != (low, high))
    spans = pairs.map(lambda pair: f"{pair[0]}-{pair[1]}")
    steps = st.integers(2, 9).map(lambda step: f"*/{step}")
    return st.one_of(st.just("*"), number.map(str), several, spans, steps)


lines = st.tuples(fields(0, 59), fields(0, 23), fields(1, 28), fields(1, 12), fields(0, 6)).map(" ".join)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds


@patient
@given(lines, moments)
def test_in_utc_it_is_what_another_library_says(line: str, moment: datetime) -> None:
    other = croniter(line, moment)
    assert due(Timetable(line, "UTC"), moment, 5) == [other.get_next(datetime) for _ in range(5)]


@patient
@given(lines, st.sampled_from(["UTC", BERLIN, NEW_YORK, SYDNEY, "Asia/Beirut", "Asia/Kathmandu"]), moments)
def test_the_three_questions_have_one_answer(line: str, zone: str, moment: datetime) -> None:
    """And what is due is a minute that the clock of the zone shows."""
    table = timetable(line, zone)
    found = due(table, moment, 4)
    assert found == sorted(set(found))
    assert found[0] > moment
    if found[-1] - moment < timedelta(days=3600):
        assert table.count(moment, found[-1]) == 4
        assert table.count(moment, found[-1] - timedelta(seconds=1)) == 3
        assert list(table.latest(moment, found[-1], 2)) == found[-2:]
        assert list(table.latest(moment, found[-1], 10)) == found
