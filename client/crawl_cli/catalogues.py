"""What a worker's image can run, as it tells itself: processors and tasks with the schemas of their parameters."""

import json
import sys
from pathlib import Path
from typing import Any, Final

from crawl_client.errors import NotFoundError, ValidationError

Entry = dict[str, Any]

_DEEPEST: Final = 10
"""References that lead from one to the other; more are a circle."""


def read(file: Path) -> dict[str, Entry]:
    """Return the entries of a file by name; `-` is the standard input.

    Args:
        file: what `python -m crawl_worker --catalogue` prints, or the records of a `list_processors` job.

    Raises:
        ValidationError: it is neither.
        OSError: it cannot be read.
    """
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    try:
        found = json.loads(text) if text.lstrip().startswith("[") else list(map(json.loads, text.splitlines()))
        entries = [each.get("data", each) for each in found]
        return {each["name"]: each | {"parameters": _resolved(each["parameters"], each)} for each in entries}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        expected = "neither a catalogue of a worker's image nor the records of a list_processors job"
        raise ValidationError([f"{file}: {expected}: {type(error).__name__}: {error}"]) from error


def of_name(entries: dict[str, Entry], name: str) -> Entry:
    """Return the entry of that name.

    Raises:
        NotFoundError: there is none.
    """
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none"
        raise NotFoundError(f"the catalogue has no {name!r}; it has {known}", 404)
    return entries[name]


def _resolved(node: Any, entry: Entry, depth: int = 0) -> Any:
    """Put what is referred to in the place of each reference, and the one type of what may be left out."""
    if not isinstance(node, dict) or depth > _DEEPEST:
        return node
    node = {key: value for key, value in node.items() if key != "$defs"}
    if "$ref" in node:
        target = entry["parameters"]["$defs"][node.pop("$ref").removeprefix("#/$defs/")]
        return _resolved({**target, **node}, entry, depth + 1)
    if len(branches := [each for each in node.get("anyOf", ()) if each.get("type") != "null"]) == 1:
        del node["anyOf"]
        return _resolved({**branches[0], **node}, entry, depth + 1)
    if "properties" in node:
        inner = {name: _resolved(each, entry, depth + 1) for name, each in node["properties"].items()}
        node["properties"] = inner
    for key in ("items", "additionalProperties"):
        if key in node:
            node[key] = _resolved(node[key], entry, depth + 1)
    return node
