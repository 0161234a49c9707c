"""What happens to a job when something dies, is deleted or is held up around it; and what it costs when nothing is."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from api_proxy import ApiProxy
from demo.pages import PAGES
from demo.site import DemoSite
from held_site import HeldSite
from local_cluster.cluster import LocalCluster
from local_cluster.components import Image
from operator_process import (
    ROOT,
    WORKER_IMAGE,
    Jobs,
    OperatorProcess,
    condition,
    kill_workers,
    manifest,
    prepare,
    wait_until,
    worker_pids,
)

pytestmark = pytest.mark.cluster

JOB_LABEL = "crawl-operator.io/job"

PATHS = [page.path for page in PAGES.values() if page.path.startswith("/catalogue")][:12]


@pytest.mark.parametrize("priority", ["High", "Normal"])
def test_a_killed_worker_is_replaced_and_costs_no_attempt(jobs: Jobs, operator: OperatorProcess, priority: str) -> None:
    """SIGKILL leaves no word behind: the cluster's own is told instead, and another worker does the job."""
    with DemoSite(delays={"/slow": 60}) as site:
        urls = [site.url(PATHS[0]), site.base_url + "/slow"]
        jobs.apply("killed", batch={"urls": urls}, priority=priority, retry={"maxAttempts": 1})
        wait_until(lambda: jobs.status("killed")["progress"].get("succeeded") == 1, "one page is done", 30)
        worker = jobs.status("killed")["workerId"]
        kill_workers(jobs)
        status = jobs.reached("killed", "Retry", 15)
        assert not status.get("retryCount")
        assert status["infrastructureRetries"] == 1
        (attempt,) = status["attempts"]
        assert (attempt["outcome"], attempt["cause"]) == ("Failed", "Infrastructure")
        for words in ("SIGKILL", worker):
            assert words in attempt["message"]
        assert status["lastError"] == attempt["message"]
        assert condition(status, "Scheduled")["reason"] == "RetryBackoff"
        site.delays["/slow"] = 0.0
        status = jobs.finished("killed", 30)
    assert status["phase"] == "Completed"
    assert [each["number"] for each in status["attempts"]] == [1, 2]
    assert status["progress"]["succeeded"] == 2
    assert status["workerId"] != worker


def test_an_operator_killed_in_the_middle_loses_and_doubles_nothing(
    cluster: LocalCluster, jobs: Jobs, operator: OperatorProcess
) -> None:
    """The worker goes on meanwhile, waits with its result, and the new operator knows everything from the API."""
    with HeldSite(8, delay=0.5) as site:
        urls, fetch = [site.url(path) for path in PATHS], {"concurrency": 2, "timeoutSeconds": 90}
        jobs.apply("pod", batch={"urls": urls}, priority="High", fetch=fetch)
        jobs.apply("job", batch={"urls": urls}, fetch=fetch)
        workers = {name: jobs.running(name)["workerId"] for name in ("pod", "job")}
        operator.kill()
        site.open()
        wait_until(lambda: sum(site.requests[path] for path in PATHS) >= 20, "the workers go on", 30)
        operator.start()
        for name, worker in workers.items():
            status = jobs.finished(name)
            assert status["phase"] == "Completed"
            assert status["progress"]["succeeded"] == len(PATHS)
            assert status["workerId"] == worker
            assert len(status["attempts"]) == 1
    assert {site.requests[path] for path in PATHS} == {2}, "each page was fetched once by each job"
    assert len(jobs.pods()) == 2


