"""Sitemaps: where they are found, what forms they have, and how far their indexes lead."""

import gzip

import pytest
from aiohttp import web
from made_sites import MadeSites, Pages, linking, paths, site_job
from operator_stand_in import StandIn
from worker_process import Worker


async def test_sitemaps_are_read_in_every_form(worker: Worker, operator: StandIn, serve: MadeSites) -> None:
    """Named by the job, as an index, gzipped, as plain text; one that is broken or missing is an error of its own."""
    url, _ = await serve(
        {
            "/": linking(),
            "/list.txt": web.Response(text="/from-text\n\nhttp://elsewhere.invalid/\n", content_type="text/plain"),
            "/z.gz": web.Response(body=gzip.compress(b"<urlset><url><loc>/zipped</loc></url></urlset>")),
            "/bomb.gz": web.Response(body=gzip.compress(b"<urlset>" + b" " * 200_000_000)),
            "/broken.xml": web.Response(text="<"),
            "/from-text": linking(text="1"),
            "/zipped": linking(text="2"),
        }
    )
    names = ("list.txt", "z.gz", "bomb.gz", "broken.xml", "missing.xml")
    sitemaps = [f"{url}/{name}" for name in names]
    await worker.run(site_job(operator, f"{url}/", sitemapUrls=sitemaps), 90)
    found = {record["url"].removeprefix(url): record.get("error", {}).get("code") for record in operator.lines}
    assert found == {
        "/": None,
        "/from-text": None,
        "/zipped": None,
        "/bomb.gz": "ExtractionFailed",
        "/broken.xml": "ExtractionFailed",
        "/missing.xml": "HTTP_404",
    }


def listing(*urls: str, kind: str = "urlset") -> web.Response:
    """Return a sitemap, or an index of some."""
    entry = "sitemap" if kind == "sitemapindex" else "url"
    entries = "".join(f"<{entry}><loc>{url}</loc></{entry}>" for url in urls)
    return web.Response(text=f"<{kind}>{entries}</{kind}>", content_type="application/xml")


@pytest.mark.parametrize("named", [False, True])
async def test_a_sitemap_at_its_usual_place_is_read_unless_robots_txt_names_another(
    worker: Worker, operator: StandIn, serve: MadeSites, *, named: bool
) -> None:
    robots = "User-agent: *\nAllow: /\n" + ("Sitemap: /named.xml\n" if named else "")
    url, asked = await serve(
        {
            "/robots.txt": web.Response(text=robots),
            "/sitemap.xml": listing("/usual"),
            "/named.xml": listing("/told"),
            "/": linking(),
            "/usual": linking(text="usual"),
            "/told": linking(text="told"),
        }
    )
    ended = await worker.run(site_job(operator, f"{url}/"))
    assert ended.outcome.failed == 0, ended.log
    assert paths(operator) == (["", "told"] if named else ["", "usual"])
    assert (asked["/sitemap.xml"], asked["/named.xml"]) == ((0, 1) if named else (1, 0))


async def test_indexes_of_sitemaps_are_followed_three_deep(worker: Worker, operator: StandIn, serve: MadeSites) -> None:
    """Each once, also where they name each other; what lies deeper is not asked for, and harms nothing."""
    url, asked = await serve(
        {
            "/sitemap.xml": listing("/second.xml", "/sitemap.xml", kind="sitemapindex"),
            "/second.xml": listing("/third.xml", "/sitemap.xml", kind="sitemapindex"),
            "/third.xml": listing("/pages.xml", "/fourth.xml", kind="sitemapindex"),
            "/pages.xml": listing("/listed"),
            "/fourth.xml": listing("/too-deep.xml", kind="sitemapindex"),
            "/too-deep.xml": listing("/lost"),
            "/": linking(),
            "/listed": linking(text="listed"),
            "/lost": linking(text="lost"),
        }
    )
    ended = await worker.run(site_job(operator, f"{url}/"))
    assert ended.outcome.failed == 0, ended.log
    assert paths(operator) == ["", "listed"]
    assert {path: count for path, count in asked.items() if path.endswith(".xml")} == dict.fromkeys(
        ("/sitemap.xml", "/second.xml", "/third.xml", "/pages.xml", "/fourth.xml"), 1
    )


async def test_a_sitemap_that_may_be_read_later_is_an_error_and_the_next_attempt_reads_it(
    worker: Worker, operator: StandIn, serve: MadeSites
) -> None:
    """A guessed one that is not there is none; of one whose host asks for a pause, nobody knows yet."""
    answers = iter([web.Response(status=503, headers={"Retry-After": "3600"}), listing("/listed")])
    pages: Pages = {"/": linking(), "/sitemap.xml": lambda _request: next(answers), "/listed": linking(text="listed")}
    url, _ = await serve(pages)
    await worker.run(site_job(operator, f"{url}/"))
    failed = {record["url"]: record["error"] for record in operator.lines if "error" in record}
    assert failed[f"{url}/sitemap.xml"]["code"] == "HTTP_503"
    assert failed[f"{url}/sitemap.xml"]["retryable"]
    await worker.run(site_job(operator, f"{url}/", more={"attempt": 2}))
    assert paths(operator) == ["", "listed"]
