"""Reading a PDF: text, page count and metadata, by PDFium, in the same kind of process as pages."""

import pypdfium2
from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY, FPDF_GetLastError

from crawl_api.options import ExtractOptions
from crawl_worker.errors import PageError
from crawl_worker.extract.bounds import MAX_TEXT, clean
from crawl_worker.extract.pages import MAX_TITLE
from crawl_worker.extract.structure import MAX_META_VALUE
from crawl_worker.records import Extracted, PdfInfo


def read_pdf(body: bytes, options: ExtractOptions) -> Extracted:
    """Take from a PDF what the job asks for.

    Raises:
        PageError: PdfEncrypted, PdfBroken.
    """
    try:
        document = pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as error:
        if FPDF_GetLastError() in {FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY}:
            raise PageError("PdfEncrypted", "the PDF opens with a password only") from error
        raise PageError("PdfBroken", f"no PDF that can be read: {error}") from error
    with document:
        metadata = {name: clean(value)[:MAX_META_VALUE] for name, value in document.get_metadata_dict().items()}
        texts, truncated = _texts(document) if options.text else (None, False)
        return Extracted(
            title=metadata.get("Title", "")[:MAX_TITLE] or None,
            text=texts,
            pdf=PdfInfo(
                pages=len(document),
                author=metadata.get("Author") or None,
                subject=metadata.get("Subject") or None,
                keywords=metadata.get("Keywords") or None,
                creator=metadata.get("Creator") or None,
                producer=metadata.get("Producer") or None,
                created=metadata.get("CreationDate") or None,
                modified=metadata.get("ModDate") or None,
            ),
            truncated=["text"] if truncated else None,
        )


def _texts(document: pypdfium2.PdfDocument) -> tuple[str, bool]:
    """Return the text of all pages, a form feed between two, and whether it was cut."""
    texts: list[str] = []
    size = 0
    for number in range(len(document)):
        try:
            page = document[number]
            text = page.get_textpage().get_text_bounded()
            page.close()
        except pypdfium2.PdfiumError:
            text = ""  # a broken page between good ones
        texts.append(clean(text.replace("\r\n", "\n")))
        size += len(text) + 1
        if size > MAX_TEXT:
            return "\f".join(texts)[:MAX_TEXT], True
    return "\f".join(texts), False
