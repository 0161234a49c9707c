"""The ledger: what was kept is there after any end, once, and moves to another disk by its segments."""

import contextlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawl_api.status import JobError
from crawl_worker.fetch.fetcher import Page
from crawl_worker.findings import Finding, Visit, VisitKind
from crawl_worker.journal import SEGMENT_BYTES, Journal
from crawl_worker.ledger import Ledger
from crawl_worker.records import Record

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@contextlib.contextmanager
def opened(folder: Path, job: str = "job") -> Iterator[Ledger]:
    folder.mkdir(exist_ok=True)
    with contextlib.closing(Ledger(folder, job)) as ledger:
        ledger.begin()
        yield ledger


def failed(url: str, *, retryable: bool) -> Record:
    return Record(url=url, error=JobError(code="HTTP_503", url=url, retryable=retryable, time=NOW))


def segments(ledger: Ledger) -> list[bytes]:
    contents = []
    journal = Journal(ledger)
    while (segment := journal.segment()) is not None:
        contents.append(segment.content)
        journal.saved(segment)
    return contents


def moved(ledger: Ledger, folder: Path) -> Ledger:
    """A ledger on another disk that has been told all that this one has saved."""
    folder.mkdir(exist_ok=True)
    other = Ledger(folder, "job")
    Journal(other).take_over(b"".join(segments(ledger)).splitlines(keepends=True))
    other.begin()
    return other


def test_a_worker_started_again_on_the_same_disk_finds_everything(tmp_path: Path) -> None:
    visits = [Visit("http://h/a"), Visit("http://h/s", 0, 1, VisitKind.SITEMAP), Visit("http://h/b", 1)]
    with opened(tmp_path) as ledger:
        ledger.keep(Finding(found=visits[:2]))
        ledger.keep(Finding(visits[0], [Record(url="http://h/a", title="A")], visits[2:]))
        ledger.keep(Finding(visits[1]))
    with opened(tmp_path) as ledger:
        assert list(ledger.visits()) == [(visits[0], True), (visits[1], True), (visits[2], False)]
        assert [record["title"] for record in ledger.records()] == ["A"]


