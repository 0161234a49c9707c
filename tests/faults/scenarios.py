"""The stories that faults are tried on: each a list of steps, and what it must come to.

To add one, join steps at the end of a list in one of the `stories_…`; every fault of every family is then tried on it.
"""

from dataclasses import dataclass

from nodes import ends, runs
from steps import Step, comes_due
from users import applies
from workers import outcome


@dataclass(frozen=True)
class Scenario:
    """A story, and what it must come to."""

    name: str
    steps: tuple[Step, ...]
    phases: dict[str, str]
    """Name of a job → its phase at the end; a job that is gone is not named."""
    running: int = 4
    """Places there are."""
    running_low: int | None = None
    """How many of them may be of Low jobs; None for all."""
    garbage_goes: bool = False
    """Whether the garbage collector acts when nothing else does, and not only in a step of its own."""
    or_as: str = ""
    """Name of a scenario that leaves the same traces when the operator is away for long, and whose end is as good."""


def happy(name: str) -> tuple[Step, ...]:
    """A job is applied, and all goes well."""
    return applies(name), runs(name), ends(name, outcome(2))


def again(name: str) -> tuple[Step, ...]:
    """The next attempt of a job comes, and all goes well."""
    return comes_due(name), runs(name), ends(name, outcome(2))
