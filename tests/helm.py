"""Helm as its users run it."""

import json
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from local_cluster import build

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "crawl-operator"

Object = dict[str, Any]


class Helm:
    """Helm with folders of its own; values are given as one structure."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._values = folder / "values.json"
        self._program = build.ensure(build.HELM) / "helm"
        kinds = ("CACHE", "CONFIG", "DATA")
        self._environment = {**environment, **{f"HELM_{kind}_HOME": str(folder / kind.lower()) for kind in kinds}}

    def run(
        self, *arguments: str | Path, values: Object | None = None, check: bool = True, seconds: float = 180
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; with values, it is one that takes them."""
        more: tuple[str | Path, ...] = ()
        if values is not None:
            self._values.write_text(json.dumps(values))
            more = ("--values", self._values)
        result = subprocess.run(
            [self._program, *arguments, *more],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env=self._environment,
        )
        assert not check or result.returncode == 0, f"helm {arguments}: {result.stderr or result.stdout}"
        return result

    def render(
        self,
        values: Object | None = None,
        *options: str,
        name: str = "crawl-operator",
        namespace: str = "crawl-operator",
    ) -> list[Object]:
        """Return the objects that the chart makes of values."""
        arguments = ("template", name, CHART, "--namespace", namespace, *options)
        return [each for each in yaml.safe_load_all(self.run(*arguments, values=values or {}).stdout) if each]


def older_chart(helm: Helm, folder: Path) -> Path:
    """Make the chart as it would have been before jobs could be suspended, and return where it lies."""
    helm.run("package", CHART, "--destination", folder, "--version", "0.0.9")
    (package,) = folder.glob("*.tgz")
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="data")
    chart = folder / "crawl-operator"
    path = chart / "files" / "crds" / "crawljobs.yaml"
    crd: Any = yaml.safe_load(path.read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del spec["properties"]["suspend"]
    path.write_text(yaml.safe_dump(crd))
    return chart


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    return [each for each in objects if each["kind"] == kind]


def the(objects: list[Object], kind: str, name: str = "") -> Object:
    """Return the only object of a kind, or the one with this name."""
    (found,) = (each for each in of_kind(objects, kind) if not name or each["metadata"]["name"] == name)
    return found
