"""A second attempt: what the first has brought stays, only the rest is fetched, and nothing of it can get lost."""

import asyncio
import json
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiohttp import web
from operator_stand_in import StandIn, stand_in
from worker_process import Ended, Worker, assignment, eventually, records
from worker_site import Site


def line(url: str, title: str = "from before", *, number: int = 0, **more: Any) -> bytes:
    """What an earlier attempt has left of a page."""
    record = {"url": url, "status": 200, "title": title, "bytes": 100, "fetchedAt": "2026-03-01T00:00:00Z"} | more
    error = record.get("error")
    visit = json.dumps({"visits": [url, 0, 0, "page"]}).encode() + b"\n"
    result = segment(url, number, url, json.dumps(record), record["bytes"], error and json.dumps(error), bool(error))
    return visit + result


def segment(*result: Any) -> bytes:
    return json.dumps({"results": result}).encode() + b"\n"


def failed(url: str) -> bytes:
    error = {"code": "HTTP_503", "url": url, "attempt": 1, "retryable": True, "time": "2026-03-01T00:00:00Z"}
    return line(url, status=503, error=error)


def pages(site: Site, numbers: Iterable[int]) -> list[str]:
    return [f"{site.url}/page/{number}" for number in numbers]


def titles(ended: Ended) -> dict[str, str]:
    return {record["url"]: record.get("title", "") for record in records(ended)}


def fetched(site: Site) -> list[str]:
    return sorted(path for path in site.seen if path != "/robots.txt")


def refuse(status: int) -> Any:
    return lambda _operator, what: web.Response(status=status, text="no") if what == "earlier" else None


async def test_only_what_has_failed_is_fetched_again(worker: Worker, site: Site, operator: StandIn) -> None:
    """Counts, result and outcome tell of all pages, whoever has fetched them."""
    urls = pages(site, range(5))
    operator.earlier = b"".join([line(urls[0]), failed(urls[1]), line(urls[2]), failed(urls[3]), line(urls[4])])
    ended = await worker.run(assignment(operator, *urls, attempt=2))
    assert ended.code == 0, ended.log
    assert fetched(site) == ["/page/1", "/page/3"]
    assert titles(ended) == {
        urls[0]: "from before",
        urls[1]: "Page 1",
        urls[2]: "from before",
        urls[3]: "Page 3",
        urls[4]: "from before",
    }
    outcome = ended.outcome
    assert (outcome.total, outcome.succeeded, outcome.failed, outcome.items) == (5, 5, 0, 5)
    assert outcome.error_count == 0
    assert operator.results is not None
    assert len(operator.results.splitlines()) == 5
    assert not (ended.work / "earlier.jsonl.gz").exists(), "it took space twice"


async def test_progress_begins_with_what_is_there(worker: Worker, site: Site, operator: StandIn) -> None:
    site.free = 1
    urls = pages(site, range(4))
    operator.earlier = b"".join(line(url) for url in urls[:3])
    process = await worker.start(assignment(operator, *urls, attempt=2))
    await eventually(lambda: any((report.succeeded, report.total) == (3, 4) for report in operator.progress))
    site.released.set()
    assert (await worker.end(process)).outcome.succeeded == 4


async def test_a_page_that_fails_again_is_counted_once(worker: Worker, site: Site, operator: StandIn) -> None:
    urls = [*pages(site, range(2)), f"{site.url}/status/503"]
    operator.earlier = line(urls[0]) + line(urls[1]) + failed(urls[2])
    outcome = (await worker.run(assignment(operator, *urls, attempt=3))).outcome
    assert (outcome.succeeded, outcome.failed, outcome.error_count, outcome.retryable) == (2, 1, 1, 1)
    assert [error.attempt for error in outcome.errors] == [3]


