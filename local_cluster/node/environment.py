"""Builds what a container executes: its arguments, its whole environment and its working directory.

The environment starts from nothing: what this machine's user has set never reaches a pod.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local_cluster.node import downward
from local_cluster.node.images import Image
from local_cluster.node.k8s import Json
from local_cluster.node.processes import Command
from local_cluster.node.rewrite import MOUNTS_VARIABLE, Mounts

_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")
_PATH = "/usr/local/bin:/usr/bin:/bin"


class ConfigError(Exception):
    """The container's configuration cannot be completed now; the message is the one kubelet gives."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod runs: addresses, the API server, and the amounts an absent limit stands for."""

    pod_ip: str
    host_ip: str
    api_host: str
    api_port: int
    allocatable: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sources:
    """The data of the ConfigMaps and Secrets a pod's variables name; those that do not exist are absent."""

    config_maps: Mapping[str, Mapping[str, bytes]]
    secrets: Mapping[str, Mapping[str, bytes]]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value; an unknown name stays as it is and `$$` is a plain `$`."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else variables.get(found[1], found[0])

    return _REFERENCE.sub(value, text)


@dataclass(frozen=True, slots=True)
class Means:
    """What the node adds to a container's spec.

    Attributes:
        home: the container's own directory: its home, and its working directory unless the pod names one.
    """

    image: Image
    place: Place
    sources: Sources
    mounts: Mounts
    home: Path


def command(pod: Json, container: Json, means: Means) -> Command:
    """What to execute for a container.

    Raises:
        ConfigError: when a ConfigMap, Secret or key is missing, or there is nothing to execute.
    """
    place, mounts = means.place, means.mounts
    variables, literal = _variables(pod, container, means)
    arguments = [expand(part, variables) for part in _arguments(container, means.image)]
    if not arguments:
        raise ConfigError("no command specified")
    temporary = mounts.real("/tmp") or means.home / "tmp"  # noqa: S108 - the mount path a pod may name, no file of ours
    environment = {
        "PATH": _PATH,
        "HOME": str(means.home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "HOSTNAME": pod["spec"].get("hostname") or pod["metadata"]["name"],
        "KUBERNETES_SERVICE_HOST": place.api_host,
        "KUBERNETES_SERVICE_PORT": str(place.api_port),
        MOUNTS_VARIABLE: mounts.as_json(),
        **{name: value if name in literal else mounts.rewrite(value) for name, value in variables.items()},
    }
    directory = container.get("workingDir")
    return Command(
        arguments=[mounts.rewrite(argument) for argument in arguments],
        environment=environment,
        directory=Path(mounts.rewrite(directory)) if directory else means.home,
    )


def referenced(container: Json) -> set[tuple[str, str]]:
    """Kind (`configmap` or `secret`) and name of every object the container's variables come from."""
    found = set()
    for source in container.get("envFrom") or []:
        for field, kind in (("configMapRef", "configmap"), ("secretRef", "secret")):
            if field in source:
                found.add((kind, source[field]["name"]))
    for entry in container.get("env") or []:
        for field, kind in (("configMapKeyRef", "configmap"), ("secretKeyRef", "secret")):
            if field in (entry.get("valueFrom") or {}):
                found.add((kind, entry["valueFrom"][field]["name"]))
    return found


def _arguments(container: Json, image: Image) -> list[str]:
    """Kubernetes' table: a command replaces the image's entrypoint and command, arguments replace the command only."""
    given: list[str] = container.get("command") or []
    arguments: list[str] = container.get("args") or []
    if given:
        return [*given, *arguments]
    return [*image.entrypoint, *(arguments or image.command)]


def _variables(pod: Json, container: Json, means: Means) -> tuple[dict[str, str], set[str]]:
    """The image's and the pod's variables, and the names of those whose value is a secret."""
    place, sources = means.place, means.sources
    variables = dict(means.image.env)
    secret: set[str] = set()
    for source in container.get("envFrom") or []:
        for name, value in _all_keys(pod, source, sources).items():
            variables[name] = value
            (secret.add if "secretRef" in source else secret.discard)(name)
    service = {"KUBERNETES_SERVICE_HOST": place.api_host, "KUBERNETES_SERVICE_PORT": str(place.api_port)}
    for entry in container.get("env") or []:
        name, origin = entry["name"], entry.get("valueFrom")
        secret.discard(name)
        if not origin:
            variables[name] = expand(entry.get("value") or "", {**service, **variables})
        elif "fieldRef" in origin:
            variables[name] = downward.field(pod, origin["fieldRef"]["fieldPath"], place.pod_ip, place.host_ip)
        elif "resourceFieldRef" in origin:
            reference = origin["resourceFieldRef"]
            about = _container(pod, reference.get("containerName") or container["name"])
            variables[name] = downward.resource(about, reference, place.allocatable)
        elif (found := _one_key(pod, origin, sources)) is not None:
            variables[name] = found
            if "secretKeyRef" in origin:
                secret.add(name)
    return variables, secret


def _all_keys(pod: Json, source: Json, sources: Sources) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    kind, reference, objects = (
        ("secret", source["secretRef"], sources.secrets)
        if "secretRef" in source
        else ("configmap", source["configMapRef"], sources.config_maps)
    )
    data = objects.get(reference["name"])
    if data is None:
        if reference.get("optional"):
            return {}
        raise _missing(kind, reference["name"])
    return {prefix + key: value.decode(errors="replace") for key, value in data.items() if "=" not in key}


def _one_key(pod: Json, origin: Json, sources: Sources) -> str | None:
    kind, reference, objects = (
        ("secret", origin["secretKeyRef"], sources.secrets)
        if "secretKeyRef" in origin
        else ("configmap", origin["configMapKeyRef"], sources.config_maps)
    )
    name, key, optional = reference["name"], reference["key"], reference.get("optional")
    data = objects.get(name)
    if data is not None and key in data:
        return data[key].decode(errors="replace")
    if optional:
        return None
    if data is None:
        raise _missing(kind, name)
    shown = "Secret" if kind == "secret" else "ConfigMap"
    raise ConfigError(f"couldn't find key {key} in {shown} {pod['metadata']['namespace']}/{name}")


def _missing(kind: str, name: str) -> ConfigError:
    return ConfigError(f'{kind} "{name}" not found')


def _container(pod: Json, name: str) -> Json:
    spec = pod["spec"]
    found: Json = next(c for c in [*spec["containers"], *(spec.get("initContainers") or [])] if c["name"] == name)
    return found
