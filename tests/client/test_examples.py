"""The example programs, as they are, on a real cluster."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from demo.pages import PAGES
from demo.render import PDF_PATH
from demo.site import DemoSite
from local_cluster.cluster import LocalCluster
from operator_process import ROOT, Jobs

pytestmark = [pytest.mark.cluster, pytest.mark.long]

FOLDER = ROOT / "examples" / "client"
PATH = next(page.path for page in PAGES.values() if page.path.startswith("/catalogue/"))

Arguments = Callable[[DemoSite], list[str]]
EXAMPLES: dict[str, tuple[Arguments, tuple[str, ...]]] = {
    "submit": (lambda site: [site.url(PATH)], (" is Pending",)),
    "wait": (lambda site: [site.url(PATH)], ("Completed 100%", PAGES[PATH].title)),
    "listing": (lambda _: ["127.0.0.1"], ("page 1 of 1", "Single Completed", " crawl 127.0.0.1")),
    "numbers_of_jobs": (lambda _: [], (" in all", "workers are healthy", "healthy")),
    "schedules": (lambda site: [site.url(PATH)], ("due at ", " 02:00:00+0", "Completed")),
    "job_types": (
        lambda site: [site.url(PATH), site.url(PDF_PATH)],
        (
            "Single Completed, 1 of 1",
            "Site Completed, 5 of 5",
            "Pdf Completed, 1 of 1",
            "Maintenance Completed, ",
            "Batch Completed, 1 of 1",
        ),
    ),
    "monitoring": (lambda _: [], ("1 jobs are under way", "→ Cancelled", "all is done")),
    "errors": (
        lambda site: [site.base_url],
        ("less than or equal to 100", "404: crawljobs", "too slow: ", "Failed: ", "too late: ", "NotFoundError"),
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(cluster: LocalCluster, shared: Jobs, site: DemoSite, tmp_path: Path, name: str) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = shared.namespace
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    arguments, expected = EXAMPLES[name]
    if name == "monitoring":
        shared.kubectl("delete", "crawljobs", "--all")  # some wait for a site that has gone
        shared.apply("monitored", single={"url": site.url(PATH)}, suspend=True)
    process = subprocess.Popen(
        [sys.executable, FOLDER / f"{name}.py", *arguments(site)],
        env=os.environ | {"KUBECONFIG": str(kubeconfig), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if name == "monitoring":
        assert process.stdout is not None
        first = process.stdout.readline()
        shared.annotate("monitored", "cancel=true")
    else:
        first = ""
    out, err = process.communicate(timeout=90)
    assert (process.returncode, err) == (0, "")
    assert [words for words in expected if words not in first + out] == [], first + out


def test_there_are_eight_and_each_is_run() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == sorted(EXAMPLES)
    assert len(EXAMPLES) == 8