def test_what_ends_while_the_operator_is_down_is_told_when_it_is_back(
    jobs: Jobs, operator: OperatorProcess, site: DemoSite
) -> None:
    """A worker killed, a job deleted and a job applied in the operator's absence are all found at its start."""
    slow, site.delays["/slow"] = site.base_url + "/slow", 90.0
    for name in ("killed", "deleted"):
        jobs.apply(name, single={"url": slow}, priority="High", fetch={"timeoutSeconds": 90})
        jobs.running(name)
    operator.kill()
    kill_workers(jobs)
    jobs.kubectl("delete", "crawljob", "deleted")
    jobs.apply("fresh", single={"url": site.url(PATHS[0])}, priority="High")
    assert jobs.status("fresh")["phase"] == "Pending"
    site.delays["/slow"] = 0.0
    operator.start()
    assert jobs.reached("killed", "Retry", 15)["infrastructureRetries"] == 1
    assert jobs.finished("fresh")["phase"] == "Completed"
    wait_until(lambda: len({pod["metadata"]["labels"][JOB_LABEL] for pod in jobs.pods()}) == 2, "one pod is gone", 40)
    status = jobs.finished("killed", 30)
    assert [each["number"] for each in status["attempts"]] == [1, 2]
    assert not status.get("retryCount")


@pytest.mark.parametrize("priority", ["High", "Normal"])
def test_deleting_a_running_job_stops_its_pod(jobs: Jobs, operator: OperatorProcess, priority: str) -> None:
    """Kubectl delete is enough: the worker's process really ends, and its place is free again."""
    with DemoSite(delays={"/slow": 60}) as site:
        jobs.apply("gone", single={"url": site.base_url + "/slow"}, priority=priority, fetch={"timeoutSeconds": 90})
        jobs.running("gone")
        wait_until(lambda: site.in_flight == 1, "the page is being fetched", 15)
        assert worker_pids(jobs)
        jobs.kubectl("delete", "crawljob", "gone")
        wait_until(lambda: not jobs.pods(), "the pod is gone", 40)
        wait_until(lambda: site.in_flight == 0, "the site knows that it hung up", 5)


def test_a_job_recreated_under_its_name_is_another_job(jobs: Jobs, operator: OperatorProcess, site: DemoSite) -> None:
    """Nothing of the namesake before it is taken for its own: neither pod nor outcome."""
    workers = []
    for path in PATHS[:2]:
        jobs.apply("again", single={"url": site.url(path)}, priority="High")
        status = jobs.finished("again")
        assert status["result"]["data"][0]["url"] == site.url(path)
        workers.append(status["workerId"])
        jobs.kubectl("delete", "crawljob", "again")
    assert workers[0] != workers[1]


def test_a_worker_pod_deleted_by_force_is_replaced(jobs: Jobs, operator: OperatorProcess) -> None:
    """A pod that somebody deletes takes its outcome along or not: the job says what happened, and goes on."""
    with DemoSite(delays={"/slow": 60}) as site:
        jobs.apply("robbed", single={"url": site.base_url + "/slow"}, priority="High", fetch={"timeoutSeconds": 90})
        worker = jobs.running("robbed")["workerId"]
        jobs.kubectl("delete", "pod", worker, "--grace-period=0", "--force")
        status = jobs.reached("robbed", "Retry", 20)
        assert status["errors"][-1]["code"] in {"WorkerLost", "WorkerKilled", "Interrupted"}
        assert status["attempts"][0]["cause"] == "Infrastructure"
        second = jobs.running("robbed", 20)
    assert second["workerId"] != worker
    assert not second.get("retryCount")


@pytest.mark.timeout(240)
def test_a_happy_job_costs_three_writes_besides_progress(cluster: LocalCluster, jobs: Jobs, tmp_path: Path) -> None:
    """Its child, Processing, the end: counted on the wire."""
    with (
        DemoSite(delay=0.3) as site,
        ApiProxy(cluster) as proxy,
        OperatorProcess(cluster, tmp_path, server=proxy.url, namespaces=[jobs.namespace]),
    ):
        for name, priority, child in (("pod", "High", "pods"), ("job", "Normal", "jobs")):
            before = len(proxy.writes)
            urls = [site.url(path) for path in PATHS]
            jobs.apply(name, batch={"urls": urls}, priority=priority, fetch={"concurrency": 2})
            jobs.finished(name)
            time.sleep(1)  # whatever would come after the end
            writes = proxy.writes[before:]
            status = f"/crawljobs/{name}/status"
            assert [call.method for call in writes if call.path.endswith(f"/{child}")] == ["POST"]
            patches = [call for call in writes if call.path.endswith(status)]
            assert len(patches) + 1 == len(writes), f"only the child and the status are written: {writes}"
            assert len(patches) >= 3, "Processing, some progress, the end"

    (tmp_path / "seldom").mkdir()
    seldom: dict[str, Any] = {"namespaces": [jobs.namespace], "reconcile": {"progressIntervalSeconds": 100}}
    with (
        HeldSite() as held,
        ApiProxy(cluster) as proxy,
        OperatorProcess(cluster, tmp_path / "seldom", server=proxy.url, **seldom),
    ):
        jobs.apply("short", single={"url": held.url(PATHS[0])}, priority="High", fetch={"timeoutSeconds": 90})
        jobs.running("short")
        held.open()
        jobs.finished("short")
        time.sleep(1)
        assert len(proxy.writes) == 3, proxy.writes


