"""A real Kubernetes cluster on this machine, for as long as a `with` block lasts.

It has no isolation whatsoever: pods are processes of the user who started it, with that user's files and network.
It is a tool for development and tests, never for work of others.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from local_cluster import build, folders, identities, states
from local_cluster.components import (
    APISERVER,
    CONTROLLER_MANAGER,
    ETCD,
    NODE,
    SCHEDULER,
    Blueprint,
    Image,
    write_images,
)
from local_cluster.errors import LocalClusterError
from local_cluster.health import Health
from local_cluster.keeping import Keeping

_DEFAULT_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"
_POLL_SECONDS = 0.05
_LOG_TAIL_LINES = 15
_KUBECTL_SECONDS = 120


class LocalCluster:
    """A control plane, and a node unless told otherwise, that end with the block, or with this process."""

    def __init__(
        self,
        name: str = "default",
        *,
        images: Mapping[str, Image] | None = None,
        node: bool = True,
        timeout: float = 60,
        flags: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        """Describe a cluster; entering the context starts it.

        Args:
            name: for people: it is part of folder and context names, and need not be unique.
            images: what the node runs for which image name.
            node: whether to start a node; without one, pods stay pending.
            timeout: seconds a component may take to become healthy.
            flags: by component of the control plane, its flags that shall differ.
        """
        if sys.platform != "linux":
            raise LocalClusterError("a local cluster needs Linux: it ends processes by means only Linux has")
        self.name = folders.check_name(name)
        self._images = dict(images or {})
        self._with_node = node
        self._timeout = timeout
        self._flags = dict(flags or {})
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the cluster and remove what it has left; does nothing if it has ended."""
        self._resources.close()

    def wait(self) -> None:
        """Block until the cluster ends, which without `stop` means that its keeper was killed."""
        self._keeping.wait()

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self.blueprint.server

    @property
    def state_dir(self) -> Path:
        """Folder with everything this cluster has written; goes when the cluster ends."""
        return self.blueprint.state

    @property
    def kubeconfig(self) -> Path:
        """Credentials of the administrator, certificates included."""
        return self.blueprint.identities.admin_kubeconfig

    @property
    def kubectl_path(self) -> Path:
        """A kubectl of the cluster's version."""
        return self.blueprint.programs / "kubectl"

    @property
    def env(self) -> dict[str, str]:
        """Environment variables that make kubectl, and whatever reads KUBECONFIG, talk to this cluster."""
        return environment(self.blueprint)

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the cluster's components, in the order they are started."""
        return (ETCD, APISERVER, CONTROLLER_MANAGER, SCHEDULER, *((NODE,) if self._with_node else ()))

    def kubectl(
        self,
        *args: str | Path,
        input: str | None = None,  # noqa: A002 - as in subprocess.run
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as administrator.

        Raises:
            subprocess.CalledProcessError: it failed and `check` is set; what it said is a note to the error.
        """
        result = subprocess.run(
            [self.kubectl_path, *args],
            input=input,
            capture_output=True,
            text=True,
            check=False,
            timeout=_KUBECTL_SECONDS,
            env=os.environ | self.env,
        )
        try:
            if check:
                result.check_returncode()
        except subprocess.CalledProcessError as error:
            error.add_note(result.stderr.strip())
            raise
        return result

    def serves(self, path: str) -> bool:
        """Say whether the API server answers a path with something: an object that is there, a kind that it knows."""
        return self._health.exists(path)

    def kill(self, component: str) -> None:
        """Kill a component, which then stays down; returns when its process is gone."""
        self._keeping.kill(component)

    def start(self, component: str) -> None:
        """Start a component that was killed; returns when it is healthy."""
        self._keeping.start(component, self.blueprint.command(component))
        self._await_healthy(component)

    def restart(self, component: str) -> None:
        """Kill a component and start it anew, with its data and on its port; returns when it is healthy."""
        self.kill(component)
        self.start(component)

    def pid(self, component: str) -> int:
        """Process id of a component."""
        pid: int = self._keeping.components()[component]["pid"]
        return pid

    def log(self, component: str) -> str:
        """What a component has logged since the cluster was started."""
        return (self.state_dir / "logs" / f"{component}.log").read_text(errors="replace")

    def _start(self, stack: contextlib.ExitStack) -> None:
        programs = build.ensure()
        with states.create(self.name) as (state, lock):
            (state / "logs").mkdir()
            self._keeping = Keeping(state, lock)
        stack.callback(self._keeping.end)
        ports = {name: stack.enter_context(_reserve_port()) for name in (APISERVER, CONTROLLER_MANAGER, SCHEDULER)}
        node = f"{self.name}-node"
        who = identities.issue(state, self.name, f"https://127.0.0.1:{ports[APISERVER]}", node)
        self.blueprint = Blueprint(state, programs, who, ports, node, self._flags)
        write_images(self.blueprint.images_file, self._images)
        self._health = Health(self.blueprint)
        # Each needs the one before: an API server that finds no etcd waits a second before it looks again, and a
        # controller manager ends at once if it cannot read what the API server sets up just before it is ready.
        for component in (ETCD, APISERVER):
            self._launch(component)
            self._await_healthy(component)
        rest = self.components[2:]
        self._launch(*rest)
        for component in rest:
            self._await_healthy(component)
        self._await(
            lambda: None if self._health.exists(_DEFAULT_ACCOUNT) else "has not made the default ServiceAccount",
            CONTROLLER_MANAGER,
        )

    def _launch(self, *components: str) -> None:
        for component in components:
            self._keeping.start(component, self.blueprint.command(component))

    def _await_healthy(self, component: str) -> None:
        self._await(lambda: self._health.problem(component), component)

    def _await(self, problem: Callable[[], str | None], component: str) -> None:
        """Wait until there is no problem; raise if its component ends, or takes too long, with the end of its log."""
        deadline = time.monotonic() + self._timeout
        while (what := problem()) is not None:
            code = self._keeping.components()[component]["exit"]
            if code is None and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                continue
            reason = f"{what} after {self._timeout:g} s" if code is None else f"has ended with {code}"
            tail = "\n".join(self.log(component).splitlines()[-_LOG_TAIL_LINES:])
            raise LocalClusterError(f"{component} {reason}; its log ends with:\n{tail}")


def environment(blueprint: Blueprint) -> dict[str, str]:
    """Return the environment variables by which programs find a cluster and its kubectl."""
    return {
        "KUBECONFIG": str(blueprint.identities.admin_kubeconfig),
        "KUBECACHEDIR": str(blueprint.state / "kubectl"),  # else kubectl leaves a folder per cluster in the home
        "PATH": os.pathsep.join([str(blueprint.programs), os.environ.get("PATH", os.defpath)]),
    }


@contextlib.contextmanager
def _reserve_port() -> Iterator[int]:
    """Yield a port that nobody else is given until the block ends.

    It is held by a socket that is bound but does not listen. Sharing is allowed only once it is bound: so no other
    cluster can have been given the same port, and yet the component, which asks to share, can listen on it.
    """
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        yield holder.getsockname()[1]
