"""Faults of watches: events that are lost, late, repeated, or out of order between kinds; and what combines them."""

import random
from collections.abc import Iterable
from typing import Final

from fault import Fault
from life import Delivery
from verdicts import FOR_READS, FOR_WRITES, ODD_FOR_READS, ODD_FOR_WRITES, Call, Verdict
from world import KINDS, Picture, Seen, World

from crawl_operator.kube import Resource

_STORM: Final = 0.12
"""How often each call of a storm is spoiled."""


class Drop(Fault):
    """One event is never delivered; a comparison of lists has to find it."""

    kind = "watch event dropped"

    def __init__(self, resource: Resource, number: int) -> None:
        super().__init__(f"dropped-{resource.plural}-event-{number}")
        self._resource = resource
        self._left = number

    def delivery(self) -> Delivery:
        return _Dropping(self)

    def drops(self, seen: Seen) -> bool:
        if seen.resource is not self._resource:
            return False
        self._left -= 1
        self.injected += self._left == 0
        return self._left == 0


class _Dropping(Delivery):
    lossy = True

    def __init__(self, fault: "Drop | Blind") -> None:
        self._fault = fault

    def arrive(self, seen: Seen) -> Iterable[Seen]:
        return () if self._fault.drops(seen) else (seen,)


class Blind(Fault):
    """No event is delivered at all: all that is known is known from lists."""

    kind = "watch event dropped"

    def __init__(self) -> None:
        super().__init__("blind")

    def delivery(self) -> Delivery:
        return _Dropping(self)

    def drops(self, seen: Seen) -> bool:
        self.injected += 1
        return True


class Expire(Fault):
    """A watch ends at an event; its kind is listed again when all else is done, without a word on what is gone."""

    kind = "watch expired"

    def __init__(self, resource: Resource, number: int) -> None:
        super().__init__(f"expired-{resource.plural}-watch-at-event-{number}")
        self._resource = resource
        self._left = number

    def delivery(self) -> Delivery:
        return _Expiring(self)

    def hides(self, seen: Seen) -> bool:
        """Tell whether the watch is over before this event."""
        if seen.resource is not self._resource:
            return False
        self._left -= 1
        self.injected += self._left == 0
        return self._left <= 0


class _Expiring(Delivery):
    lossy = True

    def __init__(self, fault: Expire) -> None:
        self._fault = fault
        self._hidden: dict[str, Seen] = {}
        self._listed = False

    def arrive(self, seen: Seen) -> Iterable[Seen]:
        if self._listed or not self._fault.hides(seen):
            return (seen,)
        self._hidden[seen.uid] = seen
        return ()

    def release(self) -> Iterable[Seen]:
        hidden, self._hidden = self._hidden, {}
        self._listed = self._listed or bool(hidden)
        return [seen for seen in hidden.values() if not seen.gone]


class Hold(Fault):
    """The watch of some kinds lags behind everything else that can happen."""

    kind = "watch event delayed"

    def __init__(self, *resources: Resource) -> None:
        super().__init__("late-" + "-and-".join(resource.plural for resource in resources))
        self.resources = resources

    def delivery(self) -> Delivery:
        return _Holding(self)


class _Holding(Delivery):
    def __init__(self, fault: Hold) -> None:
        self._fault = fault
        self._held: list[Seen] = []

    def arrive(self, seen: Seen) -> Iterable[Seen]:
        if seen.resource not in self._fault.resources:
            return (seen,)
        self._held.append(seen)
        self._fault.injected += 1
        return ()

    def release(self) -> Iterable[Seen]:
        held, self._held = self._held, []
        return held


class Replay(Fault):
    """With every event, all before it come once more, in order and in reverse."""

    kind = "watch event repeated"

    def __init__(self) -> None:
        super().__init__("repeated-events")

    def delivery(self) -> Delivery:
        return _Replaying(self)


