"""Turns the site's pages into bytes: HTML with what real pages carry around their text, and one PDF."""

from html import escape
from typing import Final

from demo.pages import PAGES, SITE_NAME, Page, children

PDF_PATH: Final = "/files/units.pdf"

_NAVIGATION: Final = {"/": "Start", "/guide/": "Guide", "/catalogue/": "Catalogue", "/languages/": "Languages"}


def html(page: Page, base_url: str) -> bytes:
    """Render a page, in its own encoding; `base_url` (no slash at the end) is where the site can be reached."""
    text = _broken(page) if page.malformed else _whole(page, base_url)
    return text.encode(page.encoding, "xmlcharrefreplace")


def _whole(page: Page, base_url: str) -> str:
    title, description = escape(page.title), escape(page.description)
    url = escape(base_url + page.quoted)
    paragraphs = "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in page.paragraphs)
    price = f'<p>Price: <data class="price" value="{page.price}">{page.price}</data></p>' if page.price else ""
    return f"""<!DOCTYPE html>
<html lang="{page.language}" dir="{page.direction}">
<head>
<meta charset="{page.encoding}">
<title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="{description}">
<link rel="canonical" href="{url}">
<meta property="og:type" content="website">
<meta property="og:site_name" content="{SITE_NAME}">
<meta property="og:title" content="{title}">
<meta property="og:description" content="{description}">
<meta property="og:url" content="{url}">
</head>
<body>
<header><nav>{_links(_NAVIGATION)}</nav></header>
<main><article>
<h1>{escape(page.heading)}</h1>
{paragraphs}
{price}
</article></main>
{_section(page)}
<footer><p>{SITE_NAME} is a site made of examples.</p>
<p><a href="{PDF_PATH}">All units on one page (PDF)</a> <a href="/moved">Length, by its old address</a></p></footer>
</body>
</html>
"""


def _links(targets: dict[str, str]) -> str:
    return (
        "<ul>" + "".join(f'<li><a href="{path}">{escape(label)}</a></li>' for path, label in targets.items()) + "</ul>"
    )


def _section(page: Page) -> str:
    below = {child.quoted: child.heading for child in children(page)}
    return f"<section><h2>Pages</h2>{_links(below)}</section>" if below else ""


def _broken(page: Page) -> str:
    first, second = map(escape, page.paragraphs)
    return f"""<html lang={page.language}><title>{escape(page.title)}</title>
<meta name=description content="{escape(page.description)}">
<body class=a class=b></span><h1>{escape(page.heading)}
<main><article><div><p>{first}<p>{second}</article>
<table><td>1 &lt 2<tr><td><a href=/guide/rounding>Rounding</b></a><td>&nosuchentity; <
<body><footer><ul><li>one<li>two</footer></p></div
"""


def pdf() -> bytes:
    """Make a small, valid PDF of one page: the headings of the guide, one a line."""
    lines = [page.heading for page in children(PAGES["/guide/"])]
    drawn = "".join(f"({line}) Tj T* " for line in lines)
    content = f"BT /F1 14 Tf 18 TL 72 770 Td {drawn}ET"
    fonts = "<< /Font << /F1 4 0 R >> >>"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R /Resources {fonts} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
    ]
    document = "%PDF-1.4\n"
    table = "0000000000 65535 f \n"
    for number, body in enumerate(objects, 1):
        table += f"{len(document):010d} 00000 n \n"
        document += f"{number} 0 obj\n{body}\nendobj\n"
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(document)}\n%%EOF\n"
    return f"{document}xref\n0 {size}\n{table}{trailer}".encode("ascii")
