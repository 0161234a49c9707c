"""Two replicas behind one Service: both are ready, and workers may reach either."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from client_cluster import account
from crawl_api.downloads import part_path
from demo.site import DemoSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess, records, wait_until

pytestmark = pytest.mark.cluster

READ = {"apiGroups": ["crawl-operator.io"], "resources": ["crawljobs/results"], "verbs": ["get"]}


def test_workers_that_reach_the_one_that_stands_by_are_served(
    cluster: LocalCluster, jobs: Jobs, site: DemoSite, tmp_path: Path
) -> None:
    """All reports go to the replica that does not lead: it is ready, and passes them on, as it does with downloads."""
    cluster.kubectl("-n", "crawl-operator", "delete", "lease", "crawl-operator", "--ignore-not-found")
    settings: dict[str, Any] = {
        "namespaces": [jobs.namespace],
        "results": {"folder": str(tmp_path / "results")},
        "leadership": {"enabled": True, "address": "127.0.0.1"},
    }
    for name in ("leader", "standby"):
        (tmp_path / name).mkdir()
    standby = OperatorProcess(cluster, tmp_path / "standby", **settings)
    settings["endpoint"] = {"url": standby.url}
    with OperatorProcess(cluster, tmp_path / "leader", ready=False, **settings) as leader:
        wait_until(lambda: "crawl_operator_leader 1.0" in leader.health("metrics")[1], "it leads", 40)
        with standby:
            jobs.apply("page", single={"url": site.base_url + "/"}, priority="High")
            status = jobs.finished("page")
            assert "crawl_operator_leader 0.0" in standby.health("metrics")[1]
            assert standby.health("readyz") == (200, "ok\n")
            assert status["phase"] == "Completed"
            assert [record["url"] for record in records(status)] == [site.base_url + "/"]
            assert 'worker_reports_total{code="201",kind="results"} 1.0' in leader.health("metrics")[1]
            reader = account(cluster, jobs.namespace, "reader", READ)
            assert _downloaded(standby, jobs, reader) == records(status)
            counted = 'downloads_total{code="200",kind="part"} 1.0'
            wait_until(lambda: counted in leader.health("metrics")[1], "the leader has counted it", 10)
            assert leader.stop() == 0, "told to end, it ends in order"
            wait_until(lambda: "crawl_operator_leader 1.0" in standby.health("metrics")[1], "it takes over", 10)
            jobs.apply("next", single={"url": site.base_url + "/"}, priority="High")
            assert jobs.finished("next")["phase"] == "Completed"
            assert _downloaded(standby, jobs, reader) == records(status)
            leader.start()


def _downloaded(operator: OperatorProcess, jobs: Jobs, token: str) -> list[dict[str, Any]]:
    """Have an operator hand out the result of the first job."""
    url = operator.url + part_path(jobs.namespace, "page", "results.jsonl")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        return [json.loads(line) for line in answer.read().splitlines()]
