"""Results from a terminal that lie in the operator's store."""

import csv
import json
from pathlib import Path

import pytest
from terminal import Program

from client_cluster import account, kubeconfig_of
from demo.pages import PAGES
from demo.site import DemoSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess

pytestmark = pytest.mark.cluster

PATHS = [page.path for page in PAGES.values() if page.path.startswith("/catalogue/")][:3]
SEE = {"apiGroups": ["crawl-operator.io"], "resources": ["crawljobs"], "verbs": ["get", "list"]}
READ = {"apiGroups": ["crawl-operator.io"], "resources": ["crawljobs", "crawljobs/results"], "verbs": ["get", "list"]}


@pytest.fixture(scope="module")
def large(shared: Jobs, site: DemoSite) -> str:
    """A job whose result does not stand in its status."""
    output = {"inlineLimitBytes": 0, "compression": "gzip"}
    shared.apply("large", batch={"urls": [site.url(path) for path in PATHS]}, output=output, priority="High")
    assert "data" not in shared.finished("large")["result"]
    return "large"


@pytest.fixture(scope="module")
def users(cluster: LocalCluster, place: Jobs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Kubeconfigs of who may read results, and of who may see jobs alone."""
    folder = tmp_path_factory.mktemp("users")
    rules = {"reader": READ, "watcher": SEE}
    tokens = {name: account(cluster, place.namespace, name, rule) for name, rule in rules.items()}
    return {name: str(kubeconfig_of(cluster, folder / name, token=token)) for name, token in tokens.items()}


def test_results_are_read_through_the_operator(
    crawl: Program, operator: OperatorProcess, large: str, users: dict[str, str], tmp_path: Path
) -> None:
    """To a pipe, to a table, to a file, to another form; named by a flag or by the environment."""
    where = ("-n", crawl.namespace, "--kubeconfig", users["reader"])
    to_operator = ("--results-url", operator.url)
    records = [json.loads(line) for line in crawl.says("results", large, *where, *to_operator).splitlines()]
    assert sorted(record["title"] for record in records) == sorted(PAGES[path].title for path in PATHS)
    table = crawl.says("results", large, "-o", "table", *where, CRAWL_RESULTS_URL=operator.url)
    assert len(table.splitlines()) == 1 + len(PATHS)
    crawl.says("results", large, "--to", str(tmp_path), *where, *to_operator)
    assert (tmp_path / "results.jsonl.gz").read_bytes()[:2] == b"\x1f\x8b"
    crawl.says("export", "--records", large, "--to", str(tmp_path / "pages.csv"), *where, *to_operator)
    with (tmp_path / "pages.csv").open(newline="") as file:
        assert [row["job"] for row in csv.DictReader(file)] == ["large"] * len(PATHS)


@pytest.mark.parametrize(
    ("user", "url", "code", "says"),
    [
        ("watcher", "", 6, 'cannot get resource "crawljobs/results"'),
        ("reader", "http://127.0.0.1:9", 8, "the operator at http://127.0.0.1:9 does not answer"),
        ("reader", "ftp://nowhere", 2, "is no URL of results"),
        ("reader", "service://crawl-operator/crawl-operator", 6, "name another way with --results-url"),
    ],
)
def test_what_stands_in_the_way_is_one_line(
    crawl: Program, operator: OperatorProcess, large: str, users: dict[str, str], *, user: str, url: str, code: int,
    says: str,
) -> None:  # fmt: skip
    done = crawl.run(
        "results", large, "-n", crawl.namespace, "--kubeconfig", users[user], "--results-url", url or operator.url
    )
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


def test_a_certificate_is_told_what_it_needs(
    crawl: Program, operator: OperatorProcess, large: str, users: dict[str, str]
) -> None:
    """The operator cannot check it; a token for results alone helps."""
    done = crawl.run("results", large, "--results-url", operator.url)
    assert (done.returncode, done.stderr.count("\n")) == (6, 1)
    assert "CRAWL_RESULTS_TOKEN" in done.stderr
    token = crawl.cluster.kubectl("-n", crawl.namespace, "create", "token", "reader").stdout.strip()
    said = crawl.says("results", large, CRAWL_RESULTS_URL=operator.url, CRAWL_RESULTS_TOKEN=token)
    assert len(said.splitlines()) == len(PATHS)