def test_a_frozen_watch_is_found_mended_and_reported(cluster: LocalCluster, jobs: Jobs, tmp_path: Path) -> None:
    """A watch that silently stops delivering: jobs still run, by the relist, and liveness asks for a restart."""
    with (
        DemoSite() as site,
        ApiProxy(cluster) as proxy,
        OperatorProcess(
            cluster, tmp_path, server=proxy.url, namespaces=[jobs.namespace], reconcile={"relistSeconds": 1}
        ) as operator,
    ):
        assert operator.health("healthz")[0] == 200
        proxy.frozen = True
        jobs.apply("unseen", single={"url": site.url(PATHS[0])}, priority="High")
        assert jobs.finished("unseen", 60)["phase"] == "Completed"
        wait_until(lambda: operator.health("healthz")[0] == 503, "liveness fails", 30)
        assert "the watch of crawljobs is stale" in operator.health("readyz")[1]
        proxy.frozen = False
        wait_until(lambda: operator.health("healthz")[0] == 200, "it recovers with the watch", 30)


def test_an_operator_without_crds_says_so_and_goes_on_when_they_come(tmp_path: Path) -> None:
    """Installed in the wrong order: one clear line, no crash, and work as soon as the CRD is there."""
    with LocalCluster("bare", node=False) as bare:
        bare.kubectl("apply", "-f", ROOT / "operator" / "rbac.yaml")
        with OperatorProcess(bare, tmp_path, ready=False) as operator:
            wait_until(lambda: "kubectl apply -f crds/" in operator.log, "it says what is missing", 20)
            assert operator.health("healthz")[0] == 200
            assert operator.health("readyz")[0] == 503
            assert operator.stop() == 0, "it can be ended all the while"
            operator.start()
            bare.kubectl("apply", "-f", ROOT / "crds")
            wait_until(lambda: operator.health("readyz")[0] == 200, "it goes on", 20)
            bare.kubectl("apply", "-f", "-", input=json.dumps(manifest("seen", single={"url": "http://127.0.0.1/"})))
            wait_until(lambda: "default/seen" in operator.log, "the watch works", 20)


