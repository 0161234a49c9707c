"""Conditions: set one without losing when it last changed."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self

from crawl_api.status import Condition, ConditionStatus, ConditionType

_ORDER: Final = {kind: position for position, kind in enumerate(ConditionType)}


@dataclass(frozen=True, slots=True)
class Conditions:
    """A job's conditions, to be set one after the other."""

    all: tuple[Condition, ...]
    generation: int
    """The generation of the spec that they are said of."""
    now: datetime

    def true(self, kind: ConditionType, reason: str, message: str) -> Self:
        """Return the conditions with one of them True."""
        return self._put(kind, ConditionStatus.TRUE, reason, message)

    def false(self, kind: ConditionType, reason: str, message: str) -> Self:
        """Return the conditions with one of them False."""
        return self._put(kind, ConditionStatus.FALSE, reason, message)

    def _put(self, kind: ConditionType, status: ConditionStatus, reason: str, message: str) -> Self:
        before = next((each for each in self.all if each.type is kind), None)
        if before is not None and before.observed_generation == 0:
            before = None  # the schema's default, which nobody has said
        condition = Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            # It tells since when the status holds, however often reason and message change meanwhile.
            last_transition_time=before.last_transition_time if before and before.status is status else self.now,
            observed_generation=self.generation,
        )
        others = (each for each in self.all if each.type is not kind)
        return replace(self, all=tuple(sorted((*others, condition), key=lambda each: _ORDER[each.type])))
