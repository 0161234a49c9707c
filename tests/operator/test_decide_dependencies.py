"""What a job waits for, what is hopeless, and who is woken."""

from dataclasses import replace
from typing import Any

import pytest
from operator_cases import NOW, POLICY, SINGLE, make_job

from crawl_api.crawljob import Dependency
from crawl_api.status import ConditionType, Phase
from crawl_operator.decide.crawljob import decide
from crawl_operator.decide.dependencies import cycle_through, hopeless, unmet
from crawl_operator.decide.model import Admission, JobKey, Observation, StartWorker
from crawl_operator.dependents import Dependents

NEEDS = {"dependsOn": [{"name": "first"}, {"name": "any", "condition": "Finished"}]}
DEPENDENCIES = tuple(Dependency.model_validate(each) for each in NEEDS["dependsOn"])
GRANTED = Admission(granted=True)


@pytest.mark.parametrize(
    ("first", "other", "waits", "fails"),
    [
        (None, None, "first does not exist, any does not exist", ""),
        (Phase.PROCESSING, Phase.COMPLETED, "first is Processing", ""),
        (Phase.COMPLETED, Phase.RETRY, "any is Retry", ""),
        (Phase.COMPLETED, Phase.COMPLETED, "", ""),
        (Phase.PARTIAL_SUCCESS, Phase.FAILED, "", ""),
        (Phase.COMPLETED, Phase.DEAD_LETTER, "", ""),
        (Phase.FAILED, Phase.COMPLETED, "", "first is Failed"),
        (Phase.DEAD_LETTER, None, "any does not exist", "first is DeadLetter"),
        (Phase.CANCELLED, Phase.CANCELLED, "", "first is Cancelled"),
    ],
)
def test_a_dependency_is_waited_for_or_fails_the_job(
    first: Phase | None, other: Phase | None, waits: str, fails: str
) -> None:
    """`Complete` needs a good end and fails the job with a bad one; `Finished` takes any end."""
    phases = {"first": first, "any": other}
    assert unmet(DEPENDENCIES, phases).removeprefix("waits for spec.dependsOn: ") == waits
    failure = hopeless(DEPENDENCIES, phases, ())
    assert (fails in failure.message) if failure is not None else not fails
    assert failure is None or failure.code == "DependencyFailed"


@pytest.mark.parametrize(
    ("edges", "chain"),
    [
        ({}, ()),
        ({"a": ["b"]}, ()),
        ({"a": ["b"], "b": ["a"]}, ("a", "b", "a")),
        ({"a": ["b", "c"], "b": [], "c": ["d"], "d": ["a"]}, ("a", "c", "d", "a")),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, ()),
        ({"a": ["a"]}, ("a", "a")),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, ()),
    ],
)
def test_a_cycle_is_told_as_a_chain(edges: dict[str, list[str]], chain: tuple[str, ...]) -> None:
    """Only a job that waits for itself stands in one; one that waits for a cycle of others does not."""
    assert cycle_through("a", lambda name: edges.get(name, ())) == chain


def observed(**changes: Any) -> Observation:
    return Observation(make_job(spec=SINGLE | NEEDS), admission=GRANTED, **changes)


def test_a_job_waits_for_its_dependencies_outside_the_line_and_says_why() -> None:
    """It is told once, takes no place, and starts when all have ended."""
    waiting = observed(dependencies={"first": Phase.PROCESSING, "any": Phase.FAILED})
    plan = decide(waiting, POLICY, NOW)
    assert plan.status is not None
    scheduled = plan.status.condition(ConditionType.SCHEDULED)
    assert scheduled is not None
    assert (scheduled.reason, scheduled.message) == (
        "DependencyNotMet",
        "waits for spec.dependsOn: first is Processing",
    )
    assert not plan.in_line
    told = replace(waiting, job=replace(waiting.job, status=plan.status))
    assert decide(told, POLICY, NOW).status is None
    met = replace(told, dependencies={"first": Phase.COMPLETED, "any": Phase.FAILED})
    assert [type(action) for action in decide(met, POLICY, NOW).actions] == [StartWorker]


def test_a_failed_dependency_and_a_cycle_fail_the_job() -> None:
    """Neither is waited for in silence."""
    for changes, code in (
        ({"dependencies": {"first": Phase.FAILED, "any": None}}, "DependencyFailed"),
        (
            {"dependencies": {"first": Phase.PENDING, "any": None}, "cycle": ("news", "first", "news")},
            "DependencyCycle",
        ),
    ):
        plan = decide(observed(**changes), POLICY, NOW)
        assert plan.status is not None
        assert plan.status.phase is Phase.FAILED
        condition = plan.status.condition(ConditionType.FAILED)
        assert condition is not None
        assert condition.reason == code


def test_a_circle_stays_one_for_the_others_when_one_of_them_has_failed_for_it() -> None:
    """Whoever is looked at first: what asks for any end would else run, or not, by chance."""
    dependents = Dependents(lambda _: None)
    dependents.put(make_job("a", spec=SINGLE | {"dependsOn": [{"name": "b", "condition": "Finished"}]}))
    dependents.put(replace(make_job("b", phase=Phase.FAILED), depends_on=("a",)))
    assert cycle_through("a", lambda name: dependents.waits_for("team", name)) == ("a", "b", "a")


def test_those_who_wait_are_woken_by_every_change_and_no_longer() -> None:
    """Creation, change and deletion of what is waited for wake; a finished job waits for nothing."""
    woken: list[JobKey] = []
    dependents = Dependents(woken.append)
    waiting, first = make_job(spec=SINGLE | NEEDS), make_job("first")
    dependents.put(waiting)
    dependents.put(first)
    dependents.put(first)
    dependents.remove(first.key)
    assert woken == [waiting.key] * 3
    assert dependents.waits_for("team", "news") == ("first", "any")
    dependents.put(make_job(spec=SINGLE | NEEDS, phase=Phase.FAILED))
    dependents.put(first)
    assert woken == [waiting.key] * 3
    assert dependents.waits_for("team", "news") == ()
