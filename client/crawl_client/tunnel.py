"""`kubectl port-forward` to a Service: the way into a cluster for whoever has no other."""

import asyncio
import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any, Final

from crawl_client.errors import ForbiddenError, ResultUnavailableError
from crawl_client.kubeconfig import Login

_OPENS: Final = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+)")
_SECONDS: Final = 30
_END_SECONDS: Final = 5
_OTHERWISE: Final = "name another way with --results-url or CRAWL_RESULTS_URL"


class Tunnel:
    """A Service of the cluster on a port of this machine, from the first question for it until it is closed.

    Args:
        login: the cluster and who asks.
        namespace: of the Service.
        service: its name.
        port: its port.
    """

    def __init__(self, login: Login, namespace: str, service: str, port: int) -> None:
        self._login = login
        self._where = (namespace, f"service/{service}", port)
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._url = ""

    async def url(self, credentials: Mapping[str, str]) -> str:
        """Return where the Service is reached, having opened the way if it is not open.

        Args:
            credentials: the headers that say who asks, where the kubeconfig does not.

        Raises:
            ForbiddenError: who asks may not come this way.
            ResultUnavailableError: there is no kubectl, or no such Service, or no way to it.
        """
        async with self._lock:
            if self._process is None or self._process.returncode is not None:
                self._url = await self._open(credentials)
        return self._url

    async def close(self) -> None:
        """End the process."""
        async with self._lock:
            process, self._process = self._process, None
            if process is not None:
                await _end(process)

    async def _open(self, credentials: Mapping[str, str]) -> str:
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise _no_way(f"kubectl is needed to reach the operator's store, and not found; {_OTHERWISE}")
        namespace, service, port = self._where
        with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig") as file:  # readable by its owner alone
            json.dump(_kubeconfig(self._login, credentials), file)
            file.flush()
            words = ("--kubeconfig", file.name, "-n", namespace, "port-forward", service, f":{port}")
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(
                kubectl, *words, "--address=127.0.0.1", stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
            )
            try:
                line = await asyncio.wait_for(_line(process), _SECONDS)
            except BaseException as error:
                await _end(process)
                if isinstance(error, TimeoutError):
                    raise _no_way(f"kubectl port-forward took over {_SECONDS} s; {_OTHERWISE}") from error
                raise
        if found := _OPENS.match(line):
            self._process = process
            return f"http://127.0.0.1:{found[1].decode()}"
        said = (await _rest(process)).strip().partition("\n")[0].removeprefix("error: ")
        text = f"the operator's store is not reached by kubectl port-forward ({namespace}, {service}): {said}"
        if "forbidden" in said.lower():
            raise ForbiddenError(f"{text}; {_OTHERWISE}", 403, reason="Forbidden")
        raise _no_way(f"{text}; {_OTHERWISE}")


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None  # noqa: S101 - it was asked for; for the type checker
    return await process.stdout.readline()


async def _rest(process: asyncio.subprocess.Process) -> str:
    """End a process that has not done what it should, and return what it complained of."""
    assert process.stderr is not None  # noqa: S101 - it was asked for; for the type checker
    try:
        said = await asyncio.wait_for(process.stderr.read(), _END_SECONDS)
    except TimeoutError:
        said = b"it said nothing of use"
    await _end(process)
    return said.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _END_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def _kubeconfig(login: Login, credentials: Mapping[str, str]) -> dict[str, Any]:
    """Return what has kubectl log in as this client does."""
    scheme, _, token = credentials.get("Authorization", "").partition(" ")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
        "clusters": [{"name": "here", "cluster": {**login.cluster, "server": login.server}}],
        "users": [{"name": "here", "user": {"token": token} if scheme == "Bearer" else dict(login.user)}],
    }


def _no_way(message: str) -> ResultUnavailableError:
    return ResultUnavailableError(message, 404, reason="Unreachable")
