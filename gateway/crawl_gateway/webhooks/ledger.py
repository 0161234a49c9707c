"""What is to be told of a job, and when: decided from the job alone. No I/O, no clock."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import TypeAdapter, ValidationError

from crawl_api.base import ApiModel, Count, Time, clipped
from crawl_api.names import ANNOTATION_NOTIFIED
from crawl_api.notify import Webhook
from crawl_client.models import Job

MAX_TRIES: Final = 10
CLAIM: Final = timedelta(seconds=60)
"""For how long one gateway alone may send a message, all pauses included."""
_LONGEST: Final = timedelta(hours=1)


class State(StrEnum):
    """What has become of a message."""

    SENDING = "Sending"
    WAITING = "Waiting"
    DELIVERED = "Delivered"
    GIVEN_UP = "GivenUp"


TOLD: Final = (State.DELIVERED, State.WAITING, State.GIVEN_UP)
"""What becomes of a message that was tried."""


class Delivery(ApiModel):
    """What has become of the message to one URL about one end of a job."""

    end: str
    """Which end: a job that is run again ends again."""
    state: State
    tries: Count
    """How often it was sent, or tried to."""
    at: Time
    """When it was delivered or given up; when it is tried next; until when nobody else sends it."""
    by: str = ""
    """The gateway that sends it."""
    error: Annotated[str, clipped(200)] = ""
    """Why the last try failed."""


Ledger = Mapping[str, Delivery]
"""Deliveries by `id_of` their webhook."""

_READ: Final = TypeAdapter(dict[str, Delivery])
_HOOKS: Final = TypeAdapter(tuple[Webhook, ...])


@dataclass(frozen=True)
class Due:
    """A message that is to be sent now."""

    id: str
    hook: Webhook
    tries: int
    """How often it was tried before."""


@dataclass(frozen=True)
class Agenda:
    """What is to be done for a job."""

    due: tuple[Due, ...] = ()
    next: datetime | None = None
    """When there will be something to do, if nothing changes."""


@dataclass(frozen=True)
class Outcome:
    """How a try to send a message went."""

    error: str = ""
    """Why it failed; empty where it did not."""
    final: bool = False
    """Whether another try is of no use."""


@dataclass(frozen=True)
class Claim:
    """What one gateway has written so that no other sends a message."""

    id: str
    """The webhook's."""
    delivery: Delivery
    ledger: Ledger
    """All of it."""


def id_of(hook: Webhook) -> str:
    """Return what a webhook is called within its job."""
    return hashlib.sha256(hook.url.encode()).hexdigest()[:12]


def hooks_of(job: Job) -> tuple[Webhook, ...]:
    """Return a job's webhooks; none where they cannot be read, which the API server allows nobody to write."""
    try:
        return _HOOKS.validate_python(job.raw["spec"].get("notify") or ())
    except ValidationError:
        return ()


def end_of(job: Job) -> str:
    """Return which end a job has come to; empty while it goes on."""
    status = job.raw.get("status") or {}
    return f"{job.phase}@{status.get('completedAt', '')}" if job.finished else ""


def read(job: Job) -> Ledger:
    """Return what has become of a job's messages; nothing where a person has spoilt the annotation."""
    try:
        return _READ.validate_json(job.annotations.get(ANNOTATION_NOTIFIED, "{}"))
    except ValidationError:
        return {}


def written(ledger: Ledger) -> str:
    """Write a ledger as the annotation holds it."""
    return _READ.dump_json(dict(ledger), by_alias=True, exclude_defaults=True).decode()


def agenda(job: Job, now: datetime) -> Agenda:
    """Decide what is to be sent now, and when to look again."""
    if not job.raw["spec"].get("notify") or not (end := end_of(job)):
        return Agenda()
    ledger, due, later = read(job), list[Due](), list[datetime]()
    for hook in hooks_of(job):
        found = ledger.get(id_of(hook))
        if not hook.wants(job.phase):
            continue
        if found is None or found.end != end:
            due.append(Due(id_of(hook), hook, 0))
        elif found.state in {State.SENDING, State.WAITING}:
            if found.at <= now:
                due.append(Due(id_of(hook), hook, found.tries))
            else:
                later.append(found.at)
    return Agenda(tuple(due), min(later, default=None))


def claimed(job: Job, due: Due, by: str, now: datetime) -> Claim:
    """Return what a gateway writes before it sends a message."""
    entry = Delivery(end=end_of(job), state=State.SENDING, tries=due.tries + 1, at=now + CLAIM, by=by)
    return Claim(due.id, entry, {**_current(job), due.id: entry})


def settled(job: Job, claim: Claim, outcome: Outcome, now: datetime, pause: timedelta) -> Ledger | None:
    """Return the job's ledger once it is known how a try went; None where the message is somebody else's now.

    Args:
        job: as it is now.
        claim: what was written before the try.
        outcome: how it went.
        now: when.
        pause: after the first try that failed; each one after it is four times as long, up to an hour.
    """
    ledger, before = _current(job), claim.delivery
    if ledger.get(claim.id) != before:
        return None
    if not outcome.error:
        state, at = State.DELIVERED, now
    elif outcome.final or before.tries >= MAX_TRIES:
        state, at = State.GIVEN_UP, now
    else:
        state, at = State.WAITING, now + min(pause * 4 ** (before.tries - 1), _LONGEST)
    after = before.model_copy(update={"state": state, "at": at, "by": "", "error": outcome.error})
    return {**ledger, claim.id: after}


def _current(job: Job) -> dict[str, Delivery]:
    """Return what has become of messages to webhooks that the job still has."""
    known = {id_of(hook) for hook in hooks_of(job)}
    return {key: delivery for key, delivery in read(job).items() if key in known}
