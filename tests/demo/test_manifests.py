"""The examples are what they teach: valid, about pages that exist, and ending as their comments say."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from crawl_api.crawljob import CrawlJobSpec
from crawl_api.job_types import SiteCrawl
from crawl_api.names import API_VERSION, KIND, MAX_JOB_NAME
from crawl_api.status import Phase
from demo import folders
from demo.render import PDF_PATH
from demo.site import DEFAULT_PORT, FAILURES, PAGES, REDIRECTS, ROBOTS
from demo.tour import EXPECTED

MANIFESTS = sorted(folders.EXAMPLES.glob("*.yaml"))


def load(manifest: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    return loaded


def reachable(path: str, hops: int = 5) -> bool:
    """Say whether an obedient crawler gets a page."""
    if path in REDIRECTS and hops:
        return reachable(REDIRECTS[path][1], hops - 1)
    return path in PAGES and path not in FAILURES and not path.startswith(ROBOTS.split()[-1])


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_manifest_is_a_valid_job(manifest: Path) -> None:
    job = load(manifest)
    assert (job["apiVersion"], job["kind"]) == (API_VERSION, KIND)
    assert set(job["metadata"]) == {"name"}
    assert len(job["metadata"]["name"]) <= MAX_JOB_NAME
    assert len(CrawlJobSpec.model_validate(job["spec"]).urls) <= 50


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_manifest_ends_as_the_demo_expects(manifest: Path) -> None:
    job = load(manifest)
    spec = CrawlJobSpec.model_validate(job["spec"])
    urls = [urlsplit(url) for url in (spec.site.start_urls if spec.site is not None else spec.urls)]
    assert {url.netloc for url in urls} == {f"127.0.0.1:{DEFAULT_PORT}"}
    found = [reachable(url.path) or url.path == PDF_PATH for url in urls]
    assert any(found)
    assert EXPECTED[job["metadata"]["name"]] is (Phase.COMPLETED if all(found) else Phase.PARTIAL_SUCCESS)


def test_every_example_is_expected_and_they_cover_the_api() -> None:
    jobs = [load(manifest) for manifest in MANIFESTS]
    assert sorted(job["metadata"]["name"] for job in jobs) == sorted(EXPECTED)
    jobs.append(load(folders.EXAMPLES / "scrapy_project" / "job.yaml"))  # the demo's worker has no project
    jobs.append(load(folders.EXAMPLES / "upkeep" / "health-check.yaml"))  # and nothing to look after
    jobs.append(load(folders.EXAMPLES / "gateway" / "webhook.yaml"))  # and no gateway
    shown = set[str]().union(*(job["spec"] for job in jobs))
    assert shown == {field.alias for field in CrawlJobSpec.model_fields.values()}


def test_the_batch_shows_every_option_of_fetching_and_extracting() -> None:
    spec = load(folders.EXAMPLES / "batch.yaml")["spec"]
    model = CrawlJobSpec.model_validate(spec)
    assert len(model.urls) == 20
    for options in (model.fetch, model.extract):
        name = "fetch" if options is model.fetch else "extract"
        assert set(spec[name]) == {field.alias for field in type(options).model_fields.values()}
    assert all(PAGES[urlsplit(url).path].price for url in model.urls)


def test_the_site_shows_every_option_of_a_site() -> None:
    spec = load(folders.EXAMPLES / "site.yaml")["spec"]
    assert set(spec["site"]) == {field.alias for field in SiteCrawl.model_fields.values()}
