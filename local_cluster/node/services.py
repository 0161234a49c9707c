"""What all pods of the node share, in one value that is handed to each of them."""

from dataclasses import dataclass
from pathlib import Path

from local_cluster.node.api import Api
from local_cluster.node.backoff import Backoff
from local_cluster.node.events import Events
from local_cluster.node.images import Images
from local_cluster.node.objects import Objects
from local_cluster.node.processes import Reaper


@dataclass(frozen=True, slots=True)
class Services:
    """The node's own parts, and the facts about it that pods may ask for.

    Attributes:
        state: the node's directory; pods live below it.
        resources: the machine's processors and memory, which an absent limit stands for.
        backoff: the waits before a container that ended is started again.
    """

    name: str
    state: Path
    host_ip: str
    resources: dict[str, str]
    api: Api
    images: Images
    objects: Objects
    events: Events
    reaper: Reaper
    backoff: Backoff

    def pod_directory(self, uid: str) -> Path:
        """Where everything of one pod lives."""
        return self.state / "pods" / uid
