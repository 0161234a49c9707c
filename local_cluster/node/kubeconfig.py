"""Where the API server is and how this node proves who it is: the part of a kubeconfig file a node needs."""

import base64
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from local_cluster.node.k8s import Json


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An API server's base URL without trailing slash, its host and port, and the TLS context to reach it with."""

    url: str
    host: str
    port: int
    tls: ssl.SSLContext | None


def load(path: Path, scratch: Path) -> Endpoint:
    """The endpoint that the current context of the kubeconfig at `path` names.

    Certificates given inline are written below `scratch`, readable by this user only, since the TLS library reads
    client certificates from files.

    Raises:
        ValueError: when the file names no usable context.
    """
    document = yaml.safe_load(path.read_text())
    try:
        context = _named(document, "contexts", document["current-context"])["context"]
        cluster = _named(document, "clusters", context["cluster"])["cluster"]
        user = _named(document, "users", context["user"])["user"]
        url = cluster["server"].rstrip("/")
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} has no complete current context: {error} is missing") from error
    parts = urlsplit(url)
    tls = _context(path.parent, scratch, cluster, user) if parts.scheme == "https" else None
    return Endpoint(url=url, host=parts.hostname or "", port=parts.port or 443, tls=tls)


def _named(document: Json, section: str, name: str) -> Json:
    for entry in document[section]:
        if entry["name"] == name:
            found: Json = entry
            return found
    raise KeyError(f"{section}[{name}]")


def _context(base: Path, scratch: Path, cluster: Json, user: Json) -> ssl.SSLContext:
    authority = _file(base, scratch, cluster, "certificate-authority")
    context = ssl.create_default_context(cafile=authority)
    certificate = _file(base, scratch, user, "client-certificate")
    if certificate is not None:
        context.load_cert_chain(certificate, _file(base, scratch, user, "client-key"))
    return context


def _file(base: Path, scratch: Path, section: Json, field: str) -> Path | None:
    """The file that holds `field`, be it named or given inline as `field`-data."""
    if (data := section.get(f"{field}-data")) is not None:
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = scratch / field
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - the mode must hold from the first byte
            file.write(base64.b64decode(data))
        return target
    return base / section[field] if field in section else None
