"""Results in every form, in the operator's store and in others: whole, for others' tools to read, in little memory."""

import gzip
import hashlib
import io
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote, urlsplit

import arro3.io
import pytest
import result_memory
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from moto.server import ThreadedMotoServer
from obstore.store import S3Store
from operator_stand_in import StandIn
from worker_process import Worker, assignment
from worker_site import RAW, Site

from crawl_api.output import OutputOptions
from crawl_worker.fetch.fetcher import Page
from crawl_worker.findings import Finding, Visit
from crawl_worker.ledger import Ledger
from crawl_worker.records import Record

KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_REGION": "us-east-1"}
BUCKET = "team-a-crawls"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """An S3 server on loopback, with one bucket; its URL."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with socket.create_connection((host, port), 60) as connection:  # its first answer takes long
        connection.sendall(f"PUT /{BUCKET} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode())
        assert b" 200 " in connection.recv(1000).splitlines()[0]
    yield url
    server.stop()


def bucket(url: str, name: str = BUCKET) -> S3Store:
    return S3Store(
        name,
        endpoint=url,
        access_key_id="id",
        secret_access_key="key",
        region="us-east-1",
        client_options={"allow_http": True},
    )


@pytest.fixture
def secret(tmp_path: Path, s3: str) -> Path:
    """A Secret with the options of the S3 server, as it is mounted."""
    folder = tmp_path / "secret"
    (folder / "..data").mkdir(parents=True)
    for key, value in (KEYS | {"AWS_ENDPOINT": s3}).items():
        (folder / key).write_text(f"{value}\n")
    return folder


def urls(site: Site, count: int = 5) -> list[str]:
    return [f"{site.url}/page/{n}" for n in range(count)] + [f"{site.url}/status/404"]


def read(body: bytes, output: dict[str, str]) -> list[dict[str, Any]]:
    """Read a result's records with the tools of its form."""
    if output.get("format") == "Parquet":
        table = arro3.io.read_parquet(io.BytesIO(body)).read_all()
        names = table.column_names
        rows = [
            dict(zip(names, row, strict=True)) for row in zip(*(table[name].to_pylist() for name in names), strict=True)
        ]
        documents = ("error", "metadata", "links")
        return [
            {key: json.loads(value) if value and key in documents else value for key, value in row.items()}
            for row in rows
        ]
    if output.get("compression") == "gzip":
        body = gzip.decompress(body)
    if output.get("compression") == "zstd":
        body = zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True).read()
    return [json.loads(line) for line in body.splitlines()]


FORMS: list[dict[str, str]] = [{}, {"compression": "gzip"}, {"compression": "zstd"}, {"format": "Parquet"}]


def check(found: list[dict[str, Any]], wanted: list[str]) -> None:
    assert {record["url"] for record in found} == set(wanted)
    by_url = {record["url"]: record for record in found}
    assert by_url[wanted[1]]["title"] == "Page 1"
    assert by_url[wanted[1]]["metadata"]["description"] == "The page number 1"
    assert by_url[wanted[-1]]["error"]["code"] == "HTTP_404"
    assert by_url[wanted[-1]]["status"] == 404


@pytest.mark.parametrize("output", FORMS, ids=str)
async def test_each_form_holds_every_record(
    worker: Worker, site: Site, operator: StandIn, output: dict[str, str]
) -> None:
    ended = await worker.run(assignment(operator, *urls(site), output=output))
    assert ended.code == 0, ended.log
    assert operator.results is not None
    check(read(operator.results, output), urls(site))
    stored = ended.outcome.stored
    assert stored is not None
    assert (stored.bytes, stored.sha256) == (len(operator.results), hashlib.sha256(operator.results).hexdigest())
    assert ended.outcome.items == 6


