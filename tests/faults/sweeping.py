"""Many trials of one scenario, several at once, each against the end of the undisturbed one.

A scenario is played undisturbed first; what the operator was seen to do tells which faults there are to try. Whatever
was done to it on the way, each trial must come to the same jobs, children and stored files, but for times and UIDs and
what is made of them, and must have kept the invariants at every moment.

What fails is told with the story of its trial and with the command that replays it, such as

    FAULT=killed-before-write-2-back-late make faults ARGS='-k happy-pod'

`FAULTS_AT_ONCE` says how many trials run at a time.
"""

import asyncio
import difflib
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ending import Ending, unnumbered
from families import FAMILIES, Family
from fault import Fault, Outage
from outages import Outages
from scenarios import Scenario
from stage import Stage
from stories import NAMED
from trial import Trial
from wire import Wire

from local_cluster.cluster import LocalCluster

_AT_ONCE: Final = int(os.environ.get("FAULTS_AT_ONCE", "12"))
_SHOWN: Final = 5
"""Failures told in full; of the others only the names."""
_ENOUGH: Final = 20
"""Failures after which no more is tried."""


@dataclass(frozen=True)
class Broken:
    """A trial that came to no end."""

    why: str
    injected: tuple[str, ...]
    journal: tuple[str, ...]


