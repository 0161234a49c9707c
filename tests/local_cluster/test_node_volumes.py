"""Volumes and variables come from the API server, and stay true."""

import base64
import json
import sys
import uuid

import pytest
from node_under_test import Json, Node, eventually

pytestmark = pytest.mark.cluster

_ASK_THE_API = """
import json, os, ssl, sys, urllib.request
folder = sys.argv[1]
host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
token, space = (open(f"{folder}/{name}").read() for name in ("token", "namespace"))
request = urllib.request.Request(
    f"https://{host}:{port}/apis/authentication.k8s.io/v1/selfsubjectreviews",
    data=json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).encode(),
    headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
)
context = ssl.create_default_context(cafile=f"{folder}/ca.crt")
answer = json.load(urllib.request.urlopen(request, context=context))
print(space, answer["status"]["userInfo"]["username"])
"""


def named(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def reading(node: Node, script: str, *, volumes: list[Json], **container: object) -> str:
    """A pod that runs the script with every volume mounted at `/<its name>`."""
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    command = {"image": "host", "command": ["sh", "-c", script], "volumeMounts": mounts, **container}
    return node.run(command, volumes=volumes)


def test_config_maps_secrets_and_empty_directories_are_mounted(node: Node) -> None:
    settings, login = named("settings"), named("login")
    node.create("configmaps", {"metadata": {"name": settings}, "data": {"a": "1", "b": "2"}})
    node.create("secrets", {"metadata": {"name": login}, "stringData": {"password": "p"}})
    name = reading(
        node,
        "cat /settings/a /settings/b /some/only; stat -L -c %a /login/password; cp /login/password /out/x; cat /out/x",
        volumes=[
            {"name": "settings", "configMap": {"name": settings}},
            {"name": "some", "configMap": {"name": settings, "items": [{"key": "b", "path": "only"}]}},
            {"name": "login", "secret": {"secretName": login, "defaultMode": 0o400}},
            {"name": "out", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "none", "configMap": {"name": "absent", "optional": True}},
        ],
    )
    node.until_phase(name, "Succeeded")
    assert node.logs(name) == "122400\np"


def test_a_sub_path_shows_a_part_of_a_volume(node: Node) -> None:
    settings = named("settings")
    node.create("configmaps", {"metadata": {"name": settings}, "data": {"a": "file"}})
    container = {
        "image": "host",
        "command": ["sh", "-c", "cat /etc/a.conf; echo -n dir > /part/x; cat /whole/inner/x"],
        "volumeMounts": [
            {"name": "settings", "mountPath": "/etc/a.conf", "subPath": "a", "readOnly": True},
            {"name": "data", "mountPath": "/part", "subPath": "inner"},
            {"name": "data", "mountPath": "/whole"},
        ],
    }
    volumes = [{"name": "settings", "configMap": {"name": settings}}, {"name": "data", "emptyDir": {}}]
    name = node.run(container, volumes=volumes)
    node.until_phase(name, "Succeeded")
    assert node.logs(name) == "filedir"


def test_a_pod_can_use_the_api_with_its_default_token(node: Node) -> None:
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    name = node.run({"image": "host", "command": [sys.executable, "-c", _ASK_THE_API, folder]})
    node.until_phase(name, "Succeeded")
    assert node.logs(name) == "default system:serviceaccount:default:default\n"


def test_a_projected_token_has_its_audience_and_is_bound_to_the_pod(node: Node) -> None:
    sources = [
        {"serviceAccountToken": {"audience": "operator", "expirationSeconds": 600, "path": "token"}},
        {"downwardAPI": {"items": [{"path": "own", "fieldRef": {"fieldPath": "metadata.uid"}}]}},
    ]
    name = reading(
        node, "cat /all/own; echo; cat /all/token", volumes=[{"name": "all", "projected": {"sources": sources}}]
    )
    pod = node.until_phase(name, "Succeeded")
    uid, token = node.logs(name).split("\n")
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert uid == pod["metadata"]["uid"]
    assert claims["aud"] == ["operator"]
    assert claims["exp"] - claims["iat"] == 600
    assert claims["kubernetes.io"]["pod"]["uid"] == uid


def test_changes_reach_the_files_of_a_running_pod(node: Node) -> None:
    settings = named("settings")
    node.create("configmaps", {"metadata": {"name": settings}, "data": {"a": "old"}})
    annotations = {"path": "note", "fieldRef": {"fieldPath": "metadata.annotations['note']"}}
    name = node.run(
        {
            "image": "host",
            "command": [
                "sh",
                "-c",
                "until grep -q new /c/a; do sleep 0.05; done; echo map; until grep -q new /d/note; do sleep 0.05; done",
            ],
            "volumeMounts": [{"name": "c", "mountPath": "/c"}, {"name": "d", "mountPath": "/d"}],
        },
        volumes=[
            {"name": "c", "configMap": {"name": settings}},
            {"name": "d", "downwardAPI": {"items": [annotations]}},
        ],
        metadata={"annotations": {"note": "old"}},
    )
    node.until_phase(name, "Running")
    node.patch(f"configmaps/{settings}", {"data": {"a": "new"}})
    node.until_says(name, "map\n")
    node.patch(f"pods/{name}", {"metadata": {"annotations": {"note": "new"}}})
    node.until_phase(name, "Succeeded")


def test_a_container_waits_for_the_objects_its_variables_come_from(node: Node) -> None:
    settings = named("settings")
    name = node.run(
        {
            "image": "host",
            "command": ["sh", "-c", "echo $A"],
            "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": settings, "key": "a"}}}],
        }
    )
    # Before, the API server may refuse to tell: its node authorizer learns of a new pod a moment later.
    waiting = {"reason": "CreateContainerConfigError", "message": f'configmap "{settings}" not found'}
    pod = node.until(name, lambda pod: pod["status"]["containerStatuses"][0]["state"]["waiting"] == waiting)
    assert pod["status"]["phase"] == "Pending"
    node.create("configmaps", {"metadata": {"name": settings}, "data": {"a": "there"}})
    node.until_phase(name, "Succeeded")
    assert node.logs(name) == "there\n"


def test_a_pod_waits_for_the_objects_its_volumes_come_from(node: Node) -> None:
    login = named("login")
    name = reading(node, "cat /s/a", volumes=[{"name": "s", "secret": {"secretName": login}}])
    complaint = ("FailedMount", f'secret "{login}" not found')
    eventually(lambda: any(why == complaint[0] and complaint[1] in text for why, text in node.events(name)))
    pod = node.until(
        name, lambda pod: pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ContainerCreating"
    )
    assert pod["status"]["phase"] == "Pending"
    node.create("secrets", {"metadata": {"name": login}, "stringData": {"a": "there"}})
    node.until_phase(name, "Succeeded")
    assert node.logs(name) == "there"
