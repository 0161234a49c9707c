"""Asks a running container how it is, as its startup, readiness and liveness probes say."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from local_cluster.node.k8s import Json
from local_cluster.node.records import Record

KINDS = ("startupProbe", "readinessProbe", "livenessProbe")


@dataclass(frozen=True, slots=True)
class Prober:
    """Keeps `started` and `ready` of a record true to the probes, from the start of one process to its end.

    Attributes:
        spec: the container's part of the pod spec.
        host: where the container listens, unless a probe names another host.
        execute: runs a command in the container's surroundings and says what went wrong, nothing if it went well.
        changed: called when the record has changed.
        unhealthy: called with the words for an event when a probe fails.
    """

    spec: Json
    record: Record
    host: str
    execute: Callable[[list[str]], Awaitable[str]]
    changed: Callable[[], None]
    unhealthy: Callable[[str], None]

    async def run(self) -> str:
        """Probe until the container must be killed, and say for which probe. To be cancelled with the process."""
        if startup := self.spec.get("startupProbe"):
            if not await anext(self._verdicts("Startup", startup)):
                return "failed startup probe"
            self.record.started, self.record.ready = True, "readinessProbe" not in self.spec
            self.changed()
        readying = asyncio.create_task(self._keep_ready())
        try:
            if liveness := self.spec.get("livenessProbe"):
                async for well in self._verdicts("Liveness", liveness):
                    if not well:
                        return "failed liveness probe"
            await readying
        finally:
            readying.cancel()
        raise AssertionError("probing readiness does not end")

    async def _keep_ready(self) -> None:
        if (readiness := self.spec.get("readinessProbe")) is None:
            await asyncio.Event().wait()
            return
        async for well in self._verdicts("Readiness", readiness):
            if well != self.record.ready:
                self.record.ready = well
                self.changed()

    async def _verdicts(self, kind: str, probe: Json) -> AsyncIterator[bool]:
        """Ask again and again; an answer whenever the last ones were the same for as long as the probe demands."""
        needed = {True: probe.get("successThreshold", 1), False: probe.get("failureThreshold", 3)}
        last, same = True, 0
        await asyncio.sleep(probe.get("initialDelaySeconds", 0))
        while True:
            problem = await self._ask(probe)
            if problem:
                self.unhealthy(f"{kind} probe failed: {problem}")
            well = not problem
            last, same = well, same + 1 if well == last else 1
            if same >= needed[well]:
                yield well
            await asyncio.sleep(probe.get("periodSeconds", 10))

    async def _ask(self, probe: Json) -> str:
        """Ask once; what went wrong, nothing if the container is well."""
        seconds = probe.get("timeoutSeconds", 1)
        try:
            async with asyncio.timeout(seconds):
                if "exec" in probe:
                    return await self.execute(probe["exec"]["command"])
                if "httpGet" in probe:
                    return await self._get(probe["httpGet"])
                return await self._connect(probe["tcpSocket"])
        except TimeoutError:
            return f"no answer within {seconds} s"
        except (OSError, aiohttp.ClientError) as error:
            return str(error) or type(error).__name__

    async def _get(self, action: Json) -> str:
        host = action.get("host") or self.host
        url = (
            f"{action.get('scheme', 'HTTP').lower()}://{host}:{self._port(action)}/{action.get('path', '').lstrip('/')}"
        )
        headers = [(header["name"], header["value"]) for header in action.get("httpHeaders") or []]
        async with (
            aiohttp.ClientSession() as session,
            # As kubelet, without checking the certificate: it asks for life, not for identity.
            session.get(url, headers=headers, ssl=False, allow_redirects=False) as answer,
        ):
            return "" if answer.status < 400 else f"HTTP probe failed with statuscode: {answer.status}"

    async def _connect(self, action: Json) -> str:
        _, writer = await asyncio.open_connection(action.get("host") or self.host, self._port(action))
        writer.close()
        return ""

    def _port(self, action: Json) -> int:
        port: Any = action["port"]
        if isinstance(port, str) and not port.isdigit():
            named = (entry for entry in self.spec.get("ports") or [] if entry.get("name") == port)
            port = next(named, {"containerPort": 0})["containerPort"]
        return int(port)
