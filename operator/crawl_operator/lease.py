"""Leadership: of several operators one acts, by a Lease; the others watch, keep their store warm and stand by.

The rules are those of client-go's leader election. A lease is free when it has no holder, or when it has not changed
for as long as its holder has said it would last, by the clock of whoever wants it: the holder's timestamps are for
people. Whoever takes or renews it names the version that was read, so that of two one succeeds.

The holder counts from before it asked for the renewal, stops a fifth of the time before another may take over, and
lets no write outlast that (`Kube`). After each gap, however short, everything is listed and looked at anew.
"""

import asyncio
import logging
import math
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from crawl_api.names import ANNOTATION_REPORTS
from crawl_operator.kube import LEASES, Kube, Object
from crawl_operator.kube_errors import AlreadyExistsError, ConflictError, KubeError, NotFoundError
from crawl_operator.setting_groups import Leadership

_log = logging.getLogger(__name__)

_POLL: Final = 1.0
"""Seconds between two looks at a lease that another holds, and at most between two tries that fail."""
_SAFETY: Final = 0.2
"""The part of the lease's time in which its holder no longer acts: for clocks that differ and answers under way."""

Spec = dict[str, Any]


class Elected(Protocol):
    """Says whether this operator may act."""

    def remaining(self) -> float:
        """Return for how many seconds from now it may write; 0 while it does not lead."""

    @property
    def standby(self) -> str:
        """Why it does not lead, in a sentence; empty while it does."""

    @property
    def leader_url(self) -> str:
        """Where the operator that leads in its place takes reports; empty if that is not known."""

    async def run(self, prepare: Callable[[], Awaitable[None]], lead: Callable[[], None]) -> None:
        """Stand for election until cancelled; `prepare`, then `lead`, are called each time it is won.

        `prepare` is called once without that, where another leads at the start.
        """

    async def release(self) -> None:
        """Act no more, and let another take over at once."""


class Alone:
    """Leads from its start to its end: whoever runs a single operator needs no lease."""

    leader_url = ""

    def __init__(self) -> None:
        self._leading = False

    @property
    def standby(self) -> str:
        """Why it does not lead yet, in a sentence; empty when it does."""
        return "" if self._leading else "everything is listed before anything is done"

    def remaining(self) -> float:
        """Return infinity, and 0 before all is prepared."""
        return math.inf if self._leading else 0.0

    async def run(self, prepare: Callable[[], Awaitable[None]], lead: Callable[[], None]) -> None:
        """Lead as soon as all is prepared, until cancelled."""
        await prepare()
        self._leading = True
        lead()
        await asyncio.Event().wait()

    async def release(self) -> None:
        """Do nothing."""


