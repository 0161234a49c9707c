"""Answers that are kept for other jobs: used, asked about again or left alone, as job and site say."""

import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zstandard
from aiohttp import web
from operator_stand_in import StandIn, serving
from worker_process import Ended, Worker, assignment


@dataclass
class Page:
    """How a page is answered."""

    headers: dict[str, str] = field(default_factory=dict)
    text: str = "first"
    status: int = 200


@dataclass
class Origin:
    """A site that says how long its pages hold."""

    base: str = ""
    pages: dict[str, Page] = field(default_factory=lambda: {"/page": Page()})
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.base}/page"

    @property
    def page(self) -> Page:
        return self.pages["/page"]

    def urls(self) -> list[str]:
        return [self.base + path for path in self.pages]

    def count(self) -> int:
        """How often it was asked for a page."""
        return len(self.asked)

    async def answer(self, request: web.Request) -> web.Response:
        page = self.pages.get(request.path)
        if page is None:
            return web.Response(status=404)
        self.asked.append((request.path, dict(request.headers)))
        same = {"If-None-Match": page.headers.get("ETag"), "If-Modified-Since": page.headers.get("Last-Modified")}
        if any(value is not None and request.headers.get(name) == value for name, value in same.items()):
            return web.Response(status=304, headers=page.headers)
        body = gzip.compress(f"<title>{page.text}</title>".encode())
        headers = {"Content-Type": "text/html", "Content-Encoding": "gzip"} | page.headers
        return web.Response(status=page.status, body=body, headers=headers)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    made = Origin()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    async with serving(app) as port:
        made.base = f"http://127.0.0.1:{port}"
        yield made


async def crawl(worker: Worker, operator: StandIn, origin: Origin, mode: str, **fetch: Any) -> Ended:
    """Crawl the page by a job of its own."""
    uid = f"job-{len(operator.tries)}"
    ended = await worker.run(assignment(operator, *origin.urls(), uid=uid, fetch={"cacheMode": mode} | fetch))
    assert ended.code == 0, ended.log
    return ended


def told(operator: StandIn) -> tuple[str | None, bool]:
    """Return the title of the last result, and whether it was taken from the cache."""
    (record,) = operator.lines
    return record.get("title"), record.get("fromCache", False)


async def test_each_mode_does_what_its_name_says(worker: Worker, operator: StandIn, origin: Origin) -> None:
    """None and Write ask the site, Read and ReadWrite do not; what was read is as it was, and counted."""
    steps = [
        ("Read", "first", False, 1),  # nothing is there, and nothing is kept
        ("Write", "first", False, 2),
        ("ReadWrite", "first", True, 2),
        ("None", "second", False, 3),
        ("Read", "first", True, 3),
        ("Write", "second", False, 4),
        ("ReadThrough", "second", True, 4),
    ]
    for mode, title, kept, asked in steps:
        origin.page.text = "first" if asked < 3 else "second"
        ended = await crawl(worker, operator, origin, mode)
        assert (told(operator), origin.count()) == ((title, kept), asked), mode
        assert ended.outcome.from_cache == int(kept)
        assert operator.outcome is not None
        assert operator.outcome.from_cache == int(kept)


async def test_what_is_old_is_asked_about_and_need_not_be_sent_again(
    worker: Worker, operator: StandIn, origin: Origin
) -> None:
    """A 304 makes the kept answer good again; a changed page is sent; some sites want to be asked each time."""
    one, two = "Sun, 01 Mar 2026 10:00:00 GMT", "Mon, 02 Mar 2026 10:00:00 GMT"
    origin.pages = {
        "/tag": Page({"ETag": '"1"'}),
        "/time": Page({"Last-Modified": one}),
        "/always": Page({"ETag": '"1"', "Cache-Control": "no-cache"}),
        "/plain": Page(),
    }

    async def again(seconds: int) -> dict[str, tuple[str, bool]]:
        origin.asked.clear()
        await crawl(worker, operator, origin, "ReadWrite", cacheSeconds=seconds)
        return {
            line["url"].rsplit("/", 1)[-1]: (line["title"], line.get("fromCache", False)) for line in operator.lines
        }

    await again(60)
    for page in origin.pages.values():
        page.text = "second"
    assert await again(60) == dict.fromkeys(("tag", "time", "always", "plain"), ("first", True))
    assert [path for path, _ in origin.asked] == ["/always"]
    assert await again(0) == dict.fromkeys(("tag", "time", "always"), ("first", True)) | {"plain": ("second", False)}
    assert origin.count() == 4
    origin.pages["/tag"].headers["ETag"] = '"2"'
    origin.pages["/time"].headers["Last-Modified"] = two
    found = await again(0)
    assert found["tag"] == found["time"] == ("second", False)


