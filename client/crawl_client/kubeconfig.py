"""Where the cluster is and who asks: kubeconfig files as kubectl reads them, or a pod's service account.

Own code, for no library does it in the time of an import: kubernetes_asyncio takes seconds to load, kr8s and lightkube
half a second, and lightkube does not know the `v1` of credential plug-ins.
"""

import base64
import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from crawl_client.errors import ConfigurationError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_NO_CLUSTER: Final = "set KUBECONFIG, write ~/.kube/config, or name a file with --kubeconfig"


@dataclass(frozen=True)
class Login:
    """A cluster and how to log in to it."""

    server: str
    """Its URL."""
    namespace: str = "default"
    """The namespace that is meant where none is named."""
    context: str = ""
    """The context of the kubeconfig; empty inside a pod."""
    user: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The user as in a kubeconfig."""
    cluster: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The cluster as in a kubeconfig."""

    def tls(self) -> ssl.SSLContext | None:
        """Return what its certificate is checked with, and the certificate of who asks.

        Raises:
            ConfigurationError: a certificate or key is missing or is none.
        """
        if not self.server.startswith("https://"):
            return None
        try:
            context = ssl.create_default_context(cadata=_text(self.cluster, "certificate-authority"))
            # Authorities of clusters are often made by hand; what RFC 5280 wants beyond trust is not kubectl's concern.
            context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
            if self.cluster.get("insecure-skip-tls-verify"):
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            load_pair(context, self.user)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"the certificates of context {self.context!r} cannot be used: {error}") from error
        return context


def load_pair(context: ssl.SSLContext, user: Mapping[str, Any]) -> None:
    """Let a user's certificate, if there is one, speak for them."""
    certificate, key = _text(user, "client-certificate"), _text(user, "client-key")
    if not certificate or not key:
        return
    with tempfile.NamedTemporaryFile("w") as pair:  # the standard library takes files alone
        pair.write(f"{certificate}\n{key}\n")
        pair.flush()
        context.load_cert_chain(pair.name)


def find(kubeconfig: Path | str | None = None, context: str | None = None, namespace: str | None = None) -> Login:
    """Find the cluster: the kubeconfig that is named, $KUBECONFIG, a pod's service account, or ~/.kube/config.

    Raises:
        ConfigurationError: there is none, or it cannot be used.
    """
    named = [Path(kubeconfig)] if kubeconfig else [Path(p) for p in os.environ.get("KUBECONFIG", "").split(":") if p]
    inside = _service_account(namespace) if not named and not context else None
    if inside is not None:
        return inside
    return _from_files(named or [Path.home() / ".kube" / "config"], context, namespace)


def contexts(kubeconfig: Path | str | None = None) -> list[str]:
    """Return the names of the contexts; none where no kubeconfig can be read."""
    named = [Path(kubeconfig)] if kubeconfig else [Path(p) for p in os.environ.get("KUBECONFIG", "").split(":") if p]
    with contextlib.suppress(ConfigurationError):
        return list(_merged(named or [Path.home() / ".kube" / "config"])["contexts"])
    return []


def _service_account(namespace: str | None) -> Login | None:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (SERVICE_ACCOUNT / "token").is_file():
        return None
    own = SERVICE_ACCOUNT / "namespace"
    return Login(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=namespace or (own.read_text().strip() if own.is_file() else "default"),
        user={"tokenFile": str(SERVICE_ACCOUNT / "token")},
        cluster={"certificate-authority": str(SERVICE_ACCOUNT / "ca.crt")},
    )


def _from_files(files: Iterable[Path], context: str | None, namespace: str | None) -> Login:
    config = _merged(files)
    name = context or config["current-context"]
    if not name:
        raise ConfigurationError(f"no cluster is configured: {_NO_CLUSTER}")
    if name not in config["contexts"]:
        raise ConfigurationError(
            f"there is no context {name!r} in the kubeconfig; `kubectl config get-contexts` lists them"
        )
    chosen = config["contexts"][name]
    cluster = config["clusters"].get(chosen.get("cluster"))
    if not cluster or not cluster.get("server"):
        raise ConfigurationError(f"context {name!r} names the cluster {chosen.get('cluster')!r}, which has no server")
    return Login(
        server=str(cluster["server"]).rstrip("/"),
        namespace=namespace or chosen.get("namespace") or "default",
        context=name,
        user=config["users"].get(chosen.get("user")) or {},
        cluster=cluster,
    )


def _merged(files: Iterable[Path]) -> dict[str, Any]:
    """Read the files as one: what an earlier one says stands."""
    merged: dict[str, Any] = {"current-context": "", "contexts": {}, "clusters": {}, "users": {}}
    for file in files:
        content = _read(file)
        merged["current-context"] = merged["current-context"] or content.get("current-context") or ""
        for kind, member in (("contexts", "context"), ("clusters", "cluster"), ("users", "user")):
            for entry in content.get(kind) or ():
                value = _absolute(entry.get(member) or {}, file.parent)
                merged[kind].setdefault(entry.get("name"), value)
    return merged


def _read(file: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - a pod's service account needs none

    try:
        content = yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        first = str(error).partition("\n")[0]
        raise ConfigurationError(f"the kubeconfig {file} cannot be read: {first}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(f"the kubeconfig {file} is none: it holds no names")
    return content


def _absolute(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Take paths of files as they are meant: relative to the kubeconfig."""
    names = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
    return entry | {name: str(folder / entry[name]) for name in names if entry.get(name)}


def _text(entry: Mapping[str, Any], name: str) -> str | None:
    """Return the content of a certificate or key: in the kubeconfig itself, or in the file that it names."""
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data).decode()
    if path := entry.get(name):
        return Path(path).read_text(encoding="utf-8")
    return None
