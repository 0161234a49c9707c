"""What the chart makes of values: settings that the operator takes, and what follows from one value elsewhere."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from combinations import COMBINATIONS

from crawl_api.crawljob import Priority
from crawl_operator.settings import Settings
from helm import CHART, ROOT, Helm, Object, of_kind, the


@pytest.fixture(params=COMBINATIONS, ids=lambda name: name.replace(" ", "-"))
def values(request: pytest.FixtureRequest) -> Object:
    return COMBINATIONS[request.param]


def settings_of(objects: list[Object], folder: Path) -> Settings:
    (folder / "operator.yaml").write_text(the(objects, "ConfigMap", "crawl-operator-settings")["data"]["operator.yaml"])
    return Settings.load(folder / "operator.yaml")


def _is_for_users(role: Object) -> bool:
    return any(label.startswith("rbac.authorization.k8s.io/aggregate-to-") for label in role["metadata"]["labels"])


def pod_of(objects: list[Object]) -> Object:
    pod: Object = the(objects, "Deployment", "crawl-operator")["spec"]["template"]["spec"]
    return pod


def test_what_the_chart_has_from_elsewhere_is_up_to_date() -> None:
    """CRDs, rights and settings are copied into the chart; the Kustomize base is rendered from it."""
    command: list[str | Path] = [sys.executable, ROOT / "charts" / "generate.py", "--check", "chart", "base"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_helm_finds_nothing_to_complain_about(helm: Helm, values: Object) -> None:
    said = helm.run("lint", "--strict", CHART, values=values).stdout
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said


def test_the_operator_takes_its_settings(helm: Helm, values: Object, tmp_path: Path) -> None:
    """They name what is installed: addresses, accounts, classes and the lease."""
    objects = helm.render(values)
    settings = settings_of(objects, tmp_path)
    pod = pod_of(objects)
    ports = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}
    assert ports == {"health": settings.health.port, "workers": settings.endpoint.port}
    service = the(objects, "Service", "crawl-operator")
    assert settings.endpoint.url == f"http://crawl-operator.crawl-operator.svc:{service['spec']['ports'][0]['port']}"
    (mount,) = (each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "results")
    assert settings.results.folder.is_relative_to(mount["mountPath"])
    assert settings.leadership.enabled
    for role in of_kind(objects, "Role"):
        if role["metadata"]["name"] == "crawl-operator-leadership":
            assert role["metadata"]["namespace"] == settings.leadership.namespace
            assert role["rules"][1]["resourceNames"] == [settings.leadership.name]
    made = {each["metadata"]["name"] for each in of_kind(objects, "PriorityClass")}
    assert {settings.class_of(priority).priority_class_name for priority in Priority} == made or (made == set())
    assert settings.namespaces == tuple(values.get("namespaces", ()))


def test_values_are_the_operators_own_defaults(helm: Helm, tmp_path: Path) -> None:
    """What values.yaml shows of the settings is what happens without it."""
    settings, default = settings_of(helm.render(), tmp_path), Settings()
    assert settings.limits == default.limits
    assert settings.reconcile == default.reconcile
    assert settings.retention == default.retention
    assert settings.logging == default.logging
    assert settings.results == default.results
    assert settings.downloads == default.downloads
    for priority in Priority:
        mine, own = settings.class_of(priority), default.class_of(priority)
        assert mine.model_copy(update={"priority_class_name": "", "execution": None}) == own
        assert settings.execution_of(priority) == default.execution_of(priority)
    assert settings.worker.model_copy(update={"image": default.worker.image}) == default.worker


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"replica": 3}, "additional properties 'replica' not allowed"),
        ({"settings": {"limits": {"runing": 3}}}, "additional properties 'runing' not allowed"),
        ({"settings": {"limits": {"running": 0}}}, "minimum"),
        ({"settings": {"health": {"port": 1}}}, "additional properties 'health' not allowed"),
        ({"settings": {"results": {"folder": "/srv"}}}, "additional properties 'folder' not allowed"),
        ({"settings": {"classes": {"Urgent": {"execution": "Pod"}}}}, "Urgent"),
        ({"namespaces": ["Team"]}, "does not match pattern"),
        ({"image": {"digest": "sha256:1"}}, "does not match pattern"),
        ({"results": {"persistence": {"accessModes": []}}}, "minItems"),
        ({"results": {"persistence": {"enabled": False}}}, "replicas share the results"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(helm: Helm, wrong: Object, said: str) -> None:
    """Before anything is installed, naming what is wrong."""
    result = helm.run("template", "crawl-operator", CHART, values=wrong, check=False)
    assert result.returncode != 0
    assert said in result.stderr


def test_every_value_is_explained() -> None:
    """The tables of the chart's README name each value and its default."""

    def leaves(values: Object, path: str = "") -> Iterator[tuple[str, str]]:
        for name, value in values.items():
            if isinstance(value, dict) and value and name not in {"values", "resources", "dns", "labels"}:
                yield from leaves(value, f"{path}{name}.")
            else:
                yield path + name, json.dumps(value)

    rows = re.findall(r"^\| `([^`]+)` \| `([^`]*)` \| .+ \|$", (CHART / "README.md").read_text(), re.MULTILINE)
    assert dict(rows) == dict(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))


