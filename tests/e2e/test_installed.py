"""From `helm install` to results, on a real node: what its users meet. The tests build on each other, in this order."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import yaml

from crawl_api.job_types import JobType
from demo.pages import PAGES
from helm import CHART
from installed import BASE, CATALOGUE, CRAWLS, RELEASE, Installed, Object, first_page, values_of
from local_cluster.real import network
from local_cluster.real.purge import CGROUP, CGROUPS
from operator_process import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

CATALOGUE_URLS = {BASE + path for path in CATALOGUE}
OF_EVERY_TYPE: dict[str, dict[str, Any]] = {
    "single": {"single": {"url": f"{BASE}/catalogue/"}},
    "batch": {"batch": {"urls": sorted(CATALOGUE_URLS)}},
    "site": {"site": {"startUrls": [f"{BASE}/catalogue/"], "allow": ["/catalogue/"]}},
    "pdf": {"pdf": {"urls": [f"{BASE}/files/units.pdf"]}},
    "custom": {
        "custom": {
            "processor": "scrapy",
            "parameters": {"spider": "catalogue", "arguments": {"start": f"{BASE}/catalogue/"}},
        },
        "worker": {"image": "localhost/crawl-handbook:0.1.0"},
    },
    "maintenance": {"maintenance": {"task": "health_check", "parameters": {"urls": [f"{BASE}/catalogue/"]}}},
}
EXECUTIONS = {"High": "Pod", "Normal": "Job"}
"""What runs jobs of a priority."""
INSTALL = ("install", RELEASE, CHART, "--namespace", RELEASE, "--wait", "--timeout", "5m")
UPGRADE = ("upgrade", *INSTALL[1:])
UNINSTALL = ("uninstall", RELEASE, "--namespace", RELEASE, "--wait", "--timeout", "2m")


def test_the_previous_chart_is_upgraded_with_a_job_stored(installed: Installed) -> None:
    """The job stays what it was, and may then have a field that the previous chart's CRD did not know."""
    installed.jobs.apply("kept", single={"url": f"{BASE}/catalogue/"}, scheduledAt="2099-01-01T00:00:00Z")
    suspend = ("-n", CRAWLS, "patch", "crawljob", "kept", "--type=merge", "-p", '{"spec": {"suspend": true}}')
    assert 'unknown field "spec.suspend"' in installed.kubectl(*suspend, check=False).stderr
    before = installed.jobs.get("kept")
    installed.helm.run(*UPGRADE, values=values_of("0.1.0"), seconds=360)
    wait_until(lambda: installed.kubectl(*suspend, check=False).returncode == 0, "the new field is known", 20)
    after = installed.jobs.get("kept")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"] == before["spec"] | {"suspend": True}
    said = json.loads(installed.helm.run("list", "--namespace", RELEASE, "-o", "json").stdout)
    assert [each["revision"] for each in said] == ["2"]


def test_helm_test_passes(installed: Installed) -> None:
    """One crawl as a Pod and one as a batch Job, seen by the release's own test."""
    said = installed.helm.run("test", RELEASE, "--namespace", RELEASE, "--logs", "--timeout", "5m", seconds=360).stdout
    assert "a crawl ran as a pod, and one as a batch Job" in said


def test_both_replicas_are_ready_and_one_leads(installed: Installed) -> None:
    """Sooner or later: on a busy machine a probe may fail, and a lease may run out, at any moment."""

    def ready() -> list[str]:
        return [
            condition["status"]
            for pod in installed.operators()
            for condition in pod["status"]["conditions"]
            if condition["type"] == "Ready"
        ]

    wait_until(lambda: ready() == ["True", "True"], "both are ready", 60)
    wait_until(lambda: len(installed.leaders()) == 1, "one leads", 60)


def test_jobs_of_every_type_finish_in_both_executions(installed: Installed) -> None:
    """As a Pod and as a batch Job; what they have found is downloaded."""
    assert set(OF_EVERY_TYPE) == {each.lower() for each in JobType}
    for kind, spec in OF_EVERY_TYPE.items():
        for priority in EXECUTIONS:
            installed.jobs.apply(f"{kind}-{priority.lower()}", priority=priority, **spec)
    for priority, execution in EXECUTIONS.items():
        found = {}
        for kind in OF_EVERY_TYPE:
            status = installed.jobs.finished(f"{kind}-{priority.lower()}", 240)
            assert status["phase"] == "Completed", status
            assert [each["execution"] for each in status["attempts"]] == [execution]
            found[kind] = installed.results(status)
        assert [each["title"] for each in found["single"]] == [PAGES["/catalogue/"].title]
        for kind in ("batch", "site"):
            assert {each["url"]: each["title"] for each in found[kind]} == {
                BASE + path: PAGES[path].title for path in CATALOGUE
            }, kind
        assert [each["pdf"]["pages"] for each in found["pdf"]] == [1]
        assert {(each["data"]["url"], each["data"]["price"]) for each in found["custom"]} == {
            (BASE + path, PAGES[path].price) for path in CATALOGUE if PAGES[path].price
        }
        assert [each["data"] for each in found["maintenance"]] == [{"healthy": True}] * 4
    said = installed.kubectl("-n", CRAWLS, "wait", "crawl", "--for=condition=Complete", "single-high", "batch-normal")
    assert said.stdout.count("condition met") == 2