@pytest.mark.parametrize("output", FORMS, ids=str)
async def test_a_bucket_takes_the_result(
    worker: Worker, site: Site, operator: StandIn, *, s3: str, secret: Path, output: dict[str, str]
) -> None:
    """Under its job's names; the operator sees none of it but where it is."""
    job = assignment(
        operator, *urls(site), output=output | {"storeUrl": f"s3://{BUCKET}/some/where/"}, uid=str(hash(str(output)))
    )
    ended = await worker.run(job, CRAWL_STORE_CREDENTIALS=str(secret))
    assert ended.code == 0, ended.log
    stored = ended.outcome.stored
    assert stored is not None
    name = OutputOptions.model_validate(output).file_name
    assert stored.url == f"s3://{BUCKET}/some/where/default/test/{job['uid']}/1/{name}"
    body = bytes(await (await bucket(s3).get_async(urlsplit(stored.url).path.lstrip("/"))).bytes_async())
    assert (stored.bytes, stored.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    check(read(body, output), urls(site))
    assert operator.results is None


async def test_a_result_of_many_parts_arrives_whole(
    worker: Worker, site: Site, operator: StandIn, s3: str, secret: Path
) -> None:
    """Uploads in parts of 8 MiB, each larger than S3's least."""
    RAW["large"] = ("text/plain", b"0123456789abcdef" * 300_000)
    many = [f"{site.url}/raw/large?{n}" for n in range(6)]
    job = assignment(operator, *many, output={"storeUrl": f"s3://{BUCKET}"}, uid="parts")
    ended = await worker.run(job, CRAWL_STORE_CREDENTIALS=str(secret))
    assert ended.code == 0, ended.log
    assert ended.outcome.stored is not None
    path = urlsplit(ended.outcome.stored.url).path.lstrip("/")
    body = bytes(await (await bucket(s3).get_async(path)).bytes_async())
    assert len(body) > 3 * (8 << 20)
    assert hashlib.sha256(body).hexdigest() == ended.outcome.stored.sha256
    assert [len(record["text"]) for record in read(body, {})] == [4_800_000] * 6


@pytest.mark.parametrize(
    ("store", "code"),
    [("s3://no-such-bucket/", "ResultRejected"), ("s3://", "InvalidStore"), ("az://x", "InvalidStore")],
)
async def test_a_store_that_will_never_take_it_is_a_permanent_failure(
    worker: Worker, site: Site, operator: StandIn, *, secret: Path, store: str, code: str
) -> None:
    """What makes no store is said before anything is fetched."""
    ended = await worker.run(
        assignment(operator, f"{site.url}/page/1", output={"storeUrl": store.ljust(6)}),
        CRAWL_STORE_CREDENTIALS=str(secret),
    )
    failure = ended.outcome.failure
    assert failure is not None
    assert (failure.code, failure.cause) == (code, "Permanent"), failure
    assert bool(site.seen) is (code == "ResultRejected")
    assert "key" not in failure.message.split()


@pytest.mark.parametrize(
    ("name", "value", "failed"), [("AWS_ALLOW_HTTP", "true", False), ("TIMEOUT", "9s", True), ("NONSENSE", "1", True)]
)
async def test_an_option_is_not_needed_or_makes_no_store(
    worker: Worker, site: Site, operator: StandIn, *, secret: Path, name: str, value: str, failed: bool
) -> None:
    """Plain HTTP is always allowed; what the library knows in other places, or nowhere, is a permanent failure."""
    (secret / name).write_text(value)
    job = assignment(operator, f"{site.url}/page/1", output={"storeUrl": f"s3://{BUCKET}"}, uid=name.lower())
    ended = await worker.run(job, CRAWL_STORE_CREDENTIALS=str(secret))
    failure = ended.outcome.failure
    assert (failure is not None) is failed, ended.log
    assert failure is None or (failure.code, failure.cause) == ("InvalidStore", "Permanent")


@pytest.mark.long
async def test_a_store_that_is_away_is_waited_for_and_then_the_attempt_is_repeated(
    worker: Worker, site: Site, operator: StandIn, tmp_path: Path
) -> None:
    folder = tmp_path / "away"
    folder.mkdir()
    for key, value in (KEYS | {"AWS_ENDPOINT": "http://127.0.0.1:1"}).items():
        (folder / key).write_text(value)
    job = assignment(operator, f"{site.url}/page/1", output={"storeUrl": f"s3://{BUCKET}"}, timeoutSeconds=12)
    more = {"CRAWL_STORE_CREDENTIALS": str(folder), "CRAWL_MIN_HANDOVER_SECONDS": "3"}
    ended = await worker.run(job, 90, **more)
    assert ended.outcome.failure is not None
    assert (ended.outcome.failure.code, ended.outcome.failure.cause) == ("ResultStoreUnavailable", "Infrastructure")


async def test_a_folder_is_a_store_too(worker: Worker, site: Site, operator: StandIn, tmp_path: Path) -> None:
    ended = await worker.run(
        assignment(operator, *urls(site), output={"storeUrl": f"{tmp_path.as_uri()}/kept", "compression": "gzip"})
    )
    assert ended.code == 0, ended.log
    assert ended.outcome.stored is not None
    path = Path(unquote(urlsplit(ended.outcome.stored.url).path))
    check(read(path.read_bytes(), {"compression": "gzip"}), urls(site))  # noqa: ASYNC240 (a test may wait)


def archived(body: bytes) -> dict[str, tuple[int, bytes]]:
    found = {}
    for record in ArchiveIterator(io.BytesIO(body), record_types=WarcRecordType.response, parse_http=False):
        assert record.verify_block_digest()
        record.parse_http()
        assert record.http_headers is not None
        found[record.headers["WARC-Target-URI"]] = (record.http_headers.status_code or 0, record.reader.read())
    return found


async def test_an_archive_holds_every_answer_as_it_came(worker: Worker, site: Site, operator: StandIn) -> None:
    RAW["bytes"] = ("application/octet-stream", bytes(range(256)))
    wanted = [*urls(site, 2), f"{site.url}/raw/bytes"]
    ended = await worker.run(assignment(operator, *wanted, output={"format": "WARC"}))
    assert ended.code == 0, ended.log
    assert operator.results is not None
    found = archived(operator.results)
    assert set(found) == set(wanted)
    assert found[f"{site.url}/raw/bytes"] == (200, bytes(range(256)))
    assert found[f"{site.url}/status/404"] == (404, b"no")
    assert b"<h1>Page 1</h1>" in found[f"{site.url}/page/1"][1]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger's folder: 150 MB of records that hardly compress, and as much of answers as they came."""
    folder = tmp_path_factory.mktemp("large")
    with closing(Ledger(folder, "job")) as ledger:
        ledger.begin()
        for n in range(1500):
            url, text = f"http://h/{n}", Random(n).randbytes(50_000).hex()  # noqa: S311 (the same each time)
            page = Page(url, datetime.now(UTC), 1, 200, head=b"HTTP/1.1 200 OK\r\n\r\n", body=text.encode())
            ledger.keep(Finding(Visit(url), [Record(url=url, text=text)], page=page))
    return folder


@pytest.mark.parametrize(
    "output",
    [
        {},
        {"compression": "zstd"},
        {"format": "Parquet"},
        pytest.param({"compression": "gzip"}, marks=pytest.mark.long),
        pytest.param({"format": "WARC"}, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_a_large_result_is_written_in_little_memory(large: Path, output: dict[str, str]) -> None:
    """What is held at once is a row group at most."""
    program = [sys.executable, result_memory.__file__, str(large), json.dumps(output)]
    told = json.loads(subprocess.run(program, capture_output=True, check=True, timeout=100).stdout)
    assert told["size"] > 70_000_000
    assert told["grown"] < 120 << 20, told
    assert list(large.glob("*.tmp")) == []
