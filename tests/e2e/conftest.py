"""A real node with the operator installed by its chart, and a site that runs as a pod."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from helm import CHART, ROOT, Helm
from installed import CRAWLS, RELEASE, SITE, Installed, site_objects, values_of, volume_of
from local_cluster.real import RealCluster, missing
from local_cluster.real.images import Images

VERSIONS: Final = ("0.1.0", "0.1.1")
"""The version that is installed, and that which it is rolled to: the same content under another name."""


@pytest.fixture(scope="session")
def images() -> Images:
    """All images, built from our Containerfiles."""
    if lacking := missing():
        pytest.skip(f"a real node needs {', '.join(lacking)}")
    built = Images()
    for name, folder in (("crawl-operator", "operator"), ("crawl-worker", "worker_image")):
        built.build(ROOT / folder / "Containerfile", ROOT, f"localhost/{name}:{VERSIONS[0]}", VERSION=VERSIONS[0])
        built.alias(f"localhost/{name}:{VERSIONS[0]}", f"localhost/{name}:{VERSIONS[1]}")
    return built


@pytest.fixture(scope="session")
def real(images: Images) -> Iterator[RealCluster]:
    with RealCluster() as started:
        for version in VERSIONS:
            started.load(images, f"localhost/crawl-operator:{version}")
        started.load(images, f"localhost/crawl-worker:{VERSIONS[0]}")
        yield started


@pytest.fixture(scope="session")
def installed(real: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The chart, installed as its README says, in namespaces that take restricted pods only."""
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
    objects += [volume_of(results), *site_objects(f"localhost/crawl-operator:{VERSIONS[0]}")]
    real.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    arguments = ("install", RELEASE, CHART, "--namespace", RELEASE, "--wait", "--timeout", "4m")
    helm.run(*arguments, values=values_of(VERSIONS[0]), seconds=300)
    made = Installed(real, helm)
    made.kubectl("-n", SITE, "wait", "--for=condition=Ready", "pod/site", "--timeout=60s")
    return made
