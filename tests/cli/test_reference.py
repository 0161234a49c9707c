"""Commands that need no cluster, and small parts."""

import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from crawl_api.enums import JobType
from crawl_cli.exits import Refused
from crawl_cli.jsonpath import JsonPath
from crawl_cli.manifests import seconds, when
from crawl_cli.schemas import explained, manifest
from crawl_cli.scrapyd import migrated
from crawl_cli.tables import span
from crawl_client.errors import NotFoundError
from crawl_client.validation import check

ROOT = Path(__file__).resolve().parents[2]


def cli(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crawl_cli", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=env or None,
    )


@pytest.mark.parametrize("kind", [*JobType, "schedule"])
def test_init_writes_a_manifest_that_is_valid_and_names_every_field(kind: str) -> None:
    text = manifest(kind, "fresh")
    found = yaml.safe_load(text)
    check(found)
    assert found["metadata"]["name"] == "fresh"
    assert "timeoutSeconds: 300" in text or kind == "schedule"


def test_init_is_as_valid_with_every_field_at_its_default() -> None:
    """Who takes the marks away from before a default gets the same job."""
    lines = manifest("site", "fresh").splitlines()
    bare = [line.replace("# ", "", 1) for line in lines if line.strip().startswith("# timeoutSeconds")]
    given_lines = [line for line in lines if not line.strip().startswith("#")]
    check(yaml.safe_load("\n".join([*given_lines, *bare])))


def test_explain_describes_a_field_and_says_what_there_is_instead() -> None:
    text = explained("spec.fetch.concurrency")
    assert text.startswith("CrawlJob.spec.fetch.concurrency <integer>")
    assert "minimum 1; maximum 100; default 10" in text
    assert "-required-" in explained("schedule.spec")
    assert "selectors <[]object>" in explained("crawljob", recursive=True)
    with pytest.raises(NotFoundError, match=r"CrawlJob.spec.fetch has no field 'nope'; it has autoThrottle"):
        explained("spec.fetch.nope")


def test_schema_init_and_version_are_printed_and_files_are_never_overwritten(tmp_path: Path) -> None:
    assert "Batch     For type Batch." in cli("schema").stdout
    assert yaml.safe_load(cli("schema", "batch", "-o", "yaml").stdout)["required"] == ["urls"]
    file = tmp_path / "job.yaml"
    assert cli("init", "pdf", "--to", str(file)).returncode == 0
    again = cli("init", "pdf", "--to", str(file))
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert cli("schema", "nope").returncode == 4
    assert cli("--version").stdout.startswith("crawl-operator ")


