"""Results out of the operator's store: to whom the API server lets have them, whole, in part, or why not."""

import hashlib
import json
import socket
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import psutil
import pytest

from client_cluster import account
from crawl_api.downloads import Refusal, manifest_path, part_path
from demo.pages import PAGES
from demo.site import DemoSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess, condition, namespace, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]

PATHS = [page.path for page in PAGES.values() if page.path.startswith("/catalogue")][:5]
READ = {"apiGroups": ["crawl-operator.io"], "resources": ["crawljobs/results"], "verbs": ["get"]}
READ_ONE = {**READ, "resourceNames": ["plain"]}
SEE = {"apiGroups": ["crawl-operator.io"], "resources": ["crawljobs"], "verbs": ["get", "list", "watch"]}
FORMS = {
    "plain": ({}, "results.jsonl", "application/x-ndjson", ("JSONLines", "none")),
    "gzip": ({"compression": "gzip"}, "results.jsonl.gz", "application/gzip", ("JSONLines", "gzip")),
    "zstd": ({"compression": "zstd"}, "results.jsonl.zst", "application/zstd", ("JSONLines", "zstd")),
    "parquet": ({"format": "Parquet"}, "results.parquet", "application/vnd.apache.parquet", ("Parquet", "none")),
    "warc": ({"format": "WARC"}, "results.warc.gz", "application/warc", ("WARC", "none")),
}
BIG = 256 << 20


