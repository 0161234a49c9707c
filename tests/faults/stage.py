"""The cluster that faults are tried on: a real API server, and nobody else who acts.

Scheduler and controller manager are gone and there is no node: what they would do, a scenario does, when it is its
turn. So nothing happens by itself, and the same scenario makes the same writes every time.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import aiohttp
from world import KINDS, Object, World

from crawl_operator.kube import Resource
from local_cluster.cluster import LocalCluster
from operator_process import prepare

_LEASES: Final = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: leases-of-all-trials}
rules:
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: leases-of-all-trials}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: leases-of-all-trials}
subjects:
- {kind: ServiceAccount, name: crawl-operator, namespace: crawl-operator}
"""
_DOWN_PAUSE: Final = 0.1
_DOWN_TRIES: Final = 300


@contextmanager
def bare_cluster(name: str) -> Iterator[LocalCluster]:
    """Start an API server with the CRD and the operator's rights, and let nobody else act on it."""
    with LocalCluster(name, node=False) as cluster:
        prepare(cluster)
        cluster.kubectl("apply", "-f", "-", input=_LEASES)
        cluster.kill("kube-scheduler")
        cluster.kill("kube-controller-manager")
        yield cluster


class AnsweredError(Exception):
    """The API server refused a call of the scenario's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status = status


class Stage:
    """The API server with an administrator's rights, and the watches over all its namespaces.

    Args:
        cluster: a running one.
        token: the operator's, with the operator's rights and no more.
    """

    def __init__(self, cluster: LocalCluster, token: str, session: aiohttp.ClientSession) -> None:
        self.cluster = cluster
        self.token = token
        self._session = session
        self._worlds: dict[str, World] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, cluster: LocalCluster, token: str) -> AsyncIterator["Stage"]:
        """Open the stage and watch until the block ends."""
        who = cluster.blueprint.identities
        tls = ssl.create_default_context(cafile=who.authority.certificate)
        tls.load_cert_chain(who.admin.certificate, who.admin.key)
        connector = aiohttp.TCPConnector(limit=0, ssl=tls)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            stage = cls(cluster, token, session)
            starts = [await stage._version(resource) for resource in KINDS]
            watches = [
                asyncio.create_task(stage._watch(resource, start))
                for resource, start in zip(KINDS, starts, strict=True)
            ]
            try:
                yield stage
            finally:
                for watch in watches:
                    watch.cancel()
                await asyncio.gather(*watches, return_exceptions=True)
                for watch in watches:
                    if not watch.cancelled():
                        watch.result()  # it has ended by itself: say why

    async def world(self, namespace: str) -> World:
        """Make a namespace that pods can be created in, and look at it from now on."""
        world = self._worlds[namespace] = World(namespace)
        await self.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        await self.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "default"}})
        return world

    def forget(self, world: World) -> None:
        """Look at a namespace no longer. It stays: nobody here deletes namespaces, and the cluster goes as a whole."""
        del self._worlds[world.namespace]

    async def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, kind: str = "application/json"
    ) -> dict[str, Any]:
        """Call the API server, again and again while it is down.

        Raises:
            AnsweredError: it answered, and refused.
        """
        for _ in range(_DOWN_TRIES):
            try:
                async with self._session.request(
                    method,
                    self.cluster.server + path,
                    data=json.dumps(body) if body is not None else None,
                    headers={"Content-Type": kind},
                ) as answer:
                    text = await answer.text()
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(_DOWN_PAUSE)
                continue
            if answer.status in {429, 503}:
                await asyncio.sleep(_DOWN_PAUSE)  # it is not all there yet
                continue
            if answer.status >= 300:
                raise AnsweredError(answer.status, text)
            parsed: dict[str, Any] = json.loads(text)
            return parsed
        raise TimeoutError(f"{method} {path}: the API server stays down")

    async def _version(self, resource: Resource) -> str:
        found: str = (await self.call("GET", f"{resource.path(None)}?limit=1"))["metadata"]["resourceVersion"]
        return found

    async def _watch(self, resource: Resource, version: str) -> None:
        while True:
            version = await self._follow(resource, version)

    async def _follow(self, resource: Resource, version: str) -> str:
        """Read one watch until it ends or breaks; return the version to go on from."""
        params = {"watch": "true", "resourceVersion": version}
        try:
            async with self._session.get(self.cluster.server + resource.path(None), params=params) as answer:
                if answer.status == 410:
                    return await self._catch_up(resource)
                if answer.status >= 400:
                    await asyncio.sleep(_DOWN_PAUSE)
                    return version
                rest = b""
                async for chunk in answer.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            return await self._catch_up(resource)
                        version = event["object"]["metadata"]["resourceVersion"]
                        self._dispatch(resource, event["object"], gone=event["type"] == "DELETED")
        except (aiohttp.ClientError, OSError):
            await asyncio.sleep(_DOWN_PAUSE)
        return version

    async def _catch_up(self, resource: Resource) -> str:
        """Find what happened while the watch could not tell: the server no longer knows the version it stood at.

        One list of all namespaces, whose version the watch goes on from: from an older one it would tell again what
        the list had overtaken, and a pod that the list had told to be gone would be there once more.
        """
        answer = await self.call("GET", resource.path(None))
        version: str = answer["metadata"]["resourceVersion"]
        listed: dict[str, dict[str, Object]] = {}
        for item in answer["items"] or ():
            of_one = listed.setdefault(item["metadata"]["namespace"], {})
            of_one[item["metadata"]["uid"]] = {"kind": KINDS[resource], "apiVersion": resource.api, **item}
        for world in list(self._worlds.values()):
            found, known = listed.get(world.namespace, {}), world.now.objects[resource]
            for uid in known.keys() - found.keys():
                meta = {**known[uid]["metadata"], "resourceVersion": version}
                world.see(resource, {**known[uid], "metadata": meta}, gone=True)
            for uid, body in found.items():
                if uid not in known or known[uid]["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
                    world.see(resource, body, gone=False)
        return version

    def _dispatch(self, resource: Resource, body: Object, *, gone: bool) -> None:
        world = self._worlds.get(body["metadata"]["namespace"])
        if world is not None:
            world.see(resource, body, gone=gone)
