"""When a cron line is due, by the reading that the operator itself uses."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from crawl_api.timetable import BadLineError, timetable
from crawl_client.errors import ValidationError


def next_runs(cron: str, zone: str = "UTC", *, count: int = 5, after: datetime | None = None) -> list[datetime]:
    """Return the next times at which a cron line is due in a zone.

    >>> from datetime import UTC, datetime
    >>> [str(moment) for moment in next_runs("0 2 * * *", count=1, after=datetime(2026, 12, 1, tzinfo=UTC))]
    ['2026-12-01 02:00:00+00:00']

    Raises:
        ValidationError: line or zone cannot be used, or it is never due.
    """
    try:
        times = timetable(cron, zone)
    except BadLineError as error:
        raise ValidationError([f"{error.field}: {error}"]) from error
    found: list[datetime] = []
    moment: datetime | None = after or datetime.now(UTC)
    while len(found) < count and moment is not None and (moment := times.after(moment)) is not None:
        found.append(moment.astimezone(ZoneInfo(zone)))
    return found
