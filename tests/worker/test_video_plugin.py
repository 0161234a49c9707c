"""The example plug-in, installed as a package is, on lists of videos that are made here."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from operator_stand_in import StandIn, serving
from worker_process import Worker, assignment

import video_image
from crawl_api.crawljob import CrawlJobSpec
from demo.folders import EXAMPLES

PLUGIN = EXAMPLES / "video_plugin"
PER_PAGE = 8


@dataclass
class Videos:
    """A site with one list of 20 videos, a day apart, newest first."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    broken: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nDisallow: /private")
        self.asked.append(request.path_qs)
        page = int(request.query.get("page", 0))
        if self.broken and page:
            return web.Response(status=503)
        numbers = range(20)[page * PER_PAGE : (page + 1) * PER_PAGE]
        more = f'<a rel="next" href="{request.path}?page={page + 1}">more</a>' if numbers and numbers[-1] < 19 else ""
        document = {"@type": "ItemList", "itemListElement": [{"item": self.video(n)} for n in numbers]}
        noise = '<script type="application/ld+json">{"@type": "WebSite"}</script>'
        text = f'{noise}<script type="application/ld+json">{json.dumps(document)}</script>{more}'
        return web.Response(text=text, content_type="text/html")

    def video(self, number: int) -> dict[str, Any]:
        day = datetime.now(UTC) - timedelta(days=number)
        return {
            "@type": "VideoObject",
            "name": f"Video {number}",
            "url": f"/watch/{number}",
            "uploadDate": day.isoformat(),
            "interactionCount": 1000 - number,
            "author": {"name": "Tools"},
        }


@pytest.fixture
async def videos() -> AsyncIterator[Videos]:
    site = Videos()
    app = web.Application()
    app.router.add_get("/{path:.*}", site.answer)
    async with serving(app) as port:
        site.url = f"http://127.0.0.1:{port}"
        yield site


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, Any]:
    """The environment of a worker that has the plug-in."""
    return video_image.installed(tmp_path)


def job(operator: StandIn, processor: str, **parameters: Any) -> dict[str, Any]:
    wanted = {"processor": processor, "parameters": parameters}
    return assignment(operator, "http://h/", type="Custom", single=None, custom=wanted)


def titles(operator: StandIn) -> list[str]:
    return [record["data"]["title"] for record in operator.lines]


async def test_a_channel_tells_its_newest_videos_over_several_pages(
    worker: Worker, operator: StandIn, videos: Videos, installed: dict[str, Any]
) -> None:
    ended = await worker.run(
        job(operator, "channel_scrape", channel_url=f"{videos.url}/c/tools", top_n=12), **installed
    )
    assert ended.code == 0, ended.log
    assert titles(operator) == [f"Video {n}" for n in range(12)]
    assert videos.asked == ["/c/tools", "/c/tools?page=1"]
    first = operator.lines[0]
    assert first["url"] == f"{videos.url}/watch/0"
    assert (first["data"]["rank"], first["data"]["views"], first["data"]["channel"]) == (1, 1000, "Tools")
    assert operator.outcome is not None
    expected = {"channel_url": f"{videos.url}/c/tools", "top_n": 12, "max_age_days": None}
    assert operator.outcome.parameters == expected


async def test_old_videos_are_left_out(
    worker: Worker, operator: StandIn, videos: Videos, installed: dict[str, Any]
) -> None:
    wanted = job(operator, "channel_scrape", channel_url=f"{videos.url}/c/tools", top_n=100, max_age_days=5)
    ended = await worker.run(wanted, **installed)
    assert ended.code == 0, ended.log
    assert titles(operator) == [f"Video {n}" for n in range(6)]


@pytest.mark.parametrize(
    ("processor", "parameters", "asked"),
    [
        ("trending_scrape", {"country": "DE", "category": "music"}, "/trending?country=DE&category=music"),
        ("keyword_search", {"query": "a & b", "sort_by": "views"}, "/search?q=a+%26+b&date=any&sort=views"),
    ],
)
async def test_the_site_is_asked_for_what_the_parameters_say(
    worker: Worker,
    operator: StandIn,
    videos: Videos,
    installed: dict[str, Any],
    processor: str,
    *,
    parameters: dict[str, Any],
    asked: str,
) -> None:
    ended = await worker.run(job(operator, processor, site=videos.url, top_n=3, **parameters), **installed)
    assert ended.code == 0, ended.log
    assert videos.asked == [asked]
    assert titles(operator) == ["Video 0", "Video 1", "Video 2"]


async def test_a_list_that_breaks_off_keeps_what_it_told(
    worker: Worker, operator: StandIn, videos: Videos, installed: dict[str, Any]
) -> None:
    videos.broken = True
    wanted = job(operator, "channel_scrape", channel_url=f"{videos.url}/c/tools", top_n=20)
    ended = await worker.run(wanted, **installed)
    assert (ended.outcome.succeeded, ended.outcome.failed, ended.outcome.retryable) == (PER_PAGE, 1, 1)
    assert [error.code for error in ended.outcome.errors] == ["HTTP_503"]


async def test_robots_txt_holds_for_plug_ins(
    worker: Worker, operator: StandIn, videos: Videos, installed: dict[str, Any]
) -> None:
    ended = await worker.run(job(operator, "channel_scrape", channel_url=f"{videos.url}/private"), **installed)
    assert [error.code for error in ended.outcome.errors] == ["RobotsDisallowed"]
    assert videos.asked == []


@pytest.mark.parametrize(
    ("processor", "parameters", "words"),
    [
        ("channel_scrape", {"top_n": 0, "max_age_days": "x"}, ["channel_url: Field required", "top_n", "max_age_days"]),
        ("trending_scrape", {"country": "Germany", "category": "cats"}, ["parameters.country", "parameters.category"]),
        ("keyword_search", {"query": "", "sort": "x"}, ["parameters.query", "parameters.sort: Extra"]),
    ],
)
async def test_wrong_parameters_are_all_named(
    worker: Worker,
    operator: StandIn,
    installed: dict[str, Any],
    processor: str,
    *,
    parameters: dict[str, Any],
    words: list[str],
) -> None:
    ended = await worker.run(job(operator, processor, **parameters), **installed)
    failure = ended.outcome.failure
    assert failure is not None
    assert failure.code == "InvalidParameters"
    assert all(word in failure.message for word in words), failure.message


async def test_its_schemas_are_listed(worker: Worker, operator: StandIn, installed: dict[str, Any]) -> None:
    """Name, description, and of each parameter its type, bounds, default and description."""
    wanted = assignment(operator, "http://h/", type="Maintenance", single=None, maintenance={"task": "list_processors"})
    ended = await worker.run(wanted, **installed)
    assert ended.code == 0, ended.log
    listed = {record["url"].removeprefix("processor:"): record["data"] for record in operator.lines}
    search = listed["keyword_search"]
    assert search["description"] == "Tell what a search finds."
    assert set(search["parameters"]["properties"]) == {"query", "top_n", "date_filter", "sort_by", "site"}
    assert search["parameters"]["required"] == ["query"]
    top = search["parameters"]["properties"]["top_n"]
    assert (top["default"], top["maximum"], top["type"]) == (10, 500, "integer")
    for each in ("channel_scrape", "trending_scrape", "keyword_search"):
        assert listed[each]["examples"]


def test_its_job_is_one() -> None:
    job = yaml.safe_load((PLUGIN / "job.yaml").read_text())
    spec = CrawlJobSpec.model_validate(job["spec"])
    assert spec.custom is not None
    assert spec.custom.processor == "channel_scrape"
