"""A fault is a value that a trial asks at each turn: what becomes of this call, of this event, of you?

Here those of calls, lists and operators' lives; `deliveries` has those of watches. Each has a name by which it can be
replayed.
"""

from dataclasses import dataclass
from typing import Final

from life import Delivery
from outages import Outages
from verdicts import FOR_READS, ODD_FOR_READS, Call, Verdict

from crawl_operator.kube import Resource

LEADER_LOST: Final = {
    "killed": Verdict.KILL_APPLIED,
    "cut-off": Verdict.DEPOSE,
    "stopped": Verdict.DEPOSE_LATE,
}
"""In what way → what becomes of the call: one that is stopped has sent a write that arrives when another leads."""


@dataclass(frozen=True)
class Course:
    """What an undisturbed run did."""

    calls: tuple[Call, ...]
    starting: int
    """How many of them came before anything had happened: they are the same in every story."""
    events: dict[Resource, tuple[bool, ...]]
    """What the watch of each kind told, in order: whether something was gone."""
    steps: int

    @property
    def writes(self) -> int:
        return sum(bool(call.write) for call in self.calls)


class Fault:
    """Nothing goes wrong. A fault of its own overrides what it spoils, and counts in `injected` what it did."""

    kind = "none"
    """Under which it is counted."""
    test = ""
    """Part of the name of the test that tries it, if that is not the scenario's."""
    operators = 1
    longest = 240.0
    """Seconds for one trial, most of which take one or two: the machine may be slow."""
    late = False
    """Whether a dead operator comes back only when nothing else can happen."""
    leased = False
    """Whether a Lease decides which of them acts."""
    exact = True
    """Whether capacity must be kept at every moment."""
    informed = True
    """Whether an operator knows of every run there was before it makes one."""

    def __init__(self, name: str = "undisturbed") -> None:
        self.name = name
        self.injected = 0

    def judge(self, call: Call) -> Verdict:
        """Say what becomes of a call."""
        return Verdict.PASS

    def dies_at_rest(self) -> bool:
        """Tell whether the operator dies now that it has nothing more to do."""
        return False

    def delivery(self) -> Delivery:
        """Return how the watches of the next operator deliver."""
        return Delivery()

    def restarts_after(self, step: int) -> int | None:
        """Return the step whose beginning is served for present to an operator restarted after `step`, if it is."""
        return None

    def relists_after(self, step: int) -> int | None:
        """Return the step whose beginning is served to a comparison of lists after `step`, if there is one."""
        return None

    async def after_step(self, step: int) -> None:
        """Do what else is to be done when a step is done and all is at rest."""


class Kill(Fault):
    """The operator dies at its i-th write."""

    kind = "operator killed at a write"

    def __init__(self, write: int, point: str, *, late: bool) -> None:
        super().__init__(f"killed-{point}-write-{write}-back-{'late' if late else 'at-once'}")
        self._write = write
        self._point = point
        self._next = False
        self.late = late

    def judge(self, call: Call) -> Verdict:
        if self.injected:
            return Verdict.PASS
        if self._next:  # its answer has arrived, and this is what came next
            self.injected += 1
            return Verdict.KILL
        if call.write != self._write:
            return Verdict.PASS
        if self._point == "after":
            self._next = True
            return Verdict.PASS
        self.injected += 1
        return Verdict.KILL if self._point == "before" else Verdict.KILL_APPLIED

    def dies_at_rest(self) -> bool:
        dies = self._next and not self.injected
        self.injected += dies
        return dies


class Answer(Fault):
    """One call is not answered as it should be."""

    kind = "call answered wrongly, or not at all"

    def __init__(self, call: int, verdict: Verdict) -> None:
        super().__init__(f"{verdict.name.lower().replace('_', '-')}-call-{call}")
        self._call = call
        self._verdict = verdict

    def judge(self, call: Call) -> Verdict:
        if call.number != self._call:
            return Verdict.PASS
        if not call.write and self._verdict not in {*FOR_READS, *ODD_FOR_READS}:
            return Verdict.PASS  # calls of different jobs may change places
        self.injected += 1
        return self._verdict


class StaleStart(Fault):
    """An operator starts after a step, and its first list shows what was before that step."""

    kind = "stale first list"
    informed = False

    def __init__(self, step: int) -> None:
        super().__init__(f"stale-start-after-step-{step}")
        self._step = step

    def restarts_after(self, step: int) -> int | None:
        if step != self._step:
            return None
        self.injected += 1
        return step


class StaleRelist(Fault):
    """A comparison of lists after a step sees what was before that step."""

    kind = "stale comparison"

    def __init__(self, step: int) -> None:
        super().__init__(f"stale-relist-after-step-{step}")
        self._step = step

    def relists_after(self, step: int) -> int | None:
        if step != self._step:
            return None
        self.injected += 1
        return step


class LeaderLost(Fault):
    """Of two operators with a Lease, the one that leads is lost at a write, and the other one takes over."""

    kind = "leader lost at a write"
    operators = 2
    leased = True
    late = True

    def __init__(self, write: int, way: str) -> None:
        super().__init__(f"leader-{way}-at-write-{write}")
        self._write = write
        self._verdict = LEADER_LOST[way]

    def judge(self, call: Call) -> Verdict:
        if self.injected or call.write < self._write:
            return Verdict.PASS
        self.injected += 1
        return self._verdict


class Outage(Fault):
    """The API server is killed after each step, and is back some time later: for all trials at once."""

    kind = "API server restarted"
    test = "restart_at_any_step"
    longest = 800.0  # each waits for the slowest of all, at every step

    def __init__(self, outages: Outages) -> None:
        super().__init__("api-server-restarts-after-every-step")
        self._outages = outages

    def judge(self, call: Call) -> Verdict:
        return Verdict.CUT if self._outages.away else Verdict.PASS

    async def after_step(self, step: int) -> None:
        self.injected += 1
        await self._outages.next()
