"""What is kept in memory: the newest version wins, whatever the order; ids lead to one object of one namespace."""

import random
import uuid
from typing import Any

import pytest
from gateway_cases import raw
from hypothesis import given, settings
from hypothesis import strategies as st

from crawl_api.names import LABEL_TASK_ID
from crawl_client.errors import ValidationError
from crawl_client.jobs import Jobs
from crawl_client.kubeconfig import Login
from crawl_client.models import Job
from crawl_client.transport import Transport
from crawl_gateway.entries import job_entry, slim
from crawl_gateway.ids import find, job_id
from crawl_gateway.mirror import Change, Mirror
from crawl_gateway.selection import SORTS, Paging, Selection, page_of
from crawl_gateway.shelf import Shelf, age

_NAMES = st.sampled_from(["a", "b", "c"])
_SPACES = st.sampled_from(["x", "y"])


@settings(deadline=None)
@given(st.lists(st.tuples(_SPACES, _NAMES, st.booleans(), st.sampled_from(["", "7", "8"])), max_size=40), st.randoms())
def test_the_order_of_news_does_not_matter(steps: list[tuple[str, str, bool, str]], shuffle: random.Random) -> None:
    last: dict[tuple[str, str], tuple[int, bool, str]] = {}
    news = []
    for version, (namespace, name, gone, number) in enumerate(steps, 1):
        last[namespace, name] = (version, gone, number)
        labels = {LABEL_TASK_ID: number} if number else {}
        entry = job_entry(
            raw(name, namespace=namespace, version=version, labels=labels, created=f"2026-01-01T00:00:{version:02}Z")
        )
        news.append((entry, gone))
    shelf: Shelf[Job] = Shelf()
    # A removal is known by the watch alone, which tells things in order; writes that are merged come whenever they do.
    merged = [entry for entry, gone in news if not gone]
    shuffle.shuffle(merged)
    for entry in merged:
        if last[entry.key][0] == entry.version:
            shelf.put(entry)
    for entry, gone in news:
        if gone:
            shelf.remove(entry.key, entry.version)
        else:
            shelf.put(entry)
    expected = {key: version for key, (version, gone, _) in last.items() if not gone}
    assert {entry.key: entry.version for entry in shelf} == expected
    for namespace in ("x", "y", ""):
        ordered = list(shelf.oldest_first(namespace))
        assert ordered == sorted(ordered, key=age)
        assert {entry.key for entry in ordered} == {key for key in expected if namespace in {"", key[0]}}
        for number in ("7", "8"):
            holders = [entry for entry in ordered if entry.labels.get(LABEL_TASK_ID) == number]
            if namespace:
                assert shelf.called(namespace, LABEL_TASK_ID, number) == (holders[0] if holders else None)


def test_what_is_old_changes_nothing() -> None:
    shelf: Shelf[Job] = Shelf()
    assert shelf.put(job_entry(raw(version=5)))
    assert not shelf.put(job_entry(raw(version=4)))
    assert shelf.remove(("x", "a"), 4) is None
    assert shelf.remove(("x", "a"), 5) is not None
    assert len(shelf) == 0


def test_an_id_leads_to_an_object_of_its_own_namespace_alone() -> None:
    shelf: Shelf[Job] = Shelf()
    uid = str(uuid.uuid4())
    shelf.put(job_entry(raw("a", uid=uid, labels={LABEL_TASK_ID: "42"}, spec={"displayName": "A b"})))
    for text in ("a", uid, uid.upper(), job_id(uid), "42", "042", "A b"):
        assert find(shelf, "x", text) is not None, text
        assert find(shelf, "y", text) is None, text
    for text in ("43", "b", str(uuid.uuid4()), "job_" + "0" * 32, "", "a b", "4" * 30, "job_", "²"):
        assert find(shelf, "x", text) is None, text


def test_lists_carry_nothing_that_is_long() -> None:
    status = {
        "result": {"success": True, "data": [1]},
        "errors": [1],
        "history": [1],
        "attempts": [1],
        "phase": "Failed",
    }
    applied = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "kept": "yes"}
    made = slim(raw(status=status, annotations=applied))
    assert made["status"] == {"result": {"success": True}, "phase": "Failed"}
    assert made["metadata"]["annotations"] == {"kept": "yes"}
    assert "managedFields" not in made["metadata"]


