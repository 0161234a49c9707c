"""What a machine must have for a real node, so that one can say at once what is missing."""

import os
import shutil
import subprocess
from typing import Final

from local_cluster.real.purge import CGROUPS

_COMMANDS: Final = {
    "buildah": "buildah",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "nsenter": "util-linux",
    "runc": "runc",
}
"""Commands, and the Debian packages that have them."""

_OVERLAY: Final = """
mount -t tmpfs probe /mnt && cd /mnt && mkdir lower upper work merged
mount -t overlay probe -o lowerdir=lower,upperdir=upper,workdir=work merged
"""
_TRIALS: Final = {
    "network namespaces": ("true",),
    "virtual interfaces (veth)": ("ip", "link", "add", "probe", "type", "veth"),
    "bridges": ("ip", "link", "add", "probe", "type", "bridge"),
    "packet filtering by nftables": ("nft", "add table ip probe"),
    "mounts of overlay filesystems": ("sh", "-e", "-c", _OVERLAY),
}
"""What the kernel must have and allow, and commands that try it, in namespaces that end with them."""


def missing() -> list[str]:
    """Return what is missing, a line each; nothing where a real node can run."""
    if os.geteuid() != 0:
        return ["root"]
    found = [
        f"{command} (package {package})" for command, package in _COMMANDS.items() if shutil.which(command) is None
    ]
    if not os.access(CGROUPS, os.W_OK):
        found.append(f"write access to {CGROUPS}")
    return found or [f"a kernel that allows {what}" for what, trial in _TRIALS.items() if not _works(trial)]


def _works(trial: tuple[str, ...]) -> bool:
    command = ("unshare", "--net", "--mount", *trial)
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
