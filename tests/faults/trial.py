"""One trial: a scenario, played to its end under a fault."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
from deliveries import Backlog
from ending import Ending, state_of
from fault import Course, Fault
from invariants import moves_of, violations
from life import InnerLife, Life, settings_of
from nodes import clear_away
from patience import TURN, Patience
from program import OuterLife, process_of
from scenarios import Scenario
from stage import Stage
from terms import LeaseClock
from verdicts import Call, Counter, Verdict
from wire import Line, Wire
from world import KINDS, TERMINAL, Picture, Seen, World

from crawl_operator.kube import CRAWLJOBS


class Trial:
    """Plays a scenario under a fault; for its steps it is the `Hand`."""

    def __init__(  # noqa: PLR0917 - the parts it joins
        self, stage: Stage, wire: Wire, world: World, scenario: Scenario, fault: Fault, folder: Path, *, program: bool
    ) -> None:
        self.stage = stage
        self.world = world
        self._wire = wire
        self._scenario = scenario
        self._fault = fault
        self._folder = folder
        self._results = folder / "results"
        self._program = program
        self._counter = Counter()
        self._calls: list[Call] = []
        self._starting = 0
        self._events: dict[object, list[bool]] = {resource: [] for resource in KINDS}
        self._lives: list[Life] = []
        self._lease_clock = LeaseClock()
        self.crashes: list[str] = []
        """What the operators met without having reckoned with it."""
        self._pictures: list[Picture] = []
        self._noticed = 0
        self._began = time.monotonic()
        self._patience = Patience(lambda: (len(world.history), self._counter.writes, world.clock.now()))
        self._session: aiohttp.ClientSession | None = None
        self.at = "the start"
        """Where in the scenario it is, or was when it went wrong."""
        self.injected: list[str] = []
        """What was done to it, and where."""
        self.journal: list[str] = []

    async def play(self) -> Ending:
        """Play it to its end.

        Raises:
            StuckError: it does not come to an end.
        """
        self.world.listeners.append(self._note)
        async with aiohttp.ClientSession() as self._session:
            try:
                for _ in range(self._fault.operators):
                    self._lives.append(await self._born())
                await self.rest()
                self._starting = len(self._calls)
                for number, step in enumerate(self._scenario.steps):
                    self._pictures.append(self.world.now.copy())
                    self.at = f"step {number} ({step.text})"
                    await self.until(step.ready, f"{self.at} can be done")
                    self._say(f"— {self.at}")
                    await step.do(self)
                    if not step.slow:
                        await self.rest()
                    await self._between(number)
                self.at = "the end"
                await self._finish()
            finally:
                for life in self._lives:
                    await self._bury(life)
        limits = self._scenario if self._fault.exact else None
        jobs = self.world.now.objects[CRAWLJOBS].values()
        return Ending(
            state=state_of(self.world, self._results),
            phases=self.world.now.phases,
            moves=frozenset(move for job in jobs for move in moves_of(job.get("status", {}))),
            course=Course(
                calls=tuple(self._calls),
                starting=self._starting,
                events={resource: tuple(self._events[resource]) for resource in KINDS},
                steps=len(self._scenario.steps),
            ),
            violations=(*violations(self.world, limits), *self.crashes),
            injected=tuple(self.injected),
            journal=tuple(self.journal),
        )

    # What steps ask for

    async def until(self, holds: Callable[[Picture], bool], what: str) -> None:
        """Let things go on until something holds; help them on when nothing goes on by itself."""
        self._patience.renew()
        while not (self._quiet and holds(self.world.now)):
            self._see_who_leads()
            self._patience.take(f"it does not come that {what}")
            if holds(self.world.now):
                await asyncio.sleep(TURN)
            else:
                await self.go_on()

    async def rest(self) -> None:
        """Let things go on until nothing more happens by itself; what was late arrives once it has been overtaken."""
        self._patience.renew()
        self._see_who_leads()
        while not self._at_rest:
            self._see_who_leads()
            self._patience.take("it does not come to rest")
            if not self._fault.late:
                await self._raise_the_dead()
            await asyncio.sleep(TURN)

    async def go_on(self) -> None:
        """Do what is to be done when nothing goes on by itself: the dead come back, what was held back is delivered."""
        await asyncio.sleep(TURN)
        self._see_who_leads()
        self._let_the_lease_run_out()
        if not self._fault.late:
            await self._raise_the_dead()
        if not self._at_rest or await self._raise_the_dead():
            return
        for life in self._lives:
            if not life.release() and life.lossy and life.alive:
                await life.relist()
        if self._scenario.garbage_goes:
            await clear_away(self.stage, self.world, orphans_only=True)
        await asyncio.sleep(2 * TURN)

    def pass_time(self, seconds: float) -> None:
        """Let that much time pass at once."""
        self._say(f"{seconds:.1f} s pass")
        self.world.clock.advance(seconds)
        for life in self._lives:
            life.pass_time(seconds)

    async def report(self, method: str, path: str, token: str, body: bytes) -> tuple[int, bytes]:
        """Send what a worker has to say to whichever operator answers, until one does."""
        self._patience.renew()
        assert self._session is not None
        headers = {"Authorization": f"Bearer {token}"}
        while True:
            self._patience.take("no operator takes a worker's report")
            for url in [life.report_url + path for life in self._lives if life.alive]:
                try:
                    async with self._session.request(method, url, data=body, headers=headers) as answer:
                        text = await answer.read()
                except (aiohttp.ClientError, OSError):
                    continue
                self._say(f"worker: {method} {path.rsplit('/', 1)[-1]}: {answer.status}")
                if answer.status != 503:
                    return answer.status, text
            await self.go_on()

    # How it goes on

    @property
    def _quiet(self) -> bool:
        """Whether all that was written has been told."""
        return self.world.caught_up and not any(life.line.under_way for life in self._lives)

    @property
    def _at_rest(self) -> bool:
        return self._quiet and all(life.at_rest or life.line.held_up for life in self._lives)

    def _see_who_leads(self) -> None:
        """Let an operator that was cut off from its lease hear and be heard again, once another one leads."""
        for life in self._lives:
            if life.line.unheard and any(other.leads for other in self._lives if other is not life):
                life.line.unheard = False
                life.line.overtaken.set()

    def _let_the_lease_run_out(self) -> None:
        """Have the others take over whose leader is dead, or is heard no more."""
        if self._fault.leased and all(life.stands_by or life.line.unheard for life in self._lives):
            self._lease_clock.run_out()

    async def _raise_the_dead(self) -> bool:
        found = False
        for position, life in enumerate(self._lives):
            if not life.alive:
                await self._bury(life)
                self._lives[position] = await self._born()
                found = True
        return found

    async def _bury(self, life: Life) -> None:
        await life.end()
        await self._wire.take_up(life.line)
        self.crashes += life.crashes

    async def _between(self, step: int) -> None:
        """Do what a fault does after a step."""
        self._die_at_rest()
        self._let_the_lease_run_out()
        if (past := self._fault.restarts_after(step)) is not None:
            self._say(f"the operator starts anew and sees what was before step {past}")
            await self._bury(self._lives[0])
            self._lives[0] = await self._born(self._pictures[past])
            await self.rest()
        if (past := self._fault.relists_after(step)) is not None:
            self._say(f"lists are compared with what was before step {past}")
            for life in self._lives:
                life.line.past = self._pictures[past]
                await life.relist()
                life.line.past = None
            await self.rest()
        await self._fault.after_step(step)
        self._notice("after the step")

    def _die_at_rest(self) -> None:
        if self._fault.dies_at_rest():
            self._lives[0].line.kill()

    async def _finish(self) -> None:
        """Let everything come to an end that can."""
        await self.until(self._over, "all jobs have come to their end, and an operator acts")
        self._die_at_rest()
        for _ in range(3):
            await self._raise_the_dead()
            await self.rest()
            await self.go_on()
            await self.rest()
        leaders: list[Life] = []
        while not any(life.leads for life in leaders):  # one may lose its lease on its last steps
            await self.until(self._over, "an operator acts")
            leaders = [life for life in self._lives if life.leads]
            await self.rest()
        await clear_away(self.stage, self.world)
        await self.rest()

    def _over(self, now: Picture) -> bool:
        return (
            now.phases.keys() == self._scenario.phases.keys()
            and TERMINAL.issuperset(now.phases.values())
            and any(life.leads for life in self._lives)
            and not any(life.line.held_up for life in self._lives)
        )

    async def _born(self, past: Picture | None = None) -> Life:
        def kill() -> None:
            self._say("the operator is killed")
            life.die()

        line = Line(self.world, self._counter, self._judge, kill)
        await self._wire.lay(line)
        life: Life
        if self._program:
            limit = self._scenario.running
            process = await asyncio.to_thread(process_of, self.stage, self.world, self._folder, limit, line)
            life = OuterLife(process, line)
        else:
            delivery = self._fault.delivery() if past is None else Backlog(self.world, past)
            settings = settings_of(self.world, self._results, self._scenario, leased=self._fault.leased)
            life = InnerLife(self.stage, self.world, line, settings, delivery, self._lease_clock, past)
        self._say("an operator starts")
        await life.start()
        return life

    def _judge(self, call: Call) -> Verdict:
        self._calls.append(call)
        verdict = self._fault.judge(call)
        text = f"{call}" + ("" if verdict is Verdict.PASS else f" — {verdict.name}")
        self._say(text)
        self._notice(text)
        return verdict

    def _note(self, seen: Seen) -> None:
        self._events[seen.resource].append(seen.gone)
        self._say(f"watch: {seen}")
        asyncio.get_running_loop().call_soon(
            self._notice, f"watch: {seen}"
        )  # when the operators have been told, or not

    def _notice(self, what: str) -> None:
        """Take note of where a fault has struck."""
        if self._fault.injected > self._noticed:
            self._noticed = self._fault.injected
            self.injected.append(f"injected at {self.at}: {what}")

    def _say(self, text: str) -> None:
        self.journal.append(f"{time.monotonic() - self._began:7.3f} {text}")
