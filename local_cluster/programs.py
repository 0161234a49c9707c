"""Programs of this project as real processes, against a real API server, with the rights of their service accounts."""

import atexit
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import yaml

from local_cluster.cluster import LocalCluster
from local_cluster.processes import die_with_parent

NAMESPACE: Final = "crawl-operator"

_READY_SECONDS: Final = 60
_END_SECONDS: Final = 15
_SERVERS: Final = range(20_000, 30_000)
_MOST_HELD: Final = 200
_held: Final = deque[socket.socket]()


class Program:
    """One process; `with` starts and ends it. It may be killed and started again in between.

    Args:
        module: what is run, as `python -m` has it.
        folder: where its configuration and its log go.
        server: the API server that it talks to, maybe past a proxy.
        settings: its configuration.
        probe: port and path that answer 200 when it is ready.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a process is made of
        self,
        cluster: LocalCluster,
        module: str,
        folder: Path,
        server: str | None,
        settings: Mapping[str, Any],
        probe: tuple[int, str],
    ) -> None:
        self.folder = folder
        self._module = module
        self._probe = probe
        name = module.replace("_", "-")
        self.log_file = folder / f"{module.removeprefix('crawl_')}.log"
        self.config = folder / f"{module.removeprefix('crawl_')}.yaml"
        self.config.write_text(yaml.safe_dump(dict(settings)))
        self._environment = os.environ | {"KUBECONFIG": str(_kubeconfig(cluster, folder, name, server))}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id, while it runs."""
        return self._running.pid

    @property
    def log(self) -> str:
        """What it has logged."""
        return self.log_file.read_text()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.stop()

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error::RuntimeWarning", "-m", self._module, "--config", self.config],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, which allocates nothing
            )
        port, path = self._probe
        wait_until(lambda: ask(port, path)[0] == 200, f"{self._module} is ready", _READY_SECONDS)

    def stop(self) -> int:
        """End it as Kubernetes does; return its exit code."""
        self.send(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it at once, without a chance to do anything."""
        self.send(signal.SIGKILL)
        self.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._running.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        code = self._running.wait(_END_SECONDS)
        self._process = None
        return code

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self._module} does not run")
        return self._process


def wait_until(holds: Callable[[], object], what: str, seconds: float, pause: float = 0.1) -> None:
    """Wait for something, or fail and say what did not come."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"within {seconds} s it did not come that {what}")
        time.sleep(pause)


def ask(port: int, path: str, seconds: float = 5) -> tuple[int, str]:
    """Ask a probe on loopback; 0 if nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def free_port() -> int:
    """Return a port on loopback that nobody uses, and that nobody else is given for long.

    It is none of those that Linux gives to outgoing connections: one of them could take it before a server does. It is
    held by a socket that is bound but does not listen. Sharing is allowed only once it is bound: another process that
    looks for a port does not get it, and yet a server, which asks to share, can listen on it.
    """
    for port in random.sample(_SERVERS, 100):
        holder = socket.socket()
        with contextlib.suppress(OSError):
            holder.bind(("127.0.0.1", port))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _held.append(holder)
            if len(_held) > _MOST_HELD:
                _held.popleft().close()
            return port
        holder.close()
    raise OSError(f"no port between {_SERVERS.start} and {_SERVERS.stop} is free")


@atexit.register
def _let_go() -> None:
    while _held:
        _held.popleft().close()


def _kubeconfig(cluster: LocalCluster, folder: Path, account: str, server: str | None) -> Path:
    token = cluster.kubectl("-n", NAMESPACE, "create", "token", account, "--duration=1h").stdout.strip()
    admin = yaml.safe_load(cluster.kubeconfig.read_text())
    admin["clusters"][0]["cluster"]["server"] = server or cluster.server
    admin["users"][0]["user"] = {"token": token}
    path = folder / f"kubeconfig-{account}"
    path.write_text(yaml.safe_dump(admin))
    return path
