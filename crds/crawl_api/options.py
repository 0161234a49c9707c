"""How pages are fetched and what is taken from them: options that all job types share."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from crawl_api.base import SecretReference, SpecModel


class TextEngine(StrEnum):
    """How a page's main text is told from its navigation."""

    FAST = "Fast"
    ACCURATE = "Accurate"


class HeadersSource(SpecModel):
    """Where request headers come from."""

    secret_ref: SecretReference
    """A Secret whose keys are names of headers."""


class FetchOptions(SpecModel):
    """How pages are fetched."""

    concurrency: Annotated[int, Field(ge=1, le=100)] = 10
    """Requests of this job in flight at once. It may lower the operator's limit (10), never raise it."""
    per_host_concurrency: Annotated[int, Field(ge=1, le=100)] = 10
    """Requests in flight at once to one host; `concurrency` bounds it too."""
    delay_seconds: Annotated[float, Field(ge=0, le=60)] = 0
    """Pause between two requests to the same host. A Crawl-delay in robots.txt lengthens it, up to 30 s."""
    auto_throttle: bool = False
    """Whether the pause follows how long the host takes to answer: what is slow is asked less often."""
    timeout_seconds: Annotated[int, Field(ge=1, le=600)] = 30
    """Time limit of one page, redirects and body included."""
    obey_robots: bool = True
    """Whether robots.txt decides what may be fetched."""
    user_agent: Annotated[str, StringConstraints(max_length=256, pattern=r"^[\x20-\x7e]*$")] = ""
    """User-Agent header; also the name looked up in robots.txt. Empty: the operator's own."""
    headers_from: Annotated[tuple[HeadersSource, ...], Field(max_length=8)] = ()
    """Headers for every request to a host that the job names itself; hosts that links or redirects lead to get none."""
    max_body_bytes: Annotated[int, Field(ge=1, le=1 << 30)] = 10 << 20
    """Size limit of one page, after decompression. A larger one is an error of that page."""
    max_total_bytes: Annotated[int, Field(ge=1, le=1 << 40)] | None = None
    """Bytes of page bodies that the job may receive in all; the page that reaches it is the last. Unset: no limit."""


class Selector(SpecModel):
    """One named value to take from each page, by CSS or by XPath."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.css) != has(self.xpath)",
                    "message": "exactly one of css and xpath must be set",
                }
            ]
        }
    )

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=63)]
    """Key of the value in the result."""
    css: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """A CSS selector."""
    xpath: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """An XPath 1.0 expression."""
    attribute: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = None
    """Take this attribute instead of the element's text."""
    many: bool = False
    """Take every match as a list instead of the first."""
    required: bool = False
    """A page without a match is an error of that page."""

    @model_validator(mode="after")
    def _one_language(self) -> Self:
        if (self.css is None) == (self.xpath is None):
            raise ValueError("exactly one of css and xpath must be set")
        return self


class ExtractOptions(SpecModel):
    """What is taken from each page; its title always is."""

    text: bool = True
    """The page's text without navigation and boilerplate."""
    engine: TextEngine = TextEngine.FAST
    """`Fast` suits most pages; `Accurate` is about twenty times slower and knows more page layouts."""
    markdown: bool = False
    """The page as Markdown."""
    links: bool = False
    """Absolute URLs of the page's links, each once."""
    metadata: bool = True
    """Description, language, canonical URL and the meta tags."""
    selectors: Annotated[
        tuple[Selector, ...],
        Field(
            max_length=50,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """Named values to take from each page."""
