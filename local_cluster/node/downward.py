"""What a pod may know of itself: field and resource references, the same for environment variables and for files."""

import re
from collections.abc import Mapping

from local_cluster.node.k8s import Json, quantity_in

_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")

ENVIRONMENT_FIELDS = frozenset(
    {
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    }
)
FILE_FIELDS = frozenset(
    {"metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations"}
)


def known_field(path: str, fields: frozenset[str]) -> bool:
    """Whether a `fieldPath` is one this node can resolve, be it one of `fields` or a single label or annotation."""
    return path in fields or _SUBSCRIPT.match(path) is not None


def field(pod: Json, path: str, pod_ip: str, host_ip: str) -> str:
    """The text of a `fieldRef`, empty for a label or annotation the pod lacks."""
    metadata = pod["metadata"]
    if subscript := _SUBSCRIPT.match(path):
        found: str = (metadata.get(subscript[1]) or {}).get(subscript[2], "")
        return found
    if path in ("metadata.labels", "metadata.annotations"):
        return _listing(metadata.get(path.removeprefix("metadata.")) or {})
    values: dict[str, str] = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", ""),
        "status.hostIP": host_ip,
        "status.hostIPs": host_ip,
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
    }
    return values[path]


def resource(container: Json, reference: Json, allocatable: Mapping[str, str]) -> str:
    """The number of a `resourceFieldRef`; a limit or request that is not set is the node's allocatable amount."""
    kind, _, name = reference["resource"].partition(".")
    resources = container.get("resources") or {}
    amounts = resources.get(kind) or {}
    # As the API server defaults it: a request without a value is the limit's.
    text = amounts.get(name) or (resources.get("limits") or {}).get(name) or allocatable.get(name, "0")
    divisor = str(reference.get("divisor") or "1")
    return str(quantity_in(str(text), "1" if divisor == "0" else divisor))


def _listing(values: Mapping[str, str]) -> str:
    """Labels or annotations as the downward API writes them: sorted, one per line, values quoted as in Go."""
    return "\n".join(f"{key}={_quoted(value)}" for key, value in sorted(values.items()))


def _quoted(value: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(c, c if c.isprintable() else _escape(c)) for c in value) + '"'


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
