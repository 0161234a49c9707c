"""URLs in one spelling: two spellings of one page must be fetched once, and a host must mean what it says.

The WHATWG rules (ada-url) are what browsers follow: `http://0x7f.1/` becomes `http://127.0.0.1/`, a default port and
dot segments vanish, names become ASCII. Whatever they do not accept is no URL.
"""

from typing import Final

import ada_url

from crawl_api.base import MAX_URL
from crawl_worker.errors import PageError

_SCHEMES: Final = ("http:", "https:")


def normalise(url: str, base: str | None = None) -> str:
    """Return the absolute http or https URL in its one spelling, without its fragment.

    Args:
        url: as a job or a redirect names it; may be relative where `base` is given.
        base: an absolute URL to resolve it against.

    Raises:
        PageError: InvalidURL or UnsupportedScheme.
    """
    try:
        parsed = ada_url.URL(url, base)
    except ValueError:
        raise PageError("InvalidURL", f"not a valid URL: {url}") from None
    if parsed.protocol not in _SCHEMES:
        raise PageError("UnsupportedScheme", f"only http and https are fetched, not {parsed.protocol}//")
    if parsed.username or parsed.password:
        raise PageError("InvalidURL", "a URL with a user name or password is not fetched")
    parsed.hash = ""
    href = str(parsed.href)
    if len(href) > MAX_URL:
        raise PageError("InvalidURL", f"longer than {MAX_URL} characters: {href[:100]}…")
    return href


def host_of(url: str) -> str:
    """Return the host of a normalised URL, IPv6 in brackets."""
    return str(ada_url.URL(url).hostname)


def origin_of(url: str) -> str:
    """Return scheme, host and port of a normalised URL: what one robots.txt holds for."""
    return str(ada_url.URL(url).origin)
