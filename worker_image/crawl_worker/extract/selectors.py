"""Named values by CSS, XPath or JSONPath."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from crawl_api.options import Selector
from crawl_worker.errors import PageError
from crawl_worker.extract.bounds import Cuts

MAX_FIELD: Final = 50_000
"""Characters of one value."""
MAX_FIELD_VALUES: Final = 1_000
MAX_FIELD_LISTS: Final = 5_000_000
"""Characters of all lists of one page together: elements that lie one in the other repeat their text."""


@dataclass(frozen=True)
class Views:
    """A page as each language sees it."""

    html: str
    xml: bool
    tree: LexborHTMLParser | None
    """Where there is markup."""
    documents: Callable[[], Any]
    """The JSON document that JSONPath is asked of."""

    @cached_property
    def parsed(self) -> Any:
        """The page for XPath: a second parse, only where it is asked for."""
        from parsel import Selector as Document  # noqa: PLC0415 (see above)

        return Document(text=self.html, type="xml" if self.xml else "html")


def fields(views: Views, selectors: Sequence[Selector], cuts: Cuts) -> dict[str, Any]:
    """Return the values by name.

    Raises:
        PageError: SelectorRequired.
    """
    found: dict[str, Any] = {}
    room = MAX_FIELD_LISTS
    for selector in selectors:
        bounded = (_bounded(value, cuts) for value in _matches(views, selector))
        if selector.many:
            values = cuts.listed("fields", _within(room, bounded, cuts), MAX_FIELD_VALUES)
            found[selector.name] = values
            room -= sum(map(_size, values))
        else:
            found[selector.name] = next(bounded, None)
    require(selectors, found)
    return found


def require(selectors: Sequence[Selector], found: Mapping[str, object], why: str = "no match for") -> None:
    """Raise PageError, SelectorRequired, where a required value is not among the found ones."""
    missing = [each.name for each in selectors if each.required and found.get(each.name) in (None, [], "")]
    if missing:
        raise PageError("SelectorRequired", f"{why} required selectors: {', '.join(missing)}")


def invalid_selectors(selectors: Sequence[Selector]) -> list[str]:
    """Return what is wrong with the selectors, one text for each bad one."""
    return [f"{selector.name}: {reason}" for selector in selectors if (reason := _invalid(selector))]


def _invalid(selector: Selector) -> str | None:
    views = Views("<p></p>", xml=False, tree=LexborHTMLParser("<p></p>"), documents=list)
    try:
        list(_matches(views, selector))
    except SelectolaxError:
        return f"not a CSS selector that is understood: {selector.css}"
    except Exception as error:  # noqa: BLE001 (each language has its own)
        if selector.xpath is not None:
            return f"not an XPath 1.0 expression that is understood: {selector.xpath}"
        return f"not a JSONPath expression that is understood: {selector.jsonpath}: {error}".partition("\n")[0]
    return None


def _matches(views: Views, selector: Selector) -> Iterator[Any]:
    if selector.jsonpath is not None:
        from jsonpath import JSONPathEnvironment  # noqa: PLC0415 (needed by few jobs)

        # One by one: a document may have millions of matches, of which a thousand are taken at most.
        found = JSONPathEnvironment(strict=True).compile(selector.jsonpath).finditer(views.documents())
        yield from (match.obj for match in found)
    elif views.tree is None:
        return
    elif selector.css is not None:
        yield from _css(views.tree, selector)
    else:
        matches = views.parsed.xpath(selector.xpath)
        yield from (value for match in matches if (value := _match_value(match, selector.attribute)) is not None)


def _bounded(value: Any, cuts: Cuts) -> Any:
    if isinstance(value, str):
        return cuts.text("fields", value, MAX_FIELD)
    if isinstance(value, dict | list) and len(str(value)) > MAX_FIELD:
        cuts.note("fields")
        return None
    return value


def _within(room: int, values: Iterator[Any], cuts: Cuts) -> Iterator[Any]:
    """Yield values until they have taken all the room; the first always."""
    for number, value in enumerate(values):
        if number and room <= 0:
            cuts.note("fields")
            return
        room -= _size(value)
        yield value


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(str(value))


def _css(tree: LexborHTMLParser, selector: Selector) -> Iterator[str]:
    for node in tree.css(selector.css or ""):
        value = _node_value(node, selector.attribute)
        if value is not None:
            yield value


def _node_value(node: LexborNode, attribute: str | None) -> str | None:
    if attribute is None:
        return node.text().strip()
    # An attribute without a value is there, and empty.
    return (node.attributes[attribute] or "") if attribute in node.attributes else None


def _match_value(match: Any, attribute: str | None) -> str | None:
    if not hasattr(match.root, "attrib"):  # a text, an attribute, a number or a boolean
        return str(match.root).strip() if attribute is None else None
    if attribute is not None:
        value = match.attrib.get(attribute)
        return None if value is None else str(value)
    return str(match.xpath("string()").get("")).strip()
