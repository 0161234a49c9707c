"""The node's HTTPS server: container logs for the API server, and its own health.

Whoever connects must show a certificate signed by the client authority, as the API server does.
"""

import ssl
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from aiohttp import web

from local_cluster.node import logs
from local_cluster.node.container import Container
from local_cluster.node.k8s import parse_time, utc_now
from local_cluster.node.pod import Pod
from local_cluster.node.records import Waiting

_HOST = "127.0.0.1"

Find = Callable[[str, str], Pod | None]


class Server:
    """Serves on a free port of the loopback address between `start` and `stop`."""

    def __init__(self, find: Find, certificate: Path, key: Path, authority: Path) -> None:
        self._find = find
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
        self._tls.verify_mode = ssl.CERT_REQUIRED
        self._tls.load_cert_chain(certificate, key)
        application = web.Application()
        application.router.add_get("/healthz", _healthz)
        application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        for verb in ("exec", "attach", "portForward", "run", "cri"):
            application.router.add_route("*", f"/{verb}/{{rest:.*}}", _refuse)
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)

    async def start(self) -> int:
        """Listen; the port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, _HOST, 0, ssl_context=self._tls).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        """Stop listening, and end what is being served."""
        await self._runner.cleanup()

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        wanted = request.match_info
        pod = self._find(wanted["namespace"], wanted["pod"])
        container = pod.containers.get(wanted["container"]) if pod is not None else None
        if container is None:
            return web.Response(status=404, text=f"container {wanted['container']} is not on this node\n")
        try:
            options = options_of(request.query)
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        previous = request.query.get("previous") == "true"
        attempt = _attempt(container, previous=previous)
        path = container.log_path(attempt)
        if attempt < 1 or not path.exists():
            return web.Response(status=400, text=_no_log(container, wanted["pod"], previous=previous))
        writer = container.log if container.log is not None and container.log.path == path else None
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        async for chunk in logs.read(path, writer, options):
            await response.write(chunk)
        await response.write_eof()
        return response


def options_of(query: Mapping[str, str]) -> logs.Options:
    """What a reader asks for, from the query parameters of the API server.

    Raises:
        ValueError: when a parameter cannot be read.
    """
    since = parse_time(query["sinceTime"]) if "sinceTime" in query else None
    if "sinceSeconds" in query:
        since = utc_now() - timedelta(seconds=int(query["sinceSeconds"]))
    stream = query.get("stream", "All").lower()
    return logs.Options(
        follow=query.get("follow") == "true",
        tail=int(query["tailLines"]) if "tailLines" in query else None,
        since=since,
        timestamps=query.get("timestamps") == "true",
        limit_bytes=int(query["limitBytes"]) if "limitBytes" in query else None,
        streams=frozenset({"stdout", "stderr"} if stream == "all" else {stream}),
    )


def _attempt(container: Container, *, previous: bool) -> int:
    """The number of the attempt whose log is meant; a container that waits for its restart has only previous ones."""
    record = container.record
    waiting = isinstance(record.state, Waiting)
    return record.attempts - 1 if previous and not waiting else record.attempts


def _no_log(container: Container, pod: str, *, previous: bool) -> str:
    name, state = container.record.name, container.record.state
    if previous:
        return f'previous terminated container "{name}" in pod "{pod}" not found'
    reason = state.reason if isinstance(state, Waiting) else "no log"
    return f'container "{name}" in pod "{pod}" is waiting to start: {reason}'


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _refuse(request: web.Request) -> web.Response:
    verb = request.path.split("/")[1]
    return web.Response(status=501, text=f"{verb} is not supported by this node: its pods are plain processes\n")
