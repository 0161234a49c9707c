"""Cron lines and time zones: one grammar, told to the API server as CEL, and checked and read here alike.

It is CronJob's grammar, without `TZ=` (there is `timeZone`) and `@every` (a run would have no time of its own). What
only a calendar can tell, such as a 30th of February, the operator says in a condition.
"""

import re
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, Field

MAX_SCHEDULE: Final = 256
MAX_ZONE: Final = 64

MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""Names of lines, and the lines."""

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


class Line(NamedTuple):
    """A cron line, read: the values of each field; None for any."""

    minutes: frozenset[int] | None
    hours: frozenset[int] | None
    dates: frozenset[int] | None
    """Days of the month."""
    months: frozenset[int] | None
    weekdays: frozenset[int] | None
    """0 is Sunday."""


class _Field(NamedTuple):
    name: str
    first: int
    last: int
    value: str
    """Pattern of one value."""
    words: tuple[str, ...] = ()
    """Names of the values, in order."""

    @property
    def pattern(self) -> str:
        value = "|".join((self.value, *((f"(?i:{'|'.join(self.words)})",) if self.words else ())))
        item = rf"([*?]|({value})(-({value}))?)(/0*[1-9][0-9]?)?"
        return f"{item}(,{item})*"

    @property
    def message(self) -> str:
        names = f" or {self.words[0]}-{self.words[-1]}" if self.words else ""
        bounds = f"{self.first}-{self.last}{names}"
        return f"the {self.name} must be *, or a list of values or ranges within {bounds}, each with a /step or not"

    def read(self, text: str) -> frozenset[int] | None:
        """Return the values that a field names; None for any, which is more than all of them: see `Timetable`."""
        values: set[int] = set()
        for item in text.lower().split(","):
            bounds, _, step = item.partition("/")
            low, _, high = bounds.partition("-")
            if low in {"*", "?"}:
                if int(step or 1) == 1:
                    return None
                low, high = str(self.first), str(self.last)
            start = self._number(low)
            end = self._number(high) if high else self.last if step else start
            if start > end:
                raise ValueError(ORDER_MESSAGE)
            values.update(range(start, end + 1, int(step or 1)))
        return frozenset(values)

    def _number(self, text: str) -> int:
        return self.words.index(text) + self.first if text in self.words else int(text)


_FIELDS: Final = (
    _Field("minute", 0, 59, "[0-5]?[0-9]"),
    _Field("hour", 0, 23, "[01]?[0-9]|2[0-3]"),
    _Field("day of the month", 1, 31, "0?[1-9]|[12][0-9]|3[01]"),
    _Field("month", 1, 12, "0?[1-9]|1[0-2]", _MONTHS),
    _Field("day of the week", 0, 6, "0?[0-6]", _DAYS),
)
_SHAPE: Final = r"^[^ \t\n]+([ \t]+[^ \t\n]+){4}$"

SHAPE_MESSAGE: Final = (
    f"must have five fields ({', '.join(each.name for each in _FIELDS)}) or be one of {' '.join(MACROS)}"
)
ORDER_MESSAGE: Final = "a range goes from the lower to the higher value, as in 1-5 or mon-fri"
ZONE_MESSAGE: Final = "must be the name of a time zone in the IANA database, such as Europe/Berlin or UTC"
_ZONE: Final = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"


def read(line: str) -> Line:
    """Read a cron line.

    Raises:
        ValueError: it is none; the text says which part of it is wrong.
    """
    line = MACROS.get(line, line)
    if not re.fullmatch(_SHAPE, line):
        raise ValueError(SHAPE_MESSAGE)
    for position, field in enumerate(_FIELDS):
        if not re.match(_field_pattern(position), line):
            raise ValueError(field.message)
    return Line(*(field.read(text) for field, text in zip(_FIELDS, line.split(), strict=True)))


def _field_pattern(position: int) -> str:
    """Return what a line looks like of which one field is right."""
    before, after = r"[^ \t]+[ \t]+" * position, r"([ \t]|$)"
    return f"^{before}{_FIELDS[position].pattern}{after}"


def _cron_rules() -> list[dict[str, str]]:
    shape = f"self.matches(r'{_SHAPE}')"
    names = f"'{' '.join((*_MONTHS, *_DAYS))}'"
    fields = [
        {"rule": f"!{shape} || self.matches(r'{_field_pattern(position)}')", "message": field.message}
        for position, field in enumerate(_FIELDS)
    ]
    return [
        {"rule": f"self in {list(MACROS)} || {shape}", "message": SHAPE_MESSAGE},
        *fields,
        {
            "rule": "self.findAll('[0-9]+-[0-9]+').all(each, int(each.split('-')[0]) <= int(each.split('-')[1]))",
            "message": ORDER_MESSAGE,
        },
        {
            "rule": "self.lowerAscii().findAll('[a-z]{3}-[a-z]{3}').all(each, "
            f"{names}.indexOf(each.split('-')[0]) <= {names}.indexOf(each.split('-')[1]))",
            "message": ORDER_MESSAGE,
        },
    ]


_ZONE_RULES: Final = [
    {"rule": f"self.matches(r'{_ZONE}') && self != 'Local'", "message": ZONE_MESSAGE},
    # The API server knows the zones; for a name that is none it says so itself.
    {"rule": "timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0", "message": ZONE_MESSAGE},
]


def _check_cron(line: str) -> str:
    read(line)
    return line


def _check_zone(name: str) -> str:
    if not re.fullmatch(_ZONE, name) or name == "Local":
        raise ValueError(ZONE_MESSAGE)
    return name


Cron = Annotated[
    str,
    AfterValidator(_check_cron),
    Field(max_length=MAX_SCHEDULE, json_schema_extra={"x-kubernetes-validations": _cron_rules()}),
]
Zone = Annotated[
    str,
    AfterValidator(_check_zone),
    Field(max_length=MAX_ZONE, json_schema_extra={"x-kubernetes-validations": _ZONE_RULES}),
]