def test_what_another_job_left_is_thrown_away(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.keep(Finding(Visit("http://h/a"), [Record(url="http://h/a")]))
    with opened(tmp_path, "another") as ledger:
        assert (ledger.items, list(ledger.visits())) == (0, [])


def test_a_record_is_kept_once_under_each_of_its_names(tmp_path: Path) -> None:
    """The same finding told twice counts once; a page asked for twice has two records."""
    with opened(tmp_path) as ledger:
        finding = Finding(Visit("http://h/a"), [Record(url="http://h/a"), Record(url="http://h/a"), Record(url="H/a")])
        assert len(ledger.keep(finding)) == 3
        assert ledger.keep(finding) == []
        assert ledger.items == 3
        assert ledger.missing(["http://h/a"] * 3 + ["x"]) == ["http://h/a", "x"]


@pytest.mark.parametrize("move", [False, True])
def test_only_failures_worth_another_try_are_pending_again(tmp_path: Path, *, move: bool) -> None:
    with opened(tmp_path) as ledger:
        urls = ["http://h/good", "http://h/gone", "http://h/busy", "http://h/later"]
        ledger.keep(Finding(found=[Visit(url) for url in urls]))
        ledger.keep(Finding(Visit(urls[0]), [Record(url=urls[0])]))
        ledger.keep(Finding(Visit(urls[1]), [failed(urls[1], retryable=False)]))
        ledger.keep(Finding(Visit(urls[2]), [failed(urls[2], retryable=True)]))
        ledger.keep(Finding(Visit(urls[3]), again=True))
        other = moved(ledger, tmp_path / "other")
    with contextlib.closing(other), opened(tmp_path) as same:
        again = other if move else same
        assert [visit.url for visit, done in again.visits() if not done] == urls[2:]
        assert [record["url"] for record in again.records()] == urls[:2]
        assert [error and error.code for _, error, _ in again.counted()] == [None, "HTTP_503"]


def test_a_second_try_that_went_well_is_what_the_next_disk_hears_of(tmp_path: Path) -> None:
    """Segments of several attempts, one after the other: the last word counts."""
    url = "http://h/a"
    with opened(tmp_path / "1") as first:
        first.keep(Finding(found=[Visit(url)]))
        first.keep(Finding(Visit(url), [failed(url, retryable=True)]))
        told = segments(first)
    with contextlib.closing(Ledger(tmp_path / "1", "job")) as second:
        second.begin()
        second.keep(Finding(Visit(url), [Record(url=url, title="good")]))
        told += segments(second)
    (tmp_path / "2").mkdir()
    with contextlib.closing(Ledger(tmp_path / "2", "job")) as third:
        Journal(third).take_over(b"".join(told).splitlines(keepends=True))
        third.begin()
        assert [record["title"] for record in third.records()] == ["good"]
        assert Journal(third).segment() is None, "what was restored need not be saved again"


def test_a_segment_is_bounded_and_none_is_left_out(tmp_path: Path) -> None:
    with opened(tmp_path / "1") as ledger:
        for number in range(1200):
            text = "x" * (SEGMENT_BYTES // 4) if number < 6 else ""
            ledger.keep(Finding(Visit(f"http://h/{number}"), [Record(url=f"http://h/{number}", text=text)]))
        assert ledger.unsaved == 1200
        told = segments(ledger)
        assert ledger.unsaved == 0
        assert Journal(ledger).segments == len(told) >= 2
        assert max(map(len, told)) < 2 * SEGMENT_BYTES
        ledger.keep(Finding(found=[Visit("http://h/new")]))
        told += segments(ledger)
    (tmp_path / "2").mkdir()
    with contextlib.closing(Ledger(tmp_path / "2", "job")) as other:
        Journal(other).take_over(b"".join(told).splitlines(keepends=True))
        assert other.items == 1200
        assert [visit.url for visit, done in other.visits() if not done] == ["http://h/new"]


def test_after_any_segment_what_is_done_has_its_links_and_its_answer(tmp_path: Path) -> None:
    """More of both than a segment takes: whoever goes on from there misses no page, and archives none twice."""
    sitemap = Visit("http://h/sitemap.xml", kind=VisitKind.SITEMAP)
    pages = [Visit(f"http://h/{number}") for number in range(20_500)]
    answers = {page.url: Page(page.url, NOW, 1, head=b"HTTP/1.1 200 OK", body=b"x" * 90_000) for page in pages[:100]}
    with opened(tmp_path / "1") as ledger:
        ledger.keep(Finding(found=[sitemap]))
        ledger.keep(Finding(sitemap, found=pages))
        for page in pages[:100]:
            ledger.keep(Finding(page, [Record(url=page.url)], page=answers[page.url]))
        told = segments(ledger)
    assert len(told) >= 3
    done_last: set[str] = set()
    for count in range(len(told) + 1):
        (tmp_path / "2").mkdir()
        with contextlib.closing(Ledger(tmp_path / "2", "job")) as other:
            Journal(other).take_over(b"".join(told[:count]).splitlines(keepends=True))
            known = {visit.url: done for visit, done in other.visits()}
            done = {url for url, is_done in known.items() if is_done}
            assert sitemap.url not in done or len(known) == 1 + len(pages)
            assert sorted(each.url for each in other.exchanges()) == sorted(done - {sitemap.url})
            assert done >= done_last
            done_last = done
        shutil.rmtree(tmp_path / "2")
    assert len(done_last) == 101


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["find", "good", "bad", "busy", "save", "reopen", "move"]), max_size=40))
def test_whatever_happens_in_whatever_order_nothing_is_lost_or_doubled(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """Against a model: what is known and done survives processes and, as far as it was saved, disks."""
    folder = tmp_path_factory.mktemp("ledger")
    ledger = Ledger(folder, "job")
    told: list[bytes] = []
    now: dict[str, str] = {}
    saved: dict[str, str] = {}
    for number, step in enumerate(steps):
        pending = [url for url, state in now.items() if state == "pending"]
        match step:
            case "find":
                ledger.keep(Finding(found=[Visit(f"http://h/{number}")]))
                now[f"http://h/{number}"] = "pending"
            case "good" | "bad" | "busy" if pending:
                record = Record(url=pending[0]) if step == "good" else failed(pending[0], retryable=step == "busy")
                ledger.keep(Finding(Visit(pending[0]), [record]))
                now[pending[0]] = step
            case "save":
                told += segments(ledger)
                saved = dict(now)
            case "reopen" | "move":
                ledger.close()
                if step == "move":
                    folder = tmp_path_factory.mktemp("ledger")
                    now = dict(saved)
                ledger = Ledger(folder, "job")
                if step == "move":
                    Journal(ledger).take_over(b"".join(told).splitlines(keepends=True))
                ledger.begin()
                now = {url: "pending" if state == "busy" else state for url, state in now.items()}
    assert {visit.url: done for visit, done in ledger.visits()} == {url: now[url] != "pending" for url in now}
    done = [url for url, state in now.items() if state != "pending"]
    assert sorted(record["url"] for record in ledger.records()) == sorted(done)
    ledger.close()


def test_the_file_is_hardly_larger_than_what_it_holds(tmp_path: Path) -> None:
    """Records once, beside them a few hundred bytes for each URL; neither a segment nor another start adds to it."""
    text = "".join(chr(97 + n % 26) for n in range(4000))
    urls = [f"http://site.example/some/way/to/page/{n}" for n in range(5000)]
    with opened(tmp_path) as ledger:
        for n in range(1000):
            found = [Visit(url, 1) for url in urls[5 * n : 5 * n + 5]]
            ledger.keep(Finding(Visit(urls[n]), [Record(url=urls[n], text=text)], found))
        held = sum(map(len, ledger.lines()))
        assert segments(ledger)
    with opened(tmp_path):
        size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < 1.3 * held + 400 * len(urls) + WAL_BYTES


WAL_BYTES = 5 << 20
"""SQLite's own log, which it begins anew when it has 1,000 pages of 4 KiB."""
