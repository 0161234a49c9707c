"""The operator's configuration: defaults, a file, the environment over it, and all mistakes said at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from crawl_api.crawljob import Priority
from crawl_api.status import Execution
from crawl_operator.decide.capacity import RunningLimits
from crawl_operator.setting_groups import PriorityClass
from crawl_operator.settings import ConfigurationError, Settings

LIMIT = "CRAWL_OPERATOR_LIMITS__URLS_PER_JOB"


def written(folder: Path, text: str) -> Path:
    path = folder / "operator.yaml"
    path.write_text(text)
    return path


def problems(path: Path | None) -> list[str]:
    """Return the lines that loading ends with."""
    with pytest.raises(ConfigurationError) as error:
        Settings.load(path)
    return str(error.value).splitlines()


def test_nothing_has_to_be_set() -> None:
    settings = Settings.load(None)
    assert settings.namespaces == ()
    assert (settings.limits.running, settings.limits.urls_per_job, settings.limits.concurrency) == (4, 50, 10)
    assert settings.worker.allowed_networks == (), "no internal address is reachable unless named"
    assert settings.reconcile.progress_interval_seconds == 2
    assert {priority: settings.execution_of(priority) for priority in Priority} == {
        Priority.CRITICAL: Execution.POD,
        Priority.HIGH: Execution.POD,
        Priority.NORMAL: Execution.JOB,
        Priority.LOW: Execution.JOB,
    }


def test_decisions_get_what_was_configured(tmp_path: Path) -> None:
    settings = Settings.load(
        written(
            tmp_path,
            "limits: {running: 7, runningPerNamespace: 5, runningIn: {big: 6}, ageingSeconds: 60, urlsPerJob: 9}\n"
            "reconcile: {progressIntervalSeconds: 3, patienceSeconds: 5}\n"
            "classes: {Low: {execution: Pod, running: 2}}\n",
        )
    )
    policy = settings.policy
    assert settings.running_limits == RunningLimits(7, {Priority.LOW: 2}, {"big": 6}, per_namespace=5, ageing=60)
    assert (policy.max_urls, policy.progress_interval, policy.patience) == (9, 3, 5)
    assert policy.classes[Priority.LOW].execution is Execution.POD
    assert policy.classes[Priority.NORMAL].execution is Execution.JOB, "what is left out keeps its default"


def test_leadership_is_off_until_it_is_asked_for(tmp_path: Path) -> None:
    assert not Settings.load(None).leadership.enabled
    leadership = Settings.load(written(tmp_path, "leadership: {enabled: true, leaseSeconds: 30}\n")).leadership
    assert (leadership.enabled, leadership.namespace, leadership.name) == (True, "crawl-operator", "crawl-operator")
    assert (leadership.lease_seconds, leadership.renew_seconds) == (30, 5)


def test_a_lease_must_outlast_a_renewal_that_fails(tmp_path: Path) -> None:
    (line,) = problems(written(tmp_path, "leadership: {leaseSeconds: 12}\n"))
    assert line.startswith("leadership: ")
    assert "renewSeconds must be at most a third of leaseSeconds" in line


def test_an_empty_file_is_no_mistake(tmp_path: Path) -> None:
    assert Settings.load(written(tmp_path, "# nothing yet\n")) == Settings.load(None)


def test_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "7")
    monkeypatch.setenv("CRAWL_OPERATOR_LOGGING", "debug")
    monkeypatch.setenv("CRAWL_OPERATOR_NAMESPACES", '["a", "b"]')
    settings = Settings.load(None)
    assert settings.limits.urls_per_job == 7
    assert settings.limits.running == 4, "its neighbours keep their defaults"
    assert settings.logging == "debug"
    assert settings.namespaces == ("a", "b")


@pytest.mark.parametrize("name", ["urlsPerJob", "urls_per_job"])
def test_the_environment_wins_over_the_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Setting by setting: what it does not name is still the file's."""
    monkeypatch.setenv(LIMIT, "7")
    settings = Settings.load(written(tmp_path, f"limits: {{{name}: 20, running: 3}}\nlogging: error\n"))
    assert settings.limits.urls_per_job == 7
    assert settings.limits.running == 3
    assert settings.logging == "error"


def test_a_group_may_come_from_the_environment_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRAWL_OPERATOR_LIMITS", '{"urlsPerJob": 8}')
    monkeypatch.setenv("CRAWL_OPERATOR_CLASSES", '{"Low": {"execution": "Pod", "priorityClassName": "cheap"}}')
    settings = Settings.load(written(tmp_path, "limits: {urls_per_job: 20, running: 3}\n"))
    assert (settings.limits.urls_per_job, settings.limits.running) == (8, 3)
    assert settings.class_of(Priority.LOW) == PriorityClass(execution=Execution.POD, priority_class_name="cheap")