async def test_what_must_not_be_kept_is_not(worker: Worker, operator: StandIn, origin: Origin) -> None:
    origin.pages |= {
        "/no-store": Page({"Cache-Control": "no-store"}),
        "/vary": Page({"Vary": "*"}),
        "/missing": Page(status=404),
        "/broken": Page(status=500),
        "/moved": Page({"Location": "/missing"}, status=302),
    }
    await crawl(worker, operator, origin, "ReadWrite")
    assert len(operator.cache) == 1


async def test_another_user_agent_is_another_page(worker: Worker, operator: StandIn, origin: Origin) -> None:
    await crawl(worker, operator, origin, "ReadWrite")
    await crawl(worker, operator, origin, "ReadWrite", userAgent="other/1")
    assert (told(operator), origin.count()) == (("first", False), 2)


async def test_answers_to_secret_headers_are_nobody_elses(
    worker: Worker, operator: StandIn, origin: Origin, tmp_path: Path
) -> None:
    folder = tmp_path / "headers"
    folder.mkdir()
    (folder / "Authorization").write_text("secret")
    job = assignment(operator, origin.url, fetch={"cacheMode": "ReadWrite"})
    await worker.run(job, CRAWL_HEADERS=str(folder))
    assert operator.cache == {}


async def test_a_damaged_entry_is_none(worker: Worker, operator: StandIn, origin: Origin) -> None:
    origin.pages = {f"/{number}": Page() for number in range(4)}
    await crawl(worker, operator, origin, "ReadWrite")
    damages = [b"", b"nonsense", b"\x28\xb5\x2f\xfd", zstandard.compress(b'{"url": 7}\n')]
    operator.cache = dict(zip(operator.cache, damages, strict=True))
    assert (await crawl(worker, operator, origin, "ReadWrite")).outcome.from_cache == 0
    assert (await crawl(worker, operator, origin, "ReadWrite")).outcome.from_cache == 4


async def test_a_store_that_is_away_costs_the_cache_and_no_page(
    worker: Worker, operator: StandIn, origin: Origin
) -> None:
    operator.answer = lambda _self, what: web.Response(status=507) if what == "cache" else None
    origin.pages = {f"/{number}": Page() for number in range(6)}
    ended = await crawl(worker, operator, origin, "ReadWrite", concurrency=1)
    assert ended.outcome.succeeded == 6
    assert operator.tries.count("cache") == 3
    assert "goes on without a cache" in ended.log


async def test_the_cache_lies_in_the_store_of_the_results(
    worker: Worker, operator: StandIn, origin: Origin, tmp_path: Path
) -> None:
    """A store that the job names holds both, and a Maintenance job cleans up there."""
    output = {"storeUrl": f"file://{tmp_path}/bucket"}
    for kept in (0, 1):
        job = assignment(operator, origin.url, uid=f"u{kept}", output=output, fetch={"cacheMode": "ReadThrough"})
        ended = await worker.run(job)
        assert ended.outcome.from_cache == kept, ended.log
    assert operator.cache == {}
    assert len(list((tmp_path / "bucket/default/.cache").iterdir())) == 1
    folder = tmp_path / "bucket/default"
    (folder / "mine.txt").write_text("not the crawls'")
    (tmp_path / "bucket/other/x/y/1").mkdir(parents=True)
    (tmp_path / "bucket/other/x/y/1/results.jsonl").write_text("another namespace's")
    for task, left in (("result_cleanup", {"mine.txt", ".cache"}), ("cache_cleanup", {"mine.txt"})):
        for seconds in (60, 0):
            wanted = {"task": task, "parameters": {"olderThanSeconds": seconds}}
            job = assignment(
                operator, origin.url, type="Maintenance", single=None, uid=f"{task}{seconds}", maintenance=wanted
            )
            ended = await worker.run(job | {"output": output, "name": f"clean-{seconds}"})
            assert ended.code == 0, ended.log
        files = {
            path.relative_to(tmp_path / "bucket/default")
            for path in (tmp_path / "bucket/default").rglob("*")
            if path.is_file()
        }
        own = {path.parts[0] for path in files if not path.parts[0].startswith("clean-")}
        assert own == left
    assert (tmp_path / "bucket/other/x/y/1/results.jsonl").exists()
