"""The loop that tells: it looks at each job that has ended, whenever it changes and whenever something is due."""

import asyncio
import base64
import contextlib
import heapq
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from prometheus_client import Counter

from crawl_api.names import ANNOTATION_NOTIFIED
from crawl_api.notify import WEBHOOK_KEY, Webhook
from crawl_client.collection import Collection
from crawl_client.errors import APIError, AppError, ConflictError, NotFoundError
from crawl_client.models import Job
from crawl_client.transport import Transport
from crawl_gateway.mirror import Mirror
from crawl_gateway.webhooks import message
from crawl_gateway.webhooks.ledger import Claim, Due, Ledger, Outcome, agenda, claimed, settled, written
from crawl_gateway.webhooks.sending import Sender

_log = logging.getLogger(__name__)
_IDLE_SECONDS: Final = 30.0
_AGAIN: Final = timedelta(seconds=5)
"""When a job is looked at again whose ledger could not be written."""
_AT_ONCE: Final = 16
_BEHIND: Final = 10_000
"""Changes that may wait to be looked at; after more, everything is looked at anew."""
_TRIES: Final = 20


@dataclass(eq=False)
class Notifier:
    """Tells the ends of the jobs of one mirror."""

    transport: Transport
    """How to ask the API server."""
    jobs: Collection[Job]
    mirror: Mirror[Job]
    """Those that are looked at."""
    sender: Sender
    pause: timedelta
    """Before the second try of a message."""
    tries: Counter
    """Of messages, by what became of them."""
    _who: str = field(default_factory=lambda: f"gateway-{uuid.uuid4().hex[:12]}", init=False)
    _timers: list[tuple[datetime, str]] = field(default_factory=list, init=False)
    _busy: set[str] = field(default_factory=set, init=False)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE), init=False)

    async def run(self) -> None:
        """Tell, until cancelled."""
        while not await self.mirror.until(_IDLE_SECONDS, lambda: self.mirror.synced):
            pass
        async with asyncio.TaskGroup() as group:
            while True:
                with self.mirror.read(_BEHIND) as reader:
                    for entry in list(self.mirror.shelf):
                        self._look(group, entry.object)
                    while not reader.lost:
                        change = await reader.next(self._seconds())
                        if change is not None and change.type != "DELETED":
                            self._look(group, change.entry.object)
                        for uid in self._ripe():
                            if (ended := self.mirror.shelf.with_uid(uid)) is not None:
                                self._look(group, ended.object)

    def _look(self, group: asyncio.TaskGroup, job: Job) -> None:
        plan = agenda(job, datetime.now(UTC))
        if plan.due and job.uid not in self._busy:
            self._busy.add(job.uid)
            group.create_task(self._tell(job))
        elif plan.next is not None:
            heapq.heappush(self._timers, (plan.next, job.uid))

    def _seconds(self) -> float:
        if not self._timers:
            return _IDLE_SECONDS
        return min(max((self._timers[0][0] - datetime.now(UTC)).total_seconds(), 0.01), _IDLE_SECONDS)

    def _ripe(self) -> Iterator[str]:
        now = datetime.now(UTC)
        while self._timers and self._timers[0][0] <= now:
            yield heapq.heappop(self._timers)[1]

    async def _tell(self, job: Job) -> None:
        """Send what is due of a job, one after the other; then look at it again."""
        again: datetime | None = None
        try:
            async with self._places:
                job = await self.jobs.read(job.name, job.namespace)
                for due in agenda(job, datetime.now(UTC)).due:
                    job = await self._send(job, due)
            known = self.mirror.shelf.with_uid(job.uid)  # more may have been asked for meanwhile
            plan = agenda(known.object if known else job, datetime.now(UTC))
            again = datetime.now(UTC) if plan.due else plan.next
        except NotFoundError:
            pass
        except ConflictError:  # somebody else was first: what they wrote will come, or is there already
            again = datetime.now(UTC) + _AGAIN
        except AppError as error:
            _log.warning("webhooks of %s/%s: %s", job.namespace, job.name, error)
            again = datetime.now(UTC) + _AGAIN
        except Exception:  # noqa: BLE001 - one message never harms another
            _log.exception("webhooks of %s/%s", job.namespace, job.name)
            again = datetime.now(UTC) + _AGAIN
        finally:
            self._busy.discard(job.uid)
        if again is not None:
            heapq.heappush(self._timers, (again, job.uid))

    async def _send(self, job: Job, due: Due) -> Job:
        """Claim a message, send it, and write down how that went.

        Raises:
            ConflictError: the job has changed: it may be somebody else's message.
        """
        claim = claimed(job, due, self._who, datetime.now(UTC))
        job = await self._write(job, claim.ledger)
        outcome = await self._attempt(job, due)
        if outcome.error:
            _log.warning("webhook %s of %s/%s: %s", due.id, job.namespace, job.name, outcome.error)
        return await self._settle(job, claim, outcome)

    async def _attempt(self, job: Job, due: Due) -> Outcome:
        try:
            key = await self._key(job.namespace, due.hook)
        except (APIError, ValueError) as error:
            return Outcome(f"the signing key: {error}")
        content = message.body(job)
        said = message.headers(job, due.id, content, key, datetime.now(UTC))
        return await self.sender.send(due.hook.url, content, said)

    async def _key(self, namespace: str, hook: Webhook) -> bytes | None:
        if hook.secret_ref is None:
            return None
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets/{quote(hook.secret_ref.name, safe='')}"
        secret: dict[str, Any] = await self.transport.call("GET", path)
        if WEBHOOK_KEY not in (secret.get("data") or {}):
            raise ValueError(f"{hook.secret_ref.name} has no entry {WEBHOOK_KEY}")
        return message.key_of(base64.b64decode(secret["data"][WEBHOOK_KEY]))

    async def _settle(self, job: Job, claim: Claim, outcome: Outcome) -> Job:
        for _ in range(_TRIES):
            ledger = settled(job, claim, outcome, datetime.now(UTC), self.pause)
            if ledger is None:
                return job
            with contextlib.suppress(ConflictError):
                job = await self._write(job, ledger)
                self.tries.labels(ledger[claim.id].state).inc()
                return job
            job = await self.jobs.read(job.name, job.namespace)
        return job

    async def _write(self, job: Job, ledger: Ledger) -> Job:
        metadata = {
            "resourceVersion": job.raw["metadata"]["resourceVersion"],
            "annotations": {ANNOTATION_NOTIFIED: written(ledger)},
        }
        return self.mirror.own(await self.jobs.patch(job.name, {"metadata": metadata}, job.namespace))