def test_schedules_run_on_time_and_on_request(installed: Installed) -> None:
    """Every minute as a batch Job, and by annotation as a Pod."""
    timetables = {"on-request": ("High", "0 0 1 1 *"), "every-minute": ("Normal", "* * * * *")}
    for name, (priority, timetable) in timetables.items():
        schedule = {
            "apiVersion": "crawl-operator.io/v1alpha1",
            "kind": "ScheduledCrawlJob",
            "metadata": {"name": name},
            "spec": {
                "schedule": timetable,
                "jobTemplate": {"spec": {"type": "Single", "priority": priority, **OF_EVERY_TYPE["single"]}},
            },
        }
        installed.kubectl("-n", CRAWLS, "apply", "-f", "-", input=json.dumps(schedule))
    installed.kubectl("-n", CRAWLS, "annotate", "scrawl", "on-request", "crawl-operator.io/trigger=now")
    for name, (priority, _) in timetables.items():
        mine = ("crawl", "-l", f"crawl-operator.io/schedule={name}")
        wait_until(lambda mine=mine: installed.listed(CRAWLS, *mine), f"{name} has a run", 90)  # type: ignore[misc]
        status = installed.jobs.finished(installed.listed(CRAWLS, *mine)[0]["metadata"]["name"], 120)
        assert status["phase"] == "Completed", status
        assert [each["execution"] for each in status["attempts"]] == [EXECUTIONS[priority]]
        assert len(installed.results(status)) == 1
    installed.kubectl("-n", CRAWLS, "delete", "scrawl", *timetables)


def test_logs_of_a_worker_are_there(installed: Installed) -> None:
    for priority in EXECUTIONS:
        worker = installed.jobs.status(f"batch-{priority.lower()}")["workerId"]
        said = installed.kubectl("-n", CRAWLS, "logs", worker).stdout
        assert f'"attempt ended" succeeded={len(CATALOGUE)} failed=0 failure="none"' in said


def test_results_come_through_a_forwarded_port(installed: Installed, tmp_path: Path) -> None:
    """As an administrator with a certificate gets them after `helm install`: the chart's account lends a token."""
    path = os.pathsep.join((str(installed.real.kubectl_path.parent), os.environ["PATH"]))
    environment = os.environ | {"KUBECONFIG": str(installed.real.kubeconfig), "PATH": path}
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "crawl_cli",
        "results",
        "batch-high",
        "-n",
        CRAWLS,
        "--to",
        tmp_path,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    saved = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert saved == installed.results(installed.jobs.status("batch-high"))


def test_the_gateway_serves_whom_the_cluster_knows(installed: Installed) -> None:
    """With the token of an account that may edit its namespace: the page, a job, its result, and nothing elsewhere."""
    role = ("--clusterrole=edit", f"--serviceaccount={CRAWLS}:caller")
    installed.kubectl("-n", CRAWLS, "create", "serviceaccount", "caller")
    installed.kubectl("-n", CRAWLS, "create", "rolebinding", "caller", *role)
    may = ("-n", CRAWLS, "auth", "can-i", "create", "crawljobs", f"--as=system:serviceaccount:{CRAWLS}:caller")
    wait_until(lambda: installed.kubectl(*may, check=False).returncode == 0, "the API server knows of the role", 20)
    token = installed.kubectl("-n", CRAWLS, "create", "token", "caller", "--audience=crawl-gateway").stdout.strip()
    ends = {"Completed", "PartialSuccess", "Failed", "DeadLetter", "Cancelled"}
    with (
        installed.forwarded(f"{RELEASE}-gateway", 80) as url,
        httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as http,
    ):
        assert http.get("/ready").status_code == 200
        assert "<html" in http.get("/").text
        body = {"metadata": {"name": "over-http"}, "spec": {"type": "Batch", **OF_EVERY_TYPE["batch"]}}
        assert http.post("/v1/jobs", json=body).status_code == 201
        wait_until(lambda: http.get("/v1/jobs/over-http").json().get("status", {}).get("phase") in ends, "it ends", 120)
        records = http.get("/v1/jobs/over-http/records")
        assert records.status_code == 200, records.text
        assert {json.loads(line)["url"] for line in records.text.splitlines()} == CATALOGUE_URLS
        assert http.get("/v1/jobs", params={"namespace": RELEASE}).status_code == 404, "it is not served"
        assert http.get("/v1/jobs", headers={"Authorization": "Bearer nobody's"}).status_code == 401
    assert installed.jobs.status("over-http")["phase"] == "Completed"


