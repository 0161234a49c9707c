"""The local cluster with a real node."""

import contextlib
import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from local_cluster import build, folders
from local_cluster.cluster import LocalCluster
from local_cluster.components import APISERVER
from local_cluster.errors import LocalClusterError
from local_cluster.real import network
from local_cluster.real.images import Images
from local_cluster.real.node import CONTAINERD, COREDNS, KUBE_PROXY, KUBELET, PAUSE_IMAGE, Node, dns_objects
from local_cluster.real.purge import end_processes, make_cgroups, purge
from local_cluster.real.requirements import missing

_APISERVER_FLAGS: Final = {
    "bind-address": "0.0.0.0",  # noqa: S104 - the node is elsewhere; everybody must prove who they are
    "advertise-address": network.HOST_ADDRESS,
    "endpoint-reconciler-type": "lease",
    "kubelet-certificate-authority": "",  # the kubelet signs for itself
}
_IMPORT_SECONDS: Final = 300
_KUBELET_PORT: Final = 10250


class RealCluster(LocalCluster):
    """A control plane and a node with kubelet and containerd, that end with the block; one at a time on a machine."""

    def __init__(self, name: str = "real", *, timeout: float = 120) -> None:
        """Describe a cluster; entering the context starts it.

        Raises:
            LocalClusterError: the machine cannot have a real node; the message says what is missing.
        """
        if lacking := missing():
            raise LocalClusterError(f"a real node needs {', '.join(lacking)}")
        super().__init__(name, node=False, timeout=timeout, flags={APISERVER: _APISERVER_FLAGS})
        self.folder = folders.runtime() / "real"
        """Folder with everything the node has written; goes when the cluster ends."""

    @property
    def node(self) -> str:
        """The node's name."""
        return self.blueprint.node_name

    def load(self, *names: str) -> None:
        """Hand images to the node's runtime."""
        with Images() as images:
            for name in names:
                archive = self.folder / "image.tar"
                images.export(name, archive)
                self.ctr("images", "import", archive)
                archive.unlink()

    def ctr(self, *arguments: str | Path) -> str:
        """Run the runtime's own client."""
        command = [self._node.containers / "ctr", "--address", self._node.socket, "--namespace", "k8s.io", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_IMPORT_SECONDS)
        if result.returncode != 0:
            raise LocalClusterError(f"ctr {arguments[0]}: {result.stderr.strip()}")
        return result.stdout

    def _start(self, stack: contextlib.ExitStack) -> None:
        programs = {program.name: build.ensure(program) for program in (build.CONTAINERS, build.NODE, build.DNS)}
        purge(self.folder)  # what one that was killed has left
        stack.callback(purge, self.folder)
        self.folder.mkdir()
        network.create()
        make_cgroups()
        super()._start(stack)
        who = self.blueprint.identities
        self._node = Node(
            folder=self.folder,
            name=self.node,
            containers=programs[build.CONTAINERS.name],
            kubernetes=programs[build.NODE.name],
            dns=programs[build.DNS.name],
            authority=who.authority.certificate,
            node_kubeconfig=self._from_node(who.node_kubeconfig),
            admin_kubeconfig=self._from_node(who.admin_kubeconfig),
        )
        self._node.write()
        self._launch_node(CONTAINERD)
        self._await(self._runtime_problem, CONTAINERD)
        with Images() as images:
            images.derive(PAUSE_IMAGE, ["/bin/sleep", "infinity"])
        self.load(PAUSE_IMAGE)
        self._launch_node(KUBELET, KUBE_PROXY, COREDNS)
        objects = {"apiVersion": "v1", "kind": "List", "items": dns_objects()}
        self.kubectl("apply", "-f", "-", input=json.dumps(objects))
        self._await(self._node_problem, KUBELET)

    def restart_node(self, *, down: Callable[[], None] = lambda: None) -> None:
        """Kill every program of the node and all containers, as a reboot does, and start the node again.

        Args:
            down: called while the node is down.
        """
        for component in (KUBELET, KUBE_PROXY, COREDNS, CONTAINERD):
            self.kill(component)
        end_processes(self.folder)
        down()
        self._launch_node(CONTAINERD)
        self._await(self._runtime_problem, CONTAINERD)
        self._launch_node(KUBELET, KUBE_PROXY, COREDNS)
        self._await(self._node_problem, KUBELET)

    def _launch_node(self, *components: str) -> None:
        for component in components:
            self._keeping.start(component, self._node.command(component))

    def _runtime_problem(self) -> str | None:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(self._node.socket))
        except OSError as error:
            return f"does not listen: {error}"
        return None

    def _node_problem(self) -> str | None:
        found = self.kubectl("get", "node", self.node, "-o", "json", check=False)
        if found.returncode != 0:
            return "has not registered"
        conditions = {each["type"]: each["status"] for each in json.loads(found.stdout)["status"]["conditions"]}
        if conditions.get("Ready") != "True":
            return "is not ready"
        try:  # the condition outlives the process; its port does not
            socket.create_connection((network.NODE_ADDRESS, _KUBELET_PORT), timeout=2).close()
        except OSError as error:
            return f"does not listen: {error}"
        return None

    def _from_node(self, kubeconfig: Path) -> Path:
        """Write a kubeconfig by which the API server is found from the node's network."""
        content = json.loads(kubeconfig.read_text())
        cluster = content["clusters"][0]["cluster"]
        cluster["server"] = f"https://{network.HOST_ADDRESS}:{self.blueprint.ports[APISERVER]}"
        cluster["tls-server-name"] = "kubernetes"  # its certificate does not name this address
        path = self.folder / kubeconfig.name
        path.touch(mode=0o600)
        path.write_text(json.dumps(content))
        return path
