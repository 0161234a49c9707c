"""The API's own schema, as text: described fields, and manifests to begin with."""

import textwrap
from typing import Any, Final

from crawl_api.crd import crawljob_crd, schedule_crd
from crawl_api.enums import JobType
from crawl_api.names import API_VERSION, KIND, SCHEDULE_KIND
from crawl_cli.output import as_json
from crawl_client.dialects import job_type
from crawl_client.errors import NotFoundError

Schema = dict[str, Any]

_WIDTH: Final = 110
_BOUNDS: Final = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern")
_SAMPLES: Final[dict[str, Schema]] = {
    "Single": {"url": "https://example.org/"},
    "Batch": {"urls": ["https://example.org/", "https://example.com/"]},
    "Site": {"startUrls": ["https://example.org/"]},
    "Pdf": {"urls": ["https://example.org/paper.pdf"]},
    "Maintenance": {"task": "cache_cleanup"},
    "Custom": {"processor": "scrapy", "parameters": {"spider": "my-spider"}},
}


def _root(definition: Schema) -> Schema:
    found: Schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def find(path: str) -> tuple[str, Schema]:
    """Return what a path means, and its schema.

    Raises:
        NotFoundError: there is no such field.
    """
    parts = [part for part in path.split(".") if part]
    kind, definition = KIND, crawljob_crd
    if parts and parts[0].lower() in {"crawljob", "crawljobs", "crawl", "job"}:
        parts = parts[1:]
    elif parts and parts[0].lower() in {"scheduledcrawljob", "scheduledcrawljobs", "scrawl", "schedule"}:
        kind, definition, parts = SCHEDULE_KIND, schedule_crd, parts[1:]
    node = _root(definition())
    walked = kind
    for part in parts:
        members = _members(node)
        if part not in members:
            known = ", ".join(sorted(members)) or "none"
            raise NotFoundError(f"{walked} has no field {part!r}; it has {known}", 404)
        node, walked = members[part], f"{walked}.{part}"
    return walked, node


def complete(incomplete: str) -> list[str]:
    """Complete a path of fields."""
    before, _, last = incomplete.rpartition(".")
    try:
        _, node = find(before)
    except NotFoundError:
        return []
    start = f"{before}." if before else ""
    return [start + name for name in _members(node) if name.startswith(last)]


def explained(path: str, *, recursive: bool = False) -> str:
    """Return a description of a field and of those in it."""
    return described(*find(path), recursive=recursive)


def described(walked: str, node: Schema, *, recursive: bool = False) -> str:
    """Return a description of what a schema means, and of the fields in it."""
    lines = [f"{walked} <{_type(node)}>"]
    if text := node.get("description"):
        lines += ["", *textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")]
    if rules := _limits(node):
        lines += ["", f"  {rules}"]
    if members := _members(node):
        lines += ["", "FIELDS"]
        lines += _listed(members, node.get("required", ()), recursive=recursive)
    return "\n".join(lines)


def types() -> list[tuple[str, str]]:
    """Return the job types and what they do."""
    spec = _root(crawljob_crd())["properties"]["spec"]["properties"]
    return [(each.value, spec[each.lower()]["description"]) for each in JobType]


def of_type(kind: str) -> Schema:
    """Return the schema of what a job type is told.

    Raises:
        ValidationError: there is no such type.
    """
    found: Schema = _root(crawljob_crd())["properties"]["spec"]["properties"][job_type(kind).lower()]
    return found


def manifest(kind: str, name: str) -> str:
    """Return a manifest of a job type, or of a schedule, with every field described.

    Raises:
        ValidationError: there is no such type.
    """
    if kind.lower() in {"schedule", "scheduledcrawljob"}:
        spec = _root(schedule_crd())["properties"]["spec"]
        given: Schema = {
            "schedule": "0 2 * * *",
            "jobTemplate": {"spec": {"type": "Single", "single": _SAMPLES["Single"]}},
        }
        head = SCHEDULE_KIND
    else:
        chosen = job_type(kind)
        spec = _root(crawljob_crd())["properties"]["spec"]
        given = {"type": chosen.value, chosen.lower(): _SAMPLES[chosen]}
        head = KIND
        others = {each.lower() for each in JobType if each is not chosen}
        spec = {**spec, "properties": {key: each for key, each in spec["properties"].items() if key not in others}}
    lines = [f"apiVersion: {API_VERSION}", f"kind: {head}", "metadata:", f"  name: {name}", "spec:"]
    return "\n".join([*lines, *_commented(spec, given, 1)]) + "\n"


def _commented(node: Schema, given: Schema, depth: int) -> list[str]:
    lines: list[str] = []
    indent = "  " * depth
    for name, child in node.get("properties", {}).items():
        if text := child.get("description"):
            lines += textwrap.wrap(
                text, _WIDTH - len(indent), initial_indent=indent + "# ", subsequent_indent=indent + "# "
            )
        members = child.get("properties")
        if name in given and members:
            lines += [f"{indent}{name}:", *_commented(child, given[name], depth + 1)]
        elif name in given:
            lines.append(f"{indent}{name}: {_inline(given[name])}")
        elif members:
            lines.append(f"{indent}# {name}:")
            lines += _defaults(child, depth + 1)
        else:
            lines.append(f"{indent}# {name}: {_inline(child.get('default'), child)}")
    return lines


def _defaults(node: Schema, depth: int) -> list[str]:
    indent = "  " * (depth - 1)
    lines = []
    for name, child in node["properties"].items():
        shown = "{}" if child.get("properties") else _inline(child.get("default"), child)
        first = str(child.get("description", "")).partition(". ")[0].rstrip(".").replace("\n", " ")
        lines.append(f"{indent}#   {name}: {shown}" + (f"  # {first}" if first else ""))
    return lines


def _inline(value: Any, node: Schema | None = None) -> str:
    if value is not None:
        return as_json(value) if not isinstance(value, (dict, list)) else " ".join(as_json(value).split())
    return {"array": "[]", "object": "{}", "string": '""', "boolean": "false"}.get((node or {}).get("type", ""), "null")


def _members(node: Schema) -> Schema:
    members: Schema = (node.get("items") or node).get("properties") or {}
    return members


def _type(node: Schema) -> str:
    if node.get("type") == "array":
        return f"[]{_type(node.get('items', {}))}"
    if isinstance(node.get("additionalProperties"), dict):
        return f"map[string]{_type(node['additionalProperties'])}"
    return str(node.get("type", "any"))


def _limits(node: Schema) -> str:
    words = [f"one of {', '.join(map(str, node['enum']))}"] if "enum" in node else []
    words += [f"{name} {node[name]}" for name in _BOUNDS if name in node]
    if node.get("default") not in (None, {}, []):
        words.append(f"default {_inline(node['default'])}")
    return "; ".join(words)


def _listed(members: Schema, required: Any, *, recursive: bool, depth: int = 1) -> list[str]:
    lines = []
    indent = "  " * depth
    for name, node in members.items():
        needed = " -required-" if name in required else ""
        lines.append(f"{indent}{name} <{_type(node)}>{needed}")
        if recursive:
            inner = node.get("items") or node
            lines += _listed(_members(node), inner.get("required", ()), recursive=True, depth=depth + 1)
            continue
        text = "; ".join(part for part in (str(node.get("description", "")).rstrip("."), _limits(node)) if part)
        lines += textwrap.wrap(text, _WIDTH, initial_indent=indent + "    ", subsequent_indent=indent + "    ")
    return lines