async def test_nothing_left_to_fetch_is_a_good_end(worker: Worker, site: Site, operator: StandIn) -> None:
    """The first attempt was killed after its last page and before its last word."""
    urls = pages(site, range(3))
    operator.earlier = b"".join(line(url) for url in urls)
    ended = await worker.run(assignment(operator, *urls, attempt=2))
    assert ended.code == 0, ended.log
    assert site.seen == []
    assert (ended.outcome.succeeded, ended.outcome.items) == (3, 3)


async def test_a_first_attempt_asks_for_nothing(worker: Worker, site: Site, operator: StandIn) -> None:
    operator.earlier = line(f"{site.url}/page/0")
    ended = await worker.run(assignment(operator, *pages(site, range(2))))
    assert "earlier" not in operator.tries
    assert titles(ended)[f"{site.url}/page/0"] == "Page 0"


async def test_attempts_that_left_nothing_are_no_obstacle(worker: Worker, site: Site, operator: StandIn) -> None:
    ended = await worker.run(assignment(operator, *pages(site, range(2)), attempt=2))
    assert ended.code == 0, ended.log
    assert operator.tries.count("earlier") == 1
    assert fetched(site) == ["/page/0", "/page/1"]


async def test_damaged_and_foreign_lines_are_passed_over(worker: Worker, site: Site, operator: StandIn) -> None:
    """A line cut off, no JSON, no record, an empty line: what is good counts."""
    urls = pages(site, range(4))
    operator.earlier = b"".join(
        [
            b"\xff\xfe\n",
            b"[]\n",
            b"\n",
            b'{"title": "no url"}\n',
            line(urls[0]),
            segment(urls[1], 0, urls[1], '{"url": 7}', 100, None, 0),
            segment(urls[1], 0, urls[1]),
            segment(urls[1], "0", urls[1], "{}", 100, None, 0),
            line(urls[2])[:-20],
        ]
    )
    ended = await worker.run(assignment(operator, *urls, attempt=2))
    assert ended.code == 0, ended.log
    assert fetched(site) == ["/page/1", "/page/2", "/page/3"]
    assert set(titles(ended)) == set(urls)


async def test_a_page_named_twice_is_recorded_twice(worker: Worker, site: Site, operator: StandIn) -> None:
    """Once per name, also where one record came from before and the other is fetched."""
    one, two = pages(site, range(2))
    operator.earlier = line(one) + line(one, number=1) + line(two) + line(two, number=1)
    ended = await worker.run(assignment(operator, one, one, two, two, attempt=2))
    assert fetched(site) == []
    assert sorted(record["url"] for record in records(ended)) == [one, one, two, two]
    assert (ended.outcome.succeeded, ended.outcome.total) == (4, 4)


async def test_a_record_repeated_by_mistake_counts_once(worker: Worker, site: Site, operator: StandIn) -> None:
    urls = pages(site, range(2))
    operator.earlier = line(urls[0]) * 5
    ended = await worker.run(assignment(operator, *urls, attempt=2))
    assert len(records(ended)) == 2
    assert ended.outcome.succeeded == 2


async def test_a_single_page_is_repeated_or_kept(worker: Worker, site: Site, operator: StandIn) -> None:
    url = f"{site.url}/page/1"
    operator.earlier = failed(url)
    assert titles(await worker.run(assignment(operator, url, attempt=2))) == {url: "Page 1"}
    operator.earlier = line(url)
    shutil.rmtree(worker.work)
    worker.work.mkdir()  # the next pod's
    assert titles(await worker.run(assignment(operator, url, attempt=3))) == {url: "from before"}
    assert fetched(site) == ["/page/1"]


