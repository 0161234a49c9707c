"""The chart's objects on a real API server: taken as they are, upgraded with jobs there, and left behind in order."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml
from combinations import COMBINATIONS

from helm import CHART, ROOT, Helm, Object, older_chart, the
from local_cluster import toolchain
from local_cluster.cluster import LocalCluster
from operator_process import manifest, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]

FOREIGN = {"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"}
"""Kinds that the Prometheus operator brings; a cluster without it does not know them."""
PROMETHEUS = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
PROMETHEUS_SUM = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
"""The Go module that its CRDs are published in, and the checksum of what it holds."""
CRDS = "customresourcedefinitions"


@pytest.fixture
def name(bare: LocalCluster) -> Iterator[str]:
    """A release, and its namespace, of that name; without CRDs before and after."""
    made = f"release-{uuid.uuid4().hex[:6]}"
    bare.kubectl("create", "namespace", made)
    yield made
    bare.kubectl("delete", CRDS, "-l", "app.kubernetes.io/name=crawl-operator", "--ignore-not-found")
    bare.kubectl("delete", "namespace", made, "--wait=false")


def objects_of(bare: LocalCluster, kind: str, namespace: str = "") -> set[str]:
    where = ("-n", namespace) if namespace else ()
    return set(bare.kubectl(*where, "get", kind, "-o", "name").stdout.split())


@pytest.mark.parametrize("values", COMBINATIONS.values(), ids=lambda _: "")
def test_the_api_server_takes_every_object(helm: Helm, bare: LocalCluster, values: Object) -> None:
    """With strict validation, and nothing changed or unknown in it."""
    for namespace in ("crawl-operator", *values.get("namespaces", ()), *values.get("worker", {}).get("namespaces", ())):
        bare.kubectl("create", "namespace", namespace, check=False)
    objects = [each for each in helm.render(values) if each["kind"] not in FOREIGN]
    the(objects, "Pod")["spec"]["serviceAccountName"] = "default"  # its own exists only outside of a dry run
    wait_until(lambda: "serviceaccount/default" in objects_of(bare, "serviceaccounts", "crawl-operator"), "usable", 20)
    text = yaml.safe_dump_all(objects)
    said = bare.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", input=text)
    assert len(said.stdout.splitlines()) == len(objects)
    assert "Warning" not in said.stderr


@pytest.fixture(scope="module")
def prometheus_crds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the CRDs of the Prometheus operator, from Go's cache of modules or, the first time, their proxy."""
    go = toolchain.find((1, 21))
    if go is None:
        pytest.skip("there is no Go to fetch the Prometheus operator's CRDs with")
    fetched = subprocess.run(
        [go.go, "mod", "download", "-json", PROMETHEUS],
        cwd=tmp_path_factory.mktemp("no-module"),
        env=os.environ | go.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    found = json.loads(fetched.stdout or "{}")
    if fetched.returncode:
        pytest.skip(f"{PROMETHEUS} cannot be fetched: {found.get('Error') or fetched.stderr.strip()}")
    assert found["Sum"] == PROMETHEUS_SUM
    return Path(found["Dir"], "example", "prometheus-operator-crd")


def test_what_the_prometheus_operator_reads_is_as_its_crds_have_it(
    helm: Helm, bare: LocalCluster, prometheus_crds: Path
) -> None:
    """Taken by strict validation, which knows every field of them: one that is misspelt is refused."""
    for plural in FOREIGN.values():
        crd = prometheus_crds / f"monitoring.coreos.com_{plural}.yaml"
        bare.kubectl("apply", "--server-side", "-f", crd)
        path = f"/apis/monitoring.coreos.com/v1/{plural}"
        wait_until(partial(bare.serves, path), f"the API server serves {plural}", 60)
    bare.kubectl("create", "namespace", "crawl-operator", check=False)
    objects = [each for each in helm.render(COMBINATIONS["everything optional"]) if each["kind"] in FOREIGN]
    assert {each["kind"] for each in objects} == set(FOREIGN)
    strict = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    for each in objects:
        said = bare.kubectl(*strict, input=yaml.safe_dump(each))
        assert (len(said.stdout.splitlines()), said.stderr) == (1, "")
        (part,) = (name for name in ("endpoints", "groups") if name in each["spec"])
        each["spec"][part][0]["intervall"] = "30s"
        assert (
            ".intervall: field not declared in schema"
            in bare.kubectl(*strict, input=yaml.safe_dump(each), check=False).stderr
        )


def test_the_api_server_takes_the_kustomize_base(bare: LocalCluster) -> None:
    """Its own namespace is among it, so it has to be there for the dry run."""
    bare.kubectl("create", "namespace", "crawl-operator", check=False)
    built = bare.kubectl("kustomize", ROOT / "kustomize" / "base").stdout
    said = bare.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", input=built)
    assert len(said.stdout.splitlines()) == len(list(yaml.safe_load_all(built)))
    settings = next(each["metadata"]["name"] for each in yaml.safe_load_all(built) if each["kind"] == "ConfigMap")
    assert built.count(settings) == 2, "the Deployment mounts the generated settings, and no other name has changed"


def test_an_upgrade_brings_crds_up_to_date_and_keeps_jobs(bare: LocalCluster, installer: Helm, name: str) -> None:
    """From a chart whose CRD lacks what today's has, with a job stored by it."""
    older = older_chart(installer, bare.state_dir / name)
    installer.run("install", name, older, "--namespace", name, values={"replicas": 0})
    job = manifest("kept", single={"url": "https://example.org/"})
    _until_stored(bare, name, job)
    refused = bare.kubectl("-n", name, "patch", "crawljob", "kept", "--type=merge", "-p", _SUSPEND, check=False)
    assert 'unknown field "spec.suspend"' in refused.stderr
    before = json.loads(bare.kubectl("-n", name, "get", "crawljob", "kept", "-o", "json").stdout)

    installer.run("upgrade", name, CHART, "--namespace", name, values={"replicas": 0})
    after = json.loads(bare.kubectl("-n", name, "get", "crawljob", "kept", "-o", "json").stdout)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"].items() >= before["spec"].items()
    wait_until(
        lambda: (
            bare.kubectl(
                "-n", name, "patch", "crawljob", "kept", "--type=merge", "-p", _SUSPEND, check=False
            ).returncode
            == 0
        ),
        "the API server serves the new schema",
        20,
    )


def test_uninstalling_leaves_crds_jobs_and_results(bare: LocalCluster, installer: Helm, name: str) -> None:
    """And the same release can be installed again on top of them, and then removed with all of it."""
    installer.run("install", name, CHART, "--namespace", name, values={"replicas": 0})
    _until_stored(bare, name, manifest("kept", single={"url": "https://example.org/"}))
    cluster_wide = (
        "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,priorityclasses"
    )
    mine = ("-l", f"app.kubernetes.io/instance={name}", "-o", "name")
    assert bare.kubectl("get", cluster_wide, *mine).stdout
    installer.run("uninstall", name, "--namespace", name)
    assert objects_of(bare, "crawljobs", name) == {"crawljob.crawl-operator.io/kept"}
    assert objects_of(bare, "persistentvolumeclaims", name) == {f"persistentvolumeclaim/{name}-crawl-operator-results"}
    for kind in ("deployments", "services", "roles", "rolebindings", "networkpolicies", "poddisruptionbudgets"):
        assert objects_of(bare, kind, name) <= {"service/kubernetes"}, kind
    assert bare.kubectl("get", cluster_wide, *mine).stdout == ""

    installer.run("install", name, CHART, "--namespace", name, values={"replicas": 0})
    gone = {"replicas": 0, "crds": {"keep": False}, "results": {"persistence": {"keep": False}}}
    installer.run("upgrade", name, CHART, "--namespace", name, values=gone)
    installer.run("uninstall", name, "--namespace", name)
    wait_until(lambda: "crawl-operator.io" not in bare.kubectl("get", CRDS, "-o", "name").stdout, "the CRDs go", 30)
    wait_until(lambda: not objects_of(bare, "persistentvolumeclaims", name), "the claim goes", 30)


def test_crds_that_were_applied_by_hand_are_taken_over_when_asked(
    bare: LocalCluster, installer: Helm, name: str
) -> None:
    bare.kubectl("apply", "-f", ROOT / "crds")
    refused = installer.run("install", name, CHART, "--namespace", name, values={"replicas": 0}, check=False)
    assert "cannot be imported into the current release" in refused.stderr
    installer.run("install", name, CHART, "--namespace", name, "--take-ownership", values={"replicas": 0})


_SUSPEND = json.dumps({"spec": {"suspend": True}})


def _until_stored(bare: LocalCluster, namespace: str, job: Object) -> None:
    """Apply a job, as soon as the API server serves its kind."""
    text = json.dumps(job)
    wait_until(
        lambda: bare.kubectl("-n", namespace, "apply", "-f", "-", input=text, check=False).returncode == 0,
        "the API server takes a job",
        20,
    )