def test_kubectl_shows_a_job_as_people_expect(jobs: Jobs, operator: OperatorProcess, tmp_path: Path) -> None:
    """wait, get -w, describe and logs work on a CrawlJob as on a batch Job."""
    seen = tmp_path / "seen"
    with DemoSite(delay=0.5) as site, seen.open("w") as screen:
        watch = subprocess.Popen(
            [jobs.cluster.kubectl_path, "-n", jobs.namespace, "get", "crawl", "-w"],
            env=os.environ | jobs.cluster.env,
            stdout=screen,
        )
        jobs.apply("before", single={"url": site.base_url}, suspend=True)
        wait_until(lambda: "before" in seen.read_text(), "the watch has begun", 20)
        urls = [*(site.url(path) for path in PATHS), site.base_url + "/nowhere"]
        jobs.apply("shown", batch={"urls": urls}, priority="High", fetch={"concurrency": 2})
        waited = jobs.kubectl("wait", "--for=condition=Complete", "crawljob/shown", "--timeout=60s")
        wait_until(lambda: "PartialSuccess" in seen.read_text(), "the watch shows the end too", 10)
        watch.terminate()
        watch.wait(timeout=10)
    assert "condition met" in waited.stdout
    header, *lines = seen.read_text().splitlines()
    rows = [line for line in lines if line.startswith("shown ")]
    assert header.split() == ["NAME", "TYPE", "PRIORITY", "PHASE", "PROGRESS", "RETRIES", "WORKER", "AGE"]
    phases = list(dict.fromkeys(row.split()[3] for row in rows))
    assert phases == ["Pending", "Processing", "PartialSuccess"]
    assert sum("%" in row for row in rows) >= 3, "progress is seen moving"
    # The event is written after the status that it tells of.
    wait_until(
        lambda: "Warning  PartialSuccess" in jobs.kubectl("describe", "crawl", "shown").stdout, "the event is there", 20
    )
    assert "/nowhere" in jobs.kubectl("describe", "crawl", "shown").stdout
    logs = jobs.kubectl("logs", jobs.status("shown")["workerId"]).stdout
    assert "attempt ended" in logs
    wide = jobs.kubectl("get", "crawl", "shown", "-o", "wide").stdout
    assert "REASON" in wide
    assert "results.jsonl" in wide
    assert jobs.kubectl("get", "crawl", "--field-selector", "status.phase=PartialSuccess", "-o", "name").stdout


def test_two_operators_at_once_double_nothing(cluster: LocalCluster, jobs: Jobs, tmp_path: Path) -> None:
    """Without any lock between them: one worker per job, one end per job."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    store: dict[str, Any] = {"results": {"folder": str(tmp_path / "results")}}
    with (
        DemoSite() as site,
        OperatorProcess(cluster, tmp_path / "one", namespaces=[jobs.namespace], **store),
        OperatorProcess(cluster, tmp_path / "two", namespaces=[jobs.namespace], **store),
    ):
        names = [f"job-{number}" for number in range(6)]
        for number, name in enumerate(names):
            jobs.apply(name, single={"url": site.url(PATHS[number])}, priority=["High", "Normal"][number % 2])
        for name in names:
            status = jobs.finished(name)
            assert status["phase"] == "Completed"
            assert len(status["attempts"]) == 1
            assert status["result"]["data"][0]["url"] == site.url(PATHS[names.index(name)])
    assert len(jobs.pods()) == len(names)
    assert {site.requests[path] for path in PATHS[: len(names)]} == {1}


def test_what_others_write_meanwhile_is_never_lost(
    cluster: LocalCluster, jobs: Jobs, operator: OperatorProcess
) -> None:
    """Users annotate a job all the while it runs: every annotation stays, and so does every word of the status."""
    with DemoSite(delay=0.2) as site:
        urls = [site.url(path) for path in PATHS]
        jobs.apply("busy", batch={"urls": urls}, priority="High", fetch={"concurrency": 2})
        jobs.running("busy")
        for number in range(20):
            jobs.kubectl("annotate", "crawljob", "busy", f"example.org/note-{number}=kept")
        status = jobs.finished("busy")
    assert status["phase"] == "Completed"
    assert status["progress"]["succeeded"] == len(PATHS)
    annotations = jobs.get("busy")["metadata"]["annotations"]
    assert sum(key.startswith("example.org/note-") for key in annotations) == 20


@pytest.mark.long
def test_the_api_server_may_restart_in_the_middle(tmp_path: Path) -> None:
    """Operator and worker outlast it; the job ends as if nothing had happened."""
    worker = Image(entrypoint=[sys.executable, "-m", "crawl_worker"])
    with LocalCluster("restarts", images={WORKER_IMAGE: worker}) as own, DemoSite(delay=0.7) as site:
        prepare(own)
        jobs = Jobs(own, "default")
        with OperatorProcess(own, tmp_path) as operator:
            urls = [site.url(path) for path in PATHS]
            jobs.apply("steady", batch={"urls": urls}, priority="High", fetch={"concurrency": 2})
            jobs.running("steady")
            own.restart("kube-apiserver")
            status = jobs.finished("steady")
            assert operator.health("healthz")[0] == 200
    assert status["phase"] == "Completed"
    assert status["progress"]["succeeded"] == len(PATHS)
