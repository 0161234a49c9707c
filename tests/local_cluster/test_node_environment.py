"""What a container executes: arguments, variables, working directory."""

from pathlib import Path
from typing import Any

import pytest

from local_cluster.node import environment
from local_cluster.node.environment import ConfigError, Means, Place, Sources
from local_cluster.node.images import Image
from local_cluster.node.processes import Command
from local_cluster.node.rewrite import Mounts

PLACE = Place("127.9.8.7", "127.0.0.1", "127.0.0.1", 6443, {"cpu": "2", "memory": "1024Mi"})
SOURCES = Sources(
    config_maps={"settings": {"color": b"green", "dir": b"/data/in"}},
    secrets={"login": {"password": b"/data/in", "user": b"me"}},
)


def build(container: dict[str, Any], image: Image | None = None, mounts: dict[str, Path] | None = None) -> Command:
    container = {"name": "main", "image": "x", **container}
    pod = {
        "metadata": {
            "name": "p",
            "namespace": "ns",
            "uid": "u-1",
            "labels": {"app": "crawl"},
            "annotations": {"a/b": "note"},
        },
        "spec": {"nodeName": "n1", "serviceAccountName": "sa", "containers": [container]},
    }
    means = Means(image or Image(command=["run"]), PLACE, SOURCES, Mounts(mounts or {}), Path("/home/main"))
    return environment.command(pod, container, means)


@pytest.mark.parametrize(
    ("image", "command", "args", "expected"),
    [
        (["ep"], None, None, ["ep", "cmd"]),
        (["ep"], None, ["a"], ["ep", "a"]),
        (["ep"], ["c"], None, ["c"]),
        (["ep"], ["c"], ["a"], ["c", "a"]),
        ([], None, None, ["cmd"]),
        ([], None, ["a"], ["a"]),
    ],
)
def test_command_and_args_override_the_image_as_kubernetes_says(
    image: list[str], command: list[str] | None, args: list[str] | None, expected: list[str]
) -> None:
    built = build({"command": command, "args": args}, Image(entrypoint=image, command=["cmd"]))
    assert built.arguments == expected


def test_nothing_to_execute_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no command specified"):
        build({}, Image())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("$(A)-$(B)", "1-2"),
        ("$$(A)", "$(A)"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$A", "$A"),
        ("$(A", "$(A"),
        ("$$$(A)", "$1"),
        ("cost: 5$", "cost: 5$"),
    ],
)
def test_references_are_expanded(text: str, expected: str) -> None:
    assert environment.expand(text, {"A": "1", "B": "2"}) == expected


def test_the_environment_starts_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the node's own environment holds must never reach a pod."""
    monkeypatch.setenv("SECRET_OF_THE_DEVELOPER", "x")
    assert set(build({}).environment) == {
        "PATH",
        "HOME",
        "TMPDIR",
        "LANG",
        "HOSTNAME",
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_SERVICE_PORT",
        "LOCAL_CLUSTER_MOUNTS",
    }


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"fieldRef": {"fieldPath": "metadata.name"}}, "p"),
        ({"fieldRef": {"fieldPath": "metadata.namespace"}}, "ns"),
        ({"fieldRef": {"fieldPath": "metadata.uid"}}, "u-1"),
        ({"fieldRef": {"fieldPath": "metadata.labels['app']"}}, "crawl"),
        ({"fieldRef": {"fieldPath": "metadata.annotations['a/b']"}}, "note"),
        ({"fieldRef": {"fieldPath": "metadata.annotations['absent']"}}, ""),
        ({"fieldRef": {"fieldPath": "spec.nodeName"}}, "n1"),
        ({"fieldRef": {"fieldPath": "spec.serviceAccountName"}}, "sa"),
        ({"fieldRef": {"fieldPath": "status.podIP"}}, "127.9.8.7"),
        ({"fieldRef": {"fieldPath": "status.hostIP"}}, "127.0.0.1"),
        ({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}, "500"),
        ({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}}, "1"),
        ({"resourceFieldRef": {"resource": "requests.memory", "divisor": "1Mi"}}, "64"),
        ({"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}, "1024"),
        ({"configMapKeyRef": {"name": "settings", "key": "color"}}, "green"),
        ({"secretKeyRef": {"name": "login", "key": "user"}}, "me"),
    ],
)
def test_values_come_from_where_the_pod_says(source: dict[str, Any], expected: str) -> None:
    resources = {"limits": {"cpu": "500m"}, "requests": {"memory": "64Mi"}}
    built = build({"env": [{"name": "V", "valueFrom": source}], "resources": resources})
    assert built.environment["V"] == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "absent", "key": "k"}}, 'configmap "absent" not found'),
        ({"secretKeyRef": {"name": "absent", "key": "k"}}, 'secret "absent" not found'),
        ({"secretKeyRef": {"name": "login", "key": "k"}}, "couldn't find key k in Secret ns/login"),
    ],
)
def test_missing_sources_are_errors_unless_optional(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build({"env": [{"name": "V", "valueFrom": source}]})
    ((kind, reference),) = source.items()
    optional = {kind: {**reference, "optional": True}}
    assert "V" not in build({"env": [{"name": "V", "valueFrom": optional}]}).environment


def test_all_keys_of_an_object_come_with_a_prefix_and_lose_against_named_ones() -> None:
    built = build(
        {
            "envFrom": [{"prefix": "C_", "configMapRef": {"name": "settings"}}, {"secretRef": {"name": "login"}}],
            "env": [{"name": "user", "value": "you"}, {"name": "G", "value": "$(user)/$(C_color)"}],
        }
    )
    found = {name: built.environment[name] for name in ("C_color", "user", "password", "G")}
    assert found == {"C_color": "green", "user": "you", "password": "/data/in", "G": "you/green"}


def test_paths_are_rewritten_everywhere_but_in_secrets() -> None:
    built = build(
        {
            "command": ["tool", "--in=$(DIR)"],
            "workingDir": "/data",
            "env": [
                {"name": "DIR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "dir"}}},
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
            ],
        },
        mounts={"/data": Path("/real")},
    )
    assert built.arguments == ["tool", "--in=/real/in"]
    assert built.directory == Path("/real")
    assert built.environment["DIR"] == "/real/in"
    assert built.environment["PASSWORD"] == "/data/in"


def test_temporary_files_go_to_a_volume_at_tmp() -> None:
    mounted = build({}, mounts={"/tmp": Path("/real/tmp")})  # noqa: S108 - the mount path itself
    assert mounted.environment["TMPDIR"] == "/real/tmp"
    assert build({}).environment["TMPDIR"] == "/home/main/tmp"


def test_referenced_objects_are_found() -> None:
    container = {
        "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}],
        "env": [
            {"name": "X", "valueFrom": {"secretKeyRef": {"name": "c", "key": "k"}}},
            {"name": "Y", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "k"}}},
            {"name": "Z", "value": "plain"},
        ],
    }
    assert environment.referenced(container) == {("configmap", "a"), ("secret", "b"), ("secret", "c")}
