"""One life of an operator, from empty memory to its death, made of the real one's parts in this process."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from aiohttp import web
from scenarios import Scenario
from stage import Stage
from terms import LeaseClock, Term, leadership_of
from wire import Line
from workers import INTERVAL
from world import KINDS, Picture, Seen, World

from crawl_api.crawljob import Priority
from crawl_operator.assembly import Assembly
from crawl_operator.health import serve
from crawl_operator.kube import Connection, Kube
from crawl_operator.kube_errors import KubeError
from crawl_operator.lease import Alone, Elected
from crawl_operator.metrics import Metrics
from crawl_operator.setting_groups import Limits, PriorityClass, Reconcile, Results
from crawl_operator.settings import Settings

_REQUEST_SECONDS: Final = 30
_FILL_PAUSE: Final = 0.02
_SOON: Final = 0.3
"""Seconds: whoever wants to look again later than that is at rest."""
_AGAIN: Final = 2.0
"""The same for what has failed and is tried again, while the pauses are still short."""


_COMPARISONS: Final = 20
"""Tries to compare a list, of which one in seven may fail."""
_DYING: Final = 20.0
"""Seconds that an operator has to end when it is cancelled."""


class Delivery:
    """How one operator's watches deliver: as they should, unless a fault has its own."""

    lossy = False
    """Whether the operator must compare lists to find what it was never told."""

    def arrive(self, seen: Seen) -> Iterable[Seen]:
        """Take an event; return what is delivered at once."""
        return (seen,)

    def release(self) -> Iterable[Seen]:
        """Return what was held back, once nothing else can happen."""
        return ()


class Life(Protocol):
    """What a trial needs of an operator, wherever it runs."""

    line: Line
    lossy: bool
    crashes: list[str]
    """What ended it that was not wanted."""

    @property
    def alive(self) -> bool: ...
    @property
    def leads(self) -> bool: ...
    @property
    def stands_by(self) -> bool:
        """Whether another one leads, as far as it knows, or should."""
        ...

    @property
    def at_rest(self) -> bool: ...
    @property
    def report_url(self) -> str: ...
    async def start(self) -> None: ...
    async def relist(self) -> None: ...
    def release(self) -> bool: ...
    def pass_time(self, seconds: float) -> None: ...
    def die(self) -> None: ...
    async def end(self) -> None: ...