@dataclass
class Bench:
    """Where trials take place, and where they are counted."""

    cluster: LocalCluster
    token: str
    folder: Path
    prefix: str
    tally: Counter[str]
    undisturbed: dict[str, Ending] = field(default_factory=dict)
    """What the scenarios played so far come to when nothing goes wrong."""

    async def sweep(
        self,
        *scenarios: Scenario,
        families: Iterable[Family] = FAMILIES,
        share: int = 1,
        program: bool = False,
        at_once: int = _AT_ONCE,
    ) -> None:
        """Play scenarios undisturbed, then under every fault of the families.

        Args:
            scenarios: what happens from outside.
            families: whose faults are tried.
            share: only every so-and-so-many-th of all faults is.
            program: whether the operator is the real program in a process of its own.
            at_once: trials at a time.

        Raises:
            AssertionError: an end differs, or an invariant was broken on the way.
        """
        await self.play(*scenarios, *(NAMED[each.or_as] for each in scenarios if each.or_as))
        trials = [
            (scenario, fault)
            for scenario in scenarios
            for family in families
            for fault in family(self.undisturbed[scenario.name].course)
        ][::share]
        if wanted := os.environ.get("FAULT"):
            trials = [(scenario, fault) for scenario, fault in trials if fault.name == wanted]
        async with self._open() as (stage, wire):
            gate = asyncio.Semaphore(at_once)
            wrong: list[str] = []

            async def one(scenario: Scenario, fault: Fault) -> None:
                async with gate:
                    if len(wrong) < _ENOUGH and (
                        why := await self._judged(stage, wire, scenario, fault, program=program)
                    ):
                        wrong.append(why)

            await asyncio.gather(*(one(scenario, fault) for scenario, fault in trials))
        _complain(wrong, len(trials))

    async def outlast(self, *scenarios: Scenario, program: bool = False) -> None:
        """Play scenarios all at once, and kill the API server whenever each of them is a step further.

        Raises:
            AssertionError: an end differs, or an invariant was broken on the way.
        """
        await self.play(*scenarios, *(NAMED[each.or_as] for each in scenarios if each.or_as))
        outages = Outages(self.cluster, len(scenarios))
        async with self._open() as (stage, wire):

            async def one(scenario: Scenario) -> str:
                try:
                    return await self._judged(stage, wire, scenario, Outage(outages), program=program)
                finally:
                    await outages.leave()

            found = await asyncio.gather(*map(one, scenarios))
            await outages.over()
        _complain(found, len(found))

    async def play(self, *scenarios: Scenario) -> list[Ending]:
        """Play scenarios undisturbed.

        Raises:
            AssertionError: one does not come to the end it should, or an invariant was broken on the way.
        """
        gate = asyncio.Semaphore(_AT_ONCE)
        async with self._open() as (stage, wire):

            async def one(scenario: Scenario) -> str:
                async with gate:
                    return "" if scenario.name in self.undisturbed else await self._first(stage, wire, scenario)

            found = await asyncio.gather(*map(one, {each.name: each for each in scenarios}.values()))
        _complain(found, len(found))
        return [self.undisturbed[each.name] for each in scenarios]

    async def _judged(
        self, stage: Stage, wire: Wire, scenario: Scenario, fault: Fault, *, program: bool = False
    ) -> str:
        """Try a fault; say what is wrong with how it ends, or nothing."""
        found = await self._try(stage, wire, scenario, fault, program=program)
        self.tally[fault.kind] += fault.injected
        goods = [self.undisturbed[name].state for name in (scenario.name, scenario.or_as) if name]
        head = f"FAULT={fault.name} make faults ARGS='-k {fault.test or scenario.name}' ({scenario.name})"
        if isinstance(found, Broken):
            return "\n".join([head, found.why, *found.injected, *found.journal])
        if found.violations:
            return "\n".join([head, *found.violations, *found.injected, *found.journal])
        state = found.state
        if not fault.informed:
            state, goods = unnumbered(state), [unnumbered(good) for good in goods]
        if state not in goods:
            lines = difflib.unified_diff(
                goods[0].splitlines(), state.splitlines(), "undisturbed", fault.name, "", "", 2, ""
            )
            return "\n".join([head, *lines, *found.injected, *found.journal])
        return ""

    async def _first(self, stage: Stage, wire: Wire, scenario: Scenario) -> str:
        """Play a scenario undisturbed and keep its end; say what is wrong with it, or nothing."""
        found = await self._try(stage, wire, scenario, Fault())
        if isinstance(found, Broken):
            return "\n".join([scenario.name, found.why, *found.journal])
        if found.violations or found.phases != scenario.phases:
            return "\n".join([scenario.name, *found.violations, str(found.phases), *found.journal])
        self.undisturbed[scenario.name] = found
        return ""

    async def _try(
        self, stage: Stage, wire: Wire, scenario: Scenario, fault: Fault, *, program: bool = False
    ) -> Ending | Broken:
        self.tally["trials"] += 1
        world = await stage.world(f"{self.prefix}-{self.tally['trials']}")
        trial = Trial(stage, wire, world, scenario, fault, self.folder / world.namespace, program=program)
        try:
            with _heard(world.namespace, trial.crashes):
                async with asyncio.timeout(fault.longest):
                    return await trial.play()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told as this trial's
            return Broken(
                f"at {trial.at}: {type(error).__name__}: {error}", tuple(trial.injected), tuple(trial.journal)
            )
        finally:
            stage.forget(world)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[tuple[Stage, Wire]]:
        async with (
            Stage.open(self.cluster, self.token) as stage,
            Wire(stage) as wire,
        ):
            yield stage, wire
        await asyncio.sleep(0.05)  # connections of cancelled calls need a moment to close


class _Crashes(logging.Handler):
    """Hears of what operators had not reckoned with: what they log with a traceback."""

    def __init__(self, namespace: str, crashes: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._namespace = namespace
        self._crashes = crashes

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and f"{self._namespace}/" in record.getMessage():
            self._crashes.append(f"unexpected: {record.getMessage()}: {record.exc_info[1]!r}")


@contextmanager
def _heard(namespace: str, crashes: list[str]) -> Iterator[None]:
    logger = logging.getLogger("crawl_operator")
    logger.setLevel(logging.ERROR)  # less is wanted here, and in the journal
    handler = _Crashes(namespace, crashes)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _complain(found: Iterable[str], trials: int) -> None:
    """Raise if anything is wrong with any of the trials."""
    if wrong := [each for each in found if each]:
        others = [each.splitlines()[0] for each in wrong[_SHOWN:]]
        raise AssertionError("\n\n".join([f"{len(wrong)} of {trials} fail", *wrong[:_SHOWN], *others]))
