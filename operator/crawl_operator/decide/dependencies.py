"""Dependencies: what a job waits for, and when waiting is hopeless."""

from collections.abc import Callable, Iterable
from typing import Final

from crawl_api.crawljob import Dependency, DependencyCondition
from crawl_api.status import Cause, Phase
from crawl_api.worker_protocol import AttemptFailure
from crawl_operator.decide.model import DependencyPhases

CYCLE: Final = "DependencyCycle"
"""Reason of a job that has failed because it waits for itself, if by way of others."""

_GOOD = frozenset({Phase.COMPLETED, Phase.PARTIAL_SUCCESS})


def hopeless(
    dependencies: Iterable[Dependency], phases: DependencyPhases, cycle: tuple[str, ...]
) -> AttemptFailure | None:
    """Return why the job can never start: something it needs has failed, or waits for the job itself."""
    if cycle:
        path = " → ".join(cycle)
        return AttemptFailure(
            code=CYCLE, cause=Cause.PERMANENT, message=f"spec.dependsOn: each waits for the next: {path}"
        )
    failed = [
        f"{each.name} is {phase}"
        for each in dependencies
        if (phase := phases.get(each.name)) is not None
        and phase.terminal
        and phase not in _GOOD
        and each.condition is DependencyCondition.COMPLETE
    ]
    if not failed:
        return None
    message = f"spec.dependsOn: {', '.join(failed)}; use condition Finished to start whatever the end"
    return AttemptFailure(code="DependencyFailed", cause=Cause.PERMANENT, message=message)


def unmet(dependencies: Iterable[Dependency], phases: DependencyPhases) -> str:
    """Say what the job still waits for; empty if nothing."""
    waits = [
        f"{each.name} does not exist" if phase is None else f"{each.name} is {phase}"
        for each in dependencies
        if (phase := phases.get(each.name)) is None or not phase.terminal
    ]
    return f"waits for spec.dependsOn: {', '.join(waits)}" if waits else ""


def cycle_through(name: str, waits_for: Callable[[str], Iterable[str]]) -> tuple[str, ...]:
    """Return a chain of names from a job through what it waits for back to itself; empty if there is none.

    Args:
        name: where to start.
        waits_for: the names that a job of that name waits for.
    """
    came_from: dict[str, str] = {}
    todo = [name]
    while todo:
        current = todo.pop()
        for following in waits_for(current):
            if following == name:
                chain = [name, current]
                while chain[-1] != name:
                    chain.append(came_from[chain[-1]])
                return tuple(reversed(chain)) if len(chain) > 2 else (name, name)
            if following not in came_from:
                came_from[following] = current
                todo.append(following)
    return ()
