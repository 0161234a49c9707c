"""`kubectl logs` works as ever; what the node cannot serve it says."""

import http.client
import os
import ssl
import subprocess

import pytest
from node_under_test import WAIT_SECONDS, Node

from local_cluster.node.k8s import parse_time

pytestmark = pytest.mark.cluster


def test_logs_and_their_options(node: Node) -> None:
    name = node.run("echo one; echo two >&2; sleep 1.2; echo three; printf four")
    node.until_phase(name, "Succeeded")
    assert node.logs(name) == "one\ntwo\nthree\nfour"
    assert node.logs(name, "--tail=2") == "three\nfour"
    assert node.logs(name, "--tail=0") == ""
    assert node.logs(name, "--limit-bytes=5") == "one\nt"
    first, *_ = node.logs(name, "--timestamps").splitlines()
    time, word = first.split(" ")
    assert word == "one"
    parse_time(time)
    after = node.logs(name, f"--since-time={time}", "--timestamps").splitlines()
    assert [line.split(" ")[1] for line in after] == ["one", "two", "three", "four"]


def test_logs_of_one_stream_and_since_a_while(node: Node) -> None:
    name = node.run("echo old; sleep 6; echo new")
    node.until_phase(name, "Succeeded")
    assert node.logs(name, "--since=5s") == "new\n"


def test_following_ends_with_the_container(node: Node) -> None:
    name = node.run("echo 1; until [ -e ~/go ]; do sleep 0.05; done; echo 2; echo 3")
    node.until_says(name, "1\n")
    command = [str(node.cluster.kubectl_path), "logs", name, "-f"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | node.cluster.env) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "1\n"
        (node.home(name, "until [ -e ~/go ]") / "go").touch()
        assert following.communicate(timeout=WAIT_SECONDS)[0] == "2\n3\n"
        assert following.returncode == 0


def test_there_is_no_log_before_the_start_and_no_previous_one_before_a_restart(node: Node) -> None:
    waits = node.run({"image": "unknown", "command": ["true"]})
    pulling = {"ErrImagePull", "ImagePullBackOff"}  # the first turns into the second half a second later
    node.until(waits, lambda pod: pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] in pulling)
    refused = node.cluster.kubectl("logs", waits, check=False)
    assert refused.returncode != 0
    assert "is waiting to start" in refused.stderr
    runs = node.run("sleep 60")
    node.until_phase(runs, "Running")
    refused = node.cluster.kubectl("logs", runs, "--previous", check=False)
    assert "previous terminated container" in refused.stderr


@pytest.mark.parametrize("verb", ["exec", "attach", "port-forward"])
def test_what_needs_a_container_runtime_is_refused_in_words(node: Node, verb: str) -> None:
    name = node.run("sleep 60")
    node.until_phase(name, "Running")
    rest = {"exec": ("--", "true"), "attach": (), "port-forward": ("0:80",)}[verb]
    try:
        refused = node.cluster.kubectl(verb, name, *rest, check=False)
    except subprocess.TimeoutExpired:  # pragma: no cover - would be the failure
        pytest.fail(f"{verb} hangs")
    assert refused.returncode != 0
    assert "not supported by this node" in refused.stderr


def test_only_the_api_server_is_served(node: Node) -> None:
    found = node.get(f"/api/v1/nodes/{node.cluster.blueprint.node_name}")
    port = found["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    who = node.cluster.blueprint.identities
    tls = ssl.create_default_context(cafile=who.authority.certificate)
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        ask(port, tls)
    tls.load_cert_chain(who.to_kubelet.certificate, who.to_kubelet.key)
    assert ask(port, tls) == b"ok"


def ask(port: int, tls: ssl.SSLContext) -> bytes:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=tls)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().read()
    finally:
        connection.close()