def test_a_worker_reaches_nothing_that_it_should_not(installed: Installed) -> None:
    """Neither the API, nor the metadata address, nor its root filesystem.

    The metadata address is refused by the worker's own guard: nothing on this node enforces network policies.
    """
    installed.jobs.apply("metadata", single={"url": "http://169.254.169.254/latest/"}, priority="High")
    installed.begin("inside")
    status = installed.jobs.finished("metadata", 120)
    assert status["phase"] == "Failed"
    assert "169.254.169.254" in json.dumps(status["errors"])
    worker = installed.crawling("inside")["workerId"]

    def inside(script: str) -> subprocess.CompletedProcess[str]:
        result: subprocess.CompletedProcess[str] = installed.kubectl(
            "-n", CRAWLS, "exec", worker, "--", "python", "-c", script, check=False
        )
        return result

    assert inside("import os; print(os.getuid())").stdout == "65532\n"
    assert "Read-only file system" in inside("open('/opt/here', 'w')").stderr
    assert "No such file" in inside("open('/var/run/secrets/kubernetes.io/serviceaccount/token')").stderr
    ask = (
        "import ssl, urllib.request as u; token = open('/var/run/crawl-operator/token').read();"
        "context = ssl._create_unverified_context();"
        "u.urlopen(u.Request('https://kubernetes.default.svc/api/v1/namespaces/crawls/pods',"
        " headers={'Authorization': 'Bearer ' + token}), context=context)"
    )
    assert "401" in inside(ask).stderr


