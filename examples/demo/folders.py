"""Where the demo keeps what it writes, and where it finds what it shows."""

import os
from pathlib import Path
from typing import Final

CLUSTER: Final = "demo"
"""Name of the demo's cluster: `python -m local_cluster status --name demo` knows it too."""

EXAMPLES: Final = Path(__file__).resolve().parent.parent
CRDS: Final = EXAMPLES.parent / "crds"


def state() -> Path:
    """Return the folder for configuration, logs and results; it may not exist."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base).absolute() / "crawl-operator" / "demo"
