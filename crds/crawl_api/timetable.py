"""A cron line in a time zone: at which moments something is due.

Something is due whenever the clock on the wall of the zone shows what the line says, which is CronJob's rule: what the
clock skips in spring is due not at all that day, what it shows twice in autumn is due twice. The walk goes by days, so
that a year of missed moments is counted in milliseconds, exactly.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from crawl_api.cron import read

_DAY: Final = 1440
_EPOCH: Final = date(1970, 1, 1).toordinal()

_HORIZON: Final = 10 * 366
"""Days that are looked at, forwards and backwards: a 29th of February may be eight years away."""


class BadLineError(ValueError):
    """The line or the zone cannot be used; the text says why.

    Attributes:
        field: the field of the spec that is to blame.
        reason: one word for it.
    """

    def __init__(self, field: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.reason = reason


@lru_cache(maxsize=1024)
def timetable(line: str, zone: str) -> "Timetable":
    """Return the timetable of a line in a zone; the same for the same.

    Raises:
        BadLineError: there is no such zone, or the line is none, or never due.
    """
    return Timetable(line, zone)


class Timetable:
    """The moments at which a cron line is due, whole minutes all of them.

    Raises:
        BadLineError: there is no such zone, or the line is none, or never due.
    """

    def __init__(self, line: str, zone: str) -> None:
        if zone not in _zones():
            raise BadLineError("spec.timeZone", "UnknownTimeZone", f"there is no time zone {zone!r}")
        self._zone = ZoneInfo(zone)
        try:
            self._line = read(line)
        except ValueError as error:
            raise BadLineError("spec.schedule", "InvalidSchedule", f"{line!r}: {error}") from error
        hours, minutes = self._line.hours or range(24), self._line.minutes or range(60)
        self._times = sorted(hour * 60 + minute for hour in hours for minute in minutes)
        self._next = lru_cache(maxsize=16)(self._find_next)
        if self._next(0) is None:
            raise BadLineError("spec.schedule", "NeverDue", f"{line!r} is never due: there is no such day")

    def after(self, moment: datetime) -> datetime | None:
        """Return the first moment due that is later; None if there is none for ten years."""
        found = self._next(_minute(moment))
        return _moment(found) if found is not None else None

    def latest(self, after: datetime, until: datetime, limit: int) -> tuple[datetime, ...]:
        """Return the last moments due after the one and until the other, that one included; oldest first."""
        last = _minute(until)
        first = max(_minute(after), last - _HORIZON * _DAY)
        found: list[int] = []
        enough = None
        for day in self._days(self._day(last) + 1, self._day(first) - 2, -1):
            if enough is not None and day < enough - 1:
                break
            base, times = self._due_on(day)
            end = bisect_right(times, last - base)
            start = max(bisect_right(times, first - base), end - limit)
            found.extend(base + each for each in times[start:end])
            if enough is None and len(found) >= limit:
                enough = day
        return tuple(_moment(each) for each in sorted(found)[-limit:])

    def count(self, after: datetime, until: datetime) -> int:
        """Return how many moments are due after the one and until the other, that one included."""
        last = _minute(until)
        first = max(_minute(after), last - _HORIZON * _DAY)
        number = 0
        for day in self._days(self._day(first) - 1, self._day(last) + 2, 1):
            base, times = self._due_on(day)
            number += max(bisect_right(times, last - base) - bisect_right(times, first - base), 0)
        return number

    def _find_next(self, minute: int) -> int | None:
        best: tuple[int, int] | None = None
        start = self._day(minute) - 1
        for day in self._days(start, start + _HORIZON, 1):
            if best is not None and day > best[1] + 1:
                break  # where clocks are set back over midnight, the day after may be due first
            base, times = self._due_on(day)
            place = bisect_right(times, minute - base)
            if place < len(times) and (best is None or base + times[place] < best[0]):
                best = base + times[place], day
        return best[0] if best is not None else None

    def _days(self, start: int, stop: int, step: int) -> Iterator[int]:
        """Yield the days that the line names."""
        return (day for day in range(start, stop, step) if self._named(date.fromordinal(day)))

    def _named(self, day: date) -> bool:
        _, _, dates, months, weekdays = self._line
        if months is not None and day.month not in months:
            return False
        by_date = dates is None or day.day in dates
        by_weekday = weekdays is None or day.isoweekday() % 7 in weekdays
        if dates is None or weekdays is None:
            return by_date and by_weekday
        return by_date or by_weekday  # cron's rule: both are restricted, and either will do

    def _day(self, minute: int) -> int:
        """Return the day that a moment belongs to in the zone."""
        return datetime.fromtimestamp(minute * 60, self._zone).toordinal()

    def _due_on(self, day: int) -> tuple[int, Sequence[int]]:
        """Return what is due on a day, as minutes after a base."""
        midnight = (day - _EPOCH) * _DAY
        offsets = _offsets(self._zone, midnight)
        if len(offsets) == 1:
            return midnight - offsets[0], self._times
        moments = {midnight + time - offset for time in self._times for offset in offsets}
        shown = {midnight + time for time in self._times}
        return 0, sorted(each for each in moments if each + _offset(self._zone, each) in shown)


@lru_cache(maxsize=4096)
def _offsets(zone: ZoneInfo, midnight: int) -> tuple[int, ...]:
    """Return the offsets to UTC, in minutes, that a zone has around a day: one, but for the days around a change."""
    earliest, latest = midnight - 15 * 60, midnight + _DAY + 15 * 60
    return tuple({_offset(zone, earliest), _offset(zone, latest)})


def _offset(zone: ZoneInfo, minute: int) -> int:
    offset = datetime.fromtimestamp(minute * 60, zone).utcoffset() or timedelta()
    return int(offset.total_seconds()) // 60


def _minute(moment: datetime) -> int:
    """Return the minutes since 1970, the one begun not counted."""
    return int(moment.timestamp() // 60)


def _moment(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
