"""From `helm install` to results, on a real node: what its users meet. The tests build on each other, in this order."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from helm import CHART, ROOT
from installed import CRAWLS, RELEASE, Installed, values_of
from local_cluster.real import network
from local_cluster.real.purge import CGROUP, CGROUPS
from operator_process import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

PAGES = [f"/page/{number}" for number in range(5)]
SLOW = [f"/slow/{number}" for number in range(10)]


def test_helm_test_passes(installed: Installed) -> None:
    """One crawl as a Pod and one as a batch Job, seen by the release's own test."""
    said = installed.helm.run("test", RELEASE, "--namespace", RELEASE, "--logs", "--timeout", "5m", seconds=360).stdout
    assert "Phase:          Succeeded" in said or "Succeeded" in said
    assert "a crawl ran as a pod, and one as a batch Job" in said


def test_both_replicas_are_ready_and_one_leads(installed: Installed) -> None:
    pods = installed.operators()
    assert len(pods) == 2
    leaders = 0
    for pod in pods:
        script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8081/metrics').read().decode())"
        said = installed.kubectl("-n", RELEASE, "exec", pod["metadata"]["name"], "--", "python", "-c", script).stdout
        found = re.search(r"^crawl_operator_leader (\S+)$", said, re.MULTILINE)
        assert found
        leaders += found[1] == "1.0"
        assert {"type": "Ready", "status": "True"}.items() <= {
            key: value for each in pod["status"]["conditions"] if each["type"] == "Ready" for key, value in each.items()
        }.items()
    assert leaders == 1


@pytest.mark.parametrize("priority", ["High", "Normal"])
def test_jobs_of_every_type_finish_in_both_executions(installed: Installed, priority: str) -> None:
    """As a Pod and as a batch Job; their results are downloaded."""
    wanted = {"single": PAGES[:1], "batch": PAGES}
    for kind, paths in wanted.items():
        installed.apply(f"{kind}-{priority.lower()}", *paths, priority=priority)
    for kind, paths in wanted.items():
        status = installed.jobs.finished(f"{kind}-{priority.lower()}", 120)
        assert status["phase"] == "Completed", status
        assert len(installed.results(status)) == len(paths)
    said = installed.kubectl("-n", CRAWLS, "wait", "crawl", "--for=condition=Complete", f"single-{priority.lower()}")
    assert "condition met" in said.stdout


def test_logs_of_a_worker_are_there(installed: Installed) -> None:
    worker = installed.jobs.status("batch-high")["workerId"]
    assert "worker" in installed.kubectl("-n", CRAWLS, "logs", worker).stdout


def test_a_worker_reaches_nothing_that_it_should_not(installed: Installed) -> None:
    """Neither the API, nor the metadata address, nor its root filesystem.

    The metadata address is refused by the worker's own guard: nothing on this node enforces network policies.
    """
    installed.jobs.apply("metadata", single={"url": "http://169.254.169.254/latest/"}, priority="High")
    installed.apply("inside", *SLOW, priority="High", fetch={"concurrency": 1})
    status = installed.jobs.finished("metadata", 120)
    assert status["phase"] == "Failed"
    assert "169.254.169.254" in json.dumps(status["errors"])
    worker = installed.jobs.running("inside", 60)["workerId"]
    wait_until(lambda: installed.jobs.status("inside")["progress"].get("succeeded"), "it crawls", 60)

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
    assert installed.jobs.finished("inside", 120)["phase"] == "Completed"


def test_a_privileged_pod_of_the_operators_is_refused(installed: Installed) -> None:
    """Made with its own token, in the namespace in which it makes workers."""
    token = installed.kubectl("-n", RELEASE, "create", "token", RELEASE).stdout.strip()
    config = yaml.safe_load(installed.real.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = Path(installed.real.state_dir, "operator.kubeconfig")
    path.write_text(yaml.safe_dump(config))
    container = {"name": "x", "image": "localhost/crawl-worker:0.1.0", "securityContext": {"privileged": True}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [container]}}
    refused = installed.kubectl(
        f"--kubeconfig={path}", "-n", CRAWLS, "create", "-f", "-", input=json.dumps(pod), check=False
    )
    assert "ValidatingAdmissionPolicy" in refused.stderr
    assert "no capability" in refused.stderr or "workers of CrawlJobs only" in refused.stderr