def test_a_scrapyd_project_becomes_jobs_without_running_its_code(tmp_path: Path) -> None:
    text, remarks = migrated(ROOT / "examples" / "scrapy_project", "registry/worker:1")
    [job] = list(yaml.safe_load_all(text))
    check(job)
    assert job["spec"]["custom"] == {
        "processor": "scrapy",
        "parameters": {"spider": "catalogue", "arguments": {"start": ""}},
    }
    assert job["spec"]["worker"]["image"] == "registry/worker:1"
    assert remarks == []
    project = tmp_path / "project"
    (project / "shop" / "spiders").mkdir(parents=True)
    (project / "scrapy.cfg").write_text("[settings]\ndefault = shop.settings\n[deploy:live]\nurl = http://x/\n")
    (project / "scrapyd.conf").write_text("[scrapyd]\nmax_proc = 8\nitems_dir = items\n")
    (project / "shop" / "settings.py").write_text("raise SystemExit('never run')\nBOT_NAME = 'shop'\n")
    spider = "import nowhere\nclass Prices(nowhere.Spider):\n    name: str = 'Best_Prices'\n"
    (project / "shop" / "spiders" / "prices.py").write_text(spider)
    text, remarks = migrated(project, "")
    [job] = list(yaml.safe_load_all(text))
    assert (job["metadata"]["name"], job["spec"]["displayName"]) == ("best-prices", "Best_Prices")
    assert any("max_proc → limits.running" in remark for remark in remarks)
    assert any("[deploy:live]" in remark for remark in remarks)
    with pytest.raises(Refused, match="is no Scrapy project"):
        migrated(tmp_path, "")
    done = cli("migrate", "scrapyd", str(project))
    assert (done.returncode, list(yaml.safe_load_all(done.stdout))) == (0, [job])
    assert "max_proc" in done.stderr
    assert cli("migrate", "scrapyd", str(tmp_path)).returncode == 2


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.a.b}", "1"),
        (".a.b", "1"),
        ("a: {.a.b}, {.list[0].x}\n", "a: 1, p\n"),
        ('{range .list[*]}[{.x}{"\\t"}]{end}!', "[p\t][q\t]!"),
        ('{.list[?(@.x=="q")].y}', "2"),
        ("{.list[*].x}", "p q"),
        ("{.labels.crawl-operator\\.io/job}", "docs"),
        ("{.missing}", ""),
        ("{range .none[*]}x{end}y", "y"),
        ("{.list}", '[{"x": "p", "y": 1}, {"x": "q", "y": 2}]'),
    ],
)
def test_jsonpath_templates_are_kubectls(template: str, text: str) -> None:
    value = {
        "a": {"b": 1},
        "list": [{"x": "p", "y": 1}, {"x": "q", "y": 2}],
        "labels": {"crawl-operator.io/job": "docs"},
    }
    assert JsonPath(template).render(value) == text


@pytest.mark.parametrize("template", ["{.a", "{.a[}", "{end}"])
def test_what_is_no_template_is_refused(template: str) -> None:
    with pytest.raises(Refused):
        JsonPath(template).render({"a": 1})


@settings(deadline=None)  # machines are shared: an example may take its time
@given(st.integers(min_value=0, max_value=86400 * 6))
def test_lengths_of_time_are_read_as_they_are_written(total: int) -> None:
    minutes, rest = divmod(total, 60)
    assert seconds(f"{minutes}m{rest}s") == total
    assert span(total)


@pytest.mark.parametrize("text", ["soon", "5x", "-3m", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        seconds(text)
    with pytest.raises(Refused):
        when(text)


def test_plugins_add_commands_and_a_broken_one_harms_nobody(tmp_path: Path) -> None:
    info = tmp_path / "plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[crawl_cli.commands]\nhello = a_plugin:add\nbroken = a_plugin:nope\n")
    (tmp_path / "a_plugin.py").write_text(
        "from crawl_cli.session import command\n"
        "def add(app):\n"
        "    @command(app, 'hello', 'hi')\n"
        "    async def hello(session, loud: bool = False) -> int:\n"
        "        print('HELLO' if loud else 'hello', session.client.namespace)\n"
        "        return 4\n"
    )
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        "current-context: c\ncontexts: [{name: c, context: {cluster: c, namespace: here}}]\n"
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
    )
    done = cli("hello", "--loud", PYTHONPATH=str(tmp_path), KUBECONFIG=str(kubeconfig), HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (4, "HELLO here\n")
    assert "the plug-in 'broken'" in done.stderr
    complete = ["-c", "from crawl_cli.shells import for_kubectl; for_kubectl()", "hel"]
    offered = subprocess.run(
        [sys.executable, *complete],
        env={"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert offered.stdout == "hello\n:4\n", "completion knows it too"


def test_the_krew_manifest_names_the_program_that_is_installed() -> None:
    manifest = yaml.safe_load((ROOT / "client" / "krew.yaml").read_text())
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert (manifest["kind"], manifest["metadata"]["name"]) == ("Plugin", "crawl")
    [platform] = manifest["spec"]["platforms"]
    assert platform["bin"] in scripts
    assert f"kubectl-{manifest['metadata']['name']}" == platform["bin"]
    assert manifest["spec"]["version"] == f"v{version('crawl-operator')}"
    assert {"shortDescription", "description", "homepage"} <= set(manifest["spec"])
