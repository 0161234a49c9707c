"""Results in Google Cloud Storage and in Azure: as in S3, with the options of a Secret that each of them has."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cloud_stores import BUCKET, CloudStore, cloud_store
from obstore.store import from_url
from operator_stand_in import StandIn
from worker_process import Worker, assignment
from worker_site import RAW, Site

pytestmark = pytest.mark.parametrize("scheme", ["gs", "az"])


@pytest.fixture
async def store(scheme: str) -> AsyncIterator[CloudStore]:
    async with cloud_store(scheme) as served:
        yield served


@pytest.fixture
def options(scheme: str, store: CloudStore) -> dict[str, str]:
    """The keys of a Secret that leads to the store."""
    if scheme == "az":
        account = {"AZURE_STORAGE_ACCOUNT_NAME": "team", "AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}
        return account | {"AZURE_STORAGE_ENDPOINT": store.url}
    key = {"client_email": "", "private_key": "", "private_key_id": ""}
    return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(key | {"gcs_base_url": store.url, "disable_oauth": True})}


@pytest.fixture
def secret(tmp_path: Path, options: dict[str, str]) -> Path:
    """The Secret, as it is mounted."""
    folder = tmp_path / "secret"
    folder.mkdir()
    for key, value in options.items():
        (folder / key).write_text(value)
    return folder


async def stored(url: str, options: dict[str, str]) -> bytes:
    """Read a result by its URL, as whoever has the same options does."""
    folder, _, file = url.rpartition("/")
    config: Any = {name.lower(): value for name, value in options.items()}
    found = await from_url(folder, config=config, client_options={"allow_http": True}).get_async(file)
    return bytes(await found.bytes_async())


async def test_a_result_of_many_parts_arrives_whole(
    worker: Worker,
    site: Site,
    operator: StandIn,
    *,
    scheme: str,
    store: CloudStore,
    options: dict[str, str],
    secret: Path,
) -> None:
    """Where its URL says, signed in as the Secret says; the operator sees none of it."""
    RAW["large"] = ("text/plain", b"0123456789abcdef" * 300_000)
    urls = [f"{site.url}/raw/large?{n}" for n in range(4)]
    job = assignment(operator, *urls, output={"storeUrl": f"{scheme}://{BUCKET}/some/where/"})
    ended = await worker.run(job, CRAWL_STORE_CREDENTIALS=str(secret))
    assert ended.code == 0, ended.log
    told = ended.outcome.stored
    assert told is not None
    assert told.url == f"{scheme}://{BUCKET}/some/where/default/test/0a0b/1/results.jsonl"
    body = await stored(told.url, options)
    assert store.objects["some/where/default/test/0a0b/1/results.jsonl"] == body
    assert (told.bytes, told.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert [len(json.loads(line)["text"]) for line in body.splitlines()] == [4_800_000] * 4
    assert store.most_parts >= 2
    assert store.parts == {}
    assert store.logins - {""} == {"SharedKey team" if scheme == "az" else "Bearer"}
    assert operator.results is None


async def test_answers_are_cached_in_the_store(
    worker: Worker, site: Site, operator: StandIn, *, scheme: str, store: CloudStore, secret: Path
) -> None:
    """What one job keeps there, another reads."""
    url = f"{site.url}/page/1"
    job = assignment(operator, url, output={"storeUrl": f"{scheme}://{BUCKET}"}, fetch={"cacheMode": "ReadWrite"})
    for uid, kept in (("first", 0), ("second", 1)):
        ended = await worker.run(job | {"uid": uid}, CRAWL_STORE_CREDENTIALS=str(secret))
        assert (ended.code, ended.outcome.from_cache) == (0, kept), ended.log
    assert site.count("/page/1") == 1
    assert [name for name in store.objects if name.startswith("default/.cache/")]


async def test_what_is_old_is_removed_from_the_store(
    worker: Worker, operator: StandIn, *, scheme: str, store: CloudStore, secret: Path
) -> None:
    """What jobs have written, and nothing else."""
    results = {f"default/job-{n}/uid/1/results.jsonl": b"12345" for n in range(3)}
    others = dict.fromkeys(("default/mine.txt", "default/.cache/key", "elsewhere/job/uid/1/results.jsonl"), b"6")
    store.objects = results | others
    wanted = {"task": "result_cleanup", "parameters": {"olderThanSeconds": 0}}
    output = {"storeUrl": f"{scheme}://{BUCKET}"}
    job = assignment(operator, "x", type="Maintenance", single=None, maintenance=wanted, output=output)
    ended = await worker.run(job, CRAWL_STORE_CREDENTIALS=str(secret))
    assert ended.code == 0, ended.log
    told = store.objects.pop("default/test/0a0b/1/results.jsonl")
    assert json.loads(told)["data"] == {"removed": 3, "bytes": 15}
    assert store.objects == others


async def test_a_bucket_that_is_not_there_is_a_permanent_failure(
    worker: Worker, site: Site, operator: StandIn, *, scheme: str, secret: Path
) -> None:
    job = assignment(operator, f"{site.url}/page/1", output={"storeUrl": f"{scheme}://no-such-bucket/"})
    ended = await worker.run(job, CRAWL_STORE_CREDENTIALS=str(secret))
    failure = ended.outcome.failure
    assert failure is not None
    assert (failure.code, failure.cause) == ("ResultRejected", "Permanent"), failure
