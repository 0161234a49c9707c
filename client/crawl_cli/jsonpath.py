"""kubectl's JSONPath templates: text, `{.path}`, and `{range .path}…{end}`. The paths are the library's."""

import json
import re
from typing import Any, Final

from crawl_cli.exits import Refused

_PART: Final = re.compile(r"\{((?:\"[^\"]*\"|'[^']*'|[^{}\"'])*)\}|([^{]+)")
_ESCAPES: Final = {r"\n": "\n", r"\t": "\t", r"\"": '"', r"\\": "\\"}


class JsonPath:
    r"""A template.

    >>> JsonPath('{.metadata.name}{"\\n"}').render({"metadata": {"name": "docs"}})
    'docs\n'
    >>> JsonPath("{range .items[*]}{.a} {end}").render({"items": [{"a": 1}, {"a": 2}]})
    '1 2 '

    Raises:
        Refused: it is none.
    """

    def __init__(self, template: str) -> None:
        if "{" not in template:  # kubectl allows that too
            template = "{" + ("" if template.startswith((".", "$", "[")) else ".") + template + "}"
        self._parts = _PART.findall(template)
        if "".join(text or "{" + code + "}" for code, text in self._parts) != template:
            raise Refused(f"the JSONPath template {template!r} cannot be read: see its braces and quotes")

    def render(self, value: Any) -> str:
        """Return what the template makes of a value."""
        text, rest = _render(self._parts, value)
        if rest:
            raise Refused("the JSONPath template has an {end} too many")
        return text


def _render(parts: list[tuple[str, str]], value: Any) -> tuple[str, list[tuple[str, str]]]:
    """Return the text, and the parts after the `{end}` that it came to."""
    out: list[str] = []
    while parts:
        (code, text), *parts = parts
        code = code.strip()
        if text:
            out.append(text)
        elif code == "end":
            return "".join(out), [("", ""), *parts]
        elif code.startswith("range "):
            inner, after = parts, None
            for item in _find(code[6:].strip(), value):
                rendered, after = _render(inner, item)
                out.append(rendered)
            parts = (after or _render(inner, None)[1])[1:]
        elif code[:1] in {'"', "'"}:
            out.append(re.sub(r"\\[nt\"\\]", lambda match: _ESCAPES[match[0]], code[1:-1]))
        elif code:
            out.append(" ".join(_text(found) for found in _find(code, value)))
    return "".join(out), []


def _find(path: str, value: Any) -> list[Any]:
    import jsonpath

    if path.startswith("$"):
        query = path
    elif path.startswith("@"):
        query = "$" + path[1:]
    else:
        query = "$" + (path if path.startswith((".", "[")) else f".{path}")
    query = query if query != "$." else "$"
    query = query.replace("\\.", "\\u002e")
    query = re.sub(r"\.((?:[^.\[\]\\]|\\u002e)*\\u002e(?:[^.\[\]\\]|\\u002e)*)", _quoted, query)
    try:
        return list(jsonpath.findall(query, value))
    except jsonpath.JSONPathError as error:
        raise Refused(f"the JSONPath {path!r} cannot be used: {str(error).splitlines()[0]}") from error


def _quoted(match: re.Match[str]) -> str:
    r"""Write a key with dots in it, `.crawl-operator\.io/x`, as the standard does."""
    return "['" + match[1].replace("\\u002e", ".") + "']"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
