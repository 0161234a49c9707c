"""The few words of the Kubernetes API that every module here shares: JSON objects, times, quantities, keys."""

import math
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

Json = dict[str, Any]

_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}


def utc_now() -> datetime:
    """The wall clock, aware of its zone."""
    return datetime.now(UTC)


def time_text(moment: datetime) -> str:
    """A `metav1.Time`: RFC 3339 in UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_time_text(moment: datetime) -> str:
    """A `metav1.MicroTime`: RFC 3339 in UTC, microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """The moment an API time names; fractions finer than a microsecond are cut off.

    Raises:
        ValueError: when the text is no RFC 3339 time with a zone.
    """
    head, dot, tail = text.partition(".")
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        text = f"{head}.{tail[: min(digits, 6)]:0<6}{tail[digits:]}"
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)


def quantity(text: str) -> Decimal:
    """The number a resource quantity names, in cores or bytes.

    Raises:
        ValueError: when the text is no quantity.
    """
    number = text.rstrip("numkMGTPEi")
    suffix = text[len(number) :]
    try:
        return Decimal(number) * _SUFFIXES[suffix]
    except (InvalidOperation, KeyError) as error:
        raise ValueError(f"{text!r} is no resource quantity") from error


def quantity_in(text: str, divisor: str) -> int:
    """A quantity counted in units of `divisor`, rounded up as Kubernetes does for `resourceFieldRef`."""
    unit = quantity(divisor)
    return math.ceil(quantity(text) / (unit or Decimal(1)))


def pod_key(pod: Json) -> str:
    """`namespace/name`, for people to read in logs."""
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