class InnerLife:
    """The operator's own parts in this process, with the watches of the stage for triggers.

    Its death cancels everything and drops its memory: nothing gets the chance to be put in order.
    """

    def __init__(  # noqa: PLR0917 - the parts it joins
        self,
        stage: Stage,
        world: World,
        line: Line,
        settings: Settings,
        delivery: Delivery,
        lease_clock: LeaseClock,
        past: Picture | None,
    ) -> None:
        self.line = line
        self.lossy = delivery.lossy
        self.crashes: list[str] = []
        self._stage = stage
        self._world = world
        self._settings = settings
        self._delivery = delivery
        self._lease_clock = lease_clock
        self._past = past
        self._parts: Assembly | None = None
        self._elected: Elected | None = None
        self._early: list[Seen] | None = []
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._port = 0

    @property
    def alive(self) -> bool:
        return not self.line.dead and self._task is not None and not self._task.done()

    @property
    def leads(self) -> bool:
        return self.alive and self._elected is not None and not self._elected.standby

    @property
    def stands_by(self) -> bool:
        return not self.alive or (isinstance(self._elected, Term) and self._elected.pauses)

    @property
    def at_rest(self) -> bool:
        if not self.alive:
            return self._task is None or self._task.done()
        if self._parts is None or self._early is not None:
            return False
        queue = self._parts.queue
        now = queue._loop.time()
        soon = any(
            timer.when() < now + (_AGAIN if key in queue._failures else _SOON) for key, timer in queue._timers.items()
        )
        return not (len(queue) or queue._in_hand or soon)

    @property
    def report_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        self._world.listeners.append(self._told)
        self._task = asyncio.create_task(self._live())
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()

    async def relist(self) -> None:
        """Compare lists with what was delivered, as the operator does from time to time."""
        assert self._parts is not None
        for resource in KINDS:
            for _ in range(_COMPARISONS):
                try:
                    await self._parts.guard.compare(resource)
                except KubeError:
                    continue
                except RuntimeError:  # it has died meanwhile, and its client is closed
                    if self.alive:
                        raise
                break

    def release(self) -> bool:
        """Deliver what was held back; tell whether there was anything."""
        held = list(self._delivery.release())
        for seen in held:
            self._deliver(seen)
        return bool(held)

    def pass_time(self, seconds: float) -> None:
        """Have its timers go off by that much earlier: the time that they wait for has come closer."""
        if self._parts is None:
            return
        queue = self._parts.queue
        for key, timer in list(queue._timers.items()):
            timer.cancel()
            del queue._timers[key]
            queue.add_after(key, max(timer.when() - seconds - queue._loop.time(), 0))

    def die(self) -> None:
        """Stop in the middle of everything. The line is dead already."""
        if self._told in self._world.listeners:
            self._world.listeners.remove(self._told)
        if self._task is not None:
            self._task.cancel()

    async def end(self) -> None:
        self.line.dead = True
        self.die()
        if self._task is None:
            return
        await asyncio.wait({self._task}, timeout=_DYING)
        if not self._task.done():
            self.crashes.append(f"the operator does not end when it is cancelled: {self._task}")
        elif not self._task.cancelled() and (error := self._task.exception()) is not None:
            self.crashes.append(f"the operator crashed: {error!r}")
        self._task = None

    async def _live(self) -> None:
        async with AsyncExitStack() as stack:
            metrics = Metrics()
            elected = self._elected = await self._stand_for_election(stack, metrics)
            kube = Kube(self._connect, timeout=_REQUEST_SECONDS, metrics=metrics, write_seconds=elected.remaining)
            await stack.enter_async_context(kube)
            parts = Assembly(self._settings, kube, metrics, lambda: elected.standby, self._world.clock.now)
            self._parts = parts
            reports = await serve(parts.reports, "127.0.0.1", 0)
            stack.push_async_callback(_stop, reports)
            self._port = reports.addresses[0][1]
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(elected.run(prepare=partial(self._fill, parts), lead=parts.lead))
                await self._ready.wait()
                tasks.create_task(parts.reconciler.run())

    async def _stand_for_election(self, stack: AsyncExitStack, metrics: Metrics) -> Elected:
        if not self._settings.leadership.enabled:
            return Alone()
        client = Kube(self._connect, timeout=_REQUEST_SECONDS, metrics=metrics)
        return Term(await stack.enter_async_context(client), self._settings.leadership, self._lease_clock)

    async def _fill(self, parts: Assembly) -> None:
        self.line.past, self._past = self._past, None
        while True:
            try:
                await parts.guard.fill()
                break
            except KubeError:
                await asyncio.sleep(_FILL_PAUSE)
        self.line.past = None
        early, self._early = self._early or [], None
        for seen in early:
            self._told(seen)
        self._ready.set()

    async def _connect(self) -> Connection:
        return Connection(self.line.url, None, {"Authorization": f"Bearer {self._stage.token}"})

    def _told(self, seen: Seen) -> None:
        if self._early is not None:
            self._early.append(seen)
            return
        for each in self._delivery.arrive(seen):
            self._deliver(each)

    def _deliver(self, seen: Seen) -> None:
        assert self._parts is not None
        self._parts.guard.seen(seen.resource, seen.gone, seen.body)


def settings_of(world: World, results: Path, scenario: Scenario, *, leased: bool) -> Settings:
    """Return how an operator of a trial is configured."""
    return Settings(
        namespaces=(world.namespace,),
        limits=Limits(running=scenario.running),
        classes={Priority.LOW: PriorityClass(running=scenario.running_low)},
        results=Results(folder=results),
        reconcile=Reconcile(workers=4, patience_seconds=0, progress_interval_seconds=INTERVAL),
        leadership=leadership_of(world.namespace, leased=leased),
    )


async def _stop(reports: web.AppRunner) -> None:
    for site in list(reports.sites):
        await site.stop()
    await reports.cleanup()
