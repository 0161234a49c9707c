"""How each program of a cluster is started, and why so."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from local_cluster.identities import SERVICE_RANGE, Identities

ETCD = "etcd"
APISERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
NODE = "node"


@dataclass(frozen=True)
class Image:
    """What the node runs for an image: there is no registry, so a name stands for a command on this machine."""

    entrypoint: Sequence[str] = ()
    """Program and first arguments; if empty, a pod must bring its own `command`."""
    command: Sequence[str] = ()
    """Arguments, unless the pod brings `args`."""
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Blueprint:
    """Everything the command lines of one cluster depend on."""

    state: Path
    programs: Path
    identities: Identities
    ports: Mapping[str, int]
    """Ports on 127.0.0.1 of API server, controller manager and scheduler."""
    node_name: str
    flags: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """By component: flags beside those given here, or instead of them."""

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://127.0.0.1:{self.ports[APISERVER]}"

    @property
    def etcd_socket(self) -> Path:
        """Where etcd listens: a socket in a private folder needs neither a port nor certificates."""
        return self.state / "etcd.sock"

    def command(self, component: str) -> list[str]:
        """Return the command line of a component."""
        if component == NODE:
            return self._node()
        options = {
            ETCD: self._etcd,
            APISERVER: self._apiserver,
            CONTROLLER_MANAGER: self._controller_manager,
            SCHEDULER: self._scheduler,
        }[component]() | dict(self.flags.get(component, {}))
        return [str(self.programs / component), *(f"--{name}={value}" for name, value in options.items())]

    def _etcd(self) -> dict[str, object]:
        peers = f"unix://{self.state / 'peer.sock'}"
        clients = f"unix://{self.etcd_socket}"
        return {
            "name": "etcd",
            "data-dir": self.state / "etcd",
            "listen-client-urls": clients,
            "advertise-client-urls": clients,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"etcd={peers}",
            "unsafe-no-fsync": "true",  # the data need not survive the machine
            "log-level": "warn",
        }

    def _apiserver(self) -> dict[str, object]:
        who = self.identities
        return self._serving(APISERVER) | {
            "etcd-servers": f"unix://{self.etcd_socket}",
            "tls-cert-file": who.apiserver.certificate,
            "tls-private-key-file": who.apiserver.key,
            "client-ca-file": who.authority.certificate,
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "allow-privileged": "true",  # as everywhere: who may run what is for admission to say
            # The issuer is where the published keys really are, so that discovery works as the standard has it.
            "service-account-issuer": self.server,
            "service-account-jwks-uri": f"{self.server}/openid/v1/jwks",
            "service-account-key-file": who.token_key,
            "service-account-signing-key-file": who.token_key,
            "service-cluster-ip-range": SERVICE_RANGE,
            "kubelet-client-certificate": who.to_kubelet.certificate,
            "kubelet-client-key": who.to_kubelet.key,
            "kubelet-certificate-authority": who.authority.certificate,
            "kubelet-preferred-address-types": "InternalIP",
            # Without an address to advertise it looks for a default route, which an isolated machine has not; and
            # endpoints on the loopback address are refused, so nobody is to write them.
            "advertise-address": "127.0.0.1",
            "endpoint-reconciler-type": "none",
        }

    def _controller_manager(self) -> dict[str, object]:
        who = self.identities
        return self._client(CONTROLLER_MANAGER, who.controller_manager_kubeconfig) | {
            "tls-cert-file": who.controller_manager.certificate,
            "tls-private-key-file": who.controller_manager.key,
            "service-account-private-key-file": who.token_key,
            "root-ca-file": who.authority.certificate,
            "cluster-signing-cert-file": who.authority.certificate,
            "cluster-signing-key-file": who.authority.key,
            "use-service-account-credentials": "true",
        }

    def _scheduler(self) -> dict[str, object]:
        who = self.identities
        return self._client(SCHEDULER, who.scheduler_kubeconfig) | {
            "tls-cert-file": who.scheduler.certificate,
            "tls-private-key-file": who.scheduler.key,
        }

    def _node(self) -> list[str]:
        who = self.identities
        options = {
            "kubeconfig": who.node_kubeconfig,
            "state": self.state / "node",
            "name": self.node_name,
            "serving-cert": who.node.certificate,
            "serving-key": who.node.key,
            "client-ca": who.authority.certificate,
            "images": self.images_file,
        }
        command = [sys.executable, "-m", "local_cluster.node"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        return command

    @property
    def images_file(self) -> Path:
        """The node's list of images."""
        return self.state / "images.json"

    def _serving(self, component: str) -> dict[str, object]:
        return {
            "bind-address": "127.0.0.1",
            "secure-port": self.ports[component],
            "permit-port-sharing": "true",  # the port is reserved by a socket that does not listen
            "cert-dir": self.state / "unused",  # else it makes a folder below /var/run
        }

    def _client(self, component: str, kubeconfig: Path) -> dict[str, object]:
        return self._serving(component) | {
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "leader-elect": "false",
            # The defaults, meant to spare large clusters, delay the default ServiceAccount by seconds.
            "kube-api-qps": 300,
            "kube-api-burst": 600,
        }


def write_images(path: Path, images: Mapping[str, Image]) -> None:
    """Write the node's list of images."""
    path.write_text(json.dumps({name: asdict(image) for name, image in images.items()}, indent=1))
