"""Asks the components how they are, the way Kubernetes' own probes do: over their health endpoints."""

import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any

from local_cluster.components import APISERVER, CONTROLLER_MANAGER, ETCD, NODE, SCHEDULER, Blueprint

_SECONDS = 2.0
_PATHS = {ETCD: "/health", APISERVER: "/readyz", CONTROLLER_MANAGER: "/healthz", SCHEDULER: "/healthz"}


class Health:
    """Health of one cluster's components."""

    def __init__(self, blueprint: Blueprint) -> None:
        self._blueprint = blueprint
        who = blueprint.identities
        self._tls = ssl.create_default_context(cafile=who.authority.certificate)
        self._tls.load_cert_chain(who.admin.certificate, who.admin.key)

    def problem(self, component: str) -> str | None:
        """Return what is wrong with a component, or None if it is well."""
        try:
            if component == NODE:
                return self._node_problem()
            status, body = self._get(component, _PATHS[component])
        except (OSError, http.client.HTTPException) as error:
            return f"does not answer: {error}"
        return None if status == 200 else f"answers {status}: {body.decode(errors='replace').strip()[:300]}"

    def exists(self, path: str) -> bool:
        """Say whether the API server has the object at this path."""
        try:
            return self._get(APISERVER, path)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _node_problem(self) -> str | None:
        status, body = self._get(APISERVER, f"/api/v1/nodes/{self._blueprint.node_name}")
        if status != 200:
            return "has not registered"
        state: dict[str, Any] = json.loads(body)["status"]
        conditions = {item["type"]: item for item in state.get("conditions", ())}
        if conditions.get("Ready", {}).get("status") != "True":
            return "is not ready"
        # The condition outlives the process; its port does not.
        port = state["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        socket.create_connection(("127.0.0.1", port), timeout=_SECONDS).close()
        return None

    def _get(self, component: str, path: str) -> tuple[int, bytes]:
        connection = (
            _UnixConnection(self._blueprint.etcd_socket)
            if component == ETCD
            else http.client.HTTPSConnection(
                "127.0.0.1", self._blueprint.ports[component], timeout=_SECONDS, context=self._tls
            )
        )
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(str(self._path))
