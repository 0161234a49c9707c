"""The example plug-in, installed as a package is, and a worker image that has it."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

from demo.folders import EXAMPLES
from local_cluster.cluster import LocalCluster

VIDEO_IMAGE: Final = "crawl-worker-videos:local"
_PLUGIN: Final = EXAMPLES / "video_plugin"


def installed(folder: Path) -> dict[str, Any]:
    """Install the plug-in below a folder, and return the environment of a worker that has it."""
    project = tomllib.loads((_PLUGIN / "pyproject.toml").read_text())["project"]
    info = folder / "site-packages" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    lines = [
        line for group, names in groups for line in (f"[{group}]", *(f"{name} = {at}" for name, at in names.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return {"PYTHONPATH": f"{info.parent}:{_PLUGIN}"}


def published(environment: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what an image with that environment tells of its processors."""
    command = [sys.executable, "-m", "crawl_worker", "--catalogue"]
    told = subprocess.run(command, env=os.environ | environment, capture_output=True, check=True, timeout=60)
    found: list[dict[str, Any]] = json.loads(told.stdout)
    return found


def add_image(cluster: LocalCluster, environment: dict[str, Any]) -> None:
    """Let the cluster's node run an image with that environment under the name `VIDEO_IMAGE`."""
    file = cluster.blueprint.images_file
    images = json.loads(file.read_text())
    image = {"entrypoint": [sys.executable, "-m", "crawl_worker"], "command": [], "env": environment}
    replaced = file.with_suffix(".new")
    replaced.write_text(json.dumps({**images, VIDEO_IMAGE: image}))
    replaced.replace(file)
