"""What all models of the API share: camelCase on the wire, frozen in memory, bounded and printable text."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

MAX_URL: Final = 2048

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


def printable(text: str) -> str:
    """Replace control characters, bidirectional overrides and lone surrogates: pages and sites write these texts."""
    return _UNPRINTABLE.sub(" ", text).strip()


def clipped(limit: int) -> BeforeValidator:
    """Make a validator that cleans a text and cuts it to `limit` characters instead of refusing it.

    Texts that a site or an exception wrote must never be the reason why a status cannot be stored.
    """

    def clip(value: object) -> object:
        if not isinstance(value, str):
            return value
        text = printable(value)
        return text if len(text) <= limit else text[: limit - 1] + "…"

    return BeforeValidator(clip)


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Time = Annotated[datetime, AfterValidator(_in_utc)]
"""An RFC 3339 time in UTC; status times carry microseconds where object metadata has whole seconds."""

Url = Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL)]

ShortText = Annotated[str, clipped(256), Field(max_length=256)]
LongText = Annotated[str, clipped(1024), Field(max_length=1024)]
Count = Annotated[int, Field(ge=0)]


class ApiModel(BaseModel):
    """A piece of the API: camelCase names on the wire, immutable values in memory, field docstrings as descriptions."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",  # a newer operator or worker may say more than an older reader knows
        use_attribute_docstrings=True,
        validate_default=True,
    )


class SpecModel(ApiModel):
    """A piece of what a user asks for: an unknown field is a mistake, never ignored."""

    model_config = ConfigDict(extra="forbid")


class SecretReference(SpecModel):
    """A Secret of the job's namespace."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
    """Its name."""
