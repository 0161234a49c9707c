"""How pages are fetched and what is taken from them: options that all job types share."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from crawl_api.base import SecretReference, SpecModel


class TextEngine(StrEnum):
    """How a page's main text is told from its navigation."""

    FAST = "Fast"
    ACCURATE = "Accurate"


class CacheMode(StrEnum):
    """What answers that crawls of the namespace have kept are used for."""

    NONE = "None"
    READ = "Read"
    WRITE = "Write"
    READ_WRITE = "ReadWrite"
    READ_THROUGH = "ReadThrough"

    @property
    def reads(self) -> bool:
        """Whether what is kept is used."""
        return self in {CacheMode.READ, CacheMode.READ_WRITE, CacheMode.READ_THROUGH}

    @property
    def writes(self) -> bool:
        """Whether what is fetched is kept."""
        return self in {CacheMode.WRITE, CacheMode.READ_WRITE, CacheMode.READ_THROUGH}


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
    cache_mode: CacheMode = CacheMode.NONE
    """Whether answers are taken from the cache of the namespace (`Read`), kept there (`Write`), or both (`ReadWrite`,
    for which `ReadThrough` is another word). It lies in the store of the results. Requests with headers of a Secret
    pass it by."""
    cache_seconds: Annotated[int, Field(ge=0, le=31_536_000)] = 3600
    """How old an answer may be that is used without asking the site. An older one is used if the site says that it
    still holds (ETag, Last-Modified). What a site forbids to keep is not kept."""


_ONE_LANGUAGE = "exactly one of css, xpath and jsonpath must be set"


class Selector(SpecModel):
    """One named value to take from each page, by CSS, XPath or JSONPath."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "[has(self.css), has(self.xpath), has(self.jsonpath)].filter(each, each).size() == 1",
                    "message": _ONE_LANGUAGE,
                },
                {
                    "rule": "!has(self.jsonpath) || !has(self.attribute)",
                    "message": "attribute is for css and xpath",
                },
            ]
        }
    )

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=63)]
    """Key of the value in the result."""
    css: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """A CSS selector."""
    xpath: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """An XPath 1.0 expression."""
    jsonpath: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """A JSONPath expression (RFC 9535) over a JSON document; over a page, it sees the list of its JSON-LD documents."""
    attribute: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = None
    """Take this attribute instead of the element's text."""
    many: bool = False
    """Take every match as a list instead of the first."""
    required: bool = False
    """A page without a match is an error of that page."""

    @model_validator(mode="after")
    def _one_language(self) -> Self:
        if (self.css, self.xpath, self.jsonpath).count(None) != 2:
            raise ValueError(_ONE_LANGUAGE)
        if self.jsonpath is not None and self.attribute is not None:
            raise ValueError("attribute is for css and xpath")
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
    """Description, language, canonical URL, authors, dates and the meta tags."""
    tables: bool = False
    """The page's tables as rows of cells."""
    json_ld: bool = False
    """The JSON-LD documents that the page carries."""
    images: bool = False
    """Absolute URLs of the page's images, with their alternative texts."""
    selectors: Annotated[
        tuple[Selector, ...],
        Field(
            max_length=50,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """Named values to take from each page."""