def boot_clock() -> float:
    """Return seconds since the machine started, those included that it slept: no lease lasts longer for a nap."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """A stand for election.

    Args:
        kube: a client of its own, so that a crowd of other requests keeps no renewal waiting.
        settings: which lease, and how long it lasts.
        clock: seconds, from any start.
        own_url: where this operator takes reports, written into the lease for those that stand by.
    """

    def __init__(
        self, kube: Kube, settings: Leadership, clock: Callable[[], float] = boot_clock, *, own_url: str = ""
    ) -> None:
        self._kube = kube
        self._settings = settings
        self._own_url = own_url
        self._clock = clock
        self.identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        self._seen: Spec = {}
        self._leader_url = ""
        self._seen_at = clock()
        self._retry = min(_POLL, settings.renew_seconds / 4)
        self._held_until = -math.inf
        self._term = 0
        self._tried = asyncio.Event()  # it has been looked at once, in vain or not
        self._held = asyncio.Event()  # the lease is ours, as far as is known
        self._ended = asyncio.Event()  # it no longer is
        self._leading = False  # it is ours, and everything is prepared
        self._why = "the lease has not been read yet"

    @property
    def standby(self) -> str:
        """Why it does not lead, in a sentence; empty while it does."""
        return "" if self.remaining() > 0 else self._why

    @property
    def leader_url(self) -> str:
        """Where the operator that leads in its place takes reports; empty if that is not known."""
        return self._leader_url if self.standby else ""

    def remaining(self) -> float:
        """Return for how many seconds from now it may write; 0 while it does not lead."""
        left = self._held_until - self._clock()
        if self._held.is_set() and left <= 0:
            self._lose("the lease could not be renewed in time")
        return max(left, 0.0) if self._leading else 0.0

    async def run(self, prepare: Callable[[], Awaitable[None]], lead: Callable[[], None]) -> None:
        """Stand for election until cancelled.

        Args:
            prepare: awaited at the start, and each time the lease is won, before anything is written. It is called
                after the lease was won, or was seen with another: where it is free at the start, once is enough. What
                it cannot do at once it tries again by itself.
            lead: called when writes are allowed.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stand())
            tasks.create_task(self._take_over(prepare, lead))

    async def release(self) -> None:
        """Act no more, and let another take over at once, if this one has the lease or may have got it."""
        self._lose("it is ending")
        try:
            body = await self._kube.get(LEASES, self._settings.namespace, self._settings.name)
            spec = body.get("spec") or {}
            if spec.get("holderIdentity") == self.identity:
                body["spec"] = spec | {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
                await self._kube.update(LEASES, self._settings.namespace, body)
                _log.info("the lease is released")
        except KubeError as error:
            _log.warning("the lease is not released: %s", error)

    async def _stand(self) -> None:
        """Take the lease or renew it, over and over."""
        while True:
            try:
                pause = await self._try()
            except (ConflictError, AlreadyExistsError):
                pause = self._retry  # somebody was faster: look who
            except KubeError as error:
                pause = self._retry
                self._say(f"the lease cannot be had: {error}")
            self._tried.set()
            if self._held.is_set():
                pause = max(min(pause, self._held_until - self._clock()), 0)
            await asyncio.sleep(pause)

    async def _try(self) -> float:
        """Look at the lease, take it if it is free or ours; return in how many seconds to do so again."""
        self.remaining()  # a lease that has run out is won anew, not renewed
        namespace, name = self._settings.namespace, self._settings.name
        try:
            body = await self._kube.get(LEASES, namespace, name)
        except NotFoundError:
            body = {}
        spec: Spec = body.get("spec") or {}
        if spec != self._seen:
            self._seen, self._seen_at = spec, self._clock()
        holder = spec.get("holderIdentity")
        self._leader_url = ""
        if holder and holder != self.identity:
            self._leader_url = _annotations(body).get(ANNOTATION_REPORTS, "")
            self._lose(f"{holder} leads")
            self._say(f"{holder} leads")
            free_in = self._seen_at + _duration(spec, self._settings.lease_seconds) - self._clock()
            if free_in > 0:
                return min(free_in, _POLL)
        asked = self._clock()
        annotations = {"annotations": _annotations(body) | {ANNOTATION_REPORTS: self._own_url}}
        mine = body or _new(namespace, name)
        mine = mine | {"metadata": mine["metadata"] | annotations, "spec": self._mine(spec)}
        body = await (self._kube.update if body else self._kube.create)(LEASES, namespace, mine)
        self._seen, self._seen_at = body["spec"], self._clock()
        self._win(asked)
        return self._settings.renew_seconds

    def _mine(self, spec: Spec) -> Spec:
        now = _now()
        kept = spec.get("holderIdentity") == self.identity
        return spec | {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self._settings.lease_seconds,
            "acquireTime": spec.get("acquireTime") or now if kept else now,
            "renewTime": now,
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (1 if spec and not kept else 0),
        }

    def _win(self, asked: float) -> None:
        self._held_until = asked + self._settings.lease_seconds * (1 - _SAFETY)
        if not self._held.is_set():
            self._say("the lease is won; everything is listed anew before anything is done")
            self._term += 1
            self._ended.clear()
            self._held.set()
        elif self._leading:
            self._why = "it leads"  # a renewal that fails after this one is news again

    def _lose(self, why: str) -> None:
        if self._held.is_set():
            _log.log(logging.WARNING if self._leading else logging.INFO, "no longer the leader: %s", why)
            self._why = why
            self._held.clear()
            self._ended.set()
        self._leading = False

    def _say(self, why: str) -> None:
        """Keep why it does not lead, and log it when it is new."""
        if why != self._why:
            _log.log(logging.WARNING if self._leading else logging.INFO, "%s", why)
        self._why = why

    async def _take_over(self, prepare: Callable[[], Awaitable[None]], lead: Callable[[], None]) -> None:
        """Prepare at the start and whenever the lease is won, and lead if it is still the same term then."""
        await self._tried.wait()
        while True:
            term = self._term
            await prepare()
            if self._held.is_set() and self._term == term:
                self._leading = True
                _log.info("this operator leads")
                lead()
                await self._ended.wait()
            await self._held.wait()


def _duration(spec: Spec, default: float) -> float:
    """How long the holder says that its lease lasts."""
    seconds = spec.get("leaseDurationSeconds")
    return float(seconds) if seconds is not None else default


def _annotations(body: Object) -> dict[str, str]:
    found: dict[str, str] = body.get("metadata", {}).get("annotations") or {}
    return found


def _new(namespace: str, name: str) -> Object:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"namespace": namespace, "name": name},
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
