"""A real node with the operator installed by its chart, and a site that runs as a pod."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from helm import ROOT, Helm, older_chart
from installed import CRAWLS, RELEASE, SITE, Installed, site_objects, values_of, volume_of
from local_cluster.real import RealCluster, missing
from local_cluster.real.images import Images

VERSIONS: Final = ("0.1.0", "0.1.1")
"""The version that is installed, and that which it is rolled to: the same content under another name."""
FOLDERS: Final = {"crawl-operator": "operator", "crawl-worker": "worker_image", "crawl-gateway": "gateway"}
"""Images, and the folders of their Containerfiles."""


@pytest.fixture(scope="session")
def real() -> Iterator[RealCluster]:
    """A node that has all images, built from our Containerfiles."""
    if lacking := missing():
        pytest.skip(f"a real node needs {', '.join(lacking)}")
    with Images() as images:
        for name, folder in FOLDERS.items():
            images.build(ROOT / folder / "Containerfile", ROOT, image(name), VERSION=VERSIONS[0])
        images.alias(image("crawl-operator"), image("crawl-operator", VERSIONS[1]))
        project = ROOT / "examples" / "scrapy_project"
        images.build(project / "Containerfile", project, image("crawl-handbook"), WORKER=image("crawl-worker"))
    with RealCluster() as started:
        started.load(*map(image, (*FOLDERS, "crawl-handbook")))
        started.load(image("crawl-operator", VERSIONS[1]))
        yield started


@pytest.fixture(scope="session")
def installed(real: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The chart before today's, installed as its README says, in namespaces that take restricted pods only."""
    folder = tmp_path_factory.mktemp("helm")
    helm = Helm(folder, os.environ | real.env)
    objects: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        }
        for name in (RELEASE, CRAWLS, SITE)
    ]
    results = Path(real.state_dir, "results")
    results.mkdir()
    os.chown(results, 65532, 65532)
    objects += [volume_of(results), *site_objects(image("crawl-operator"))]
    real.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    chart = older_chart(helm, folder)
    arguments = ("install", RELEASE, chart, "--namespace", RELEASE, "--wait", "--timeout", "5m")
    helm.run(*arguments, values=values_of(VERSIONS[0]), seconds=360)
    made = Installed(real, helm)
    made.kubectl("-n", SITE, "wait", "--for=condition=Ready", "pod/site", "--timeout=60s")
    return made


def image(name: str, version: str = VERSIONS[0]) -> str:
    return f"localhost/{name}:{version}"
