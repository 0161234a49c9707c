"""Capacity: whose turn it is, whether a place is free for them, and what the others are told."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from crawl_api.crawljob import Priority
from crawl_operator.decide.model import Admission

GRANTED: Final = Admission(granted=True)

CLOSED: Final = Admission(granted=False, reason="ConcurrencyLimit", message="it is being counted how many jobs run")
"""Told while no places are granted: an operator has just taken over."""


class Group(NamedTuple):
    """Jobs that the same limits hold for, and of which the oldest is always served first."""

    priority: Priority
    namespace: str


@dataclass(frozen=True, slots=True)
class RunningLimits:
    """How many jobs may run at once: in all, of a class, of a namespace; and when waiting makes a job more urgent."""

    total: int
    of_class: Mapping[Priority, int] = field(default_factory=dict)
    """Classes left out have no limit of their own."""
    of_namespace: Mapping[str, int] = field(default_factory=dict)
    """Namespaces whose limit is not the general one."""
    per_namespace: int | None = None
    """Limit of each namespace that `of_namespace` does not name; None for no limit."""
    ageing: float = 600
    """Seconds of waiting for which a job is served one class higher."""


@dataclass(slots=True)
class Taken:
    """How many places are taken: in all, by class, by namespace."""

    total: int = 0
    by_class: Counter[Priority] = field(default_factory=Counter)
    by_namespace: Counter[str] = field(default_factory=Counter)

    def add(self, group: Group, number: int) -> None:
        """Count places that a group has taken (or, if negative, given back)."""
        self.total += number
        self.by_class[group.priority] += number
        self.by_namespace[group.namespace] += number
        if not self.by_namespace[group.namespace]:
            del self.by_namespace[group.namespace]


def obstacle(group: Group, taken: Taken, limits: RunningLimits, *, more: int = 1) -> Admission | None:
    """Return which limit keeps `more` jobs of a group from running; None if there is room."""
    if taken.total + more > limits.total:
        return _refusal(
            "ConcurrencyLimit",
            f"{limits.total} jobs may run at once (limits.running) and as many do; more urgent and older jobs go first",
        )
    of_class = limits.of_class.get(group.priority)
    if of_class is not None and taken.by_class[group.priority] + more > of_class:
        return _refusal(
            "ConcurrencyLimit",
            f"{of_class} jobs of priority {group.priority} may run at once (classes.{group.priority}.running) "
            "and as many do; older ones go first",
        )
    of_namespace = limits.of_namespace.get(group.namespace, limits.per_namespace)
    if of_namespace is not None and taken.by_namespace[group.namespace] + more > of_namespace:
        return _refusal(
            "NamespaceQuota",
            f"{of_namespace} jobs of namespace {group.namespace} may run at once (limits.runningPerNamespace, "
            "limits.runningIn) and as many do; more urgent and older ones go first",
        )
    return None


def turn(group: Group, since: datetime, name: str, now: datetime, ageing: float) -> tuple[int, datetime, str, str]:
    """Return the sort key of the order of service: class, as aged, then age; the names only make it total."""
    return group.priority.served_as((now - since).total_seconds(), ageing), since, group.namespace, name


def _refusal(reason: str, message: str) -> Admission:
    return Admission(granted=False, reason=reason, message=message)
