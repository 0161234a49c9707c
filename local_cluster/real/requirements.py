"""What a machine must have for a real node, so that one can say at once what is missing."""

import os
import shutil

from local_cluster.real.purge import CGROUPS

_COMMANDS = {
    "buildah": "buildah",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "nsenter": "util-linux",
    "runc": "runc",
}
"""Commands, and the Debian packages that have them."""


def missing() -> list[str]:
    """Return what is missing, a line each; nothing where a real node can run."""
    if os.geteuid() != 0:
        return ["root"]
    found = [
        f"{command} (package {package})" for command, package in _COMMANDS.items() if shutil.which(command) is None
    ]
    if not os.access(CGROUPS, os.W_OK):
        found.append(f"write access to {CGROUPS}")
    return found
