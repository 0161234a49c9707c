"""Gives each pod a loopback address of its own.

The address follows from the pod's unique id, so it survives the node, and nodes of several clusters on one machine,
which know nothing of each other, hardly ever choose the same one. Processes may listen on it without any set-up, since
all of 127.0.0.0/8 belongs to the machine itself.
"""

import hashlib
from collections.abc import Container

_TRIES = 1000


def choose(uid: str, taken: Container[str]) -> str:
    """The pod's address: outside 127.0.0.0/16 (used by the machine's own services) and not taken on this node."""
    for attempt in range(_TRIES):
        second, third, fourth = hashlib.sha256(f"{uid}/{attempt}".encode()).digest()[:3]
        address = f"127.{second}.{third}.{fourth}"
        if second != 0 and fourth not in (0, 255) and address not in taken:
            return address
    raise RuntimeError("no loopback address is left")
