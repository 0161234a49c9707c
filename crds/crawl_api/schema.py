"""Pydantic models → Kubernetes structural schemas.

Pydantic writes JSON Schema with references and `anyOf [..., null]`; the API server wants one self-contained tree, a
type at every node and no null. Source of the rules: Kubernetes, "Extend the Kubernetes API with
CustomResourceDefinitions", section "Specifying a structural schema".
"""

from typing import Any, Final

from pydantic import BaseModel

Schema = dict[str, Any]

_MAX_TIME: Final = 40
"""Characters of an RFC 3339 time with fraction and offset."""

_DROPPED: Final = frozenset({"title", "$defs", "discriminator", "examples"})


def structural(model: type[BaseModel]) -> Schema:
    """Return the structural schema of a model."""
    document = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(document, document.get("$defs", {}))


def _convert(node: Schema, definitions: dict[str, Schema]) -> Schema:
    node = _resolve(node, definitions)
    out: Schema = {key: value for key, value in node.items() if key not in _DROPPED}
    if "properties" in out:
        out["properties"] = {name: _convert(child, definitions) for name, child in out["properties"].items()}
        out.pop("additionalProperties", None)  # unknown fields are pruned, and refused by strict clients
    elif isinstance(out.get("additionalProperties"), dict):
        out["additionalProperties"] = _convert(out["additionalProperties"], definitions) or _any()
    elif out.get("additionalProperties") is True:
        out["additionalProperties"] = _any()
    if "maxLength" in out and out.get("type") == "object":
        raise TypeError("a map is bounded by max_length on the field, see maxProperties")
    if isinstance(out.get("items"), dict):
        out["items"] = _convert(out["items"], definitions)
    if out.get("format") == "date-time":
        out["maxLength"] = _MAX_TIME
    if "const" in out:
        out["enum"] = [out.pop("const")]
    if _is_empty_default(out):
        del out["default"]
    return out if set(out) - {"description", "default"} else out | _any()


def _resolve(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Follow references and take the one real branch of an optional; what stands at the field wins."""
    while True:
        if "$ref" in node:
            target = definitions[node["$ref"].rsplit("/", 1)[-1]]
            node = target | {key: value for key, value in node.items() if key != "$ref"}
            if isinstance(node.get("default"), dict) and "properties" in node:
                node = node | {"default": _own_defaults(node["default"], node, definitions)}
        elif "anyOf" in node:
            branches = [branch for branch in node["anyOf"] if branch.get("type") != "null"]
            if len(branches) != 1:
                raise TypeError(f"a structural schema has one type per node, not {node['anyOf']}")
            node = branches[0] | {key: value for key, value in node.items() if key != "anyOf"}
        elif "allOf" in node and len(node["allOf"]) == 1:
            node = node["allOf"][0] | {key: value for key, value in node.items() if key != "allOf"}
        else:
            return node


def _own_defaults(default: Schema, node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Keep of an object's default only what its members' own defaults do not say already."""
    members = {name: _resolve(child, definitions) for name, child in node["properties"].items()}
    return {key: value for key, value in default.items() if value is not None and members[key].get("default") != value}


def _is_empty_default(node: Schema) -> bool:
    """Tell defaults that only Python needs: None, and what is empty and fills in nothing, which means absence."""
    if "default" not in node:
        return False
    default = node["default"]
    fills_in = any("default" in child for child in node.get("properties", {}).values())
    return default is None or (default in ("", [], {}) and not fills_in)


def _any() -> Schema:
    """Any JSON value, null included, which the API server would otherwise drop."""
    return {"x-kubernetes-preserve-unknown-fields": True, "nullable": True}
