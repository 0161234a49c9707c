"""The patch that is sent: as RFC 7386 applies it, one object becomes the other."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawl_operator.patch import merge_patch

patient = settings(deadline=None)
"""Machines are shared: an example may take its time."""

SCALARS = st.text(max_size=3) | st.integers(2, 9) | st.booleans()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


def apply(target: Any, patch: Any) -> Any:
    """Apply a patch, as section 2 of RFC 7386 writes it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply(result.get(name), value)
    return result


@patient
@given(OBJECTS, OBJECTS)
def test_the_patch_turns_one_object_into_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert apply(before, merge_patch(before, after)) == after


@patient
@given(OBJECTS)
def test_nothing_changed_is_nothing_sent(value: dict[str, Any]) -> None:
    assert merge_patch(value, value) == {}


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {}, {"a": None}),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": 3}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": None}}),
        ({"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 3]}),
        ({"a": 1}, {"a": {}}, {"a": {}}),
        ({}, {"a": False}, {"a": False}),
    ],
)
def test_no_more_is_sent_than_has_changed(before: dict[str, Any], after: dict[str, Any], patch: dict[str, Any]) -> None:
    assert merge_patch(before, after) == patch
