"""Live updates: what happens to objects, from a version on, for as long as somebody listens and may."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import to_json

from crawl_client.models import ApiObject
from crawl_gateway.desk import Desk
from crawl_gateway.errors import RefusedError, bad_request
from crawl_gateway.mirror import Change, Reader
from crawl_gateway.session import Session

READY: Final = "READY"
"""The stream has begun: what happens after its version follows."""
RESET: Final = "RESET"
"""Changes were missed: forget what was known; all that there is follows, as ADDED."""
ENDED: Final = "ENDED"
"""The stream ends, and why."""


@dataclass(frozen=True, slots=True)
class Message:
    """One event of a stream, or with an empty type a sign of life."""

    type: str
    """ADDED, MODIFIED, DELETED, READY, RESET, ENDED."""
    version: int = 0
    """Where a stream goes on that ended after this event; 0: this is no such place."""
    data: bytes = b"{}"
    """JSON: the object, or why."""


_ALIVE: Final = Message("")


@dataclass(frozen=True)
class Wanted:
    """What a listener has asked for."""

    since: int | None = None
    """The version after which changes are wanted; None: from now on."""
    snapshot: bool = False
    """Whether all that there is comes first."""
    name: str = ""
    """Of one object alone."""


async def follow(session: Session, desk: Desk[Any], wanted: Wanted) -> AsyncGenerator[Message, None]:
    """Yield what happens, until the caller may no longer listen, reads too slowly, or the process ends.

    Raises:
        RefusedError: 403, before the first event.
    """
    await desk.require("watch")
    with desk.mirror.read(session.core.settings.unread_changes) as reader:
        known = wanted.since is None or await desk.mirror.remembers(wanted.since)
        start = desk.mirror.version
        for message in _first(desk, wanted, known=known):
            yield message
        yield Message(READY, start)
        async with contextlib.aclosing(_then(session, desk, reader)) as news:
            async for each in news:
                if isinstance(each, Message):
                    yield each
                elif each.version > start and _concerns(desk, wanted, each.entry.key):
                    yield _told(each)


def _first(desk: Desk[Any], wanted: Wanted, *, known: bool) -> Iterator[Message]:
    """Yield what was missed, and all that there is, as far as that is wanted."""
    if wanted.since is not None and known:
        changes = desk.mirror.changes(wanted.since)
        yield from (_told(change) for change in changes if _concerns(desk, wanted, change.entry.key))
    if not known:
        yield Message(RESET)
    if wanted.snapshot or not known:
        for entry in list(desk.mirror.shelf.oldest_first(desk.namespace)):
            if _concerns(desk, wanted, entry.key):
                yield Message("ADDED", data=to_json(entry.object.raw))


async def _then(session: Session, desk: Desk[Any], reader: Reader[Any]) -> AsyncGenerator[Message | Change[Any], None]:
    """Yield each change, signs of life, and why it ends."""
    settings = session.core.settings
    check = time.monotonic() + settings.stream_check_seconds
    while not session.core.stopping.is_set():
        if time.monotonic() >= check:
            try:
                await _still(session, desk)
            except RefusedError as error:
                yield _ended(error.problem.code, error.problem.message)
                return
            check = time.monotonic() + settings.stream_check_seconds
        change = await reader.next(min(settings.heartbeat_seconds, max(check - time.monotonic(), 0.01)))
        if reader.lost:
            session.core.metrics.slow.inc()
            yield _ended("TooSlow", "events were not read in time; go on from the last one")
            return
        yield _ALIVE if change is None else change
    yield _ended("Stopping", "the gateway is stopping; go on from the last event")


def since_of(text: str) -> int | None:
    """Read the id of the last event.

    Raises:
        RefusedError: 400: it is none.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise bad_request("Last-Event-ID: the id of an event is wanted")
    return int(text)


async def _still(session: Session, desk: Desk[Any]) -> None:
    """Pass if the caller is still known and may still listen.

    Raises:
        RefusedError: 401; 403.
    """
    await session.core.identity.of(session.token)
    await desk.require("watch")


def _concerns(desk: Desk[Any], wanted: Wanted, key: tuple[str, str]) -> bool:
    return (not desk.namespace or key[0] == desk.namespace) and (not wanted.name or key[1] == wanted.name)


def _told(change: Change[ApiObject]) -> Message:
    return Message(change.type, change.version, change.json)


def _ended(code: str, message: str) -> Message:
    return Message(ENDED, data=to_json({"code": code, "message": message}))


STUCK_SECONDS: Final = 30.0
"""For how long a connection may take nothing before it is given up."""


async def bounded(sending: Awaitable[None]) -> None:
    """Send, unless nobody takes it.

    Raises:
        TimeoutError: nobody did.
    """
    async with asyncio.timeout(STUCK_SECONDS):
        await sending