@pytest.mark.parametrize("priority", ["High", "Normal"])
def test_a_crawl_goes_on_when_its_node_is_drained(installed: Installed, priority: str) -> None:
    """The worker is evicted in the middle: another goes on, no attempt is used up and no page is lost."""
    name = f"drained-{priority.lower()}"
    installed.apply(name, *SLOW, priority=priority, fetch={"concurrency": 1})
    wait_until(lambda: installed.jobs.status(name)["progress"].get("succeeded"), "it crawls", 90)
    worker = installed.jobs.status(name)["workerId"]
    drain = ("drain", installed.real.node, "--pod-selector", "app.kubernetes.io/name=crawl-worker", "--force")
    installed.kubectl(*drain, "--delete-emptydir-data", "--timeout=90s")
    installed.kubectl("uncordon", installed.real.node)
    status = installed.jobs.finished(name, 180)
    assert (status["phase"], status.get("retryCount", 0)) == ("Completed", 0), status
    assert status["workerId"] != worker
    assert len({record["url"] for record in installed.results(status)}) == len(SLOW)


def test_twenty_jobs_do_not_notice_that_operators_are_killed_and_rolled(installed: Installed) -> None:
    names = [f"busy-{number}" for number in range(20)]
    for number, name in enumerate(names):
        priority = "High" if number % 2 else "Normal"
        installed.apply(name, *SLOW, priority=priority, fetch={"concurrency": 1}, timeoutSeconds=600)
    for name in names:
        installed.jobs.running(name, 180)
    victim = installed.operators()[0]["metadata"]["name"]
    installed.kubectl("-n", RELEASE, "delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")
    arguments = ("upgrade", RELEASE, CHART, "--namespace", RELEASE, "--wait", "--timeout", "4m")
    installed.helm.run(*arguments, values=values_of("0.1.1"), seconds=300)
    assert {each["spec"]["containers"][0]["image"] for each in installed.operators()} == {
        "localhost/crawl-operator:0.1.1"
    }
    for name in names:
        status = installed.jobs.finished(name, 240)
        assert status["phase"] == "Completed", status
        assert len(status["attempts"]) == 1, "none was started again"


def test_a_crawl_goes_on_when_its_node_starts_anew(installed: Installed) -> None:
    """Kubelet, runtime and every container are gone, and come back."""
    installed.apply("rebooted", *SLOW, priority="High", fetch={"concurrency": 1})
    wait_until(lambda: installed.jobs.status("rebooted")["progress"].get("succeeded"), "it crawls", 90)
    installed.real.restart_node()
    status = installed.jobs.finished("rebooted", 300)
    assert (status["phase"], status.get("retryCount", 0)) == ("Completed", 0), status
    assert len({record["url"] for record in installed.results(status)}) == len(SLOW)


def test_uninstalling_leaves_crds_and_jobs_until_told_otherwise(installed: Installed) -> None:
    installed.helm.run("uninstall", RELEASE, "--namespace", RELEASE, "--wait", "--timeout", "2m")
    assert installed.jobs.status("batch-high")["phase"] == "Completed"
    assert installed.kubectl("-n", RELEASE, "get", "pods", "-o", "name").stdout == ""
    installed.kubectl("delete", "-f", ROOT / "crds")
    assert "crawls" not in installed.kubectl("api-resources", "-o", "name").stdout


def test_nothing_is_left(installed: Installed) -> None:
    """The last of all: the node is gone, and with it its network, mounts, cgroups and processes."""
    installed.real.stop()
    assert network.NAMESPACE not in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert "crawl-operator" not in Path("/proc/self/mountinfo").read_text()
    assert not [*CGROUPS.glob(f"*/{CGROUP}"), *CGROUPS.glob(CGROUP)]
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    assert network.POD_RANGE not in routes
