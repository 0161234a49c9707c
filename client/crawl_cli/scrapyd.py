"""A Scrapy project that scrapyd runs → CrawlJobs, one per spider. Its code is read, never run."""

import ast
import configparser
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from crawl_api.names import API_VERSION, KIND
from crawl_cli.exits import Refused
from crawl_cli.output import as_yaml
from crawl_client.dialects import dns_label

_UNDERSTOOD: Final = {
    "max_proc": "limits.running of the operator's settings ({value} jobs at once)",
    "max_proc_per_cpu": "limits.running of the operator's settings ({value} for each core)",
    "jobs_to_keep": "spec.ttl of the jobs (scrapyd kept {value} of each spider)",
    "finished_to_keep": "spec.ttl of the jobs (scrapyd kept {value})",
    "items_dir": "spec.output.storeUrl (scrapyd wrote to {value})",
    "logs_dir": "kubectl crawl logs (scrapyd wrote to {value})",
    "bind_address": "nothing: the Kubernetes API is the address",
    "http_port": "nothing: the Kubernetes API is the address",
    "username": "nothing: who may do what is decided by Kubernetes",
}


def migrated(folder: Path, image: str) -> tuple[str, list[str]]:
    """Return manifests, and remarks on what has another place.

    Raises:
        Refused: that is no Scrapy project, or it has no spiders.
    """
    config = configparser.ConfigParser(interpolation=None)
    if not config.read(folder / "scrapy.cfg", encoding="utf-8") or not config.has_section("settings"):
        raise Refused(f"{folder} is no Scrapy project: it has no scrapy.cfg with [settings]")
    config.read(folder / "scrapyd.conf", encoding="utf-8")
    spiders: dict[str, list[str]] = {}
    for module in sorted(set(config["settings"].values())):
        for name, arguments in _spiders(folder, module):
            spiders.setdefault(name, arguments)
    if not spiders:
        raise Refused(f"{folder} has no spiders in the modules that its settings name (SPIDER_MODULES)")
    documents = [as_yaml(_job(name, arguments, image)) for name, arguments in sorted(spiders.items())]
    head = (
        "# One job for each spider. Each needs a worker image that has the project (a Containerfile of five lines:\n"
        "# FROM crawl-worker, COPY . /project, WORKDIR /project, ENV PYTHONPATH=/project, and what it imports).\n"
    )
    return head + "---\n".join(documents), list(_remarks(config, image))


def _job(name: str, arguments: list[str], image: str) -> dict[str, Any]:
    parameters: dict[str, Any] = {"spider": name}
    if arguments:
        parameters["arguments"] = dict.fromkeys(arguments, "")
    spec: dict[str, Any] = {"type": "Custom", "custom": {"processor": "scrapy", "parameters": parameters}}
    if image:
        spec["worker"] = {"image": image}
    label = dns_label(name)
    if label != name:
        spec["displayName"] = name
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": label}, "spec": spec}


def _remarks(config: configparser.ConfigParser, image: str) -> Iterator[str]:
    if not image:
        yield "name the image with --image, or set worker.image of the operator"
    for section in config.sections():
        if section == "scrapyd":
            for option, value in config[section].items():
                if option in _UNDERSTOOD:
                    yield f"scrapyd.conf: {option} → {_UNDERSTOOD[option].format(value=value)}"
        elif section.partition(":")[0] == "deploy":
            yield f"scrapy.cfg: [{section}] → build and push the worker image instead of scrapyd-deploy"


def _spiders(folder: Path, settings: str) -> Iterator[tuple[str, list[str]]]:
    """Yield name and arguments of each spider in the modules that a settings module names."""
    for module in _assigned(_module(folder, settings), "SPIDER_MODULES") or [f"{settings.rpartition('.')[0]}.spiders"]:
        place = folder.joinpath(*str(module).split("."))
        for file in [place.with_suffix(".py")] if place.with_suffix(".py").is_file() else sorted(place.rglob("*.py")):
            for node in ast.walk(_parsed(file)):
                if isinstance(node, ast.ClassDef) and (name := _assigned(node, "name")):
                    yield str(name), _arguments(node)


def _module(folder: Path, name: str) -> ast.Module:
    path = folder.joinpath(*name.split("."))
    return _parsed(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))


def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"), str(file))
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise Refused(f"{file} cannot be read: {error}") from error


def _assigned(node: ast.Module | ast.ClassDef, name: str) -> Any:
    """Return the constant that a name is set to; None where there is none."""
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        if value is not None and any(isinstance(each, ast.Name) and each.id == name for each in targets):
            try:
                return ast.literal_eval(value)
            except ValueError:
                return None
    return None


def _arguments(spider: ast.ClassDef) -> list[str]:
    """Return what a spider must be told: arguments of its constructor without a default."""
    for statement in spider.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            given = statement.args
            plain = given.args[1 : len(given.args) - len(given.defaults)]
            keyword = [
                each for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None
            ]
            return [each.arg for each in (*plain, *keyword)]
    return []
