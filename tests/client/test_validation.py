"""What the client refuses, the API server refuses in the same words."""

import json
from typing import Any

import pytest

from crawl_client import CrawlClient, ValidationError, site
from crawl_client.validation import check
from local_cluster.cluster import LocalCluster

pytestmark = pytest.mark.cluster

URL = "https://example.org/"
SINGLE = {"type": "Single", "single": {"url": URL}}
WRONG: dict[str, Any] = {
    "no type": {"single": {"url": URL}},
    "unknown type": {"type": "Nope"},
    "member missing": {"type": "Batch"},
    "member of another type": SINGLE | {"batch": {"urls": [URL]}},
    "empty batch": {"type": "Batch", "batch": {"urls": []}},
    "too many URLs": {"type": "Batch", "batch": {"urls": [URL] * 1001}},
    "no web URL": {"type": "Single", "single": {"url": "ftp://example.org/"}},
    "URL of no text": {"type": "Single", "single": {"url": 7}},
    "URL that is null": {"type": "Single", "single": {"url": None}},
    "unknown field": SINGLE | {"fetch": {"nonsense": True}},
    "too high": SINGLE | {"fetch": {"concurrency": 500}},
    "too low": SINGLE | {"timeoutSeconds": 0},
    "unknown word": SINGLE | {"priority": "Urgent"},
    "too long": SINGLE | {"displayName": "x" * 300},
    "pattern": SINGLE | {"fetch": {"userAgent": "ü"}},
    "two languages": SINGLE | {"extract": {"selectors": [{"name": "a", "css": "b", "xpath": "//b"}]}},
    "compression": SINGLE | {"output": {"format": "WARC", "compression": "gzip"}},
    "store": SINGLE | {"output": {"storeUrl": "ftp://bucket/"}},
    "no number": SINGLE | {"retry": {"maxAttempts": "three"}},
    "two at once": {"type": "Single", "single": {"url": URL}, "fetch": {"concurrency": 0}, "timeoutSeconds": 0},
}


@pytest.mark.parametrize("case", WRONG)
def test_the_client_says_what_the_api_server_would(cluster: LocalCluster, case: str) -> None:
    manifest = {
        "apiVersion": "crawl-operator.io/v1alpha1",
        "kind": "CrawlJob",
        "metadata": {"name": "wrong", "namespace": "default"},
        "spec": WRONG[case],
    }
    with pytest.raises(ValidationError) as error:
        check(manifest)
    done = cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(manifest), check=False)
    assert done.returncode, "the API server takes it"
    for problem in error.value.problems:
        assert problem in done.stderr, f"{problem}\n\n{done.stderr}"


async def test_what_only_the_server_knows_comes_back_as_the_same_error(client: CrawlClient) -> None:
    """A pattern that RE2 does not take is an error of the server, in the class of those of the client."""
    with pytest.raises(ValidationError, match="must be a regular expression in RE2 syntax"):
        await client.jobs.submit(site([URL], crawl={"allow": ["(?=x)"]}), dry_run=True)
