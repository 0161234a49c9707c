"""What a real node runs: the configuration and the command line of each program."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local_cluster.real import network
from local_cluster.real.purge import CGROUP

CONTAINERD: Final = "containerd"
KUBELET: Final = "kubelet"
KUBE_PROXY: Final = "kube-proxy"
COREDNS: Final = "coredns"
PAUSE_IMAGE: Final = "localhost/pause:1"

_CONTAINERD: Final = """\
version = 3
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
temp = "{folder}/containerd/tmp"

[grpc]
  address = "{folder}/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/containerd/opt"

[plugins."io.containerd.nri.v1.nri"]
  disable = true

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{pause}"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{containers}"]
  conf_dir = "{folder}/cni"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "{runc}"
  Root = "{folder}/runc"
"""

_COREFILE: Final = """\
.:53 {{
  bind {node}
  errors
  health 127.0.0.1:38080
  ready 127.0.0.1:38181
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {kubeconfig}
    pods insecure
    ttl 5
  }}
  cache 5
}}
"""


@dataclass(frozen=True)
class Node:
    """One node's folder and the programs that it consists of."""

    folder: Path
    name: str
    containers: Path
    """Folder with containerd and the CNI plug-ins."""
    kubernetes: Path
    """Folder with kubelet and kube-proxy."""
    dns: Path
    """Folder with CoreDNS."""
    authority: Path
    """The cluster's CA."""
    node_kubeconfig: Path
    admin_kubeconfig: Path

    @property
    def socket(self) -> Path:
        """Where containerd listens."""
        return self.folder / "containerd.sock"

    def write(self) -> None:
        """Write all configuration."""
        (self.folder / "cni").mkdir()
        texts = {
            "containerd.toml": _CONTAINERD.format(
                folder=self.folder, pause=PAUSE_IMAGE, containers=self.containers, runc=shutil.which("runc")
            ),
            "cni/10-crawl.conflist": json.dumps(self._cni(), indent=1),
            "kubelet.json": json.dumps(self._kubelet(), indent=1),
            "kube-proxy.json": json.dumps(self._kube_proxy(), indent=1),
            "Corefile": _COREFILE.format(node=network.NODE_ADDRESS, kubeconfig=self.admin_kubeconfig),
        }
        for name, text in texts.items():
            (self.folder / name).write_text(text)

    def command(self, component: str) -> list[str]:
        """Return the command line of a component; it runs in the node's network."""
        folder = self.folder
        commands: dict[str, list[str | Path]] = {
            # It finds its shim by PATH.
            CONTAINERD: [
                "env", f"PATH={self.containers}:/usr/sbin:/usr/bin:/sbin:/bin",
                self.containers / CONTAINERD, "--config", folder / "containerd.toml",
            ],
            KUBELET: [
                self.kubernetes / KUBELET, "--config", folder / "kubelet.json", "--kubeconfig", self.node_kubeconfig,
                "--hostname-override", self.name, "--node-ip", network.NODE_ADDRESS,
                "--root-dir", folder / "kubelet", "--cert-dir", folder / "kubelet-certificates",
            ],
            KUBE_PROXY: [self.kubernetes / KUBE_PROXY, "--config", folder / "kube-proxy.json"],
            COREDNS: [self.dns / COREDNS, "-conf", folder / "Corefile"],
        }  # fmt: skip
        return [*network.INSIDE, *map(str, commands[component])]

    def _cni(self) -> dict[str, Any]:
        bridge = {
            "type": "bridge",
            "bridge": network.BRIDGE,
            "isGateway": True,
            "hairpinMode": True,
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": network.POD_RANGE}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": str(self.folder / "addresses"),
            },
        }
        ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "1.0.0", "name": "crawl-node", "plugins": [bridge, ports]}

    def _kubelet(self) -> dict[str, Any]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": network.NODE_ADDRESS,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.authority)},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{CGROUP}",
            "cgroupsPerQOS": True,
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "clusterDNS": [network.DNS_ADDRESS],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            "podLogsDir": str(self.folder / "podlogs"),
            "evictionHard": {},  # a full disk of the machine is not this node's to mend
            "kubeAPIQPS": 100,
            "kubeAPIBurst": 200,
        }

    def _kube_proxy(self) -> dict[str, Any]:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "hostnameOverride": self.name,
            "clientConnection": {"kubeconfig": str(self.admin_kubeconfig)},
            "clusterCIDR": network.POD_RANGE,
            # They can be written in the machine's own network namespace alone.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }


def dns_objects() -> list[dict[str, Any]]:
    """Return the Service that pods ask for names, and where it leads: CoreDNS is a process of the node, no pod."""
    ports = [
        {"name": "dns", "protocol": "UDP", "port": 53},
        {"name": "dns-tcp", "protocol": "TCP", "port": 53},
    ]
    metadata = {"name": "kube-dns", "namespace": "kube-system"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"clusterIP": network.DNS_ADDRESS, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata | {"labels": {"kubernetes.io/service-name": "kube-dns"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [network.NODE_ADDRESS], "conditions": {"ready": True}}],
            "ports": ports,
        },
    ]
