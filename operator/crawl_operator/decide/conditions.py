"""Conditions: set one without losing when it last changed."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Generic, Self, TypeVar

from crawl_api.schedule import ScheduleCondition, ScheduleConditionType
from crawl_api.status import Condition, ConditionStatus, ConditionType

Kind = ConditionType | ScheduleConditionType

_MODELS: Final[dict[type[Kind], Any]] = {ConditionType: Condition, ScheduleConditionType: ScheduleCondition}

C = TypeVar("C", Condition, ScheduleCondition)


@dataclass(frozen=True, slots=True)
class Conditions(Generic[C]):
    """The conditions of a job or a schedule, to be set one after the other."""

    all: tuple[C, ...]
    generation: int
    """The generation of the spec that they are said of."""
    now: datetime

    def true(self, kind: Kind, reason: str, message: str) -> Self:
        """Return the conditions with one of them True."""
        return self._put(kind, ConditionStatus.TRUE, reason, message)

    def false(self, kind: Kind, reason: str, message: str) -> Self:
        """Return the conditions with one of them False."""
        return self._put(kind, ConditionStatus.FALSE, reason, message)

    def without(self, kind: Kind) -> Self:
        """Return the conditions but for one."""
        return replace(self, all=tuple(each for each in self.all if each.type is not kind))

    def _put(self, kind: Kind, status: ConditionStatus, reason: str, message: str) -> Self:
        before = next((each for each in self.all if each.type is kind), None)
        if before is not None and before.observed_generation == 0:
            before = None  # the schema's default, which nobody has said
        condition: C = _MODELS[type(kind)](
            type=kind,
            status=status,
            reason=reason,
            message=message,
            # It tells since when the status holds, however often reason and message change meanwhile.
            last_transition_time=before.last_transition_time if before and before.status is status else self.now,
            observed_generation=self.generation,
        )
        order = list(type(kind))
        changed: list[C] = [each for each in self.all if each.type is not kind]
        changed.append(condition)
        return replace(self, all=tuple(sorted(changed, key=lambda each: order.index(each.type))))
