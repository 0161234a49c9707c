"""Processors of others: found by entry point, told their checked parameters, and stopped like any other."""

import asyncio
import json
import math
import signal
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from operator_stand_in import StandIn
from worker_process import Worker, assignment, eventually, records
from worker_site import PAGE, Site

from demo.folders import EXAMPLES
from demo.pages import PAGES
from demo.site import DemoSite

PLUGIN = '''
import asyncio
from collections.abc import AsyncGenerator
from pydantic import BaseModel, Field
from crawl_worker.context import Context
from crawl_worker.processors.custom import CustomProcessor
from crawl_worker.records import Record

class Headlines(BaseModel):
    """Take the headline of some pages."""
    urls: list[str] = Field(min_length=1, description="where to look")
    top: int = Field(5, ge=1, le=10)
    slow: float = 0.0

async def run(parameters: Headlines, context: Context) -> AsyncGenerator[Record, None]:
    for url in parameters.urls[:parameters.top]:
        page = await context.fetch(url)
        if page.error is not None:
            yield Record(url=url, error=page.error.job_error(url, context.job.attempt))
        else:
            yield Record(url=url, data={"top": parameters.top, "size": len(page.body)})
        await asyncio.sleep(parameters.slow)

headlines = CustomProcessor(Headlines, run, examples=({"urls": ["https://example.org/"]},))
broken = 7
'''


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, Any]:
    """An installed plug-in; the environment that a worker finds it by."""
    folder = tmp_path / "site-packages"
    info = folder / "crawl_headlines-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "crawl_headlines.py").write_text(textwrap.dedent(PLUGIN))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: crawl-headlines\nVersion: 1.0\n")
    names = "headlines = crawl_headlines:headlines\nbroken = crawl_headlines:broken\nlost = nowhere:x\n"
    (info / "entry_points.txt").write_text(f"[crawl_operator.processors]\n{names}")
    return {"PYTHONPATH": str(folder)}


def job(operator: StandIn, processor: str, **parameters: Any) -> dict[str, Any]:
    wanted = {"processor": processor, "parameters": parameters}
    return assignment(operator, "http://h/", type="Custom", single=None, custom=wanted)


async def test_a_plug_in_is_given_its_parameters_and_its_records_are_the_result(
    worker: Worker, site: Site, operator: StandIn, plugin: dict[str, Any]
) -> None:
    """Defaults are filled in; what it fetches goes through robots.txt and guard like all else."""
    site.robots = "User-agent: *\nDisallow: /page/2"
    urls = [f"{site.url}/page/{n}" for n in range(4)] + ["http://10.0.0.1/"]
    ended = await worker.run(job(operator, "headlines", urls=urls), **plugin)
    assert ended.code == 0, ended.log
    found = {record["url"]: record.get("data") or record["error"]["code"] for record in operator.lines}
    assert found.pop(urls[2]) == "RobotsDisallowed"
    assert found.pop(urls[4]) == "AddressRefused"
    assert {data["top"] for data in found.values()} == {5}
    assert (ended.outcome.total, ended.outcome.succeeded, ended.outcome.failed) == (5, 3, 2)


@pytest.mark.parametrize(
    ("processor", "parameters", "words"),
    [
        ("headline", {}, ["no processor is called headline", "broken, headlines, lost, scrapy"]),
        ("headlines", {"urls": [], "top": 99}, ["custom.parameters.urls: ", "custom.parameters.top: "]),
        ("broken", {}, ["is no CustomProcessor"]),
        ("lost", {}, ["cannot be loaded", "nowhere"]),
        ("scrapy", {"spider": "x", "depth": 1}, ["custom.parameters.depth: "]),
    ],
)
async def test_what_can_never_run_is_said_at_once_and_whole(
    worker: Worker,
    operator: StandIn,
    plugin: dict[str, Any],
    processor: str,
    *,
    parameters: dict[str, Any],
    words: list[str],
) -> None:
    ended = await worker.run(job(operator, processor, **parameters), **plugin)
    failure = ended.outcome.failure
    assert failure is not None
    assert (failure.code, failure.cause) == ("InvalidParameters", "Permanent")
    assert all(word in failure.message for word in words), failure.message