class _Replaying(Delivery):
    def __init__(self, fault: Replay) -> None:
        self._fault = fault
        self._before: list[Seen] = []

    def arrive(self, seen: Seen) -> Iterable[Seen]:
        self._before.append(seen)
        self._fault.injected += 2 * len(self._before) - 1
        return (seen, *self._before, *reversed(self._before))


class Shuffle(Fault):
    """Watches of different kinds overtake each other, and the operator's own writes, at random."""

    kind = "watch event delayed"

    def __init__(self, seed: int) -> None:
        super().__init__(f"shuffled-events-seed-{seed}")
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret

    def delivery(self) -> Delivery:
        return Shuffling(self, self._random)


class Shuffling(Delivery):
    """Keeps each kind's own order, as a watch does."""

    def __init__(self, fault: Fault, chance: random.Random, lost: float = 0) -> None:
        self._fault = fault
        self._counts = isinstance(fault, Shuffle)  # for others a delay is not what they are about
        self._random = chance
        self._lost = lost
        self._held: dict[Resource, list[Seen]] = {resource: [] for resource in KINDS}
        self.lossy = lost > 0

    def arrive(self, seen: Seen) -> Iterable[Seen]:
        if self._random.random() < self._lost:
            self._fault.injected += 1
            return
        self._held[seen.resource].append(seen)
        while self._random.random() < 0.4 and any(self._held.values()):
            yield self._any()
        self._fault.injected += self._counts and bool(self._held[seen.resource])

    def release(self) -> Iterable[Seen]:
        while any(self._held.values()):
            yield self._any()

    def _any(self) -> Seen:
        kinds = [resource for resource, held in self._held.items() if held]
        return self._held[self._random.choice(kinds)].pop(0)


class Two(Fault):
    """Two operators act at once, each with watches that lag in their own way; one may die at a write."""

    kind = "second operator at once"
    operators = 2
    exact = False
    informed = False

    def __init__(self, seed: int, killed_at: int = 0) -> None:
        super().__init__(f"two-operators-seed-{seed}" + (f"-killed-at-write-{killed_at}" if killed_at else ""))
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._seed = seed
        self._killed_at = killed_at

    def delivery(self) -> Delivery:
        return Shuffling(self, self._random) if self._seed else Delivery()

    def judge(self, call: Call) -> Verdict:
        self.injected = 1
        if self._killed_at and call.write >= self._killed_at:
            self._killed_at = 0
            return Verdict.KILL_APPLIED
        return Verdict.PASS


class Storm(Fault):
    """Everything at once, at random: answers, deaths, losses and delays."""

    kind = "storm"

    def __init__(self, seed: int) -> None:
        super().__init__(f"storm-seed-{seed}")
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self.late = self._random.random() < 0.5

    def judge(self, call: Call) -> Verdict:
        if self._random.random() > _STORM or call.number > 200:
            return Verdict.PASS
        self.injected += 1
        if call.write:
            return self._random.choice([Verdict.KILL, Verdict.KILL_APPLIED, *FOR_WRITES, *ODD_FOR_WRITES])
        return self._random.choice([Verdict.KILL, *FOR_READS, *ODD_FOR_READS])

    def delivery(self) -> Delivery:
        return Shuffling(self, self._random, lost=0.1)


class Backlog(Delivery):
    """After a list from the past, the watch goes on from there; what happened since comes when nothing else does."""

    def __init__(self, world: World, past: Picture) -> None:
        known = [each for objects in past.objects.values() for each in objects.values()]
        newest = max((int(each["metadata"]["resourceVersion"]) for each in known), default=0)
        self._held = [seen for seen in world.history if seen.version > newest]

    def arrive(self, seen: Seen) -> tuple[Seen, ...]:
        if self._held:
            self._held.append(seen)
            return ()
        return (seen,)

    def release(self) -> tuple[Seen, ...]:
        held, self._held = self._held, []
        return tuple(held)
