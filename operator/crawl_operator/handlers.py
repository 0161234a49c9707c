"""Kopf, and nothing but Kopf: its watches put what they see into the store; its login serves the API client too.

No handler returns anything, patches anything or fails: Kopf writes nothing to any object (see docs/decisions).
"""

import asyncio
import dataclasses
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory  # what `kopf.operator` takes

from crawl_api.names import LABEL_JOB_UID
from crawl_operator.kube import Connection, Resource
from crawl_operator.kube_errors import LoginFailedError

Seen = Callable[[Resource, bool, Mapping[str, Any]], None]
"""Called with the kind, whether the object is gone, and the object."""

_RELOGIN: Final = timedelta(minutes=5)
"""How long credentials are used: the tokens of service accounts are renewed on disk."""


_IDENTITY: Final[Any] = "crawl-operator"
"""Unused without peering; else Kopf asks for the user's name, which in an image is none."""


async def run_watches(
    seen: Seen, kinds: Collection[Resource], namespaces: Collection[str], stop: asyncio.Event
) -> None:
    """Watch objects of these kinds until `stop` is set; raises if Kopf gives up.

    Kopf takes SIGTERM and SIGINT for itself: when one arrives, `stop` is set here, for everything else to end.
    """
    registry = kopf.OperatorRegistry()
    settings = kopf.OperatorSettings()
    _configure(settings)
    kopf.on.login(registry=registry)(_login)
    for resource in kinds:
        group, _, version = resource.api.rpartition("/")
        kopf.on.event(group, version, resource.plural, registry=registry, id=resource.plural)(_trigger(resource, seen))

    async def cleanup(**_: Any) -> None:
        stop.set()

    kopf.on.cleanup(registry=registry)(cleanup)
    try:
        await kopf.operator(
            registry=registry,
            settings=settings,
            identity=_IDENTITY,
            memories=_NoMemories(),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=tuple(namespaces),
            stop_flag=stop,
        )
    finally:
        stop.set()


async def connect() -> Connection:
    """Log in as Kopf does: by the pod's service account, else by kubeconfig.

    Raises:
        LoginFailedError: there are no usable credentials.
    """
    try:
        info = await asyncio.to_thread(_login, settings=kopf.OperatorSettings())
    except (kopf.LoginError, OSError, KeyError) as error:
        raise LoginFailedError(f"no usable credentials: {error}") from error
    return Connection(server=info.server.rstrip("/"), tls=_tls(info), headers=info.as_http_headers())


def _tls(info: kopf.ConnectionInfo) -> Any:
    return info.as_ssl_context() if info.server.startswith("https://") else None


def _login(*, settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo:
    info = kopf.login_with_service_account(settings=settings)
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if info is not None and host and port:
        # As every client in a pod does: it works before, and without, cluster DNS.
        info = dataclasses.replace(info, server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}")
    if info is None:
        info = kopf.login_with_kubeconfig(settings=settings)
    if info is None:
        raise kopf.LoginError("run in a pod, or set KUBECONFIG, or write ~/.kube/config")
    return dataclasses.replace(info, expiration=datetime.now(UTC) + _RELOGIN)


def _trigger(resource: Resource, seen: Seen) -> Callable[..., Awaitable[None]]:
    async def trigger(*, event: kopf.RawEvent, **_: Any) -> None:
        seen(
            resource, event["type"] == "DELETED", event["object"]
        )  # as it came: Kopf's own view of it is ten times slower

    return trigger


class _NoMemories(ResourceMemories):
    """Event handlers remember nothing between events; else Kopf keeps a kilobyte for each object there is."""

    async def recall(self, raw_body: kopf.RawBody, **options: Any) -> ResourceMemory:
        return await super().recall(raw_body, **(options | {"ephemeral": True}))


class _NoDiffBase(kopf.DiffBaseStorage):
    """Event handlers need no diffs; without a base Kopf neither copies nor stores what it has seen."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> Any:
        return {}

    def fetch(self, *, body: kopf.Body) -> Any:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        pass


class _NoProgress(kopf.ProgressStorage):
    """Event handlers make no progress to be remembered."""

    def fetch(self, *, key: Any, body: kopf.Body) -> Any:
        return None

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        pass

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        pass

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: Any) -> None:
        pass

    def clear(self, *, essence: Any) -> Any:
        return essence


def _configure(settings: kopf.OperatorSettings) -> None:
    """Set what measurements recommend; each value's reason is in docs/decisions."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.queueing.idle_timeout = 0.2
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 100
    settings.watching.label_selectors["", "v1", "pods"] = LABEL_JOB_UID
    settings.watching.label_selectors["batch", "v1", "jobs"] = LABEL_JOB_UID
    settings.networking.request_timeout = 15
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    logging.getLogger("kopf").setLevel(logging.WARNING)