async def test_a_stop_keeps_what_is_done_and_the_next_attempt_repeats_no_record(
    worker: Worker, site: Site, operator: StandIn, plugin: dict[str, Any]
) -> None:
    urls = [f"{site.url}/page/{n}" for n in range(10)]
    wanted = job(operator, "headlines", urls=urls, top=10, slow=0.2)
    site.free = 4
    process = await worker.start(wanted, **plugin)
    await eventually(lambda: site.count("/page/3") == 1)
    process.send_signal(signal.SIGTERM)
    ended = await worker.end(process, 30)
    assert ended.code == 143, ended.log
    assert 3 <= len(operator.lines) < 10
    site.free = math.inf
    ended = await worker.run(wanted | {"attempt": 2}, **plugin)
    assert ended.code == 0, ended.log
    assert sorted(record["url"] for record in operator.lines) == sorted(urls)


async def test_the_catalogue_tells_every_processor_with_its_schema(worker: Worker) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "crawl_worker", "--catalogue"), stdout=asyncio.subprocess.PIPE, env={}
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    (scrapy,) = json.loads(out)
    assert (scrapy["name"], scrapy["description"]) == ("scrapy", "Run one spider of the image's Scrapy project.")
    assert scrapy["parameters"]["properties"]["spider"]["description"] == "Name of the spider."
    assert scrapy["examples"]


PROJECT: dict[str, Any] = {
    "PYTHONPATH": str(EXAMPLES / "scrapy_project"),
    "SCRAPY_SETTINGS_MODULE": "handbook.settings",
}


async def test_a_scrapy_projects_items_are_the_result(worker: Worker, operator: StandIn) -> None:
    """All prices of the catalogue, by the example's spider; no more requests at once than the operator allows."""
    with DemoSite(delay=0.05) as site:
        wanted = job(operator, "scrapy", spider="catalogue", arguments={"start": site.url("/catalogue/")})
        ended = await worker.run(wanted | {"maxConcurrency": 3}, **PROJECT)
        assert ended.code == 0, ended.log
        priced = {site.url(page.path) for page in PAGES.values() if page.price and page.path.startswith("/catalogue/")}
        assert site.peak_in_flight <= 3
    assert {record["data"]["url"] for record in operator.lines} == priced
    assert {record["url"].partition("#")[0] for record in operator.lines} == priced
    assert ended.outcome.succeeded == len(operator.lines) == len(priced)


SPIDER = """
import scrapy

class Chain(scrapy.Spider):
    name = "chain"
    custom_settings = {"CONCURRENT_REQUESTS": 100, "AUTOTHROTTLE_ENABLED": False}

    def __init__(self, start, last="none", bad="none", empty="none", **arguments):
        super().__init__(**arguments)
        self.start_urls, self.last, self.bad, self.empty = start.split(), last, bad, empty

    def parse(self, response):
        if response.url.endswith(self.bad):
            raise ValueError("no price")
        if not response.url.endswith(self.empty):
            yield {"url": response.url}
        if not response.url.endswith(self.last):
            yield from response.follow_all(css="main a")
"""


@pytest.fixture
def project(tmp_path: Path) -> dict[str, Any]:
    """A Scrapy project whose spider follows the test site's chain of pages; the environment that finds it."""
    (tmp_path / "chains.py").write_text(SPIDER)
    (tmp_path / "chain_settings.py").write_text("SPIDER_MODULES = ['chains']\n")
    return {"PYTHONPATH": str(tmp_path), "SCRAPY_SETTINGS_MODULE": "chain_settings"}


async def test_settings_of_the_job_hold_for_its_spider(
    worker: Worker, site: Site, operator: StandIn, project: dict[str, Any]
) -> None:
    arguments = {"start": f"{site.url}/page/0", "last": "/5"}
    wanted = job(operator, "scrapy", spider="chain", arguments=arguments, settings={"DEPTH_LIMIT": 1})
    ended = await worker.run(wanted, **project)
    assert ended.code == 0, ended.log
    assert sorted(record["data"]["url"] for record in operator.lines) == [f"{site.url}/page/{n}" for n in (0, 1)]
    wanted = job(operator, "scrapy", spider="chain", arguments=arguments) | {"uid": "another"}
    await worker.run(wanted, **project)
    assert len(operator.lines) == 6, "without the setting the chain goes on"


