"""Which faults there are to try on a story, given what its undisturbed run did."""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Final

from deliveries import Blind, Drop, Expire, Hold, Replay, Shuffle, Storm, Two
from fault import LEADER_LOST, Answer, Course, Fault, Kill, LeaderLost, StaleRelist, StaleStart
from verdicts import FOR_READS, FOR_WRITES, ODD_FOR_READS, ODD_FOR_WRITES
from world import KINDS


def kills(course: Course) -> Iterator[Fault]:
    for write in range(1, course.writes + 1):
        for point in ("before", "during", "after"):
            for late in (False, True):
                yield Kill(write, point, late=late)


def starts(course: Course) -> Iterator[Fault]:
    for call in course.calls[: course.starting]:
        for verdict in (*FOR_READS, *ODD_FOR_READS):
            yield Answer(call.number, verdict)


def oddities(course: Course) -> Iterator[Fault]:
    for call in course.calls[course.starting :]:
        for verdict in ODD_FOR_WRITES if call.write else ODD_FOR_READS:
            yield Answer(call.number, verdict)


def answers(course: Course) -> Iterator[Fault]:
    for call in course.calls[course.starting :]:
        for verdict in FOR_WRITES if call.write else FOR_READS:
            yield Answer(call.number, verdict)


def watches(course: Course) -> Iterator[Fault]:
    for resource, events in course.events.items():
        for number, gone in enumerate(events, 1):
            yield Drop(resource, number)
            if gone:
                yield Expire(resource, number)
    yield Blind()
    seen = [resource for resource in KINDS if course.events[resource]]
    for some in range(1, len(seen)):
        for resources in combinations(seen, some):
            yield Hold(*resources)
    yield Replay()
    for seed in range(1, 5):
        yield Shuffle(seed)


def lists(course: Course) -> Iterator[Fault]:
    for step in range(course.steps):
        yield StaleStart(step)
        yield StaleRelist(step)


def doubles(course: Course) -> Iterator[Fault]:
    for seed in range(5):
        yield Two(seed)
    for write in range(1, course.writes + 1):
        yield Two(write, killed_at=write)


def leaders(course: Course) -> Iterator[Fault]:
    for write in range(1, course.writes + 1):
        for way in LEADER_LOST:
            yield LeaderLost(write, way)


def storms(course: Course) -> Iterator[Fault]:
    for seed in range(1, 9):
        yield Storm(seed)


def deaths(course: Course) -> Iterator[Fault]:
    for write in range(1, course.writes + 1):
        for point in ("before", "during", "after"):
            yield Kill(write, point, late=False)


Family = Callable[[Course], Iterator[Fault]]

FAMILIES: Final[tuple[Family, ...]] = (kills, answers, watches, lists, doubles, leaders, storms)
"""Those to try on every story; the others are the same on all, or for lives that take seconds."""