def test_a_privileged_pod_of_the_operators_is_refused(installed: Installed) -> None:
    """Made with its own token, where it makes workers, and like one of them in all else."""
    token = installed.kubectl("-n", RELEASE, "create", "token", RELEASE).stdout.strip()
    config = yaml.safe_load(installed.real.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = Path(installed.real.state_dir, "operator.kubeconfig")
    path.write_text(yaml.safe_dump(config))
    worker = installed.jobs.get(installed.jobs.status("inside")["workerId"], "pod")
    kept = ("labels", "ownerReferences")
    worker["metadata"] = {"name": "x", **{key: worker["metadata"][key] for key in kept}}
    for key in ("nodeName", "priority", "preemptionPolicy"):
        del worker["spec"][key]

    def made(pod: Object) -> str:
        create = (f"--kubeconfig={path}", "-n", CRAWLS, "create", "--dry-run=server", "-f", "-")
        said = installed.kubectl(*create, input=json.dumps(pod), check=False)
        return str(said.stdout + said.stderr)

    installed.kubectl("label", "namespace", CRAWLS, "--overwrite", enforce("privileged"))  # else its rule speaks first
    assert made(worker) == "pod/x created (server dry run)\n"
    security = worker["spec"]["containers"][0]["securityContext"]
    del security["allowPrivilegeEscalation"]  # no pod may be privileged and have this
    security["privileged"] = True
    wait_until(lambda: "ValidatingAdmissionPolicy" in made(worker), "the namespace's rule speaks no more", 20)
    refused = made(worker)
    installed.kubectl("label", "namespace", CRAWLS, "--overwrite", enforce("restricted"))
    assert "ValidatingAdmissionPolicy 'crawl-operator-pods'" in refused
    assert "denied request: workers have no capability, gain none, and do not write their root filesystem" in refused
    installed.release()
    assert installed.jobs.finished("inside", 120)["phase"] == "Completed"


def test_crawls_go_on_when_their_node_is_drained(installed: Installed) -> None:
    """Workers are evicted in the middle: others go on, no attempt is used up, no page is lost or crawled again."""
    names = ("drained-high", "drained-normal")
    installed.begin(*names)
    before = {name: installed.crawling(name)["workerId"] for name in names}
    drain = ("drain", installed.real.node, "--pod-selector", "app.kubernetes.io/name=crawl-worker", "--force")
    installed.kubectl(*drain, "--delete-emptydir-data", "--timeout=90s")
    installed.kubectl("uncordon", installed.real.node)
    installed.release()
    for name in names:
        status = installed.went_on(name)
        assert status["workerId"] != before[name]
    asked = installed.asked()
    assert [asked.count(first_page(name)) for name in names] == [1, 1]


def test_twenty_jobs_do_not_notice_that_operators_are_killed_and_rolled(installed: Installed) -> None:
    """Each keeps the attempt, worker and container that it had, and is still at work when the new version leads."""
    names = [f"busy-{number}" for number in range(20)]
    installed.begin(*names)
    before = {name: installed.crawling(name) for name in names}
    containers = installed.containers(names)
    old = {pod["metadata"]["uid"] for pod in installed.operators()}

    def restarts() -> dict[str, int]:
        statuses = {pod["metadata"]["uid"]: pod["status"]["containerStatuses"] for pod in installed.operators()}
        return {uid: container["restartCount"] for uid, (container,) in statuses.items()}

    leaders: list[Any] = []

    def one_leads() -> bool:
        leaders[:] = installed.leaders()
        return len(leaders) == 1

    wait_until(one_leads, "one leads", 60)
    (leader,) = leaders
    expected = restarts()
    expected[leader["metadata"]["uid"]] += 1
    installed.kill(leader)
    wait_until(lambda: restarts() == expected, "the one that led is started again, and no other", 60)
    wait_until(one_leads, "one leads again", 60)
    installed.helm.run(*UPGRADE, values=values_of("0.1.1"), seconds=360)
    new = installed.operators()
    assert {pod["spec"]["containers"][0]["image"] for pod in new} == {"localhost/crawl-operator:0.1.1"}
    assert not old & {pod["metadata"]["uid"] for pod in new}
    wait_until(one_leads, "one of the new ones leads", 60)
    assert {installed.jobs.status(name)["phase"] for name in names} == {"Processing"}
    installed.release()
    for name in names:
        status = installed.went_on(name)
        (was,), (attempt,) = before[name]["attempts"], status["attempts"]
        assert attempt.items() >= was.items(), "none was started again"
        assert status["workerId"] == before[name]["workerId"]
    assert installed.containers(names) == containers
    asked = installed.asked()
    assert {asked.count(first_page(name)) for name in names} == {1}


def test_a_crawl_goes_on_when_its_node_starts_anew(installed: Installed) -> None:
    """Kubelet, runtime and every container are gone, and come back; the operators' and the site's too."""
    names = ("rebooted-high", "rebooted-normal")
    installed.begin(*names)
    for name in names:
        installed.crawling(name)
    installed.real.restart_node()
    installed.release()
    for name in names:
        installed.went_on(name)


def test_uninstalling_leaves_crds_jobs_and_results_until_told_otherwise(installed: Installed) -> None:
    """And the release can be installed again on top of them, before it goes with all of it."""
    installed.helm.run(*UNINSTALL, seconds=180)
    left = (RELEASE, "pods,deployments,services")
    wait_until(lambda: installed.listed(*left) == [], "the pods go with their deployments", 60)
    assert installed.jobs.status("batch-high")["phase"] == "Completed"
    assert installed.jobs.status("kept")["phase"] != "Completed"
    values = values_of("0.1.1") | {"crds": {"keep": False}}
    values["results"]["persistence"]["keep"] = False
    installed.helm.run(*INSTALL, values=values, seconds=360)
    assert len(installed.results(installed.jobs.status("batch-high"))) == len(CATALOGUE)
    installed.jobs.apply("again", priority="High", **OF_EVERY_TYPE["single"])
    assert installed.jobs.finished("again", 120)["phase"] == "Completed"
    installed.helm.run(*UNINSTALL, seconds=180)
    wait_until(lambda: "crawl" not in installed.kubectl("get", "crd", "-o", "name").stdout, "the CRDs go", 60)
    wait_until(lambda: not installed.listed(RELEASE, "persistentvolumeclaims"), "the claim goes", 60)
    wait_until(lambda: not installed.listed(CRAWLS, "pods,jobs"), "workers go with their jobs", 120)
    cluster_wide = "clusterroles,clusterrolebindings,validatingadmissionpolicies,priorityclasses"
    assert (
        installed.kubectl("get", cluster_wide, "-l", "app.kubernetes.io/name=crawl-operator", "-o", "name").stdout == ""
    )


def test_nothing_is_left(installed: Installed) -> None:
    """The last of all: the node is gone, and with it its network, mounts, cgroups and processes."""
    folder = installed.real.folder
    installed.real.stop()
    assert network.NAMESPACE not in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert "crawl-operator" not in Path("/proc/self/mountinfo").read_text()
    assert not [*CGROUPS.glob(f"*/{CGROUP}"), *CGROUPS.glob(CGROUP)]
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    assert network.POD_RANGE not in routes
    assert not folder.exists()
    assert not [
        each for each in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(each.info["cmdline"] or ())
    ]


def enforce(standard: str) -> str:
    return f"pod-security.kubernetes.io/enforce={standard}"