def test_large_objects_are_shown_by_their_beginning() -> None:
    urls = [f"https://example.org/{'x' * 1000}/{number}" for number in range(100)]
    spec = {"type": "Batch", "batch": {"urls": urls}, "metadata": {"a": "b"}, "priority": "Low"}
    shown = job_entry(raw(spec=spec)).object.raw["spec"]
    assert shown["batch"]["urls"] == urls[:20]
    assert "metadata" not in shown
    assert shown["priority"] == "Low"
    small = {**spec, "batch": {"urls": urls[:20]}}
    assert job_entry(raw(spec=small)).object.raw["spec"]["metadata"] == {"a": "b"}


def _entries(count: int) -> list[Any]:
    made = random.Random(1)  # noqa: S311 - no secret
    priorities, phases = ["Low", "Normal", "High", "Critical"], ["Pending", "Failed", "Completed"]
    entries = [
        job_entry(
            raw(
                f"job-{number}",
                namespace=made.choice("xy"),
                created=f"2026-01-01T00:00:{made.randrange(60):02}Z",
                spec={"priority": made.choice(priorities)},
                status={"phase": made.choice(phases), "completedAt": f"2026-01-01T01:{made.randrange(60):02}:00Z"},
            )
        )
        for number in range(count)
    ]
    return sorted(entries, key=age)


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort", SORTS)
def test_pages_by_cursor_and_by_offset_are_the_same(sort: str, *, descending: bool) -> None:
    entries = _entries(101)
    cursor, seen = "", []
    for offset in range(0, 120, 13):
        by_offset = page_of(entries, Selection(), Paging(13, offset, "", sort, descending), 1)
        by_cursor = page_of(entries, Selection(), Paging(13, 0, cursor, sort, descending), 1)
        assert by_offset.items == by_cursor.items
        assert by_offset.total == 101
        seen += [(job.namespace, job.name) for job in by_cursor.items]
        cursor = by_cursor.cursor
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == 101


def test_a_cursor_survives_that_its_entry_is_gone() -> None:
    entries = _entries(30)
    first = page_of(entries, Selection(), Paging(10), 1)
    gone = {(job.namespace, job.name) for job in first.items}
    left = [entry for entry in entries if entry.key not in gone]
    rest = page_of(left, Selection(), Paging(100, 0, first.cursor), 1)
    assert len(rest.items) == 20


@settings(deadline=None)
@given(st.text(max_size=60))
def test_a_cursor_of_another_list_is_refused_in_words(text: str) -> None:
    if text:
        with pytest.raises(ValidationError):
            page_of(_entries(3), Selection(), Paging(cursor=text), 1)


def test_selections_keep_what_is_meant() -> None:
    entries = _entries(200)
    kept = page_of(entries, Selection.of(phase="failed,success", priority=["high", 2]), Paging(limit=1000), 1).items
    assert kept
    assert {job.phase for job in kept} == {"Failed", "Completed"}
    assert {job.priority for job in kept} == {"High", "Low"}
    assert page_of(entries, Selection.of(search="JOB-17"), Paging(), 1).total == 11
    assert page_of(entries, Selection.of(labels="a=b"), Paging(), 1).total == 0
    for wrong in ({"phase": "x"}, {"type": "x"}, {"priority": "x"}, {"labels": "x"}):
        with pytest.raises(ValidationError):
            Selection.of(**wrong)


async def test_an_object_that_is_not_understood_is_left_out_of_lists(caplog: pytest.LogCaptureFixture) -> None:
    """A newer operator may say words that an older gateway does not know; the others are listed all the same."""
    transport = Transport(Login("http://127.0.0.1:1"))
    mirror: Mirror[Job] = Mirror(transport, Jobs(transport).objects, "", job_entry, 10)
    assert mirror._entry(raw("new", status={"phase": "Meditating"})) is None
    assert mirror._entry(raw("old", status={"phase": "Failed"})) is not None
    assert "new is left out" in caplog.text


async def test_a_stream_is_told_what_it_missed_as_far_as_that_is_remembered() -> None:
    transport = Transport(Login("http://127.0.0.1:1"))
    mirror: Mirror[Job] = Mirror(transport, Jobs(transport).objects, "", job_entry, 10)
    await mirror._reached(100)
    mirror._since = 100
    for version in range(101, 116):
        mirror._tell(Change(version, "ADDED", job_entry(raw(f"job-{version}", version=version))))
        await mirror._reached(version)
    assert [change.version for change in mirror.changes(110)] == [111, 112, 113, 114, 115]
    assert await mirror.remembers(105)
    assert not await mirror.remembers(104)
    large = {"metadata": {"text": "x" * 100_000}}
    for version in range(200, 203):
        mirror._tell(Change(version, "ADDED", job_entry(raw(f"large-{version}", version=version, spec=large))))
    assert mirror._bytes == sum(change.entry.weight for change in mirror.changes(0))