def test_crds_are_those_of_the_repository(helm: Helm) -> None:
    """All of them, unchanged but for labels and the annotation that keeps them."""
    for keep in (True, False):
        rendered = {
            each["metadata"]["name"]: each
            for each in of_kind(helm.render({"crds": {"keep": keep}}), "CustomResourceDefinition")
        }
        written = [yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")]
        assert len(written) == len(rendered) > 0
        for crd in written:
            made = rendered[crd["metadata"]["name"]]
            assert made["spec"] == crd["spec"]
            assert made["metadata"]["annotations"] == ({"helm.sh/resource-policy": "keep"} if keep else {})


def test_rights_are_those_of_the_repository_and_never_secrets(helm: Helm, values: Object) -> None:
    """The same rules for one namespace as for all; one for namespaces may outside of them only ask who may what."""
    written = {
        document["metadata"]["name"].removeprefix("crawl-"): document["rules"]
        for room in ("operator", "gateway")
        for document in yaml.safe_load_all((ROOT / room / "rbac.yaml").read_text())
        if document["kind"] == "ClusterRole"
    }
    objects = helm.render(values, "--skip-tests")
    roles = of_kind(objects, "Role") + [each for each in of_kind(objects, "ClusterRole") if not _is_for_users(each)]
    for role in roles:
        if role["metadata"]["name"].endswith("-results"):
            assert role["rules"] == [
                {"apiGroups": ["crawl-operator.io"], "resources": ["crawljobs/results"], "verbs": ["get"]}
            ]
        elif not role["metadata"]["name"].endswith("-leadership"):
            assert role["rules"] == written["gateway" if role["metadata"]["name"].endswith("-gateway") else "operator"]
        for rule in role["rules"]:
            assert not {"secrets", "*"} & {*rule["resources"], *rule["verbs"], *rule["apiGroups"]}
    everywhere = {each["roleRef"]["name"] for each in of_kind(objects, "ClusterRoleBinding")}
    if values.get("namespaces"):
        assert everywhere <= {"system:auth-delegator"}
    asks = values.get("settings", {}).get("downloads", {}).get("enabled", True) or "gateway" in values
    assert ("system:auth-delegator" in everywhere) == (asks and values.get("rbac", {}).get("create", True))
    if values.get("rbac", {}).get("create", True):
        where = {each["metadata"].get("namespace", "*") for each in roles}
        assert where == {"crawl-operator", *values.get("namespaces", ["*"])}
    else:
        assert roles == []


def test_kubernetes_own_roles_know_crawls_and_none_writes_what_the_operator_says(helm: Helm, values: Object) -> None:
    """`view` reads jobs and results; `edit` and `admin` write jobs; nobody writes a status; nobody is bound."""
    objects = helm.render(values, "--skip-tests")
    roles = [each for each in of_kind(objects, "ClusterRole") if _is_for_users(each)]
    if not values.get("rbac", {}).get("aggregate", True):
        assert roles == []
        return
    may: dict[str, set[tuple[str, str]]] = {"view": set(), "edit": set(), "admin": set()}
    for role in roles:
        assert all(rule["apiGroups"] == ["crawl-operator.io"] for rule in role["rules"])
        rights = {(verb, each) for rule in role["rules"] for verb in rule["verbs"] for each in rule["resources"]}
        for name in may:
            if role["metadata"]["labels"].get(f"rbac.authorization.k8s.io/aggregate-to-{name}") == "true":
                may[name] |= rights
    kinds = ("crawljobs", "scheduledcrawljobs")
    read = {(verb, kind) for verb in ("get", "list", "watch") for kind in kinds} | {("get", "crawljobs/results")}
    assert may["view"] == read
    writes = ("create", "update", "patch", "delete", "deletecollection")
    assert may["edit"] == may["admin"] == read | {(verb, kind) for verb in writes for kind in kinds}


def test_workers_run_as_an_account_without_rights(helm: Helm, values: Object, tmp_path: Path) -> None:
    """Made where it is known in which namespaces crawls run, bound to nothing, and named in settings and policy."""
    objects = helm.render(values, "--skip-tests")
    name = settings_of(objects, tmp_path).worker.service_account
    bound = {
        subject["name"] for kind in ("RoleBinding", "ClusterRoleBinding") for each in of_kind(objects, kind)
        for subject in each["subjects"]
    }  # fmt: skip
    assert name not in bound
    made = {
        each["metadata"]["namespace"] for each in of_kind(objects, "ServiceAccount") if each["metadata"]["name"] == name
    }
    crawl_namespaces = values.get("namespaces") or values.get("worker", {}).get("namespaces", [])
    if values.get("worker", {}).get("serviceAccount", {}).get("create", True):
        assert made == set(crawl_namespaces)
    for account in of_kind(objects, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    for policy in of_kind(objects, "ValidatingAdmissionPolicy"):
        if policy["metadata"]["name"].endswith(("-pods", "-jobs")):
            assert f"'{name}'" in json.dumps(policy)


def test_replicas_are_where_their_volume_is(helm: Helm) -> None:
    """A volume of one node holds all replicas; one that many may mount, or is a bucket, lets them be spread."""
    shared = pod_of(helm.render(COMBINATIONS["shared volume"]))
    bucket = pod_of(helm.render(COMBINATIONS["a bucket"]))
    single = pod_of(helm.render())
    for pod in (shared, bucket):
        assert "topologySpreadConstraints" in pod
        assert "affinity" not in pod
    assert single["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert "topologySpreadConstraints" not in single


def test_a_change_of_settings_is_a_rollout(helm: Helm) -> None:
    def annotations(**values: Any) -> Object:
        found: Object = the(helm.render(values), "Deployment")["spec"]["template"]["metadata"]["annotations"]
        return found

    assert annotations() == annotations()
    assert annotations() != annotations(settings={"limits": {"running": 5}})


def test_workers_are_kept_from_private_addresses(helm: Helm) -> None:
    """Whatever the CNI enforces: the internet, DNS, the operator, and what the administrator lists."""
    objects = helm.render(COMBINATIONS["everything optional"])
    policy = the(objects, "NetworkPolicy", "crawl-operator-worker")
    assert policy["metadata"]["namespace"] == "team-a"
    assert policy["spec"]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "crawl-worker"}
    *_, internet = policy["spec"]["egress"]
    blocks = [peer["ipBlock"] for peer in internet["to"]]
    assert [block["cidr"] for block in blocks] == ["0.0.0.0/0", "2000::/3", "10.1.0.0/16", "fd00:1::/64"]
    for private in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "127.0.0.0/8"):
        assert private in blocks[0]["except"]
    assert "2002::/16" in blocks[1]["except"], "it carries IPv4 addresses"


def test_two_releases_share_no_name(helm: Helm) -> None:
    """Objects without a namespace, CRDs aside, are named after the release's namespace too."""

    def names(namespace: str) -> set[tuple[str, str]]:
        objects = helm.render(COMBINATIONS["defaults"], namespace=namespace)
        return {
            (each["kind"], each["metadata"]["name"]) for each in objects
            if "namespace" not in each["metadata"] and each["kind"] != "CustomResourceDefinition"
        }  # fmt: skip

    assert names("one")
    assert not names("one") & names("two")
    assert not names("one") & names("crawl-operator")


def test_pods_of_the_release_pass_the_restricted_standard(helm: Helm, values: Object) -> None:
    for pod in (pod_of(helm.render(values)), the(helm.render(values), "Pod")["spec"]):
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