async def test_settings_of_the_job_lift_no_limit(
    worker: Worker, site: Site, operator: StandIn, project: dict[str, Any]
) -> None:
    """Robots.txt is obeyed and no more requests are in flight than the operator allows, whatever is set where."""
    site.robots, site.delay = "User-agent: *\nDisallow: /page/7", 0.1
    urls = [f"{site.url}/page/{n}" for n in range(12)]
    settings = {"ROBOTSTXT_OBEY": False, "CONCURRENT_REQUESTS": 100, "CONCURRENT_REQUESTS_PER_DOMAIN": 100}
    told = {"spider": "chain", "arguments": {"start": " ".join(urls)}}
    wanted = job(operator, "scrapy", **told, settings=settings | {"DEPTH_LIMIT": 1, "USER_AGENT": "sly"})
    ended = await worker.run(wanted | {"maxConcurrency": 3}, **project)
    assert ended.code == 0, ended.log
    assert "/page/11" in site.seen
    assert "/page/7" not in site.seen
    assert site.most_in_flight == 3
    assert site.agents == {"crawl-tests/1"}


@pytest.mark.long
async def test_what_scrapy_counts_is_told_as_progress(
    worker: Worker, site: Site, operator: StandIn, project: dict[str, Any]
) -> None:
    """Responses, bytes and items on the way; a page that the spider raises at is an error of its own."""
    site.delay = 0.3
    urls = [f"{site.url}/page/{n}" for n in range(0, 24, 2)]
    told = {"spider": "chain", "arguments": {"start": " ".join(urls), "bad": "/8", "empty": "1"}}
    wanted = job(operator, "scrapy", **told, settings={"DEPTH_LIMIT": 1})
    ended = await worker.run(wanted | {"maxConcurrency": 2}, **project)
    assert ended.code == 0, ended.log
    outcome = ended.outcome
    assert len(site.seen) == 1 + 23, "robots.txt, 12 pages, and those that 11 of them link to"
    assert (outcome.total, outcome.succeeded, outcome.failed) == (20, 19, 1), "3 pages hold no item"
    (error,) = outcome.errors
    assert (error.code, error.url, error.retryable) == ("SpiderError", f"{site.url}/page/8", False)
    assert "ValueError: no price" in error.message
    assert outcome.bytes > 23 * len(PAGE)
    on_the_way = [report for report in operator.progress if 0 < report.succeeded < 19]
    assert len(on_the_way) >= 2
    assert all(report.total > report.succeeded + report.failed for report in on_the_way), "robots.txt is one response"
    assert 0 < on_the_way[0].bytes < on_the_way[-1].bytes < outcome.bytes


@pytest.mark.long
async def test_the_byte_limit_ends_a_spider(
    worker: Worker, site: Site, operator: StandIn, project: dict[str, Any]
) -> None:
    """It is looked at as items come; what was received by then is kept."""
    site.delay = 0.2
    urls = [f"{site.url}/page/{n}" for n in range(24)]
    wanted = job(operator, "scrapy", spider="chain", arguments={"start": " ".join(urls)}, settings={"DEPTH_LIMIT": 1})
    limits = {"maxTotalBytes": 4 * len(PAGE), "concurrency": 2}
    ended = await worker.run(wanted | {"fetch": limits}, **project)
    assert ended.code == 0, ended.log
    assert 0 < ended.outcome.succeeded == len(operator.lines) < 24
    assert len(site.seen) < 24
    assert ended.outcome.bytes >= limits["maxTotalBytes"]


async def test_the_guard_holds_for_scrapy_projects_too(worker: Worker, operator: StandIn) -> None:
    with DemoSite() as site:
        wanted = job(operator, "scrapy", spider="catalogue", arguments={"start": site.url("/catalogue/")})
        ended = await worker.run(wanted | {"allowedNetworks": []}, **PROJECT)
        assert not site.requests, ended.log
    assert operator.lines == []


async def test_a_spider_that_is_not_there_is_named_with_those_that_are(worker: Worker, operator: StandIn) -> None:
    ended = await worker.run(job(operator, "scrapy", spider="prices"), **PROJECT)
    failure = ended.outcome.failure
    assert failure is not None
    assert (failure.code, failure.cause) == ("InvalidParameters", "Permanent")
    assert "no spider is called prices; there are: catalogue" in failure.message
    assert records(ended) == []
