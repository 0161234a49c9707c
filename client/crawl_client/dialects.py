"""Words of other systems for the same things: states, priorities and types are understood in all of them."""

import re
from collections.abc import Iterable
from typing import Final

from crawl_api.enums import JobType, Phase, Priority
from crawl_api.names import MAX_JOB_NAME
from crawl_client.errors import ValidationError

_QUEUED: Final = frozenset({Phase.PENDING, Phase.DELAYED, Phase.SUSPENDED, Phase.RETRY})
_WORDS: Final[dict[str, frozenset[Phase]]] = {
    **{phase.lower(): frozenset({phase}) for phase in Phase},
    "queued": _QUEUED,
    "claimed": frozenset({Phase.PROCESSING}),
    "running": frozenset({Phase.PROCESSING}),
    "success": frozenset({Phase.COMPLETED}),
    "finished": frozenset(phase for phase in Phase if phase.terminal),
    "active": frozenset(phase for phase in Phase if not phase.terminal),
    "dead": frozenset({Phase.DEAD_LETTER}),
}
_TYPES: Final = {"singlecrawl": JobType.SINGLE, "batchcrawl": JobType.BATCH, "sitecrawl": JobType.SITE}
_NUMBERS: Final = ((3, Priority.LOW), (6, Priority.NORMAL), (8, Priority.HIGH), (10, Priority.CRITICAL))
_NOT_A_NAME: Final = re.compile(r"[^a-z0-9]+")


def plain(word: str) -> str:
    """Return a word as it is compared: `DEAD_LETTER`, `dead-letter` and `DeadLetter` are one."""
    return re.sub(r"[\s_-]", "", word).lower()


def phases(words: str | Phase | Iterable[str | Phase]) -> frozenset[Phase]:
    """Return the phases that words mean, whatever their case: `queued`, `DEAD_LETTER`, `active`.

    >>> sorted(phases("queued"))
    [<Phase.DELAYED: 'Delayed'>, <Phase.PENDING: 'Pending'>, <Phase.RETRY: 'Retry'>, <Phase.SUSPENDED: 'Suspended'>]

    Raises:
        ValidationError: a word is unknown.
    """
    found: frozenset[Phase] = frozenset()
    for word in [words] if isinstance(words, str) else words:
        if plain(word) not in _WORDS:
            raise ValidationError([f"{word!r} is no phase; there are {', '.join(Phase)}, queued, active and finished"])
        found |= _WORDS[plain(word)]
    return found


def priority(value: str | int | Priority) -> Priority:
    """Return the priority that a word in any case, or a number from 1 to 10 (larger is more urgent), means.

    >>> priority("HIGH"), priority(5), priority(10)
    (<Priority.HIGH: 'High'>, <Priority.NORMAL: 'Normal'>, <Priority.CRITICAL: 'Critical'>)

    Raises:
        ValidationError: it means none.
    """
    if isinstance(value, str) and not value.isdigit():
        for each in Priority:
            if each.lower() == value.lower():
                return each
    elif 1 <= (number := int(value)) <= 10:
        return next(name for highest, name in _NUMBERS if number <= highest)
    raise ValidationError([f"{value!r} is no priority; there are {', '.join(Priority)}, and the numbers 1 to 10"])


def job_type(value: str | JobType) -> JobType:
    """Return the job type that a word means: `Batch`, `batch` or `batch_crawl`.

    Raises:
        ValidationError: it means none.
    """
    for each in JobType:
        if each.lower() == plain(value):
            return each
    if (found := _TYPES.get(plain(value))) is not None:
        return found
    raise ValidationError([f"{value!r} is no job type; there are {', '.join(JobType)}"])


def dns_label(text: str) -> str:
    """Make an object's name of free text.

    >>> dns_label("daily_crawl")
    'daily-crawl'

    Raises:
        ValidationError: nothing of it can stand in a name.
    """
    label = _NOT_A_NAME.sub("-", text.lower())[:MAX_JOB_NAME].strip("-")
    if not label:
        raise ValidationError([f"{text!r} holds no letter or digit that could stand in a name"])
    return label
