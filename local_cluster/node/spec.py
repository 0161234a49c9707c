"""What a pod may ask of this node.

Everything that is not listed here is refused, all of it at once and by name, so that nothing is ever silently left out.
Three kinds of fields are listed: those the node carries out, those that are the scheduler's or the API server's
business, and those that only restrict a pod or hint at it. The last are accepted and *not enforced*, since there is no
isolation: `resources`, `ports`, `securityContext` (user and group, capabilities, seccomp, AppArmor, SELinux,
`runAsNonRoot`, `readOnlyRootFilesystem`, `allowPrivilegeEscalation`, `fsGroup`), `emptyDir.medium` and `sizeLimit`,
`readOnly` mounts, `dnsPolicy` (pods resolve names as the machine does), `hostname` (only the variable `HOSTNAME`),
`enableServiceLinks`, `imagePullPolicy` and `imagePullSecrets` (nothing is pulled).
"""

from collections.abc import Iterator

from local_cluster.node import downward
from local_cluster.node.k8s import Json

_POD = frozenset(
    {
        # carried out
        "activeDeadlineSeconds",
        "automountServiceAccountToken",
        "containers",
        "initContainers",
        "readinessGates",
        "restartPolicy",
        "serviceAccount",
        "serviceAccountName",
        "terminationGracePeriodSeconds",
        "volumes",
        # of the scheduler and the API server
        "affinity",
        "nodeName",
        "nodeSelector",
        "overhead",
        "preemptionPolicy",
        "priority",
        "priorityClassName",
        "schedulerName",
        "schedulingGates",
        "tolerations",
        "topologySpreadConstraints",
        # not enforced
        "dnsPolicy",
        "enableServiceLinks",
        "hostname",
        "hostUsers",
        "imagePullSecrets",
        "os",
        "resources",
        "securityContext",
        "shareProcessNamespace",
        "subdomain",
    }
)
_POD_SECURITY = frozenset(
    {
        "appArmorProfile",
        "fsGroup",
        "fsGroupChangePolicy",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "seLinuxChangePolicy",
        "seLinuxOptions",
        "seccompProfile",
        "supplementalGroups",
        "supplementalGroupsPolicy",
    }
)
_CONTAINER = frozenset(
    {
        "args",
        "command",
        "env",
        "envFrom",
        "image",
        "imagePullPolicy",
        "livenessProbe",
        "name",
        "ports",
        "readinessProbe",
        "resizePolicy",
        "resources",
        "securityContext",
        "startupProbe",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "volumeMounts",
        "workingDir",
    }
)
_CONTAINER_SECURITY = frozenset(
    {
        "allowPrivilegeEscalation",
        "appArmorProfile",
        "capabilities",
        "readOnlyRootFilesystem",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "seLinuxOptions",
        "seccompProfile",
    }
)
_MOUNT = frozenset({"mountPath", "name", "readOnly", "subPath"})
_VOLUMES = frozenset({"configMap", "downwardAPI", "emptyDir", "projected", "secret"})
_PROJECTIONS = frozenset({"configMap", "downwardAPI", "secret", "serviceAccountToken"})
_ENV_SOURCES = frozenset({"configMapKeyRef", "fieldRef", "resourceFieldRef", "secretKeyRef"})
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def unsupported(pod: Json) -> list[str]:
    """The paths of everything in the pod's spec that this node does not support, empty when it can run the pod."""
    return list(_pod(pod["spec"]))


def _pod(spec: Json) -> Iterator[str]:
    yield from _unknown(spec, _POD, "spec")
    yield from _unknown(spec.get("securityContext") or {}, _POD_SECURITY, "spec.securityContext")
    if (spec.get("os") or {}).get("name", "linux") != "linux":
        yield "spec.os.name"
    for index, volume in enumerate(spec.get("volumes") or []):
        yield from _volume(volume, f"spec.volumes[{index}]")
    for section in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(section) or []):
            yield from _container(container, f"spec.{section}[{index}]")


def _container(container: Json, path: str) -> Iterator[str]:
    yield from _unknown(container, _CONTAINER, path)
    yield from _unknown(container.get("securityContext") or {}, _CONTAINER_SECURITY, f"{path}.securityContext")
    yield from _unknown(container.get("resources") or {}, frozenset({"limits", "requests"}), f"{path}.resources")
    for index, port in enumerate(container.get("ports") or []):
        yield from _unknown(port, frozenset({"containerPort", "name", "protocol"}), f"{path}.ports[{index}]")
    for index, mount in enumerate(container.get("volumeMounts") or []):
        where = f"{path}.volumeMounts[{index}]"
        yield from _unknown(mount, _MOUNT, where)
        if not mount["mountPath"].strip("/."):
            yield f"{where}.mountPath ({mount['mountPath']})"
    for index, entry in enumerate(container.get("env") or []):
        origin = entry.get("valueFrom") or {}
        where = f"{path}.env[{index}].valueFrom"
        yield from _unknown(origin, _ENV_SOURCES, where)
        yield from _reference(origin, downward.ENVIRONMENT_FIELDS, where)
    for probe in _PROBES:
        for kind in sorted({"grpc"} & (container.get(probe) or {}).keys()):
            yield f"{path}.{probe}.{kind}"


def _volume(volume: Json, path: str) -> Iterator[str]:
    yield from _unknown(volume, _VOLUMES | {"name"}, path)
    yield from _items(volume.get("downwardAPI") or {}, f"{path}.downwardAPI")
    for index, source in enumerate((volume.get("projected") or {}).get("sources") or []):
        where = f"{path}.projected.sources[{index}]"
        yield from _unknown(source, _PROJECTIONS, where)
        yield from _items(source.get("downwardAPI") or {}, f"{where}.downwardAPI")


def _items(source: Json, path: str) -> Iterator[str]:
    for index, item in enumerate(source.get("items") or []):
        yield from _reference(item, downward.FILE_FIELDS, f"{path}.items[{index}]")


def _reference(origin: Json, fields: frozenset[str], path: str) -> Iterator[str]:
    name = (origin.get("fieldRef") or {}).get("fieldPath")
    if name is not None and not downward.known_field(name, fields):
        yield f"{path}.fieldRef.fieldPath ({name})"


def _unknown(given: Json, known: frozenset[str], path: str) -> Iterator[str]:
    """What is given, and not switched off, and not known."""
    for field in sorted(given.keys() - known):
        if given[field] not in (None, False, "", [], {}) and not _harmless(field, given[field]):
            yield f"{path}.{field}"


def _harmless(field: str, value: object) -> bool:
    """Values that ask for nothing although their field is not supported."""
    return (field, value) in (("procMount", "Default"), ("mountPropagation", "None"), ("recursiveReadOnly", "Disabled"))
