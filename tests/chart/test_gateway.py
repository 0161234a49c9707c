"""What the chart makes of a gateway: its settings, its rights, and who reaches it."""

from pathlib import Path

import pytest
import yaml
from combinations import COMBINATIONS

from crawl_gateway.settings import Settings
from helm import CHART, Helm, Object, of_kind, the

NAME = "crawl-operator-gateway"


@pytest.fixture(params=["a gateway", "a gateway of namespaces"])
def values(request: pytest.FixtureRequest) -> Object:
    return COMBINATIONS[request.param]


def test_there_is_none_unless_it_is_asked_for(helm: Helm) -> None:
    assert "gateway" not in yaml.safe_dump_all(
        [each for each in helm.render() if each["kind"] != "CustomResourceDefinition"]
    )


def test_it_takes_its_settings_and_is_asked_where_it_listens(helm: Helm, values: Object, tmp_path: Path) -> None:
    objects = helm.render(values)
    file = tmp_path / "gateway.yaml"
    file.write_text(the(objects, "ConfigMap", f"{NAME}-settings")["data"]["gateway.yaml"])
    settings = Settings.load(file)
    assert settings.namespaces == tuple(values.get("namespaces", ()))
    (container,) = the(objects, "Deployment", NAME)["spec"]["template"]["spec"]["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [settings.port]
    wanted = values["gateway"].get("settings", {})
    assert settings.default_namespace == wanted.get("defaultNamespace", "default")
    assert settings.tenants == wanted.get("tenants", {})
    operator = the(objects, "Service", "crawl-operator")["spec"]["ports"][0]["port"]
    assert settings.results_url == f"http://crawl-operator.crawl-operator.svc:{operator}"


def test_a_login_has_its_secret_from_a_file(helm: Helm) -> None:
    login = {"tokenEndpoint": "https://id.example.org/token", "clientId": "crawls"}
    objects = helm.render({"gateway": {"enabled": True, "settings": {"login": login}, "loginSecret": "login"}})
    said = yaml.safe_load(the(objects, "ConfigMap", f"{NAME}-settings")["data"]["gateway.yaml"])["login"]
    file = Path(said.pop("clientSecretFile"))
    assert said == login
    pod = the(objects, "Deployment", NAME)["spec"]["template"]["spec"]
    mounted = {each["mountPath"]: each["name"] for each in pod["containers"][0]["volumeMounts"]}
    (secret,) = (each["secret"]["secretName"] for each in pod["volumes"] if each["name"] == mounted[str(file.parent)])
    assert (secret, file.name) == ("login", "client-secret")


def test_nobody_takes_it_for_the_operator(helm: Helm, values: Object) -> None:
    objects = helm.render(values)
    labels = the(objects, "Deployment", NAME)["spec"]["template"]["metadata"]["labels"]
    chosen = [
        each["metadata"]["name"]
        for each in of_kind(objects, "Service")
        if each["spec"]["selector"].items() <= labels.items()
    ]
    assert chosen == [NAME]
    policies = [
        each["metadata"]["name"]
        for each in of_kind(objects, "NetworkPolicy")
        if each["metadata"]["namespace"] == "crawl-operator"
        and each["spec"]["podSelector"].get("matchLabels", {}).items() <= labels.items()
    ]
    assert policies == [NAME]


def test_its_account_is_bound_to_its_own_rights_alone(helm: Helm, values: Object) -> None:
    objects = helm.render(values)
    account = the(objects, "Deployment", NAME)["spec"]["template"]["spec"]["serviceAccountName"]
    bindings = of_kind(objects, "RoleBinding") + of_kind(objects, "ClusterRoleBinding")
    bound = {
        (each["roleRef"]["name"], each["metadata"].get("namespace", "*"))
        for each in bindings
        if any(subject["name"] == account for subject in each["subjects"])
    }
    where = values.get("namespaces", ["*"])
    assert bound == {("system:auth-delegator", "*"), *((NAME, namespace) for namespace in where)}


def test_the_kind_of_its_settings_is_checked(helm: Helm) -> None:
    for wrong in ({"port": 1}, {"colour": "red"}, {"burst": 0}, {"origins": ["*"]}, {"login": {"tries": 1}}):
        result = helm.run("template", "x", CHART, values={"gateway": {"enabled": True, "settings": wrong}}, check=False)
        assert result.returncode != 0, wrong
