"""What goes wrong is one line that says what to do, with an exit code of its own and no traceback."""

import subprocess
import sys
import time
from pathlib import Path

import jwt
import pytest
import yaml
from terminal import Program

from client_cluster import account, kubeconfig_of
from local_cluster.cluster import LocalCluster
from operator_process import free_port, namespace

pytestmark = pytest.mark.long

NOTHING = "https://127.0.0.1:1"


@pytest.fixture(scope="module")
def bare(cluster: LocalCluster) -> Program:
    """The program in a namespace that no operator serves."""
    return Program(cluster, "default")


def one_line(program: Program, *words: str, code: int, says: str, input: str = "") -> str:  # noqa: A002 - as in subprocess
    done = program.run(*words, input=input)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert says in done.stderr
    assert done.stdout == ""
    return done.stderr


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("describe", "nope"), 3, "`kubectl crawl list` shows what there is"),
        (("results", "nope"), 3, '"nope" not found'),
        (("schedule", "describe", "nope"), 3, "`kubectl crawl schedule list` shows"),
        (("submit", "ftp://example.org"), 4, "must be an absolute http:// or https:// URL"),
        (("submit", "https://example.org/", "--set", "fetch.nonsense=1"), 4, 'unknown field "spec.fetch.nonsense"'),
        (("submit", "https://example.org/", "--priority", "urgent"), 4, "'urgent' is no priority"),
        (("submit", "-f", "/nowhere.yaml"), 2, "cannot be read"),
        (("submit",), 2, "what is to be crawled?"),
        (("submit", "--type", "maintenance"), 4, "spec.maintenance.task"),
        (("submit", "https://example.org/", "--task", "health_check"), 2, "crawls no URLs"),
        (("submit", "https://example.org/", "--set", "fetch=1", "--set", "fetch.x=2"), 2, "has no members"),
        (("list", "-o", "xml"), 2, "-o xml is none of"),
        (("list", "-o", "jsonpath={.items[*"), 2, "JSONPath"),
        (("list", "--phase", "sleeping"), 4, "'sleeping' is no phase"),
        (("list", "--server", NOTHING), 8, "does not answer"),
        (("list", "--token", "garbage"), 6, "log in again"),
        (("list", "--context", "nope"), 2, "there is no context 'nope'"),
        (("delete",), 2, "which jobs?"),
        (("submit", "https://example.org/", "-n", "no-such-namespace"), 3, '"no-such-namespace" not found'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_each_mistake_is_one_line(bare: Program, words: tuple[str, ...], code: int, says: str) -> None:
    one_line(bare, *words, code=code, says=says)


@pytest.mark.cluster
def test_who_may_not_is_told_so(cluster: LocalCluster, bare: Program, tmp_path: Path) -> None:
    """Nothing at all; and an expired token, signed by the cluster itself."""
    token = account(cluster, "default", "nobody")
    try:
        file = kubeconfig_of(cluster, tmp_path / "nobody", token=token)
        one_line(bare, "list", "--kubeconfig", str(file), code=6, says="ask an administrator for that right")
        now = int(time.time())
        claims = jwt.decode(token, options={"verify_signature": False}) | {
            "exp": now - 60,
            "iat": now - 900,
            "nbf": now - 900,
        }
        key = cluster.blueprint.identities.token_key.read_text()
        expired = jwt.encode(claims, key, algorithm="RS256", headers={"kid": jwt.get_unverified_header(token)["kid"]})
        file = kubeconfig_of(cluster, tmp_path / "expired", token=expired)
        one_line(bare, "list", "--kubeconfig", str(file), code=6, says="log in again")
    finally:
        cluster.kubectl("-n", "default", "delete", "serviceaccount", "nobody")


@pytest.mark.cluster
def test_a_full_queue_says_so(cluster: LocalCluster) -> None:
    with namespace(cluster, f"full-{free_port()}") as jobs:
        quota = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "jobs"},
            "spec": {"hard": {"count/crawljobs.crawl-operator.io": "0"}},
        }
        jobs.kubectl("apply", "-f", "-", input=yaml.safe_dump(quota))
        full = ("get", "resourcequota", "jobs", "-o", "jsonpath={.status.hard}")
        deadline = time.monotonic() + 20
        while not jobs.kubectl(*full).stdout and time.monotonic() < deadline:
            time.sleep(0.2)
        program = Program(cluster, jobs.namespace)
        one_line(program, "submit", "https://example.org/", code=9, says="quota: jobs")


@pytest.mark.cluster
def test_a_job_that_no_operator_looks_at_says_so(bare: Program) -> None:
    bare.says("submit", "https://example.org/", "--name", "alone")
    try:
        assert "takes its turn" in bare.says("why", "alone")
        one_line(bare, "results", "alone", code=3, says="it has no result yet")
    finally:
        bare.says("delete", "alone")


def test_without_a_cluster_it_says_where_it_looks(bare: Program, tmp_path: Path) -> None:
    done = bare.run("list", KUBECONFIG=str(tmp_path / "none"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "set KUBECONFIG" in done.stderr


def test_a_reader_that_has_enough_is_no_error(bare: Program) -> None:
    """As `kubectl crawl explain -r crawljob | head -1`."""
    line = f"{sys.executable} -m crawl_cli explain -r crawljob | head -1"
    done = subprocess.run(["bash", "-c", line], env=bare.environment(), capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.startswith("CrawlJob <object>")
