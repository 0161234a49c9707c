"""Capacity: which limit holds a job back, in which words, and how waiting makes it more urgent."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawl_api.crawljob import Priority
from crawl_operator.decide.capacity import Group, RunningLimits, Taken, obstacle

LOW, NORMAL, HIGH, CRITICAL = Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.CRITICAL

LIMITS = RunningLimits(5, of_class={LOW: 2}, of_namespace={"big": 4}, per_namespace=3)


def taken(*groups: tuple[Priority, str]) -> Taken:
    counted = Taken()
    for group in groups:
        counted.add(Group(*group), 1)
    return counted


@pytest.mark.parametrize(
    ("priority", "namespace", "running", "said"),
    [
        (NORMAL, "a", [], None),
        (NORMAL, "a", [(HIGH, "b")] * 2 + [(HIGH, "c")] * 2, None),
        (NORMAL, "a", [(HIGH, "b")] * 2 + [(HIGH, "c")] * 3, "5 jobs may run at once (limits.running)"),
        (LOW, "a", [(LOW, "b")], None),
        (LOW, "a", [(LOW, "b")] * 2, "2 jobs of priority Low may run at once (classes.Low.running)"),
        (HIGH, "a", [(LOW, "b")] * 2, None),
        (NORMAL, "a", [(HIGH, "a")] * 3, "3 jobs of namespace a may run at once (limits.runningPerNamespace"),
        (NORMAL, "b", [(HIGH, "a")] * 3, None),
        (NORMAL, "big", [(HIGH, "big")] * 3, None),
        (NORMAL, "big", [(HIGH, "big")] * 4, "4 jobs of namespace big may run at once"),
    ],
)
def test_the_limit_that_holds_a_job_back_is_named(
    priority: Priority, namespace: str, running: list[tuple[Priority, str]], said: str | None
) -> None:
    found = obstacle(Group(priority, namespace), taken(*running), LIMITS)
    assert (found is None) is (said is None)
    if found is not None and said is not None:
        assert not found.granted
        assert said in found.message
        assert found.reason == ("NamespaceQuota" if "namespace" in said else "ConcurrencyLimit")


def test_counts_leave_no_trace_of_namespaces_that_hold_nothing() -> None:
    counted = taken((LOW, "a"), (HIGH, "b"))
    counted.add(Group(LOW, "a"), -1)
    assert (counted.total, dict(counted.by_namespace)) == (1, {"b": 1})


@pytest.mark.parametrize(
    ("priority", "waited", "served"),
    [
        (LOW, 0, LOW),
        (LOW, 599, LOW),
        (LOW, 600, NORMAL),
        (LOW, 1199, NORMAL),
        (LOW, 1200, HIGH),
        (LOW, 86400, HIGH),
        (NORMAL, 600, HIGH),
        (HIGH, 86400, HIGH),
        (CRITICAL, 0, CRITICAL),
        (CRITICAL, 86400, CRITICAL),
        (NORMAL, -5, NORMAL),
    ],
)
def test_each_ageing_time_is_worth_one_class_up_to_high(priority: Priority, waited: float, served: Priority) -> None:
    assert priority.served_as(waited, 600) == served.rank


@settings(deadline=None)
@given(st.sampled_from(Priority), st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1, 1e5))
def test_waiting_longer_is_never_worse(priority: Priority, waited: float, longer: float, ageing: float) -> None:
    assert priority.served_as(waited + longer, ageing) <= priority.served_as(waited, ageing) <= priority.rank
