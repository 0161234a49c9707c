"""Makes the node known to the cluster, and shows that it lives."""

import asyncio
import logging
import os
import platform
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import psutil

from local_cluster.node.api import MERGE, Api, ApiError
from local_cluster.node.k8s import Json, micro_time_text, time_text, utc_now

_log = logging.getLogger(__name__)

HOST_IP = "127.0.0.1"
NO_ISOLATION = "pods run as plain processes of this machine's user: no isolation, no enforced limits"

_HEARTBEAT_SECONDS = 10.0
_LEASE_SECONDS = 40
_REPORT_SECONDS = 300.0
_RETRY_SECONDS = 0.2
_PODS = 500
# Pods share the machine as processes do: the scheduler must not hold them back because of what they might use.
_OVERCOMMIT = 100


def machine_resources() -> dict[str, str]:
    """The machine's processors and memory, as resource quantities."""
    return {"cpu": str(os.cpu_count() or 1), "memory": str(psutil.virtual_memory().total)}


class Registration:
    """The Node object and its lease."""

    def __init__(self, api: Api, name: str, port: int, images: list[str]) -> None:
        self._api = api
        self._name = name
        self._port = port
        self._images = images
        self._path = f"/api/v1/nodes/{name}"
        self._ready_since = time_text(utc_now())
        self._reported_at = 0.0
        self._version = ""

    async def run(self) -> None:
        """Register, then show life until cancelled."""
        registered = False
        while True:
            if registered:
                await self._tried(self._report())
            else:
                registered = await self._tried(self._register())
            await self._tried(self._beat())
            await asyncio.sleep(_HEARTBEAT_SECONDS if registered else _RETRY_SECONDS)

    async def _tried(self, step: Coroutine[Any, Any, None]) -> bool:
        try:
            await step
        except ApiError as error:
            _log.warning("node %s: not accepted, trying again: %s", self._name, error)
            return False
        return True

    async def _register(self) -> None:
        self._version = (await self._api.get("/version"))["gitVersion"]
        labels = {
            "kubernetes.io/hostname": self._name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        }
        metadata = {"name": self._name, "labels": labels, "annotations": {"crawl-operator.io/isolation": NO_ISOLATION}}
        try:
            await self._api.create("/api/v1/nodes", {"metadata": metadata, "status": self._status()})
        except ApiError as error:
            if error.status != 409:
                raise
            await self._api.patch(f"{self._path}/status", {"status": self._status()})
        self._reported_at = time.monotonic()

    async def _beat(self) -> None:
        leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        spec = {
            "holderIdentity": self._name,
            "leaseDurationSeconds": _LEASE_SECONDS,
            "renewTime": micro_time_text(utc_now()),
        }
        try:
            await self._api.patch(f"{leases}/{self._name}", {"spec": spec}, MERGE)
        except ApiError as error:
            if error.status != 404:
                raise
            await self._api.create(leases, {"metadata": {"name": self._name}, "spec": spec})

    async def _report(self) -> None:
        """Put right what the cluster believes of the node; every few minutes also what has not changed."""
        try:
            shown = (await self._api.get(self._path))["status"]
        except ApiError as error:
            if error.status != 404:
                raise
            await self._register()
            return
        ready = {condition["type"]: condition["status"] for condition in shown.get("conditions") or []}
        if ready.get("Ready") != "True" or time.monotonic() - self._reported_at > _REPORT_SECONDS:
            await self._api.patch(f"{self._path}/status", {"status": self._status()})
            self._reported_at = time.monotonic()

    def _status(self) -> Json:
        now = time_text(utc_now())
        machine = machine_resources()
        amounts = {
            "cpu": str(int(machine["cpu"]) * _OVERCOMMIT),
            "memory": str(int(machine["memory"]) * _OVERCOMMIT),
            "ephemeral-storage": str(psutil.disk_usage("/").total * _OVERCOMMIT),
            "pods": str(_PODS),
        }
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "ProcessesRun",
            "message": NO_ISOLATION,
            "lastHeartbeatTime": now,
            "lastTransitionTime": self._ready_since,
        }
        return {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [ready],
            "addresses": [{"type": "InternalIP", "address": HOST_IP}, {"type": "Hostname", "address": self._name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            "images": [{"names": [name]} for name in self._images],
            "nodeInfo": {
                "machineID": "",
                "systemUUID": "",
                "bootID": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
                "kernelVersion": platform.release(),
                "osImage": platform.system(),
                "containerRuntimeVersion": "process://1",
                "kubeletVersion": f"{self._version}+processes",
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": platform.machine(),
            },
        }
