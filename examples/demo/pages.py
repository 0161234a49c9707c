"""What the demo site says, page by page, so that a test can compare a crawl with what was served."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote, unquote

_CONTENT: Final[dict[str, Any]] = tomllib.loads(
    resources.files(__package__).joinpath("content.toml").read_text(encoding="utf-8")
)

SITE_NAME: Final[str] = _CONTENT["name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of the site, before it becomes HTML."""

    path: str
    """Decoded path, such as /guide/length; `quoted` is the form for a URL."""
    heading: str
    description: str
    paragraphs: tuple[str, ...]
    """The main text, which a crawl should find whole and in this order."""
    language: str = "en"
    direction: str = "ltr"
    encoding: str = "utf-8"
    charset_in_header: bool = True
    malformed: bool = False
    """The markup is deliberately broken."""
    price: str = ""
    """Decimal number of a catalogue page's `.price` element; empty elsewhere."""

    @property
    def title(self) -> str:
        """The content of the page's title element."""
        return f"{self.heading} | {SITE_NAME}"

    @property
    def text(self) -> str:
        """The paragraphs as one text, a blank line between two."""
        return "\n\n".join(self.paragraphs)

    @property
    def quoted(self) -> str:
        """The path as it stands in a URL."""
        return quote(self.path)


def page(path: str) -> Page:
    """Return the page at a path, quoted or not; KeyError where the site has none."""
    return PAGES[unquote(path)]


def children(parent: Page) -> tuple[Page, ...]:
    """Return the pages directly below a section, in the site's order."""
    return tuple(
        other
        for other in PAGES.values()
        if parent.path.endswith("/") and other is not parent and PurePosixPath(other.path).parent.match(parent.path)
    )


def _written() -> Iterator[Page]:
    for entry in _CONTENT["pages"]:
        yield Page(**entry | {"paragraphs": tuple(entry["paragraphs"])})


def _catalogue() -> Iterator[Page]:
    for tool in _CONTENT["tools"]:
        for step, size in enumerate(tool["sizes"]):
            price = f"{(tool['price_cents'] + step * tool['step_cents']) / 100:.2f}"
            yield Page(
                path=f"/catalogue/{tool['slug']}-{step + 1}",
                heading=f"{tool['name']}, {size}",
                description=f"{tool['name']} with a range of {size}.",
                paragraphs=(
                    tool["use"],
                    f"This one has a range of {size}. It is number {step + 1} of {len(tool['sizes'])} in its series.",
                ),
                price=price,
            )


PAGES: Final[dict[str, Page]] = {each.path: each for each in (*_written(), *_catalogue())}
"""Every page by its decoded path."""
