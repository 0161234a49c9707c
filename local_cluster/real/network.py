"""The node's network: a namespace joined to the host by a pair of interfaces, with routes to pods and Services.

Ports cannot collide with anything on the host, and bridge, routes and rules vanish with the namespace. There is no
default route in it: pods reach each other, Services and the host, and nothing else.
"""

import subprocess
from pathlib import Path
from typing import Final

from local_cluster.identities import SERVICE_RANGE

NAMESPACE: Final = "crawl-node"
HOST_ADDRESS: Final = "10.77.0.1"
NODE_ADDRESS: Final = "10.77.0.2"
POD_RANGE: Final = "10.78.0.0/24"
DNS_ADDRESS: Final = "10.96.0.10"
BRIDGE: Final = "crawl0"
INSIDE: Final = ("nsenter", f"--net=/run/netns/{NAMESPACE}")
"""To be put before a command. (`ip netns exec` would hide the cgroups.)"""

_HOST_END, _NODE_END = "crawl-host", "crawl-node"


def create() -> None:
    """Make the namespace."""
    for command in (
        f"netns add {NAMESPACE}",
        f"-n {NAMESPACE} link set lo up",
        f"link add {_HOST_END} type veth peer name {_NODE_END} netns {NAMESPACE}",
        f"address add {HOST_ADDRESS}/24 dev {_HOST_END}",
        f"link set {_HOST_END} up",
        f"-n {NAMESPACE} address add {NODE_ADDRESS}/24 dev {_NODE_END}",
        f"-n {NAMESPACE} link set {_NODE_END} up",
        f"-n {NAMESPACE} route add {SERVICE_RANGE} dev {_NODE_END}",  # for processes of the node itself
        f"route add {POD_RANGE} via {NODE_ADDRESS}",
        f"route add {SERVICE_RANGE} via {NODE_ADDRESS}",
    ):
        subprocess.run(["ip", *command.split()], check=True, timeout=10)
    subprocess.run([*INSIDE, "sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True, timeout=10)


def remove() -> None:
    """Remove the namespace and all that is in it, if it is there."""
    if Path("/run/netns", NAMESPACE).exists():
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=True, timeout=10)