async def test_a_stop_while_waiting_for_earlier_records_hands_back_nothing(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    """Above all no result of its own, which would take the place of the earlier one."""
    operator.answer = refuse(503)
    process = await worker.start(assignment(operator, *pages(site, range(3)), attempt=2))
    await eventually(lambda: operator.tries.count("earlier") > 1)
    process.send_signal(signal.SIGTERM)
    ended = await worker.end(process, 30)
    assert ended.code == 143, ended.log
    assert ended.outcome.failure is not None
    assert ended.outcome.failure.code == "Interrupted"
    assert operator.results is None
    assert site.seen == []


async def test_time_that_ran_out_before_earlier_records_came_takes_nothing_from_them(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    operator.answer = refuse(503)
    ended = await worker.run(assignment(operator, *pages(site, range(3)), attempt=2, timeoutSeconds=2))
    assert ended.code == 1, ended.log
    assert ended.outcome.failure is not None
    assert (ended.outcome.failure.code, ended.outcome.failure.cause) == ("Timeout", "Transient")
    assert operator.results is None
    assert operator.outcome is not None


async def test_an_operator_that_comes_back_is_waited_for(worker: Worker, site: Site, unreachable: StandIn) -> None:
    urls = pages(site, range(3))
    unreachable.earlier = line(urls[0]) + line(urls[1])
    process = await worker.start(assignment(unreachable, *urls, attempt=2))
    await asyncio.sleep(1.5)
    assert site.seen == [], "nothing is fetched that may be there already"
    async with stand_in(unreachable, int(unreachable.url.rsplit(":", 1)[1])):
        ended = await worker.end(process)
    assert ended.code == 0, ended.log
    assert fetched(site) == ["/page/2"]
    assert ended.outcome.succeeded == 3


async def test_records_that_arrive_cut_off_are_asked_for_again(worker: Worker, site: Site, operator: StandIn) -> None:
    urls = pages(site, range(3))
    operator.earlier = b"".join(line(url) for url in urls)
    operator.cuts = 2
    ended = await worker.run(assignment(operator, *urls, attempt=2))
    assert ended.code == 0, ended.log
    assert operator.tries.count("earlier") == 3
    assert site.seen == []


async def test_an_operator_that_has_none_to_give_is_not_asked_for_ever(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    """An older one does not know the question: then all is fetched again."""
    operator.answer = refuse(405)
    ended = await worker.run(assignment(operator, *pages(site, range(2)), attempt=2))
    assert ended.code == 0, ended.log
    assert operator.tries.count("earlier") == 1
    assert fetched(site) == ["/page/0", "/page/1"]
    assert ended.outcome.succeeded == 2


async def test_large_records_are_carried_over_whole(
    worker: Worker, site: Site, operator: StandIn, tmp_path: Path
) -> None:
    """Longer than any buffer on the way."""
    urls = pages(site, range(3))
    text = "ä" * 3_000_000
    operator.earlier = line(urls[0], text=text) + line(urls[1], text=text)
    ended = await worker.run(assignment(operator, *urls, attempt=2))
    assert ended.code == 0, ended.log
    kept = {record["url"]: record.get("text") for record in records(ended)}
    assert kept[urls[0]] == kept[urls[1]] == text


async def test_what_another_try_could_change_and_when_is_told(worker: Worker, site: Site, operator: StandIn) -> None:
    """503 and 429 with Retry-After; a 404's is nobody's business."""
    urls = [f"{site.url}/status/{status}?after={after}" for status, after in ((503, 1), (429, 2), (404, 9), (410, 9))]
    ended = await worker.run(assignment(operator, *urls, f"{site.url}/page/1"))
    assert ended.code == 0, ended.log
    assert (ended.outcome.failed, ended.outcome.retryable, ended.outcome.retry_after_seconds) == (4, 2, 2)
    assert operator.outcome is not None
    assert (operator.outcome.retryable, operator.outcome.retry_after_seconds) == (2, 2)


async def test_a_pause_that_is_asked_for_where_nothing_is_repeated_is_none(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    ended = await worker.run(assignment(operator, f"{site.url}/status/404?after=9", f"{site.url}/page/1"))
    assert (ended.outcome.retryable, ended.outcome.retry_after_seconds) == (0, 0)
