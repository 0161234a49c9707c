"""Pods on the node behave as Kubernetes says, from their first state to their last."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from node_under_test import Json, Node, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]


def state(pod: Json, index: int = 0) -> Json:
    found: Json = pod["status"]["containerStatuses"][index]["state"]
    return found


def conditions(pod: Json) -> dict[str, str]:
    return {entry["type"]: entry["status"] for entry in pod["status"]["conditions"]}


def test_a_pod_that_succeeds(node: Node) -> None:
    name = node.run("echo out; printf result > /dev/termination-log")
    pod = node.until_phase(name, "Succeeded")
    ended = state(pod)["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (0, "Completed", "result")
    assert ended["startedAt"] <= ended["finishedAt"]
    assert ended["containerID"].startswith("process://")
    assert pod["status"]["hostIP"] == "127.0.0.1"
    assert pod["status"]["podIPs"] == [{"ip": pod["status"]["podIP"]}]
    assert conditions(pod) == {
        "PodReadyToStartContainers": "False",
        "Initialized": "True",
        "Ready": "False",
        "ContainersReady": "False",
        "PodScheduled": "True",
    }
    assert node.until_event(name, "Started") == "Started container c0"


def test_a_pod_that_runs_is_ready(node: Node) -> None:
    name = node.run("exec sleep 60", "exec sleep 60")
    pod = node.until_phase(name, "Running")
    assert set(conditions(pod).values()) == {"True"}
    assert [entry["ready"] for entry in pod["status"]["containerStatuses"]] == [True, True]


def test_one_failure_fails_the_pod_after_all_have_ended(node: Node) -> None:
    name = node.run("exit 3", "sleep 0.3")
    pod = node.until_phase(name, "Failed")
    assert [state(pod, index)["terminated"]["exitCode"] for index in (0, 1)] == [3, 0]


def test_an_image_brings_entrypoint_command_and_environment(node: Node) -> None:
    name = node.run({"image": "greeter"}, {"image": "greeter", "args": ["you"]})
    node.until_phase(name, "Succeeded")
    assert node.logs(name, "-c", "c0") == "hello world\n"
    assert node.logs(name, "-c", "c1") == "hello you\n"


def test_init_containers_run_one_after_the_other_before_the_rest(node: Node) -> None:
    mounts = [{"name": "shared", "mountPath": "/shared"}]
    inits = [
        {"name": f"i{n}", "image": "host", "command": ["sh", "-c", f"sleep 0.1; echo {n} >> /shared/order"]}
        for n in range(2)
    ]
    name = node.run(
        {"image": "host", "command": ["cat", "/shared/order"], "volumeMounts": mounts},
        initContainers=[{**entry, "volumeMounts": mounts} for entry in inits],
        volumes=[{"name": "shared", "emptyDir": {}}],
    )
    node.until_phase(name, "Succeeded")
    assert node.logs(name) == "0\n1\n"


def test_a_failed_init_container_fails_the_pod_and_nothing_else_runs(node: Node) -> None:
    init = {"name": "i", "image": "host", "command": ["false"]}
    pod = node.until_phase(node.run("echo never", initContainers=[init]), "Failed")
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 1
    assert state(pod)["waiting"]["reason"] == "PodInitializing"


def test_a_container_that_keeps_failing_is_restarted_with_back_off(node: Node) -> None:
    name = node.run("echo attempt; exit 5", restartPolicy="Always")
    pod = node.until(
        name,
        lambda pod: (
            state(pod)["waiting"]["reason"] == "CrashLoopBackOff"
            and pod["status"]["containerStatuses"][0]["restartCount"] >= 2
        ),
    )
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 5
    assert "restarting failed container=c0" in state(pod)["waiting"]["message"]
    assert node.logs(name, "--previous") == "attempt\n"
    assert "Back-off restarting failed container c0" in node.until_event(name, "BackOff")


def test_on_failure_ends_with_the_first_success(node: Node) -> None:
    name = node.run("[ -e ~/mark ] && exit 0; touch ~/mark; exit 1", restartPolicy="OnFailure")
    pod = node.until_phase(name, "Succeeded")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 1


def test_a_kill_from_outside_is_told_as_it_was(node: Node) -> None:
    name = node.run("exec sleep 60.25")
    node.until_phase(name, "Running")
    (process,) = node.processes(name, "sleep 60.25")
    process.kill()
    ended = state(node.until_phase(name, "Failed"))["terminated"]
    assert (ended["exitCode"], ended["signal"], ended["reason"]) == (137, 9, "Error")


def test_what_cannot_be_started_says_so(node: Node) -> None:
    name = node.run({"image": "host", "command": ["no-such-program"]})
    ended = state(node.until_phase(name, "Failed"))["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert "no-such-program" in ended["message"]


def test_descendants_end_with_their_container(node: Node) -> None:
    name = node.run("setsid sleep 60.5 & (setsid sleep 60.5 &) ; sleep 60.5 & sleep 0.3; exit 0")
    node.until_phase(name, "Succeeded")
    assert node.processes(name, "sleep 60.5") == []


def test_the_last_lines_of_the_log_stand_in_for_a_message(node: Node) -> None:
    container = {"image": "host", "command": ["sh", "-c", "echo oh no; exit 1"]}
    name = node.run({**container, "terminationMessagePolicy": "FallbackToLogsOnError"})
    assert state(node.until_phase(name, "Failed"))["terminated"]["message"] == "oh no\n"


def test_a_deadline_ends_the_pod(node: Node) -> None:
    name = node.run("exec sleep 60", activeDeadlineSeconds=5)
    pod = node.until_phase(name, "Failed")
    assert pod["status"]["reason"] == "DeadlineExceeded"
    node.until(name, lambda pod: state(pod)["terminated"]["signal"] == 15)


def test_deletion_lets_the_container_end_itself(node: Node) -> None:
    name = node.run("trap 'sleep 0.2; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    node.until_says(name, "up\n")
    node.delete(name, 60)
    node.until_gone(name)
    assert node.processes(name, "sh") == []
    assert node.until_event(name, "Killing") == "Stopping container c0"


def test_deletion_kills_what_does_not_end_itself(node: Node) -> None:
    name = node.run("trap '' TERM; echo up; while :; do sleep 0.05; done", terminationGracePeriodSeconds=1)
    node.until_says(name, "up\n")
    started = time.monotonic()
    node.delete(name)
    node.until_gone(name)
    assert time.monotonic() - started >= 1
    assert node.processes(name, "sh") == []


def test_a_second_deletion_can_shorten_the_grace(node: Node) -> None:
    name = node.run("trap '' TERM; echo up; while :; do sleep 0.05; done", terminationGracePeriodSeconds=60)
    node.until_says(name, "up\n")
    node.delete(name)
    node.delete(name, 1)
    node.until_gone(name)


def test_a_forced_deletion_kills_at_once(node: Node) -> None:
    name = node.run("trap '' TERM; echo up; sleep 60.75")
    node.until_says(name, "up\n")
    node.cluster.kubectl("delete", "pod", name, "--force", "--grace-period=0")
    eventually(lambda: not node.processes(name, "sleep 60.75"))


def test_a_finalizer_keeps_the_pod_in_its_last_state(node: Node) -> None:
    name = node.run("exec sleep 60", metadata={"finalizers": ["example.org/hold"]})
    node.until_phase(name, "Running")
    node.delete(name, 1)
    pod = node.until_phase(name, "Failed")
    assert state(pod)["terminated"]["signal"] == 15
    node.patch(f"pods/{name}", {"metadata": {"finalizers": None}})
    node.until_gone(name)


def test_what_is_not_supported_is_refused_by_name(node: Node) -> None:
    name = node.run(
        {"image": "host", "command": ["true"], "lifecycle": {"preStop": {"exec": {"command": ["true"]}}}},
        hostNetwork=True,
        volumes=[{"name": "host", "hostPath": {"path": "/"}}],
    )
    pod = node.until_phase(name, "Failed")
    assert pod["status"]["reason"] == "UnsupportedPodSpec"
    for path in ("spec.hostNetwork", "spec.volumes[0].hostPath", "spec.containers[0].lifecycle"):
        assert path in pod["status"]["message"]
    assert node.until_event(name, "UnsupportedPodSpec") == pod["status"]["message"]
    node.delete(name)
    node.until_gone(name)


def test_an_unknown_image_waits_until_it_is_known(node: Node) -> None:
    name = node.run({"image": "later", "command": ["true"]})
    waiting = state(node.until(name, lambda pod: state(pod)["waiting"]["reason"] == "ImagePullBackOff"))["waiting"]
    assert "known images: greeter, host" in waiting["message"]
    file: Path = node.cluster.blueprint.images_file
    images = json.loads(file.read_text())
    new = file.with_suffix(".new")
    new.write_text(json.dumps({**images, "later": {}}))
    new.replace(file)
    node.until_phase(name, "Succeeded")


def test_probes_decide_on_readiness_and_life(node: Node) -> None:
    quick = {"periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 10}
    name = node.run(
        {
            "image": "host",
            "command": ["sh", "-c", "touch ~/alive; sleep 60"],
            "startupProbe": {"exec": {"command": ["sh", "-c", "test -e ~/alive"]}, **quick, "failureThreshold": 5},
            "readinessProbe": {"exec": {"command": ["sh", "-c", "test -e ~/ready"]}, **quick},
            "livenessProbe": {"exec": {"command": ["sh", "-c", "test ! -e ~/dead"]}, **quick},
        },
        restartPolicy="Always",
    )
    node.until(name, lambda pod: pod["status"]["containerStatuses"][0]["started"])
    assert conditions(node.until_phase(name, "Running"))["Ready"] == "False"
    (process,) = node.processes(name, "sh -c touch")
    home = Path(process.environ()["HOME"])
    (home / "ready").touch()
    node.until(name, lambda pod: conditions(pod)["Ready"] == "True")
    (home / "ready").unlink()
    node.until(name, lambda pod: conditions(pod)["Ready"] == "False")
    (home / "dead").touch()
    pod = node.until(name, lambda pod: pod["status"]["containerStatuses"][0]["restartCount"] >= 1)
    assert pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["signal"] == 15
    assert "failed liveness probe" in node.until_event(name, "Killing")


def test_a_server_is_probed_at_the_address_of_its_pod(node: Node) -> None:
    serve = 'exec python3 -m http.server --bind "$IP" 8080'
    name = node.run(
        {
            "image": "host",
            "command": ["sh", "-c", serve],
            "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "ports": [{"name": "web", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"port": "web", "path": "/"}, "periodSeconds": 1},
            "livenessProbe": {"tcpSocket": {"port": 8080}, "initialDelaySeconds": 2},
        }
    )
    node.until(name, lambda pod: conditions(pod)["Ready"] == "True")


def test_many_pods_at_once(node: Node) -> None:
    names = [node.run("exit 0") for _ in range(40)]
    for name in names:
        node.until_phase(name, "Succeeded")


def test_an_api_server_that_is_away_loses_nothing(node: Node) -> None:
    """A pod that ends meanwhile is shown with its true end once the server is back, one that was deleted is gone."""
    name = node.run("until [ -e ~/go ]; do sleep 0.05; done; printf kept > /dev/termination-log; exit 4")
    deleted = [node.run("trap 'sleep 0.5; exit 0' TERM; while :; do sleep 0.05; done") for _ in range(5)]
    for each in (name, *deleted):
        node.until_phase(each, "Running")
    home = node.home(name, "until [ -e ~/go ]")
    for each in deleted:
        node.delete(each)
    node.cluster.kill("kube-apiserver")
    (home / "go").touch()
    eventually(lambda: not node.processes(name, "until [ -e ~/go ]"))
    time.sleep(1)  # in which the node tells of it in vain
    node.cluster.start("kube-apiserver")
    ended = state(node.until_phase(name, "Failed"))["terminated"]
    assert (ended["exitCode"], ended["message"]) == (4, "kept")
    node.until_phase(node.run("exit 0"), "Succeeded")
    for each in deleted:
        node.until_gone(each)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_pods_end_with_the_node_and_it_says_so_when_it_is_back(node: Node, number: signal.Signals) -> None:
    """Also a process that left its container's session, which no parent's death reaches."""
    once = node.run("(setsid sleep 61.25 &); exec sleep 61.25")
    always = node.run("exec sleep 61.5", restartPolicy="Always")
    done = node.run("exit 0")
    for name, phase in ((once, "Running"), (always, "Running"), (done, "Succeeded")):
        node.until_phase(name, phase)
    node.until(once, lambda _: len(node.processes(once, "sleep 61.25")) == 2)
    (first,) = node.processes(always, "sleep 61.5")
    node.end(number)
    node.start()
    pod = node.until_phase(once, "Failed")
    assert state(pod)["terminated"]["exitCode"] == 137
    pod = node.until(always, lambda pod: pod["status"]["containerStatuses"][0]["restartCount"] == 1)
    assert state(pod)["running"]
    assert node.processes(once, "sleep 61.25") == []
    (second,) = node.processes(always, "sleep 61.5")
    assert first.pid != second.pid
    assert node.until_phase(done, "Succeeded")
    assert os.listdir(node.cluster.state_dir / "node" / "pods")  # noqa: PTH208 - only whether there is any


def test_a_job_completes(node: Node) -> None:
    """The job controller follows what the node says, retries included."""
    script = 'case "$JOB_COMPLETION_INDEX" in 0) exit 0;; *) [ -e /data/x ] && exit 0; touch /data/x; exit 1;; esac'
    mounts = [{"name": "data", "mountPath": "/data"}]
    container = {"name": "c", "image": "host", "command": ["sh", "-c", script], "volumeMounts": mounts}
    template = {
        "spec": {
            "restartPolicy": "OnFailure",
            "containers": [container],
            "volumes": [{"name": "data", "emptyDir": {}}],
        }
    }
    spec = {"completions": 2, "parallelism": 2, "completionMode": "Indexed", "template": template}
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    node.request("POST", jobs, {"metadata": {"name": "indexed"}, "spec": spec})
    node.cluster.kubectl("wait", "job/indexed", "--for=condition=Complete", "--timeout=20s")
    node.cluster.kubectl("delete", "job/indexed", "--timeout=20s")