@dataclass(frozen=True)
class Answer:
    """What came of a request."""

    status: int
    headers: Any
    body: bytes

    @property
    def said(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Served:
    """A namespace with results of every form, the operator that hands them out, and who may have them."""

    def __init__(self, jobs: Jobs, operator: OperatorProcess) -> None:
        self.jobs = jobs
        self.operator = operator
        name = jobs.namespace
        self.reader = account(jobs.cluster, name, "reader", READ)
        self.tokens = {
            "reader": self.reader,
            "reader of one": account(jobs.cluster, name, "reader-of-one", READ_ONE),
            "who sees jobs": account(jobs.cluster, name, "watcher", SEE),
            "nobody": account(jobs.cluster, name, "nobody"),
        }

    def get(self, path: str, token: str | None = None, url: str = "", method: str = "GET", **headers: str) -> Answer:
        """Ask for something, as the reader unless another token is given; "" for none."""
        token = self.reader if token is None else token
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request((url or self.operator.url) + path, headers=sent, method=method)  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def manifest(self, job: str, **options: Any) -> Answer:
        return self.get(manifest_path(self.jobs.namespace, job), **options)

    def part(self, job: str, part: str = "results.jsonl", **options: Any) -> Answer:
        return self.get(part_path(self.jobs.namespace, job, part), **options)

    def file(self, job: str) -> Path:
        return Path(unquote(urlparse(self.jobs.status(job)["resultURL"]).path))

    def refusal(self, job: str) -> tuple[int, str, str]:
        """Return status, reason and words of what a job's manifest is answered with."""
        answer = self.manifest(job)
        assert answer.said["kind"] == "Status"
        assert answer.said["code"] == answer.status
        return answer.status, answer.said["reason"], answer.said["message"]

    def write(self, job: str, size: int) -> None:
        """Have a result of a job be of another size, in the store and in the status."""
        with self.file(job).open("r+b") as file:
            file.truncate(size)
        patch = json.dumps({"status": {"result": {"bytes": size}}})
        self.jobs.kubectl("patch", "crawljob", job, "--subresource=status", "--type=merge", "-p", patch)


@pytest.fixture(scope="module")
def served(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("operator")
    with (
        DemoSite() as site,
        namespace(cluster, f"downloads-{uuid.uuid4().hex[:8]}") as jobs,
        OperatorProcess(cluster, folder, namespaces=[jobs.namespace], downloads={"parallel": 2}) as operator,
    ):
        urls = [site.url(path) for path in PATHS]
        for name, (output, *_) in FORMS.items():
            jobs.apply(name, batch={"urls": urls}, output={"inlineLimitBytes": 0, **output}, priority="High")
        jobs.apply("expired", single={"url": urls[0]}, ttl={"resultSeconds": 1}, priority="High")
        elsewhere = {"storeUrl": (folder / "elsewhere").as_uri()}
        jobs.apply("elsewhere", single={"url": urls[0]}, output=elsewhere, priority="High")
        jobs.apply("lost", single={"url": urls[0]}, priority="High")
        jobs.apply("short", single={"url": urls[0]}, priority="High")
        jobs.apply("none", batch={"urls": [f"{urls[0]}?{number}" for number in range(51)]})
        jobs.apply("later", single={"url": urls[0]}, scheduledAt="2099-01-01T00:00:00Z")
        made = Served(jobs, operator)
        for name in (*FORMS, "expired", "elsewhere", "lost", "short", "none"):
            jobs.finished(name)
        yield made


@pytest.mark.parametrize("name", FORMS)
def test_a_result_is_handed_out_as_it_is_stored(served: Served, name: str) -> None:
    """Described by its manifest, under its own type, with a checksum that it keeps."""
    _, file, media_type, (form, compression) = FORMS[name]
    stored = served.file(name).read_bytes()
    manifest = served.manifest(name).said
    (part,) = manifest.pop("parts")
    assert manifest == {
        "namespace": served.jobs.namespace,
        "name": name,
        "uid": served.jobs.get(name)["metadata"]["uid"],
        "items": len(PATHS),
    }
    answer = served.get(part["path"], Accept_Encoding="gzip, br")
    assert (answer.status, answer.body) == (200, stored)
    assert part == {
        "name": file,
        "format": form,
        "compression": compression,
        "mediaType": media_type,
        "bytes": len(stored),
        "sha256": hashlib.sha256(answer.body).hexdigest(),
        "path": part_path(served.jobs.namespace, name, file),
    }
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["ETag"] == f'"{part["sha256"]}"'
    assert answer.headers["Content-Length"] == str(len(stored))
    assert answer.headers["Content-Encoding"] is None
    assert file in answer.headers["Content-Disposition"]
    head = served.part(name, file, method="HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(stored)))


def test_the_api_server_says_who_may_have_it(served: Served, cluster: LocalCluster) -> None:
    """The right is one of its own; it may be given for a namespace or for a job, and what is refused names it."""
    may = {
        (who, job): served.part(job, FORMS[job][1], token=token).status
        for who, token in served.tokens.items()
        for job in ("plain", "gzip")
    }
    assert may == {
        ("reader", "plain"): 200,
        ("reader", "gzip"): 200,
        ("reader of one", "plain"): 200,
        ("reader of one", "gzip"): 403,
        ("who sees jobs", "plain"): 403,
        ("who sees jobs", "gzip"): 403,
        ("nobody", "plain"): 403,
        ("nobody", "gzip"): 403,
    }
    refused = served.manifest("plain", token=served.tokens["who sees jobs"])
    assert refused.said["reason"] == "Forbidden"
    user = f"system:serviceaccount:{served.jobs.namespace}:watcher"
    right = 'cannot get resource "crawljobs/results" in API group "crawl-operator.io"'
    assert f'User "{user}" {right} in the namespace "{served.jobs.namespace}"' in refused.said["message"]
    assert served.manifest("no-such-job", token=served.tokens["nobody"]).status == 403, "nobody learns what there is"


def test_a_right_that_is_given_holds_at_once(served: Served) -> None:
    """Whoever was refused and has asked an administrator is not refused for longer."""
    token = account(served.jobs.cluster, served.jobs.namespace, "late")
    assert served.manifest("plain", token=token).status == 403
    served.jobs.kubectl(
        "create", "rolebinding", "late", "--role=reader", f"--serviceaccount={served.jobs.namespace}:late"
    )
    wait_until(lambda: served.manifest("plain", token=token).status == 200, "the right holds", 5)


def test_tokens_that_the_api_server_does_not_take_are_refused(served: Served) -> None:
    """None, garbage, a worker's; the answer says so and asks for a better one."""
    worker = served.jobs.kubectl("create", "token", "reader", "--audience=crawl-operator").stdout.strip()
    for token in ("", "garbage", worker):
        answer = served.manifest("plain", token=token)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert "token" in answer.said["message"]


def test_a_token_may_be_for_the_download_alone(cluster: LocalCluster, served: Served, tmp_path: Path) -> None:
    """With an audience in the settings, one that the API server itself would not take is what opens results."""
    jobs, settings = served.jobs, {"audiences": ["crawl-results"]}
    folder = str(served.operator.folder / "results")
    with OperatorProcess(
        cluster, tmp_path, namespaces=[jobs.namespace], results={"folder": folder}, downloads=settings
    ) as other:
        own = jobs.kubectl("create", "token", "reader", "--audience=crawl-results").stdout.strip()
        assert served.manifest("plain", token=own, url=other.url).status == 200
        assert served.manifest("plain", url=other.url).status == 401
        assert served.manifest("plain", token=own).status == 401


@pytest.mark.parametrize(
    ("wanted", "status", "piece"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=5-99999999", 206, slice(5, None)),
        ("bytes=99999999-", 416, None),
        ("bytes=9-5", 416, None),
        ("bytes=0-1,4-5", 416, None),
        ("lines=1-2", 416, None),
    ],
)
def test_a_range_is_served_or_refused_in_words(served: Served, wanted: str, status: int, piece: slice | None) -> None:
    stored = served.file("plain").read_bytes()
    answer = served.part("plain", Range=wanted)
    assert answer.status == status
    if piece is None:
        assert answer.headers["Content-Range"] == f"bytes */{len(stored)}"
        assert wanted in answer.said["message"]
    else:
        assert answer.body == stored[piece]
        start = len(stored) - len(answer.body) if piece.start < 0 else piece.start
        assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(answer.body) - 1}/{len(stored)}"


def test_a_range_of_what_has_changed_is_the_whole(served: Served) -> None:
    stored = served.file("plain").read_bytes()
    tag = served.part("plain", method="HEAD").headers["ETag"]
    assert served.part("plain", Range="bytes=3-", If_Range=tag).body == stored[3:]
    changed = served.part("plain", Range="bytes=3-", If_Range='"another"')
    assert (changed.status, changed.body) == (200, stored)


def test_what_is_not_there_is_told_with_the_reason(served: Served) -> None:
    """Too early, too late, never, elsewhere, lost, cut off; and names that there are not."""
    wait_until(
        lambda: condition(served.jobs.status("expired"), "ResultAvailable")["reason"] == "ResultExpired", "expires", 15
    )
    served.file("lost").unlink()
    with served.file("short").open("r+b") as file:
        file.truncate(3)
    expected = {
        "later": (404, Refusal.NOT_FINISHED, "has no result yet"),
        "expired": (410, Refusal.EXPIRED, "spec.ttl.resultSeconds"),
        "none": (404, Refusal.NO_RESULT, "limits.urlsPerJob"),
        "elsewhere": (404, Refusal.ELSEWHERE, served.jobs.status("elsewhere")["resultURL"]),
        "lost": (410, Refusal.LOST, "No such file"),
        "short": (410, Refusal.LOST, "holds 3 of the"),
        "no-such-job": (404, "NotFound", '"no-such-job" not found'),
    }
    for job, (status, reason, words) in expected.items():
        said = served.refusal(job)
        assert said[:2] == (status, reason), said
        assert words in said[2]
    unknown = served.part("plain", "results.parquet")
    assert (unknown.status, unknown.said["reason"]) == (404, Refusal.NO_PART)
    assert "results.jsonl" in unknown.said["message"]


def test_a_status_leads_to_nothing_beyond_its_own_job(served: Served) -> None:
    """Whoever may write statuses is not thereby let into the results of others, or into other files."""
    before = served.jobs.status("gzip")["resultURL"]
    own = served.file("gzip").parent
    try:
        for url in (
            served.jobs.status("plain")["resultURL"],
            f"{own.as_uri()}/../../../plain/results.jsonl",
            f"{own.as_uri()}/%2e%2e/%2e%2e/%2e%2e/x",
            "file:///etc/hostname",
        ):
            patch = json.dumps({"status": {"resultURL": url}})
            served.jobs.kubectl("patch", "crawljob", "gzip", "--subresource=status", "--type=merge", "-p", patch)
            assert served.refusal("gzip")[:2] == (404, Refusal.ELSEWHERE), url
    finally:
        patch = json.dumps({"status": {"resultURL": before}})
        served.jobs.kubectl("patch", "crawljob", "gzip", "--subresource=status", "--type=merge", "-p", patch)


def test_an_operator_hands_out_only_what_it_shall(cluster: LocalCluster, served: Served, tmp_path: Path) -> None:
    """Nothing of namespaces that it does not serve; nothing at all where that is switched off: both in words."""
    other = served.get(manifest_path("default", "plain"))
    assert (other.status, other.said["reason"]) == (404, Refusal.NOT_SERVED)
    with OperatorProcess(cluster, tmp_path, namespaces=["no-such"], downloads={"enabled": False}) as closed:
        off = served.manifest("plain", url=closed.url)
    assert (off.status, off.said["reason"]) == (404, Refusal.OFF)
    assert "downloads.enabled" in off.said["message"]


def test_downloads_are_bounded_in_number_and_memory(served: Served) -> None:
    """Two readers that read nothing hold the two places; a third is told to come back; memory stays flat."""
    served.write("zstd", BIG)
    process = psutil.Process(served.operator.pid)
    before = process.memory_info().rss
    path = part_path(served.jobs.namespace, "zstd", "results.jsonl.zst")
    plain = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.reader}\r\n\r\n".encode()
    readers = []
    for _ in range(2):
        reader = socket.create_connection(("127.0.0.1", served.operator.port), timeout=10)
        reader.sendall(plain)
        assert reader.recv(100).startswith(b"HTTP/1.1 200")
        readers.append(reader)
    try:
        refused = served.part("plain")
        assert (refused.status, refused.said["reason"]) == (503, "TooManyDownloads")
        assert int(refused.headers["Retry-After"]) > 0
        assert "downloads.parallel" in refused.said["message"]
    finally:
        for reader in readers:
            reader.close()
    wait_until(lambda: served.part("plain").status == 200, "places are free again", 10)
    digest, size = hashlib.sha256(), 0
    request = urllib.request.Request(  # noqa: S310 - loopback
        served.operator.url + path, headers={"Authorization": f"Bearer {served.reader}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        while chunk := answer.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
    assert size == BIG
    with served.file("zstd").open("rb") as file:
        assert digest.digest() == hashlib.file_digest(file, "sha256").digest()
    assert process.memory_info().rss - before < 32 << 20


def test_requests_are_counted_by_their_answers(served: Served) -> None:
    assert served.manifest("plain", token="").status == 401
    lines = served.operator.health("metrics")[1].splitlines()
    counted = {line.rpartition(" ")[0] for line in lines if line.startswith("crawl_operator_downloads_total{")}
    assert 'crawl_operator_downloads_total{code="401",kind="manifest"}' in counted