def test_a_priority_class_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRAWL_OPERATOR_CLASSES__LOW__PRIORITY_CLASS_NAME", "cheap")
    settings = Settings.load(written(tmp_path, "classes: {Low: {execution: Pod, priorityClassName: dear}}\n"))
    assert settings.class_of(Priority.LOW) == PriorityClass(execution=Execution.POD, priority_class_name="cheap")


def test_variables_that_kubernetes_sets_for_a_service_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Service of the operator's name gives every pod in its namespace variables with its prefix."""
    monkeypatch.setenv("CRAWL_OPERATOR_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("CRAWL_OPERATOR_PORT", "tcp://10.0.0.1:8082")
    monkeypatch.setenv("CRAWL_OPERATOR_PORT_8082_TCP", "tcp://10.0.0.1:8082")
    assert Settings.load(None).endpoint.port == 8082


def test_all_mistakes_are_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line names a setting as the file does, says why it is wrong, and shows what it is."""
    monkeypatch.setenv("CRAWL_OPERATOR_LIMITS__RUNNING", "many")
    lines = problems(
        written(
            tmp_path,
            """
limits: {urlsPerJob: 0, concurrency: 101}
worker: {allowedNetworks: [10.0.0.1/8], imagePullPolicy: Sometimes}
health: {port: 70000}
endpoint: {url: crawl-operator}
classes: {Urgent: {execution: Pod}, Low: {execution: Thread}}
namespaces: [Team_A]
logging: loud
""",
        )
    )
    expected = {
        "limits.running": "valid integer, unable to parse string as an integer (is 'many')",
        "limits.urlsPerJob": "greater than or equal to 1 (is 0)",
        "limits.concurrency": "less than or equal to 100 (is 101)",
        "worker.allowedNetworks.0": "10.0.0.1/8 has host bits set",
        "worker.imagePullPolicy": "'Always', 'IfNotPresent' or 'Never' (is 'Sometimes')",
        "health.port": "less than or equal to 65535 (is 70000)",
        "endpoint.url": "should match pattern",
        "classes.Urgent": "'Critical', 'High', 'Normal' or 'Low'",
        "classes.Low.execution": "'Pod' or 'Job' (is 'Thread')",
        "namespaces.0": "should match pattern",
        "logging": "(is 'loud')",
    }
    for name, why in expected.items():
        assert [line for line in lines if line.startswith(name) and why in line], f"{name}: {why} is not in {lines}"
    assert len(lines) == len(expected)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("limit: {running: 3}", "limit"),
        ("limits: {runing: 3}", "limits.runing"),
        ("classes: {Low: {execution: Pod, pool: 3}}", "classes.Low.pool"),
        ("reconcile: {workers: 3, retries: 1}", "reconcile.retries"),
    ],
)
def test_an_unknown_key_is_a_mistake(text: str, name: str, tmp_path: Path) -> None:
    (line,) = problems(written(tmp_path, text))
    assert line.startswith(f"{name}: Extra inputs are not permitted")


def test_an_unknown_variable_within_a_group_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRAWL_OPERATOR_LIMITS__URL_PER_JOB", "7")
    (line,) = problems(None)
    assert "limits.url_per_job: Extra inputs are not permitted (is '7')" in line


def test_a_variable_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRAWL_OPERATOR_NAMESPACES", "a,b")
    (line,) = problems(None)
    assert line.startswith("environment: ")
    assert "namespaces" in line


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("limits: {running: 3", "not YAML"),
        ("- limits\n", "must hold settings by name, not a list"),
        ("just words", "must hold settings by name, not a str"),
        ("\tlimits: 1", "not YAML"),
    ],
)
def test_a_file_that_holds_no_settings_is_named(text: str, why: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    found = "\n".join(problems(path))
    assert found.startswith(f"{path}: ")
    assert why in found


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    assert "No such file" in "\n".join(problems(missing))
    assert "Is a directory" in "\n".join(problems(tmp_path))
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    assert str(binary) in "\n".join(problems(binary))


def test_a_long_wrong_value_is_cut(tmp_path: Path) -> None:
    (line,) = problems(written(tmp_path, f"logging: {'x' * 5000}"))
    assert len(line) < 300
    assert "…" in line


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crawl_operator", *arguments], capture_output=True, text=True, check=False, timeout=30
    )


def test_a_wrong_configuration_ends_the_process_with_2_and_says_why(tmp_path: Path) -> None:
    path = written(tmp_path, "limits: {running: 0}\nlogging: loud\n")
    ended = run("--config", path)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("crawl-operator: the configuration is wrong:\n")
    assert "limits.running: Input should be greater than or equal to 1 (is 0)" in ended.stderr
    assert "logging:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_names_the_file_and_the_rule_for_variables() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    assert "--config FILE" in ended.stdout
    assert LIMIT in ended.stdout.replace("\n", "").replace(" ", "")
